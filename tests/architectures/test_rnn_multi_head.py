"""Several heads against plain loops in float64."""

import math

import pytest
import torch

from hf_seq2seq.architectures.local_attention import LocalPredictiveAlignment
from hf_seq2seq.architectures.rnn_multi_head import MultiHeadAttention

BATCH, TARGET, SOURCE, WIDTH, MEMORY, HEADS = 2, 3, 4, 6, 5, 3
MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])


@pytest.fixture
def sides():
    queries = torch.randn(BATCH, TARGET, WIDTH, dtype=torch.float64, requires_grad=True)
    return queries, torch.randn(BATCH, SOURCE, MEMORY, dtype=torch.float64, requires_grad=True)


@torch.no_grad()
def test_equals_the_formula(sides):
    queries, values = sides
    attention = MultiHeadAttention(WIDTH, MEMORY, HEADS).double()
    contexts, weights, _ = attention(queries, attention.remember(values, MASK), {})
    assert weights.shape == (BATCH, HEADS, TARGET, SOURCE)
    size = WIDTH // HEADS
    for row in range(BATCH):
        real = MASK[row].nonzero().flatten()
        for step in range(TARGET):
            heads = []
            for head in range(HEADS):
                rows = slice(head * size, (head + 1) * size)
                query = attention.query_projection.weight[rows] @ queries[row, step]
                keys = [attention.key_projection.weight[rows] @ value for value in values[row, real]]
                powers = [math.exp(float(query @ key) / math.sqrt(size)) for key in keys]
                alpha = [power / sum(powers) for power in powers]
                assert weights[row, head, step, real].tolist() == pytest.approx(alpha)
                seen = [attention.value_projection.weight[rows] @ value for value in values[row, real]]
                heads.append(sum(a * v for a, v in zip(alpha, seen, strict=True)))
            torch.testing.assert_close(contexts[row, step], attention.output_projection.weight @ torch.cat(heads))
    assert not weights.permute(0, 3, 1, 2)[MASK == 0].any()


def test_gradient(sides):
    attention = MultiHeadAttention(WIDTH, MEMORY, HEADS).double()
    assert torch.autograd.gradcheck(lambda q, v: attention(q, attention.remember(v, MASK), {})[:2], sides)


def test_heads_share_a_window(sides):
    queries, values = sides
    alignment = LocalPredictiveAlignment(1, WIDTH).double()
    attention = MultiHeadAttention(WIDTH, MEMORY, HEADS, alignment).double()
    memory = attention.remember(values, None)
    _, weights, _ = attention(queries, memory, attention.start(memory))
    outside = weights == 0
    assert outside.any()
    assert torch.equal(outside, outside[:, :1].expand_as(outside))
    distance = torch.arange(SOURCE) - alignment.centres(queries, memory, {})[..., None]
    assert torch.equal(outside[:, 0], distance.abs() > 1)
