"""Local attention against its formula in plain loops in float64; positions count real tokens, wherever padding lies."""

import math

import pytest
import torch

from hf_seq2seq.architectures.attention import AdditiveAttention, DotAttention
from hf_seq2seq.architectures.local_attention import LocalMonotonicAlignment, LocalPredictiveAlignment

BATCH, TARGET, SOURCE, WIDTH = 3, 7, 6, 4
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 0]])
KINDS = {
    "monotonic": lambda: DotAttention(LocalMonotonicAlignment(1)),
    "predictive": lambda: AdditiveAttention(WIDTH, WIDTH, LocalPredictiveAlignment(2, WIDTH)),
}


@pytest.fixture(params=list(KINDS))
def case(request):
    queries = 2 * torch.randn(BATCH, TARGET, WIDTH, dtype=torch.float64)
    values = torch.randn(BATCH, SOURCE, WIDTH, dtype=torch.float64)
    return KINDS[request.param]().double(), queries.requires_grad_(), values.requires_grad_()


def attend(attention, queries, values, mask=MASK, carried=None):
    memory = attention.remember(values, mask)
    return attention(queries, memory, attention.start(memory) if carried is None else carried)


def centre(alignment, query, step, length):
    if not isinstance(alignment, LocalPredictiveAlignment):
        return min(step, length - 1)
    hidden = [math.tanh(row @ query) for row in alignment.hidden_projection.weight]
    total = sum(v * h for v, h in zip(alignment.position_projection.weight[0].tolist(), hidden, strict=True))
    return length / (1 + math.exp(-total))


def expected(attention, query, step, values, scores):
    """Weights of one row's real tokens."""
    looks_at = centre(attention.alignment, query, step, len(values))
    width = attention.alignment.width
    inside = [place for place in range(len(values)) if abs(place - looks_at) <= width]
    total = sum(math.exp(scores[place]) for place in inside)
    weights = [math.exp(score) / total if place in inside else 0.0 for place, score in enumerate(scores)]
    if not isinstance(attention.alignment, LocalPredictiveAlignment):
        return weights
    sigma = width / 2
    return [w * math.exp(-((place - looks_at) ** 2) / (2 * sigma**2)) for place, w in enumerate(weights)]


def test_equals_the_formula(case):
    attention, queries, values = case
    contexts, weights, _ = attend(attention, queries, values)
    with torch.no_grad():
        scores = attention.score(queries, attention.project_keys(values))
        for row in range(BATCH):
            real = MASK[row].nonzero().flatten()
            for step in range(TARGET):
                row_scores = scores[row, step, real].tolist()
                alpha = expected(attention, queries[row, step], step, real, row_scores)
                assert weights[row, 0, step, real].tolist() == pytest.approx(alpha, abs=1e-12)
                assert sum(alpha) > 0.01, "an empty window"
                context = torch.tensor(alpha, dtype=torch.float64) @ values[row, real]
                torch.testing.assert_close(contexts[row, step], context)
    assert not weights[:, 0].transpose(1, 2)[MASK == 0].any()


def test_steps_one_by_one_equal_all_at_once(case):
    attention, queries, values = case
    contexts, weights, last = attend(attention, queries, values)
    carried, parts = None, []
    for step in range(TARGET):
        *part, carried = attend(attention, queries[:, step : step + 1], values, carried=carried)
        parts.append(part)
    torch.testing.assert_close(torch.cat([part[0] for part in parts], 1), contexts)
    torch.testing.assert_close(torch.cat([part[1] for part in parts], 2), weights)
    assert carried.keys() == last.keys()
    for name, part in carried.items():
        assert torch.equal(part, last[name])


def test_gradient(case):
    attention, queries, values = case
    assert torch.autograd.gradcheck(lambda q, v: attend(attention, q, v)[:2], (queries, values))


@pytest.mark.parametrize("width", [1, 3])
def test_the_window_is_never_empty(width):
    """However the prediction saturates."""
    alignment = LocalPredictiveAlignment(width, WIDTH)
    torch.nn.init.constant_(alignment.hidden_projection.weight, 1.0)
    queries = torch.tensor([50.0, -50.0])[None, :, None].expand(BATCH, 2, WIDTH)
    torch.nn.init.constant_(alignment.position_projection.weight, 50.0)
    _, weights, _ = attend(DotAttention(alignment), queries, torch.zeros(BATCH, SOURCE, WIDTH))
    assert weights.isfinite().all()
    for row in range(BATCH):
        real = MASK[row].nonzero().flatten()
        assert weights[row, 0, 0, real[-1]] > 0
        assert weights[row, 0, 1, real[0]] > 0


def test_no_mask_is_a_mask_of_ones(case):
    attention, queries, values = case
    whole = attend(attention, queries, values, torch.ones(BATCH, SOURCE))
    torch.testing.assert_close(attend(attention, queries, values, None)[:2], whole[:2])
