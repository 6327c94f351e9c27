"""Location features and coverage against their formulas in plain loops in float64."""

import math

import pytest
import torch

from hf_seq2seq.architectures.local_attention import LocalMonotonicAlignment
from hf_seq2seq.architectures.location_attention import HistoryAttention, LocationFeatures, coverage_losses

BATCH, TARGET, SOURCE, WIDTH, MEMORY = 2, 4, 5, 3, 4
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1]])
KINDS = {
    "location": (LocationFeatures(2, 3), False),
    "coverage": (None, True),
    "both": (LocationFeatures(2, 5), True),
}


@pytest.fixture(params=list(KINDS))
def case(request):
    location, coverage = KINDS[request.param]
    attention = HistoryAttention(WIDTH, MEMORY, location, coverage).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    queries = torch.randn(BATCH, TARGET, WIDTH, dtype=torch.float64, requires_grad=True)
    values = torch.randn(BATCH, SOURCE, MEMORY, dtype=torch.float64, requires_grad=True)
    return attention, queries, values


def attend(attention, queries, values, mask=MASK):
    memory = attention.remember(values, mask)
    return attention(queries, memory, attention.start(memory))


def times(matrix, vector):
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix.tolist()]


def features_by_loops(attention, place, previous, coverage):
    """f of one source position, then its coverage."""
    found = []
    if attention.location is not None:
        filters = attention.location.convolution.weight[:, 0].tolist()
        half = len(filters[0]) // 2
        for each in filters:
            seen = range(max(0, place - half), min(len(previous), place + half + 1))
            found.append(sum(each[other - place + half] * previous[other] for other in seen))
    return [*found, coverage[place]] if attention.coverage else found


def weights_by_loops(attention, queries, values):
    """Weights of one row without padding, `[target][source]`."""
    previous, coverage, found = [0.0] * len(values), [0.0] * len(values), []
    projected = attention.feature_projection
    for query in queries.tolist():
        powers = []
        for place, value in enumerate(values.tolist()):
            features = features_by_loops(attention, place, previous, coverage)
            parts = zip(
                times(attention.query_projection.weight, query),
                times(attention.key_projection.weight, value),
                times(projected.weight, features),
                projected.bias.tolist(),
                strict=True,
            )
            hidden = [math.tanh(sum(part)) for part in parts]
            powers.append(math.exp(times(attention.score_projection.weight, hidden)[0]))
        previous = [power / sum(powers) for power in powers]
        coverage = [c + a for c, a in zip(coverage, previous, strict=True)]
        found.append(previous)
    return found, coverage


def test_equals_the_formula_wherever_padding_lies(case):
    attention, queries, values = case
    contexts, weights, carried = attend(attention, queries, values)
    for row in range(BATCH):
        real = MASK[row].nonzero().flatten()
        expected, coverage = weights_by_loops(attention, queries[row], values[row, real])
        alpha = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(weights[row, 0][:, real], alpha)
        torch.testing.assert_close(contexts[row], alpha @ values[row, real])
        if attention.coverage:
            assert carried["coverage"][row, real].tolist() == pytest.approx(coverage, abs=1e-12)
    assert not weights[:, 0].transpose(1, 2)[MASK == 0].any()


def test_coverage_is_the_sum_of_the_weights(case):
    attention, queries, values = case
    _, weights, carried = attend(attention, queries, values)
    assert ("coverage" in carried, "alignment" in carried) == (attention.coverage, attention.location is not None)
    if attention.coverage:
        torch.testing.assert_close(carried["coverage"], weights[:, 0].sum(1))
        assert carried["coverage"].sum().item() == pytest.approx(BATCH * TARGET)


def test_can_stop_and_continue(case):
    attention, queries, values = case
    whole = attend(attention, queries, values)
    memory = attention.remember(values, MASK)
    *_, carried = attention(queries[:, :2], memory, attention.start(memory))
    contexts, weights, last = attention(queries[:, 2:], memory, carried)
    torch.testing.assert_close(contexts, whole[0][:, 2:])
    torch.testing.assert_close(weights, whole[1][:, :, 2:])
    torch.testing.assert_close(last, whole[2])


def test_gradient(case):
    attention, queries, values = case
    assert torch.autograd.gradcheck(lambda q, v: attend(attention, q, v)[:2], (queries, values))


def test_coverage_loss_equals_the_formula():
    weights = torch.rand(2, 4, 3, dtype=torch.float64).softmax(-1)
    found = coverage_losses(weights)
    for row in range(2):
        coverage = [0.0] * 3
        for step, alpha in enumerate(weights[row].tolist()):
            expected = sum(min(a, c) for a, c in zip(alpha, coverage, strict=True))
            assert found[row, step].item() == pytest.approx(expected)
            coverage = [c + a for c, a in zip(coverage, alpha, strict=True)]
    assert not found[:, 0].any()


@pytest.mark.parametrize("width", [0, 1, 2])
@pytest.mark.parametrize("parts", [(9,), (4, 5)])
def test_a_window_moves_on_with_every_step(width, parts):
    attention = HistoryAttention(WIDTH, MEMORY, LocationFeatures(2, 3), True, LocalMonotonicAlignment(width)).double()
    values = torch.randn(1, 10, MEMORY, dtype=torch.float64)
    memory = attention.remember(values, torch.ones(1, 10, dtype=torch.long))
    carried, found = attention.start(memory), []
    for part in torch.randn(1, 9, WIDTH, dtype=torch.float64).split(parts, 1):
        _, weights, carried = attention(part, memory, carried)
        found.append(weights[0, 0])
    near = (torch.arange(10)[None] - torch.arange(9)[:, None]).abs() <= width
    assert torch.equal(torch.cat(found) > 0, near)
