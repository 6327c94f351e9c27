"""The lines of a log, with a clock and an accelerator of the test's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.training import log
from hf_seq2seq.training.log import StepLog
from hf_seq2seq.training.state import State


class Clock:
    """Stands where the test puts it."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Processes:
    """One of several processes, which notes what trackers are told."""

    def __init__(self, is_main_process: bool = True) -> None:
        self.is_main_process = is_main_process
        self.told: list[tuple[dict[str, Any], int | None]] = []

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self.told.append((values, step))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(log, "time", found)
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / log.LOG_FILE).read_text().splitlines()]


def test_speed_and_time_left(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = State(global_step=10, max_steps=110, steps_per_epoch=20)  # of a run that resumes at step 10
    told = Processes()
    steps = StepLog(told, tmp_path, state)  # type: ignore[arg-type]
    figures = {"loss": 2.0, "learning_rate": 1e-3, "grad_norm": 0.5}
    clock.now, state.global_step = 4.0, 12
    steps.training(**figures, tokens=200)
    clock.now = 5.0  # some training between the line and the evaluation
    with steps.pausing():
        clock.now = 105.0
    steps.evaluation({"eval_loss": 1.5, "eval_bleu": 33.333333, "eval_runtime": 100.0, "eval_samples": 7})
    clock.now, state.global_step = 110.0, 20
    steps.training(**figures, tokens=300)
    steps.close()
    first, evaluated, second = lines(tmp_path)
    assert first == figures | {"step": 12, "epoch": 0.6, "tokens_per_second": 50.0}
    assert second == figures | {"step": 20, "epoch": 1.0, "tokens_per_second": 50.0}  # without the evaluation
    assert evaluated["eval_runtime"] == 100.0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "step 12/110  epoch 0.60  loss 2.0000  rate 1.00e-03  50 tokens/s  3:16 left",  # 98 steps at 2 seconds each
        "step 12/110  epoch 0.60  eval_loss 1.5  eval_bleu 33.33",
        "step 20/110  epoch 1.00  loss 2.0000  rate 1.00e-03  50 tokens/s  16:30 left",  # 90 steps at 11 seconds each
    ]
    assert [step for _, step in told.told] == [12, 12, 20]
    assert told.told[1][0]["eval_bleu"] == 33.333333


def test_time_left_is_told_apart_from_a_limit_of_cpu_time(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(max_steps=10, budget={"max_cpu_time": {}})
    steps = StepLog(Processes(), tmp_path, state)  # type: ignore[arg-type]
    clock.now, state.global_step = 4.0, 2
    steps.training(loss=2.0, learning_rate=1e-3, grad_norm=0.5, tokens=200)
    assert capsys.readouterr().err.endswith("50 tokens/s  0:16 left (wall clock)\n")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3599.6, "1:00:00"), (36_605, "10:10:05")])
def test_times_are_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert log._clock(seconds) == text


def test_one_process_speaks_and_writes(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = State(max_steps=5)
    other = StepLog(Processes(is_main_process=False), tmp_path, state)  # type: ignore[arg-type]
    clock.now, state.global_step = 1.0, 1
    other.training(loss=1.0, learning_rate=1.0, grad_norm=1.0, tokens=1.0)
    other.say("something")
    other.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_a_log_that_continues_is_cut_back(tmp_path: Path) -> None:
    path = tmp_path / log.LOG_FILE
    path.write_text('{"step": 2}\nx\n{"step": 3}\n[1]\n{"step": 4}\n{"step": 5}\n{"step": 5, "ev')
    StepLog(Processes(), tmp_path, State(global_step=4, max_steps=9)).close()  # type: ignore[arg-type]
    assert path.read_text() == '{"step": 2}\n{"step": 3}\n{"step": 4}\n'


def test_the_bar_begins_where_the_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    steps = StepLog(Processes(), tmp_path, State(global_step=4, max_steps=9))  # type: ignore[arg-type]
    steps.advance()
    assert (steps._bar.n, steps._bar.total) == (5, 9)
    steps.close()


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    state = State(max_steps=5)
    steps = StepLog(Processes(), tmp_path, state)  # type: ignore[arg-type]
    state.global_step = 1
    steps.evaluation({"eval_loss": float("nan"), "eval_perplexity": float("inf")})
    steps.close()
    assert lines(tmp_path) == [{"step": 1, "epoch": 1.0, "eval_loss": None, "eval_perplexity": None}]
