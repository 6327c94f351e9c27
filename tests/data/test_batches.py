from collections.abc import Sequence

import numpy as np
import pytest

from hf_seq2seq.configs import Optimization
from hf_seq2seq.data.batches import BatchPlan, cut, length_order, ordered_batches, padded_tokens, share
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged


@pytest.fixture
def lengths() -> np.ndarray:
    random = np.random.default_rng(0)
    source = random.integers(1, 60, 1003)
    return np.stack([source, np.maximum(1, source + random.integers(-5, 6, 1003))], axis=1)


def rows(lengths: np.ndarray) -> Examples:
    """Rows of these lengths, `(rows, sides)`."""
    sides = [Ragged(np.zeros(side.sum(), dtype=np.int32), np.append(0, np.cumsum(side))) for side in lengths.T]
    return Examples(sides[0], [""] * len(lengths), *sides[1:])


def plan(lengths: np.ndarray, processes: int = 1, seed: int = 0, **options: int) -> BatchPlan:
    return BatchPlan(TrainingRows(rows(lengths)), Optimization(**options), processes, seed)


@pytest.mark.parametrize("options", [{"max_tokens_per_batch": 700}, {"per_device_train_batch_size": 16}])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_row_once_an_epoch(lengths: np.ndarray, options: dict[str, int], accumulation: int) -> None:
    steps = plan(lengths, gradient_accumulation_steps=accumulation, **options).epoch(4)
    rows = np.concatenate([batch for step in steps for batch in step])
    assert sorted(rows) == list(range(len(lengths)))


def test_budget_counts_padding_of_both_sides(lengths: np.ndarray) -> None:
    batches = [batch for step in plan(lengths, max_tokens_per_batch=700).epoch(0) for batch in step]
    costs = [len(b) * (lengths[b, 0].max() + lengths[b, 1].max()) for b in batches]
    assert max(costs) <= 700
    assert np.mean(costs) > 600  # and the budget is used
    assert plan(lengths, max_tokens_per_batch=700).padding < 0.1


def test_cut_against_the_plain_rule(lengths: np.ndarray) -> None:
    ordered = lengths[length_order(lengths)]
    expected, start = [0], 0
    for end in range(1, len(ordered) + 1):
        if padded_tokens(ordered[start:end]) > 500:
            expected.append(end - 1)
            start = end - 1
    assert cut(ordered, 1, 500).tolist() == [*expected, len(ordered)]


