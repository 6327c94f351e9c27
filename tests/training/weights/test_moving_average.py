"""Averages over steps and over checkpoints: their values, what is evaluated and saved, and an exact resume."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.averaging import mean_weights
from hf_seq2seq.task import Task
from hf_seq2seq.training.checkpoint_averaging import averaged_steps
from hf_seq2seq.training.evaluation import evaluate_and_predict
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.state import State
from hf_seq2seq.training_options import Averaging

MakeTask = Callable[..., Task]
USUAL: dict[str, Any] = {"max_steps": 12, "eval_steps": 3, "save_total_limit": 100, "learning_rate": 0.01}


def run(task: Task, folder: Path, resume: str | None = None) -> Loop:
    folder.mkdir(exist_ok=True)
    loop = Loop(task, Accelerator(cpu=True), folder, resume)
    loop.run()
    return loop


def weights_of(folder: Path, name: str = "model") -> dict[str, Tensor]:
    return load_file(folder / f"{name}.safetensors")


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("bf16", [False, True])
def test_the_average_is_that_of_the_formula(make_task: MakeTask, tmp_path: Path, bf16: bool) -> None:
    task = make_task(ema_decay=0.5, ema_start=3, bf16=bf16, **USUAL)
    tmp_path.joinpath("run").mkdir(exist_ok=True)
    loop = Loop(task, Accelerator(cpu=True), tmp_path / "run")
    update, steps = loop._update, []

    def recorded() -> None:
        update()
        steps.append({name: p.detach().double().clone() for name, p in loop.weights.parameters.items()})

    loop._update = recorded  # type: ignore[method-assign]
    loop.run()
    average = steps[2]
    for count, step in enumerate(steps[3:], 1):
        decay = min(0.5, (1 + count) / (10 + count))
        average = {name: decay * average[name] + (1 - decay) * value for name, value in step.items()}
    saved = weights_of(tmp_path / "run" / "checkpoint-12")
    trained = weights_of(tmp_path / "run" / "checkpoint-12", "trained_weights")
    for name, value in trained.items():
        assert torch.equal(value.double(), steps[-1][name])
        torch.testing.assert_close(saved[name].double(), average[name], rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(saved[name], value) for name, value in trained.items())


def test_the_average_is_evaluated_and_becomes_the_model(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(ema_decay=0.9, **USUAL)
    loop = run(task, tmp_path / "run")
    best = loop.state.best_model_checkpoint
    assert best is not None
    assert_equal(task.model.state_dict(), weights_of(tmp_path / "run" / best))
    assert (
        evaluate_and_predict(task, "validation", Accelerator(cpu=True), "eval")[0]["eval_loss"]
        == loop.state.best_metric
    )


def test_without_validation_the_model_is_the_last_average(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(ema_decay=0.9, validation_file=None, validation_split_percentage=0, **USUAL)
    run(task, tmp_path / "run")
    assert_equal(task.model.state_dict(), weights_of(tmp_path / "run" / "checkpoint-12"))
    assert (tmp_path / "run" / "checkpoint-12" / "trained_weights.safetensors").is_file()


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.mark.parametrize(("kill_at", "bf16"), [(4, False), (8, True)])
def test_a_killed_run_ends_with_the_same_averages(
    make_task: MakeTask, tmp_path: Path, kill_at: int, bf16: bool
) -> None:
    options = USUAL | {"ema_decay": 0.8, "ema_start": 5, "average_checkpoints": 3, "bf16": bf16, "save_total_limit": 1}
    whole = make_task(dropout=0.2, **options)
    run(whole, tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    loop = Loop(make_task(dropout=0.2, **options), Accelerator(cpu=True), tmp_path / "killed")
    update = loop._update

    def dying() -> None:
        if loop.state.global_step == kill_at:
            loop.signal = 15
            loop._save()  # as after SIGTERM: a checkpoint that no schedule asked for
            raise Killed
        update()

    loop._update = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        loop.run()
    again = make_task(dropout=0.2, **options)
    run(again, tmp_path / "killed", "last")
    assert_equal(again.model.state_dict(), whole.model.state_dict())
    for name in ("model", "trained_weights"):
        assert_equal(*(weights_of(tmp_path / folder / "checkpoint-12", name) for folder in ("whole", "killed")))


def test_the_model_is_the_mean_of_the_last_checkpoints(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(average_checkpoints=3, **USUAL | {"save_total_limit": 1})
    run(task, tmp_path / "run")
    mean = mean_weights([tmp_path / "run" / f"checkpoint-{step}" for step in (6, 9, 12)])
    assert_equal(task.model.state_dict(), mean)


def test_only_checkpoints_of_the_schedule_are_averaged(make_task: MakeTask, tmp_path: Path) -> None:
    loop = run(make_task(average_checkpoints=2, **USUAL | {"save_steps": 6}), tmp_path / "run")
    assert len(loop.state.log_history) == 4  # a better evaluation is saved, too
    assert loop.state.averaged_steps == [6, 12]


def test_fewer_checkpoints_than_asked_for_are_told(
    make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(make_task(average_checkpoints=9, **USUAL), tmp_path / "run")
    line = "the mean of checkpoint-3, checkpoint-6, checkpoint-9, checkpoint-12; 9 were asked for, but the run saved no"
    assert line in capsys.readouterr().err


def test_a_damaged_checkpoint_is_left_out_and_told(
    make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    loop = Loop(make_task(average_checkpoints=3, **USUAL), Accelerator(cpu=True), tmp_path / "run")
    save = loop._save

    def saved_and_damaged() -> None:
        save()
        if loop.state.global_step == 9:
            (tmp_path / "run" / "checkpoint-9" / "model.safetensors").write_bytes(b"")

    loop._save = saved_and_damaged  # type: ignore[method-assign]
    loop.state.best_metric = -1.0  # none is better, so that the damaged one is not the best
    loop.run()
    assert "the mean of checkpoint-6, checkpoint-12; missing or damaged: checkpoint-9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("best", "around", "wanted"),
    [
        (4, "last", [4, 5, 6]),
        (4, "best", [3, 4, 5]),
        (1, "best", [1, 2, 3]),
        (6, "best", [4, 5, 6]),
        (9, "best", [4, 5, 6]),
    ],
)
def test_which_checkpoints_are_averaged(best: int, around: str, wanted: list[int]) -> None:
    state = State(averaged_steps=[1, 2, 3, 4, 5, 6], best_model_checkpoint=f"checkpoint-{best}")
    assert averaged_steps(state, Averaging(average_checkpoints=3, average_around=around)) == wanted


def test_checkpoints_around_the_best_are_not_deleted(make_task: MakeTask, tmp_path: Path) -> None:
    options = USUAL | {"eval_steps": 2, "save_total_limit": 1, "learning_rate": 0.5, "warmup_ratio": 1.0}
    task = make_task(average_checkpoints=3, average_around="best", config_overrides="", **options)
    loop = run(task, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "train_log.jsonl").read_text().splitlines()]
    best = int(str(loop.state.best_model_checkpoint).removeprefix("checkpoint-"))
    assert 2 < best < 10  # else this test shows nothing
    assert len([line for line in lines if "eval_loss" in line]) == 6
    mean = mean_weights([tmp_path / "run" / f"checkpoint-{step}" for step in (best - 2, best, best + 2)])
    assert_equal(task.model.state_dict(), mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ema_decay": 0.9, "ema_start": 12}, r"--ema-start: 12 is not before the last step, 12"),
        ({"ema_start": 3}, r"--ema-start: 3 without an average; add --ema-decay"),
        ({"ema_decay": 1.5}, r"--ema-decay: 1.5"),
        ({"average_checkpoints": 1}, r"--average-checkpoints: 1"),
        ({"average_around": "best"}, r"--average-around best: add --average-checkpoints"),
    ],
)
def test_bad_options(make_task: MakeTask, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_task(**USUAL | options)


def test_a_start_beyond_the_steps_of_the_epochs_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(ema_decay=0.9, ema_start=500, max_steps=None, num_train_epochs=1)
    with pytest.raises(InputError, match=r"--ema-start: 500 is not before the last step, 12"):
        Loop(task, Accelerator(cpu=True), tmp_path)


@pytest.mark.skipif(find_spec("schedulefree") is None, reason="needs the package schedulefree")
@pytest.mark.parametrize("bf16", [False, True])
def test_schedule_free_weights_are_evaluated_saved_and_resumed(make_task: MakeTask, tmp_path: Path, bf16: bool) -> None:
    options = USUAL | {"optim": "schedule_free_adamw", "bf16": bf16, "warmup_steps": 2, "max_steps": 8, "eval_steps": 4}
    task = make_task(**options)
    loop = run(task, tmp_path / "whole")
    first, last = (tmp_path / "whole" / f"checkpoint-{step}" for step in (4, 8))
    beta, x, y = 0.9, weights_of(last), weights_of(last, "trained_weights")
    z = load_file(last / "optimizer.safetensors")
    wide = [name for name, value in task.model.named_parameters() if value.ndim >= 2]
    for index, name in enumerate(wide):  # y lies between z and x
        torch.testing.assert_close(y[name], (1 - beta) * z[f"{index}.z"] + beta * x[name], rtol=1e-4, atol=1e-5)
    assert loop.state.best_model_checkpoint == "checkpoint-8"
    assert_equal(task.model.state_dict(), x)
    assert evaluate_and_predict(task, "validation", Accelerator(cpu=True), "eval")[0]["eval_loss"] == pytest.approx(
        loop.state.best_metric, rel=2e-2 if bf16 else 0
    )
    (tmp_path / "part").mkdir()
    first.rename(tmp_path / "part" / "checkpoint-4")
    run(make_task(**options), tmp_path / "part", "last")
    for name in ("model", "trained_weights", "optimizer"):
        assert_equal(weights_of(last, name), weights_of(tmp_path / "part" / "checkpoint-8", name))


def test_two_averages_are_refused(make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_seq2seq.training.optimizers.find_spec", lambda name: name)
    with pytest.raises(InputError, match="--ema-decay: --optim schedule_free_adamw averages the weights already"):
        make_task(ema_decay=0.9, optim="schedule_free_adamw")
