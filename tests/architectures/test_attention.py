"""Each score against its formula, written out in plain loops in float64."""

import math

import pytest
import torch

from hf_seq2seq.architectures.attention import AdditiveAttention, DotAttention, GeneralAttention, ScaledDotAttention

BATCH, TARGET, SOURCE, WIDTH, MEMORY = 2, 3, 4, 5, 7


def dot(_, query, value):
    return sum(q * v for q, v in zip(query, value, strict=True))


def scaled_dot(_, query, value):
    return dot(_, query, value) / math.sqrt(len(query))


def times(matrix, vector):
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]


def general(attention, query, value):
    return dot(attention, query, times(attention.key_projection.weight.tolist(), value))


def additive(attention, query, value):
    left = times(attention.query_projection.weight.tolist(), query)
    right = times(attention.key_projection.weight.tolist(), value)
    hidden = [math.tanh(a + b) for a, b in zip(left, right, strict=True)]
    return dot(attention, attention.score_projection.weight.tolist()[0], hidden)


KINDS = {
    "dot": (lambda: DotAttention(), dot, WIDTH),
    "scaled_dot": (lambda: ScaledDotAttention(), scaled_dot, WIDTH),
    "general": (lambda: GeneralAttention(WIDTH, MEMORY), general, MEMORY),
    "additive": (lambda: AdditiveAttention(WIDTH, MEMORY), additive, MEMORY),
}


@pytest.fixture(params=list(KINDS))
def case(request):
    make, score, memory_width = KINDS[request.param]
    queries = torch.randn(BATCH, TARGET, WIDTH, dtype=torch.float64, requires_grad=True)
    values = torch.randn(BATCH, SOURCE, memory_width, dtype=torch.float64, requires_grad=True)
    return make().double(), score, queries, values


def test_equals_the_formula(case):
    attention, score, queries, values = case
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0]])
    contexts, weights, _ = attention(queries, attention.remember(values, mask), {})
    for row in range(BATCH):
        real = [place for place in range(SOURCE) if mask[row, place]]
        for step in range(TARGET):
            query = queries[row, step].tolist()
            powers = {place: math.exp(score(attention, query, values[row, place].tolist())) for place in real}
            alpha = [powers.get(place, 0.0) / sum(powers.values()) for place in range(SOURCE)]
            context = [sum(a * v for a, v in zip(alpha, column, strict=True)) for column in values[row].T.tolist()]
            assert weights[row, 0, step].tolist() == pytest.approx(alpha, abs=1e-12)
            assert contexts[row, step].tolist() == pytest.approx(context, abs=1e-12)


def test_gradient(case):
    attention, _, queries, values = case
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    assert torch.autograd.gradcheck(lambda q, v: attention(q, attention.remember(v, mask), {})[:2], (queries, values))


def test_keys_of_an_earlier_step_serve_again(case):
    attention, _, queries, values = case
    first = attention.remember(values, None)
    again = attention.remember(values, None, first.keys)
    assert again.keys is first.keys
    assert torch.equal(attention(queries, again, {})[0], attention(queries, first, {})[0])