def test_rows_are_sorted_and_counted_as_by_the_plain_rules(
    lengths: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_seq2seq.data.batches.ROWS_AT_A_TIME", 100)
    rows = np.random.default_rng(1).permutation(len(lengths))[:700]
    for sides in (lengths, lengths * 10**7):  # of which the second does not fit into one number
        expected = np.lexsort((sides[rows, 1], sides[rows, 0]))
        assert length_order(sides, rows).tolist() == expected.tolist()
    found = plan(lengths, max_tokens_per_batch=700)
    batches = [batch for step in found.epoch(0) for batch in step]
    padded = sum(padded_tokens(lengths[batch]) for batch in batches)
    assert found.padding == pytest.approx(1 - lengths.sum() / padded, rel=1e-12)


def test_fixed_size(lengths: np.ndarray) -> None:
    sizes = [len(batch) for step in plan(lengths, per_device_train_batch_size=16).epoch(0) for batch in step]
    assert sorted(sizes) == [1003 % 16] + [16] * (1003 // 16)


def test_epochs_differ_and_seeds_repeat(lengths: np.ndarray) -> None:
    first, second = (plan(lengths, max_tokens_per_batch=700).epoch(n) for n in (0, 1))
    again = plan(lengths, max_tokens_per_batch=700).epoch(0)
    other = plan(lengths, seed=1, max_tokens_per_batch=700).epoch(0)
    same = [np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True)]
    assert all(same)
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    # Rows of equal length change company from epoch to epoch.
    assert {tuple(sorted(step[0])) for step in first} != {tuple(sorted(step[0])) for step in second}


def test_steps_are_the_same_rows_for_any_split_into_batches(lengths: np.ndarray) -> None:
    def steps(processes: int, size: int, accumulation: int) -> list[set[int]]:
        made = plan(
            lengths, processes, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation
        ).epoch(2)
        return [set(np.concatenate(step).tolist()) for step in made]

    assert steps(1, 12, 1) == steps(2, 3, 2) == steps(3, 4, 1) == steps(1, 4, 3)
    budget = {"max_tokens_per_batch": 700}
    one = plan(lengths, 1, gradient_accumulation_steps=4, **budget).epoch(0)
    four = plan(lengths, 4, **budget).epoch(0)
    assert all(np.array_equal(a, b) for x, y in zip(one, four, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_cover_a_step_and_have_equal_rounds(processes: int) -> None:
    step = [np.array([n]) for n in range(7)]
    shares = [share(step, rank, processes) for rank in range(processes)]
    assert len({len(mine) for mine in shares}) == 1
    assert sorted(int(b[0]) for mine in shares for b in mine if b is not None) == list(range(7))


def test_length_of_plan_is_its_number_of_steps(lengths: np.ndarray) -> None:
    for processes in (1, 2, 5):
        made = plan(lengths, processes, max_tokens_per_batch=300, gradient_accumulation_steps=2)
        assert len(made) == len(made.epoch(0)) == len(made.epoch(7))


def test_a_row_over_the_budget_is_refused() -> None:
    with pytest.raises(InputError, match="--max-tokens-per-batch: 20 is too small; a single row has 31 tokens"):
        plan(np.array([[5, 5], [20, 11]]), max_tokens_per_batch=20)


def test_ordered_batches_hold_every_row_once(lengths: np.ndarray) -> None:
    batches = ordered_batches(lengths, 64)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(len(batch) <= 64 for batch in batches)


def test_steps_of_an_epoch_are_in_random_order() -> None:
    lengths = np.arange(1, 401)[:, None]
    for number in range(3):
        first = [int(step[0][0]) for step in plan(lengths, per_device_train_batch_size=4).epoch(number)]
        assert sorted(first) != first
        assert abs(np.corrcoef(first, np.arange(100))[0, 1]) < 0.3


class Fewer(TrainingRows):
    """One row less in every epoch."""

    redrawn = True

    def drawn(self, epoch: int) -> np.ndarray:
        return np.arange(28 - epoch)


def test_part_of_an_epoch_is_rounded_up() -> None:
    seven = plan(np.ones((28, 2), dtype=int), per_device_train_batch_size=4)
    assert [seven.steps(epochs) for epochs in (1.0, 1.5, 0.1, 2.0)] == [7, 11, 1, 14]
    fewer = Fewer(rows(np.ones((28, 2), dtype=int)))
    drawn = BatchPlan(fewer, Optimization(per_device_train_batch_size=3), 1, 0)
    assert [drawn.steps(epochs) for epochs in (1.0, 1.5, 2.0)] == [10, 15, 19]


class Curriculum(TrainingRows):
    """Short rows alone, then more of them, each epoch from short to long.

    Paper: Platanios et al., 2019, section 3, https://aclanthology.org/N19-1119
    """

    redrawn = True

    def drawn(self, epoch: int) -> np.ndarray:
        return length_order(self.lengths)[: 200 * (epoch + 1)]

    def order(self, epoch: int, steps: Sequence[Sequence[np.ndarray]], random: np.random.Generator) -> np.ndarray:
        return np.arange(len(steps))


def test_a_curriculum_is_a_kind_of_rows(lengths: np.ndarray) -> None:
    plan = BatchPlan(Curriculum(rows(lengths)), Optimization(per_device_train_batch_size=16), 1, 0)
    for number, count in ((0, 200), (2, 600), (9, 1003)):
        found = np.concatenate([batch for step in plan.epoch(number) for batch in step])
        assert sorted(found) == sorted(length_order(lengths)[:count])
        assert (np.diff(lengths[found, 0]) >= 0).all()
    assert [plan.locate(step) for step in (12, 13, 37, 38)] == [(0, 12), (1, 0), (1, 24), (2, 0)]
