"""Coverage added to any score against its formula in plain loops in float64."""

import math

import pytest
import torch

from hf_seq2seq.architectures.attention import DotAttention, GeneralAttention, ScaledDotAttention
from hf_seq2seq.architectures.coverage_attention import CoverageAttention
from hf_seq2seq.architectures.monotonic_attention import MonotonicAttention
from hf_seq2seq.architectures.rnn_multi_head import MultiHeadAttention

BATCH, TARGET, SOURCE, WIDTH = 2, 4, 5, 4
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1]])
SCORES = {
    "dot": lambda: DotAttention(),
    "scaled_dot": lambda: ScaledDotAttention(),
    "general": lambda: GeneralAttention(WIDTH, WIDTH),
    "multi_head": lambda: MultiHeadAttention(WIDTH, WIDTH, 2),
    "monotonic": lambda: MonotonicAttention(WIDTH, WIDTH, 0.0, 0.0),
}


@pytest.fixture(params=list(SCORES))
def case(request):
    attention = CoverageAttention(SCORES[request.param]()).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    shapes = (BATCH, TARGET, WIDTH), (BATCH, SOURCE, WIDTH)
    return attention, *(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)


def attend(attention, queries, values, parts=(TARGET,)):
    memory = attention.remember(values, MASK)
    carried, found = attention.start(memory), []
    for part in queries.split(parts, 1):
        contexts, weights, carried = attention(part, memory, carried)
        found.append((contexts, weights.transpose(1, 2)))
    return *(torch.cat(each, 1) for each in zip(*found, strict=True)), carried


def by_loops(score, weight, queries, values):
    """Softmax weights `[target][source]` of one row without padding, and its coverage after the last step."""
    coverage, found = [0.0] * len(values), []
    for query in queries:
        powers = [math.exp(score(query, value) + weight * c) for value, c in zip(values, coverage, strict=True)]
        alpha = [power / sum(powers) for power in powers]
        coverage = [c + a for c, a in zip(coverage, alpha, strict=True)]
        found.append(alpha)
    return found, coverage


@pytest.mark.parametrize("name", ["dot", "scaled_dot", "general"])
def test_equals_the_formula_wherever_padding_lies(name):
    attention = CoverageAttention(SCORES[name]()).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    queries, values = torch.randn(BATCH, TARGET, WIDTH).double(), torch.randn(BATCH, SOURCE, WIDTH).double()
    matrix = attention.scored.key_projection.weight if name == "general" else torch.eye(WIDTH).double()
    scale = WIDTH**-0.5 if name == "scaled_dot" else 1.0

    def score(query, value):
        rows = range(WIDTH)
        return scale * sum(query[i].item() * matrix[i, j].item() * value[j].item() for i in rows for j in rows)

    contexts, weights, carried = attend(attention, queries, values)
    for row in range(BATCH):
        real = MASK[row].nonzero().flatten()
        expected, coverage = by_loops(score, attention.coverage_weight.item(), queries[row], values[row, real])
        alpha = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(weights[row, :, 0, real], alpha)
        torch.testing.assert_close(contexts[row], alpha @ values[row, real])
        assert carried["coverage"][row, real].tolist() == pytest.approx(coverage, abs=1e-12)
    assert not weights[:, :, 0].transpose(1, 2)[MASK == 0].any()


def test_a_new_one_attends_as_one_without_coverage(case):
    attention, queries, values = case
    torch.nn.init.zeros_(attention.coverage_weight)
    memory = attention.scored.remember(values, MASK)
    contexts, weights, _ = attention.scored(queries, memory, attention.scored.start(memory))
    found = attend(attention, queries, values)
    torch.testing.assert_close(found[0], contexts)
    torch.testing.assert_close(found[1], weights.transpose(1, 2))


def test_coverage_is_the_mean_over_heads_of_the_summed_weights(case):
    attention, queries, values = case
    _, weights, carried = attend(attention, queries, values)
    torch.testing.assert_close(carried["coverage"], weights.mean(2).sum(1))
    whole, parted = attend(attention, queries, values), attend(attention, queries, values, (1, 2, 1))
    torch.testing.assert_close(parted, whole)


def test_the_weight_of_coverage_learns(case):
    attention, queries, values = case
    attend(attention, queries, values)[0].square().sum().backward()
    assert attention.coverage_weight.grad.abs() > 0
