"""Curricula: which rows are drawn when, at the same steps on any number of processes."""

import numpy as np
import pytest

from hf_seq2seq.configs import Optimization
from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.curriculum import Buckets, Competence, CurriculumRows, Pace, Plan, Thresholds
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.presentation import Curriculum
from hf_seq2seq.ragged import Ragged

ROWS = 200
DIFFICULTY = np.random.default_rng(0).permutation(ROWS).astype(float)  # row by row 0 … 199, in no order


def rows(pace: Pace, duration: float = 2.0, parts: int = 10, hardest_first: bool = False) -> CurriculumRows:
    ids = [np.full(int(2 + d % 7), 4) for d in DIFFICULTY]
    examples = Examples(Ragged.of(ids), [""] * ROWS, target=Ragged.of(ids))
    plan = Plan(DIFFICULTY, "length", pace, duration, seed=3, parts=parts, hardest_first=hardest_first)
    return CurriculumRows(TrainingRows(examples), plan)


@pytest.mark.parametrize("power", [1, 2])
def test_competence_follows_the_paper(power: int) -> None:
    pace, steps = Competence(0.01, power), 1000
    for step in (0, 1, 250, 999):
        exact = (step * (1 - 0.01**power) / steps + 0.01**power) ** (1 / power)
        assert pace(step / steps, np.arange(100_000)) == (0, pytest.approx(exact * 100_000, abs=1))


@pytest.mark.parametrize("hardest_first", [False, True])
def test_no_row_is_drawn_before_its_time(hardest_first: bool) -> None:
    order = 199 - DIFFICULTY if hardest_first else DIFFICULTY
    found = rows(Competence(0.05, 2), hardest_first=hardest_first)
    for epoch in range(2):
        parts = found.parts(epoch)
        assert sum(map(len, parts)) == ROWS
        for place, part in enumerate(parts):
            share = np.sqrt((epoch + place / 10) / 2 * (1 - 0.05**2) + 0.05**2)
            assert order[part].max() < share * ROWS
            assert len(set(part)) == min(len(part), int(share * ROWS))  # none again before all
    assert sorted(np.concatenate(found.parts(2))) == sorted(np.concatenate(found.parts(9))) == list(range(ROWS))
    assert len(found.parts(2)) == 1


def test_baby_steps_keep_earlier_buckets_and_one_pass_does_not() -> None:
    for keeps in (True, False):
        found = rows(Buckets(4, keeps), duration=2.0)
        for epoch, buckets in ((0, (0, 1)), (1, (2, 3))):
            for part, bucket in zip(found.parts(epoch), buckets, strict=True):
                drawn = DIFFICULTY[part] // 50
                assert len(part) == 100
                assert set(drawn) == (set(range(bucket + 1)) if keeps else {bucket})


def test_thresholds_admit_what_is_within_them() -> None:
    found = rows(Thresholds((9.0, 99.0)), duration=1.0)
    first, second = found.parts(0)
    assert set(DIFFICULTY[first]) == set(range(10))
    assert set(DIFFICULTY[second]) == set(range(100))
    with pytest.raises(InputError, match="no row has a length within the first one; the easiest has 0"):
        rows(Thresholds((-1.0,)))


def test_rows_of_equal_difficulty_come_in_no_order_of_the_file() -> None:
    examples = Examples(Ragged.of([np.ones(3)] * 100), [""] * 100, target=Ragged.of([np.ones(3)] * 100))
    plan = Plan(np.ones(100), "length", Competence(0.2, 1), 10.0, seed=1, parts=10)
    first = CurriculumRows(TrainingRows(examples), plan).parts(0)[0]
    assert len(set(first)) == 20
    assert first.max() > 50


def test_steps_are_the_same_on_any_number_of_processes_and_found_again_at_any_step() -> None:
    found = rows(Competence(0.05, 2), parts=4)
    split = [
        BatchPlan(found, Optimization(max_tokens_per_batch=64, gradient_accumulation_steps=4 // n), n, 7)
        for n in (1, 2)
    ]
    for epoch in range(3):
        one, two = ([sorted(np.concatenate(step)) for step in plan.epoch(epoch)] for plan in split)
        assert one == two
    steps = [split[0]._steps(epoch) for epoch in range(3)]
    assert [len(split[0].epoch(epoch)) for epoch in range(3)] == steps
    assert split[0].steps(3) == sum(steps)
    assert split[0].locate(steps[0] + steps[1] + 1) == (2, 1)
    assert len(split[0]) == steps[2]  # an epoch of all rows


def test_the_log_is_given_competence_and_difficulty() -> None:
    found = rows(Competence(0.05, 2))
    assert found.figures(0.0, np.arange(4)) == {"competence": 0.05, "difficulty": DIFFICULTY[:4].mean()}
    assert found.figures(2.0, np.arange(4))["competence"] == 1
    assert found.describe() == ["curriculum by length: first the easiest 10 of 200 rows; all take part after 2 epochs"]


def test_all_rows_take_part_from_the_end_on_and_the_log_says_what_was_drawn_from() -> None:
    found = rows(Competence(0.1, 1), duration=0.375, parts=4)
    parts = found.parts(0)
    assert [len(part) for part in parts] == [50, 25, 125]
    limits = [0.1, 0.7, 1.0]
    for part, limit in zip(parts, limits, strict=True):
        assert DIFFICULTY[part].max() < limit * ROWS
    assert DIFFICULTY[parts[-1]].max() > 0.9 * ROWS
    told = [found.figures(time, np.arange(4))["competence"] for time in (0.2, 0.3, 0.4, 0.9, 1.5)]
    assert told == pytest.approx([0.1, 0.7, 1.0, 1.0, 1.0])


def test_a_run_that_ends_before_all_rows_take_part_is_told() -> None:
    examples = Examples(Ragged.of([np.ones(3)] * 100), [""] * 100, target=Ragged.of([np.ones(3)] * 100))
    plan = Plan(np.arange(100.0), "length", Competence(0.2, 1), 10.0, seed=1, ends=5.0)
    (line,) = CurriculumRows(TrainingRows(examples), plan).describe()
    assert line.endswith("all take part after 10 epochs, but the run ends after 5, with 60 of them")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difficulty": "rarity"}, "--difficulty needs --curriculum$"),
        ({"curriculum": "competence", "curriculum_buckets": 3}, "--curriculum-buckets needs --curriculum one_pass"),
        ({"curriculum": "baby_step"}, "unknown value 'baby_step'; did you mean 'baby_steps'"),
        ({"curriculum": "threshold"}, "needs --difficulty-thresholds"),
        ({"curriculum": "threshold", "difficulty_thresholds": "5,3"}, "--difficulty-thresholds: 5,3 do not rise"),
        ({"curriculum": "competence", "difficulty": "loss"}, "--difficulty loss needs --difficulty-model"),
        ({"curriculum": "competence", "initial_competence": 1.5}, "--initial-competence: 1.5 is too large"),
        ({"curriculum": "competence", "curriculum_steps": 0}, "--curriculum-steps: 0 is too small"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Curriculum(**options)  # type: ignore[arg-type]
