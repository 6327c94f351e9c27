"""Rates of a mixture against the paper's formula, and the rows of its epochs against what "drawn" promises."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from hf_seq2seq.configs import MIXINGS, Mixing, Optimization
from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mixing import MixedEpochs, capped, draws_an_epoch, mixing_rates
from hf_seq2seq.data.mixtures import MixedRows, Mixture
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged


def formula(sizes: list[int], mixing: str, cap: int | None, temperature: float) -> list[float]:
    """The rates of section 3.5.2, a task at a time."""
    examples = [float(min(size, cap)) if cap else float(size) for size in sizes]
    if mixing == "equal":
        return [1 / len(sizes)] * len(sizes)
    power = 1.0 if mixing == "examples_proportional" else 1 / temperature
    return [n**power / math.fsum(m**power for m in examples) for n in examples]


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("seed", range(20))
def test_rates_and_draws_follow_the_formula(mixing: str, seed: int) -> None:
    draw = random.Random(seed)
    sizes = [draw.choice([1, 7, 90, 4000, 10**6]) + draw.randrange(9) for _ in range(draw.randint(1, 6))]
    cap = draw.choice([None, 1, 50, 5000])
    temperature = draw.choice([1.0, 2.0, 8.0]) if mixing == "temperature" else 2.0
    options = Mixing(mixing=mixing, mixing_cap=cap, mixing_temperature=temperature)
    expected = formula(sizes, mixing, cap, options.mixing_temperature)
    assert mixing_rates(sizes, options).dtype == np.float64
    np.testing.assert_allclose(mixing_rates(sizes, options), expected, rtol=1e-12)
    counts, total = draws_an_epoch(sizes, options), sum(capped(sizes, options))
    assert (counts >= 1).all()
    assert all(abs(count - rate * total) < 1 for count, rate in zip(counts, expected, strict=True))
    if all(rate * total >= 1 for rate in expected):
        assert counts.sum() == total


def test_the_cap_holds_and_proportional_mixing_without_one_is_every_row_once() -> None:
    sizes = [500, 40, 300]
    assert draws_an_epoch(sizes, Mixing(mixing_cap=100)).tolist() == [100, 40, 100]
    assert draws_an_epoch(sizes, Mixing()).tolist() == sizes
    rows = MixedEpochs(tuple(sizes), tuple(sizes), 3)(7)
    assert sorted(rows) == list(range(840))


def test_temperature_lies_between_proportional_and_equal() -> None:
    sizes = [10_000, 100]
    rates = [mixing_rates(sizes, Mixing(mixing="temperature", mixing_temperature=t))[1] for t in (1, 2, 8, 1e9)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(100 / 10_100)
    assert rates[1] == pytest.approx(10 / 110)
    assert rates[3] == pytest.approx(0.5)


def test_rows_are_resampled_every_epoch_without_replacement() -> None:
    epochs = MixedEpochs((50, 8, 20), (20, 30, 20), seed=1)
    found = [epochs(number) for number in range(400)]
    for rows in found[:20]:
        assert len(rows) == 70
        times = Counter(rows.tolist())
        assert sum(times[row] for row in range(50)) == 20
        assert max(times[row] for row in range(50)) == 1
        assert {times[row] for row in range(50, 58)} == {3, 4}  # 30 rows of 8: three times each, and six once more
        assert {times[row] for row in range(58, 78)} == {1}
    assert not np.array_equal(np.sort(found[0]), np.sort(found[1]))
    np.testing.assert_array_equal(found[5], MixedEpochs((50, 8, 20), (20, 30, 20), seed=1)(5))
    assert not np.array_equal(found[5], MixedEpochs((50, 8, 20), (20, 30, 20), seed=2)(5))
    # Each of the 50 rows comes in 20 of 50 epochs: 160 of 400, standard deviation 9.8.
    times = Counter(np.concatenate(found).tolist())
    assert all(110 < times[row] < 210 for row in range(50))


def mixed(lengths: np.ndarray, epochs: MixedEpochs) -> MixedRows:
    sides = [Ragged(np.zeros(side.sum(), dtype=np.int32), np.append(0, np.cumsum(side))) for side in lengths.T]
    return MixedRows(Examples(sides[0], [""] * len(lengths), sides[1]), Mixture((), epochs))


@pytest.fixture
def plan() -> BatchPlan:
    lengths = np.random.default_rng(0).integers(1, 100, (300, 2))
    options = Optimization(max_tokens_per_batch=400, gradient_accumulation_steps=2)
    return BatchPlan(mixed(lengths, MixedEpochs((200, 100), (150, 60), 0)), options, 1, 0)


def test_a_plan_of_drawn_rows(plan: BatchPlan) -> None:
    draw = MixedEpochs((200, 100), (150, 60), 0)
    for number in (0, 3):
        rows = [batch for step in plan.epoch(number) for batch in step]
        assert sorted(np.concatenate(rows)) == sorted(draw(number))
        assert max(len(step) for step in plan.epoch(number)) == 2
    assert len(plan) == len(plan.epoch(0))


def test_steps_are_found_again_in_epochs_of_unequal_length(plan: BatchPlan) -> None:
    counts = [len(plan.epoch(number)) for number in range(6)]
    assert len(set(counts)) > 1  # else there is nothing to find
    places = [(number, done) for number, count in enumerate(counts) for done in range(count)]
    assert [plan.locate(step) for step in range(len(places))] == places
    assert plan.steps(3) == sum(counts[:3])
    assert plan.steps(3.5) == sum(counts[:3]) + math.ceil(counts[3] / 2)


def test_a_row_that_no_batch_can_hold_is_refused_before_it_is_drawn() -> None:
    lengths = np.array([[2, 2]] * 50 + [[90, 90]])
    with pytest.raises(InputError, match="a single row has 180 tokens"):
        BatchPlan(mixed(lengths, MixedEpochs((51,), (1,), 0)), Optimization(max_tokens_per_batch=100), 1, 0)


def test_tasks_of_one_size_draw_different_rows() -> None:
    rows = MixedEpochs((50, 50, 50), (20, 20, 20), 3)(0).reshape(3, 20) - np.array([[0], [50], [100]])
    assert not any(np.array_equal(rows[a], rows[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
