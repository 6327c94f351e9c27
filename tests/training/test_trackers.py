"""A resumed run is one run to its trackers."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import Accelerator

from hf_seq2seq.task import Task
from hf_seq2seq.training.run import run
from hf_seq2seq.training.state import State
from hf_seq2seq.training.trackers import start_trackers

OPTIONS = {"report_to": "tensorboard", "logging_steps": 2, "save_steps": 4, "eval_steps": 8, "max_steps": 8}


def curve(folder: Path) -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "hf-seq2seq"))
    found.Reload()
    return [event.step for event in found.Scalars("loss")]


@pytest.mark.parametrize("again", ["resume_from_checkpoint", "overwrite_output_dir"])
def test_tensorboard_has_no_step_twice(make_task: Callable[..., Task], tmp_path: Path, again: str) -> None:
    """Of a run that was killed after its eighth step and had its last checkpoint at the fourth, or is replaced."""
    pytest.importorskip("tensorboard")
    run(make_task(**OPTIONS))
    assert curve(tmp_path / "run") == [2, 4, 6, 8]
    before = State.load(tmp_path / "run" / "checkpoint-4").run_id
    shutil.rmtree(tmp_path / "run" / "checkpoint-8")
    run(make_task(**OPTIONS, **{again: "last" if again.startswith("resume") else True}))
    assert curve(tmp_path / "run") == [2, 4, 6, 8]
    assert (State.load(tmp_path / "run" / "checkpoint-8").run_id == before) == again.startswith("resume")
    settings = list((tmp_path / "run" / "hf-seq2seq").glob("*/hparams.yml"))
    assert len(settings) == (1 if again.startswith("resume") else 2)


class Recorder:
    """Stands in for the package `wandb`, which is asked for a run and told its settings."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.config = SimpleNamespace(update=lambda values, allow_val_change: None)

    def init(self, **settings: Any) -> SimpleNamespace:
        self.runs.append(settings)
        return SimpleNamespace(finish=lambda: None)


def test_wandb_continues_with_its_run(
    make_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", recorder)  # type: ignore[arg-type]
    monkeypatch.setattr("accelerate.tracking.is_wandb_available", lambda: True)
    config = SimpleNamespace(run=SimpleNamespace(report_to=("wandb",)))
    monkeypatch.setattr("hf_seq2seq.training.trackers.flatten", lambda _: {"seed": 3})
    state = State()
    for step in (0, 4):
        state.global_step = step
        accelerator = Accelerator(cpu=True)
        monkeypatch.setattr(accelerator, "log_with", ["wandb"])
        start_trackers(accelerator, config, state)
    first, second = recorder.runs
    assert first == second == {"project": "hf-seq2seq", "id": state.run_id, "resume": "allow"}
    assert len(state.run_id) == 12
