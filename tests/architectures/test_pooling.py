"""Each pooling against its formula, written out in plain loops in float64."""

import math

import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.pooling import POOLINGS, Segments, one_segment

WIDTH = 6
# Segments in padded rows: padding, marked by the number of segments, lies behind, before and within.
INDEX = torch.tensor([[0, 0, 1, 1, 2], [0, 1, 1, 3, 3], [3, 0, 3, 0, 1]])


@pytest.fixture(params=list(POOLINGS))
def pooling(request):
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=WIDTH, context_pooling=request.param)
    return POOLINGS[request.param](config).double()


@pytest.fixture
def outputs():
    return torch.randn(3, 5, WIDTH, dtype=torch.float64, requires_grad=True)


def mean(_, vectors):
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def largest(_, vectors):
    return [max(column) for column in zip(*vectors, strict=True)]


def last(_, vectors):
    return vectors[-1][: WIDTH // 2] + vectors[0][WIDTH // 2 :]


def weighted(pooling, vectors):
    matrix, bias = pooling.hidden.weight.tolist(), pooling.hidden.bias.tolist()
    (direction,) = pooling.score.weight.tolist()
    powers = []
    for vector in vectors:
        hidden = [
            math.tanh(sum(m * v for m, v in zip(row, vector, strict=True)) + b)
            for row, b in zip(matrix, bias, strict=True)
        ]
        powers.append(math.exp(sum(u * h for u, h in zip(direction, hidden, strict=True))))
    return [
        sum(p * v for p, v in zip(powers, column, strict=True)) / sum(powers) for column in zip(*vectors, strict=True)
    ]


FORMULAS = {"LastPooling": last, "MeanPooling": mean, "MaxPooling": largest, "WeightedPooling": weighted}


def test_equals_the_formula(pooling, outputs):
    found = pooling(outputs, Segments(INDEX, 3))
    formula = FORMULAS[type(pooling).__name__]
    assert found.shape == (3, 3, WIDTH)
    for row in range(3):
        for segment in range(3):
            vectors = [outputs[row, place].tolist() for place in range(5) if INDEX[row, place] == segment]
            expected = formula(pooling, vectors) if vectors else [0.0] * WIDTH
            assert found[row, segment].tolist() == pytest.approx(expected, abs=1e-12)


def test_gradient(pooling, outputs):
    assert torch.autograd.gradcheck(lambda values: pooling(values, Segments(INDEX, 3)), (outputs,))


def test_the_whole_source_is_one_segment(pooling, outputs):
    mask = (INDEX != 3).long()
    found = pooling(outputs, one_segment(outputs, mask))
    for row in range(3):
        real = outputs[row, mask[row] != 0][None]
        torch.testing.assert_close(found[row], pooling(real, one_segment(real, None))[0])


def test_one_direction_ends_at_its_end(outputs):
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=WIDTH, bidirectional=False)
    found = POOLINGS["last"](config)(outputs, one_segment(outputs, (INDEX != 3).long()))
    assert torch.equal(found[:, 0], outputs[[0, 1, 2], [4, 2, 4]])


def test_segments_know_their_members():
    segments = Segments(INDEX, 3)
    assert segments.mask.tolist() == [[True, True, True], [True, True, False], [True, True, False]]
    assert segments.members.sum(1).tolist() == [[2, 2, 1], [1, 2, 0], [2, 1, 0]]
