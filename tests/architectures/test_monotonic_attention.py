"""Monotonic attention against its formulas and against every path that it could take."""

import itertools
import math

import pytest
import torch

from hf_seq2seq.architectures.monotonic_attention import MonotonicAttention, expected_alignment

BATCH, TARGET, SOURCE, WIDTH, MEMORY = 2, 3, 4, 3, 5
MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])


@pytest.fixture
def attention():
    attention = MonotonicAttention(WIDTH, MEMORY, noise=0.0).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    torch.nn.init.constant_(attention.gain, 3.0)
    torch.nn.init.constant_(attention.offset, 0.2)
    return attention


@pytest.fixture
def sides():
    queries = torch.randn(BATCH, TARGET, WIDTH, dtype=torch.float64, requires_grad=True)
    return queries, torch.randn(BATCH, SOURCE, MEMORY, dtype=torch.float64, requires_grad=True)


def attend(attention, queries, values, mask=MASK):
    memory = attention.remember(values, mask)
    return attention(queries, memory, attention.start(memory))


def energy(attention, query, value):
    parts = zip(
        (attention.query_projection.weight @ query).tolist(),
        (attention.key_projection.weight @ value).tolist(),
        attention.query_projection.bias.tolist(),
        strict=True,
    )
    v = attention.score_projection.weight[0].tolist()
    length = math.sqrt(sum(part**2 for part in v))
    product = sum(part * math.tanh(sum(hidden)) for part, hidden in zip(v, parts, strict=True))
    return attention.gain.item() * product / length + attention.offset.item()


def energies(attention, queries, values):
    return [[energy(attention, query, value) for value in values] for query in queries]


def by_enumeration(stops):
    """Expected alignments `[target][source]`: every path that can be taken, with its probability.

    A path names where each step stops; SOURCE stands for a step that walks off the end.
    """
    steps, source = len(stops), len(stops[0])
    found = [[0.0] * source for _ in stops]
    total = 0.0
    for path in itertools.combinations_with_replacement(range(source + 1), steps):
        chance, start = 1.0, 0
        for step, place in enumerate(path):
            for passed in range(start, place):
                chance *= 1 - stops[step][passed]
            if place < source:
                chance *= stops[step][place]
            start = place
        total += chance
        for step, place in enumerate(path):
            if place < source:
                found[step][place] += chance
    assert total == pytest.approx(1)
    return found


def by_walking(row_energies):
    """Hard alignments: each step stops at the first place, from the last one on, with a probability above 1/2."""
    source, place, found = len(row_energies[0]), 0, []
    for step in row_energies:
        while place < source and 1 / (1 + math.exp(-step[place])) <= 0.5:
            place += 1
        found.append([float(other == place) for other in range(source)])
    return found


@pytest.mark.parametrize("training", [True, False])
def test_equals_every_path_wherever_padding_lies(attention, sides, training):
    queries, values = sides
    attention.train(training)
    contexts, weights, carried = attend(attention, queries, values)
    for row in range(BATCH):
        real = MASK[row].nonzero().flatten()
        found = energies(attention, queries[row], values[row, real])
        stops = [[1 / (1 + math.exp(-e)) for e in step] for step in found]
        expected = by_enumeration(stops) if training else by_walking(found)
        alpha = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(weights[row, 0][:, real], alpha)
        torch.testing.assert_close(contexts[row], alpha @ values[row, real])
    assert not weights[:, 0].transpose(1, 2)[MASK == 0].any()
    assert torch.equal(carried["alignment"], weights[:, 0, -1])


def test_a_step_continues_where_the_last_one_stopped():
    energies = torch.tensor([[-1.0, 1, -1, 1], [1, -1, -1, 1], [1, 1, 1, -1], [1, 1, 1, 1]])
    alignment, places = torch.tensor([[1.0, 0, 0, 0]]), []
    for step in energies:
        alignment = expected_alignment((step > 0).float()[None], alignment)
        places.append(alignment[0].nonzero().flatten().tolist())
    assert places == [[1], [3], [], []]


def test_hard_alignments_are_the_limit_of_expected_ones(attention, sides):
    hard = attend(attention.eval(), *sides)[1]
    assert 0 < hard.sum() <= BATCH * TARGET
    with torch.no_grad():
        attention.gain.mul_(1e4)
        attention.offset.mul_(1e4)
    torch.testing.assert_close(attend(attention.train(), *sides)[1], hard)


def test_gradient(attention, sides):
    assert torch.autograd.gradcheck(lambda q, v: attend(attention.train(), q, v)[:2], sides)


def test_can_stop_and_continue(attention, sides):
    queries, values = sides
    whole = attend(attention, queries, values)
    memory = attention.remember(values, MASK)
    *_, carried = attention(queries[:, :1], memory, attention.start(memory))
    contexts, weights, _ = attention(queries[:, 1:], memory, carried)
    torch.testing.assert_close(contexts, whole[0][:, 1:])
    torch.testing.assert_close(weights, whole[1][:, :, 1:])


def recurrence(energies, previous):
    """Equations 13 and 14, one source position after the other."""
    found, q, last_stop = [], torch.zeros_like(previous[:, 0]), torch.zeros_like(previous[:, 0])
    for place in range(previous.shape[1]):
        stop = energies[:, place].sigmoid()
        q = (1 - last_stop) * q + previous[:, place]
        last_stop = stop
        found.append(stop * q)
    return torch.stack(found, 1)


@pytest.mark.parametrize("scale", [1, 30, 1000])
@pytest.mark.parametrize("offset", [-4, 0, 4])
def test_long_sources_stay_exact_in_float32(scale, offset):
    """Where the paper's cumulative products are zero: the other side of many certain stops."""
    energies = (scale * torch.randn(8, 300) + offset).requires_grad_()
    alignment = exact = torch.eye(300)[:8]
    for _ in range(5):
        alignment = expected_alignment(energies.sigmoid(), alignment)
        exact = recurrence(energies.double(), exact.double())
    torch.testing.assert_close(alignment.double(), exact, rtol=1e-4, atol=1e-6)
    (found,) = torch.autograd.grad(alignment.square().sum(), energies)
    (expected,) = torch.autograd.grad(exact.square().sum(), energies)
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_noise_is_for_training_alone(attention, sides):
    attention.noise = 1.0
    first, second = (attend(attention.train(), *sides)[1] for _ in range(2))
    assert not torch.allclose(first, second)
    assert torch.equal(attend(attention.eval(), *sides)[1], attend(attention, *sides)[1])
