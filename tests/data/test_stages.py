"""Stages: the file and what is refused with its line, and the rows of each stage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hf_seq2seq.configs import Optimization
from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.modifiers import Modifier
from hf_seq2seq.data.stage_files import Stage, check_end, read_stages
from hf_seq2seq.data.stages import StageRows, Steps
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

GOOD = """datasets:
  clean: clean.tsv
  dirty: [a.de, a.en]
stages: [start, end]
start:
  - clean 0.8
  - dirty 0.2
  - until clean 2
end:
  mix:
    - clean 0
    - dirty 1
    - until 30 steps
  modifiers:
    - Typos: 0.5
      share: 0.2
modifiers:
  - UpperCase: 0.05
seed: 1111
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stages.yaml"


def test_a_file_of_opustrainers_shape_is_read(path: Path) -> None:
    path.write_text(GOOD)
    file = read_stages(str(path))
    assert file.sets == {"clean": ("clean.tsv", 2), "dirty": ("a.de,a.en", 3)}
    start, end = file.stages
    assert (start.shares, start.until, start.steps) == ({"clean": 0.8, "dirty": 0.2}, ("clean", 2), None)
    assert start.modifiers == (Modifier("UpperCase", 0.05, {}, {}),)
    assert (end.shares, end.until, end.steps) == ({"dirty": 1}, None, 30)
    assert end.modifiers == (Modifier("Typos", 0.5, {"share": "0.2"}, {}),)


