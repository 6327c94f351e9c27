"""Signs that a run learns nothing: of each, a real run that has the fault, and one that has not."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator

from hf_seq2seq.ragged import Ragged
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.state import State
from hf_seq2seq.training.watch import Watch, _as_keys, alike, unigram_entropy

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}
OPTIONS: dict[str, Any] = SMALL | {
    "max_steps": 150,
    "logging_steps": 10,
    "eval_steps": 50,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "save_steps": 1000,
    "adam_epsilon": 1e-8,
    "warmup_ratio": 0,
}


def unrelated(path: Path, rows: int, seed: int) -> Path:
    """Targets that have nothing to do with their sources; each letter is the last with probability 0.2."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghij", k=min(11, 1 + int(draw.expovariate(0.2))))) for _ in range(2 * rows)]
    path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in zip(words[::2], words[1::2], strict=True)))
    return path


def warnings_of(task: Task, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    folder.mkdir(exist_ok=True)
    Loop(task, Accelerator(cpu=True), folder).run()
    return [line.partition("warning: ")[2] for line in capsys.readouterr().err.splitlines() if "warning: " in line]


def test_a_healthy_run_is_told_nothing(make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert warnings_of(make_task(**OPTIONS), tmp_path, capsys) == []


def test_targets_without_a_source_are_guessed_by_their_frequency(
    make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "train_file": str(unrelated(tmp_path / "train.tsv", 1500, 1)),
        "validation_file": str(unrelated(tmp_path / "dev.tsv", 20, 2)),
    }
    task = make_task(**OPTIONS | files | {"learning_rate": 1e-2})
    entropy = unigram_entropy(task)
    assert entropy is not None
    told = warnings_of(task, tmp_path / "run", capsys)
    assert any(f"gives {entropy:.3f}" in line and "--learning-rate (now 0.01)" in line for line in told)
    assert any("outputs on validation are" in line and line.endswith("or a larger --max-steps") for line in told)


def test_a_gradient_that_vanishes(make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = make_task(**OPTIONS | {"max_steps": 110})
    for parameter in task.model.parameters():
        parameter.data.zero_()
    told = warnings_of(task, tmp_path, capsys)
    assert any("the gradient vanishes: its norm is 0.0e+00 while the loss is" in line for line in told)


def test_a_gradient_that_explodes(make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = make_task(**OPTIONS | {"max_steps": 60, "max_grad_norm": 0, "logging_steps": 1, "eval_steps": 100})
    loop = Loop(task, Accelerator(cpu=True), tmp_path)
    update = loop._update

    def kicked() -> None:
        update()
        if loop.state.global_step == 30:
            for parameter in task.model.parameters():
                parameter.data.mul_(30)  # what one step too large leaves

    loop._update = kicked  # type: ignore[method-assign]
    loop.run()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "the gradient explodes" in line]
    assert "--max-grad-norm 1" in line


def test_rows_learned_by_heart(make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "train_file": str(unrelated(tmp_path / "train.tsv", 8, 1)),
        "validation_file": str(unrelated(tmp_path / "dev.tsv", 20, 2)),
    }
    told = warnings_of(make_task(**OPTIONS | files), tmp_path / "run", capsys)
    (line,) = [line for line in told if "by heart" in line]
    assert "--early-stopping-patience 3" in line


def watch(task: Task, step: int = 500, most: int = 1000) -> Watch:
    return Watch(task, State(global_step=step, max_steps=most))


def test_a_sign_is_told_once_and_not_at_the_beginning(make_task: MakeTask) -> None:
    task = make_task(**SMALL)
    entropy = unigram_entropy(task)
    assert entropy is not None
    early, late = watch(task, 200), watch(task)
    for _ in range(10):
        assert early.training(entropy, 1.0) == []
    told = [line for _ in range(10) for line in late.training(entropy, 1.0)]
    assert len(told) == 1
    falling = watch(task)
    assert [line for step in range(10) for line in falling.training(entropy * (1.6 - step / 20), 1.0)] == []


def test_a_resumed_run_is_watched_on(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(**SMALL)
    entropy = unigram_entropy(task)
    assert entropy is not None
    first = State(global_step=500, max_steps=1000)
    assert Watch(task, first).training(entropy, math.inf) == []
    first.save(tmp_path)
    state = State.load(tmp_path)
    assert [line for _ in range(3) for line in Watch(task, state).training(entropy, 1.0)]  # two alike, of two starts
    assert "flat" in state.watch["told"]
    assert Watch(task, state).training(entropy, 1.0) == []


@pytest.mark.parametrize(("outputs", "shown"), [([""] * 17, "are empty"), (["k ɛ ɛ"] * 16 + ["a"], "'k ɛ ɛ'")])
def test_outputs_that_are_alike_or_empty(make_task: MakeTask, outputs: list[str], shown: str) -> None:
    task = make_task(**SMALL)
    (line,) = watch(task).evaluation({"eval_loss": 1.0}, {"validation": outputs})
    assert shown in line
    assert "--learning-rate" in line
    various = [str(number) for number in range(17)]
    assert watch(task).evaluation({"eval_loss": 1.0}, {"validation": various}) == []


def test_outputs_may_be_as_alike_as_the_references(make_task: MakeTask) -> None:
    task = make_task(**SMALL)
    references = task.splits["validation"].references
    assert references is not None
    references[:] = [["same"]] * 17
    assert watch(task).evaluation({"eval_loss": 1.0}, {"validation": ["same"] * 17}) == []


@pytest.mark.parametrize(("others", "told"), [(45, True), (15, True), (5, False)])
def test_one_class_for_all_is_told_unless_the_rows_are_of_it(others: int, told: bool) -> None:
    right = np.repeat([0, 1], [100 - others, others])
    assert alike(np.eye(2)[np.zeros(100, int)], right) == ((0, 100, 100 - others) if told else None)
    assert alike(np.eye(2)[right], right) is None


def test_classes_are_alike_as_sets_and_numbers_never() -> None:
    one_hot = np.eye(6)[np.arange(40) % 6]
    several = np.maximum(one_hot, np.eye(6)[0])  # all rows have the first label
    outputs, right = _as_keys(several * 2 - 1, several)
    assert outputs == right
    assert len(set(right)) == 6
    assert _as_keys(one_hot, one_hot.argmax(1)) == (one_hot.argmax(1).tolist(),) * 2
    assert _as_keys(np.full((40, 1), 0.002), np.full(40, 0.002)) == ([], [])


def test_the_entropy_is_that_of_the_targets(make_task: MakeTask) -> None:
    task = make_task(**SMALL, label_smoothing_factor=0)
    target = task.splits["train"].target
    assert target is not None
    _, counts = np.unique(target.values, return_counts=True)
    shares = counts / counts.sum()
    assert unigram_entropy(task) == pytest.approx(-(shares * np.log(shares)).sum())
    smoothed = unigram_entropy(make_task(**SMALL, label_smoothing_factor=0.1))
    size = len(task.tokenizers.target)
    mixed = np.append(0.9 * shares, [0.0] * (size - len(shares))) + 0.1 / size
    assert smoothed == pytest.approx(
        -(mixed * np.log(mixed)).sum()
    )  # the cross-entropy of smoothed labels, at its least
    assert unigram_entropy(make_task(**SMALL, loss_type="scheduled_sampling")) is None


def test_earlier_replies_count_where_they_are_learned(make_task: MakeTask) -> None:
    task = make_task(**SMALL, label_smoothing_factor=0)
    rows = task.splits["train"]
    assert rows.target is not None
    marks = Ragged.of((np.arange(size) % 2).astype(np.int32) for size in rows.source.lengths)
    task = replace(task, splits=task.splits | {"train": replace(rows, learned=marks)})
    learned = np.concatenate([rows.target.values, rows.source.values[marks.values == 1]])
    shares = np.unique(learned, return_counts=True)[1] / len(learned)
    assert unigram_entropy(task) == pytest.approx(-(shares * np.log(shares)).sum())