def test_thirds_are_taken(path: Path) -> None:
    path.write_text("datasets: {a: a, b: b, c: c}\nstages: [s]\ns:\n- a 0.333\n- b 0.333\n- c 0.333\n- until a 1\n")
    assert sum(read_stages(str(path)).stages[0].shares.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("- dirty 0.2", "- dirty 1.2", r":7: stage 'start': the share 1.2 of 'dirty' is not in \[0, 1\]"),
        ("- dirty 0.2", "- dirty -0.2", r":7: stage 'start': the share -0.2"),
        ("- dirty 0.2", "- dirty 0.3", r":6: stage 'start': the shares sum to 1.1; they must sum to 1"),
        ("- dirty 0.2", "- drity 0.2", r":7: stage 'start': 'drity' is no set; did you mean 'dirty'"),
        ("- dirty 0.2", "- dirty", r":7: stage 'start': 'dirty' is neither 'SET SHARE' nor"),
        ("  - until clean 2\n", "", r"stage 'start' never ends; add '- until clean 1'"),
        ("until clean 2", "until clean inf", r"stage 'start' never ends"),
        ("until 30 steps", "until clean 1", r"stage 'end': never ends: its end is 1 passes of 'clean', of which"),
        ("until clean 2", "until claen 2", r":8: .*'claen' is no set; did you mean 'clean'"),
        ("until clean 2", "until clean 0", r":8: .*0 is not a number of passes above 0"),
        ("until 30 steps", "until 0 steps", r":13: .*not a whole number of steps from 1 to 1,000,000,000"),
        ("until 30 steps", f"until {'9' * 30} steps", r":13: .*not a whole number of steps from 1 to"),
        ("until clean 2", "until clean 1e308", r":8: .*1e308 is not a number of passes"),
        ("UpperCase: 0.05", "UperCase: 0.05", r":18: 'UperCase' is no modifier; did you mean 'UpperCase'"),
        ("UpperCase: 0.05", "UpperCase: 5", r":18: the probability of UpperCase is not in \[0, 1\]"),
        ("share: 0.2", "shared: 0.2", r":15: Typos has no option 'shared'; did you mean 'share'"),
        ("UpperCase: 0.05", "Tag: 1", r":18: Tag needs 'tag:' below it"),
        ("UpperCase: 0.05", "Terms: 1\n    file: no.tsv", r":18: no.tsv: No such file"),
        ("    - dirty 1\n", "", r"stage 'end': names no set; write '- clean 1.0'"),
        ("[start, end]", "[start, finish]", r":\d+: '?end'? is no stage|:4: stage 'finish' has no mix"),
        ("datasets:", "data:", r"stages.yaml: has no 'datasets:'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(path: Path, before: str, after: str, message: str) -> None:
    assert before in GOOD
    path.write_text(GOOD.replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        read_stages(str(path))


def test_only_a_run_with_limited_steps_may_have_no_end(path: Path) -> None:
    path.write_text(GOOD.replace("    - until 30 steps\n", ""))
    with pytest.raises(InputError, match=r"stage 'end' never ends; add .*, or give --max-steps"):
        check_end(read_stages(str(path)))


SIZES = {"clean": 60, "dirty": 100}
UPPER = Modifier("UpperCase", 0.5, {}, {})
STAGES = (
    Stage("start", {"clean": 0.75, "dirty": 0.25}, ("clean", 2.5), None, ()),
    Stage("mid", {"dirty": 1.0}, None, 13, (UPPER,)),
    Stage("end", {"clean": 0.5, "dirty": 0.5}, ("dirty", 0.5), None, ()),
)


def encode(sources: list[str], targets: list[str]) -> Examples:
    ids = [Ragged.of([np.frombuffer(t.encode(), dtype=np.uint8) for t in side]) for side in (sources, targets)]
    return Examples(ids[0], sources, ids[1], [[target] for target in targets])


def staged(max_tokens: int | None, processes: int = 1) -> tuple[StageRows, BatchPlan]:
    texts = [f"{'ab' * (row % 9)}{row}" for row in range(160)]
    options = Optimization(max_tokens_per_batch=max_tokens, per_device_train_batch_size=4)
    found = StageRows(
        TrainingRows(encode(texts, texts)), SIZES, STAGES, Steps(4, max_tokens, processes), encode, seed=3
    )
    return found, BatchPlan(found, options, processes, seed=3)


def test_sets_are_mixed_as_said_and_go_on_where_they_were() -> None:
    found, _ = staged(None)
    start = np.concatenate([found.drawn(epoch) for epoch in range(len(found.chunks)) if found.chunk(epoch).stage == 0])
    assert (start < 60).sum() == 150  # 2.5 passes
    assert (start >= 60).sum() == 50
    assert set(np.bincount(start[start < 60])) == {2, 3}
    everything = np.concatenate([found.drawn(epoch) for epoch in range(len(found.chunks) + 2)])
    counts = np.bincount(everything, minlength=160)
    assert counts[:60].max() - counts[:60].min() <= 1  # none before all others of its set
    assert counts[60:].max() - counts[60:].min() <= 1


@pytest.mark.parametrize("max_tokens", [None, 64])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_stage_has_its_number_of_steps(max_tokens: int | None, processes: int) -> None:
    found, plan = staged(max_tokens, processes)
    steps = [len(plan.epoch(epoch)) for epoch in range(len(found.chunks))]
    assert sum(count for epoch, count in enumerate(steps) if found.chunk(epoch).stage == 1) == 13
    assert plan.steps(len(found.chunks)) == sum(steps)
    assert plan.locate(steps[0] + 1) == (1, 1)
    for epoch in range(len(found.chunks)):
        lengths = found.of_epoch(epoch).lengths
        for batch in (rows for step in plan.epoch(epoch) for rows in step):
            assert max_tokens is None or len(batch) * lengths[batch].max(axis=0).sum() <= max_tokens


@pytest.mark.parametrize("modifiers", [(), (UPPER,), (Modifier("Tag", 0.9, {"tag": "<long tag>"}, {}),)])
def test_steps_under_a_budget_of_tokens_skip_no_row(modifiers: tuple[Modifier, ...]) -> None:
    draws = np.random.default_rng(0)
    texts = ["a" * max(2, int(length)) for length in draws.normal(40, 15, 500)]
    options = Optimization(max_tokens_per_batch=400)
    stages = [Stage("s", {"a": 1.0}, None, 200, modifiers), Stage("t", {"a": 1.0}, ("a", 1), None, ())]
    rows = TrainingRows(encode(texts, texts))
    found = StageRows(rows, {"a": len(texts)}, stages, Steps(8, 400, 1), encode, seed=3)
    plan = BatchPlan(found, options, 1, seed=3)
    epochs = [epoch for epoch, chunk in enumerate(found.chunks) if chunk.stage == 0]
    steps = [step for epoch in epochs for step in plan.epoch(epoch)]
    assert len(steps) == 200
    seen = np.bincount(np.concatenate([batch for step in steps for batch in step]), minlength=len(texts))
    assert seen.max() - seen.min() <= 1
    assert seen.sum() == sum(found.chunk(epoch).counts.sum() for epoch in epochs)
    assert f"a {seen.sum() / 500:.3g} passes of 500" in found.describe()[0]


def test_an_end_after_very_many_rows_is_refused_with_its_line(path: Path) -> None:
    path.write_text(GOOD.replace("0.8", "1e-9").replace("0.2", "0.999999999", 1))
    rows = TrainingRows(encode(["a"] * 60, ["a"] * 60))
    with pytest.raises(InputError, match=r":8: stage 'start': its end takes 60,000,000,000 rows; give larger shares"):
        StageRows(rows, {"clean": 30, "dirty": 30}, read_stages(str(path)).stages, Steps(4, None, 1), encode, seed=3)


def test_an_end_before_the_first_row_is_refused_with_its_line(path: Path) -> None:
    path.write_text(GOOD.replace("0.8", "0.5").replace("0.2", "0.5", 1).replace("clean 2", "clean 0.005"))
    rows = TrainingRows(encode(["a"] * 60, ["a"] * 60))
    stages = read_stages(str(path)).stages
    message = r":8: stage 'start': 0.005 passes of the 30 rows of 'clean' .* write at least 'until clean 0.033334'"
    with pytest.raises(InputError, match=message):
        StageRows(rows, {"clean": 30, "dirty": 30}, stages, Steps(4, None, 1), encode, seed=3)
    least = [replace(stages[0], until=("clean", 0.033334)), *stages[1:]]
    assert StageRows(rows, {"clean": 30, "dirty": 30}, least, Steps(4, None, 1), encode, seed=3).drawn(0).size == 2


def test_epochs_without_steps_do_not_go_on_for_ever() -> None:
    class Nothing(TrainingRows):
        redrawn = True

        def drawn(self, epoch: int) -> np.ndarray:
            return np.zeros(0, dtype=np.int64)

    plan = BatchPlan(Nothing(encode(["a"], ["a"])), Optimization(per_device_train_batch_size=4), 1, seed=3)
    with pytest.raises(InputError, match="no training rows: epoch 1 has none"):
        plan.locate(1)


def test_rows_are_modified_in_their_stage_alone_and_the_same_again() -> None:
    found, _ = staged(None)
    other, _ = staged(None)
    for epoch in range(len(found.chunks)):
        texts = found.of_epoch(epoch).texts
        assert texts == other.of_epoch(epoch).texts
        upper = [row for row, text in enumerate(texts) if text != text.lower()]
        if found.chunk(epoch).stage != 1:
            assert not upper
            continue
        assert set(upper) <= set(found.drawn(epoch))
        assert 0.2 < len(upper) / len(set(found.drawn(epoch))) < 0.7
        row = upper[0]
        assert bytes(found.of_epoch(epoch).source[row].astype(np.uint8)).decode() == texts[row]


def test_the_plan_is_told(path: Path) -> None:
    found, plan = staged(None)
    assert found.describe() == [
        "stage start: 50 steps: clean 2.5 passes of 60, dirty 0.5 passes of 100",
        "stage mid: 13 steps: dirty 0.52 passes of 100; UpperCase 0.5",
        "stage end: 25 steps: clean 0.833 passes of 60, dirty 0.5 passes of 100",
    ]
    assert plan.steps(len(found.chunks)) == 88
    assert found.figures(0.5, found.drawn(0)) == {"stage": 1}
