"""What the loop does, logs, saves and puts back, each held against a computation of the test's own."""

import json
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch.nn import functional as F

from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.task import Task
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.interrupts import Interrupts, watch_signals
from hf_seq2seq.training.log import StepLog
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.run import train_results
from hf_seq2seq.training.state import State
from hf_seq2seq.training.step_batches import StepBatches, step_batches

MakeTask = Callable[..., Task]


class Watched(Loop):
    """Notes what every step reads, computes and does, by the test's own arithmetic."""

    measures = False  # whether it computes the losses

    def __init__(self, task: Task, folder: Path, resume: str | None = None, dies_at: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(task, Accelerator(cpu=True), folder, resume)
        self.dies_at = dies_at
        self.rows: list[np.ndarray] = []
        self.sums: list[float] = []
        self.counts: list[int] = []
        self.norms: list[float] = []
        self.seen_rates: list[float] = []
        self.seeds: list[list[int]] = []
        self.signals: dict[int, int] = {}
        forward = self.task.objective.forward
        self.task.objective.forward = lambda batch: self._note_seed() or forward(batch)  # type: ignore

    def _note_seed(self) -> None:
        if torch.is_grad_enabled():
            self.seeds[-1].append(torch.initial_seed())

    def _step(self, step: StepBatches, number: int) -> int:
        if self.state.global_step == self.dies_at:
            raise Killed
        rows, self.train = np.concatenate(step.rows), step.examples
        self.rows.append(rows)
        self.seeds.append([])
        total, count = self._own_loss(rows)
        self.sums.append(total)
        self.counts.append(count)
        return super()._step(step, self.signals.get(self.state.global_step + 1, number))

    def _own_loss(self, rows: np.ndarray) -> tuple[float, int]:
        """Row by row, so that no batch, no padding and no objective of the package has a part in it."""
        total, count, examples = 0.0, 0, self.train
        for row in rows:
            batch = self.task.collate(examples, np.array([row]))
            count += batch["labels"].numel()
            if self.measures:
                with torch.no_grad():
                    logits = self.task.model(**batch).logits[0].double()
                total += float(F.cross_entropy(logits, batch["labels"][0], reduction="sum"))
        return total, count

    def _update(self) -> None:
        gradients = [p.grad.double() for p in self.task.model.parameters() if p.grad is not None]
        self.norms.append(math.sqrt(sum(float(g.square().sum()) for g in gradients)))
        super()._update()
        rates = {group["lr"] for group in self.optimizer.param_groups}
        assert len(rates) == 1  # biases and norms have a group of their own
        self.seen_rates.extend(rates)


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]


def training_lines(folder: Path) -> list[dict[str, Any]]:
    return [line for line in log_of(folder) if "loss" in line]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}
OPTIONS: dict[str, Any] = {"max_steps": 5, "logging_steps": 2, "eval_steps": 100, "learning_rate": 1e-2} | SMALL


def test_every_logged_figure_equals_its_definition(make_task: MakeTask, folder: Path) -> None:
    schedule = {
        "warmup_steps": 2,
        "lr_scheduler_type": "linear",
        "max_grad_norm": 0.1,
        "gradient_accumulation_steps": 3,
    }
    task = make_task(**OPTIONS, **schedule, max_train_samples=48)  # two steps per epoch
    loop = Watched(task, folder)
    loop.measures = True
    state = loop.run()
    lines = training_lines(folder)
    assert [line["step"] for line in lines] == [2, 4, 5]  # the last steps are told, too
    assert [line["epoch"] for line in lines] == [1.0, 2.0, 2.5]
    spans = [slice(0, 2), slice(2, 4), slice(4, 5)]
    means = [sum(loop.sums[span]) / sum(loop.counts[span]) for span in spans]
    assert [line["loss"] for line in lines] == pytest.approx(means, rel=1e-5)
    rates = [1e-2 * factor for factor in (0, 1 / 2, 1, 2 / 3, 1 / 3)]
    assert loop.seen_rates == pytest.approx(rates)
    assert [line["learning_rate"] for line in lines] == pytest.approx([rates[1], rates[3], rates[4]])
    assert [line["grad_norm"] for line in lines] == pytest.approx([loop.norms[i] for i in (1, 3, 4)], rel=1e-5)
    assert min(loop.norms) > 0.1  # what is logged is the norm before it is clipped
    results = train_results(task, state, 1)
    assert results["train_loss"] == pytest.approx(sum(loop.sums) / sum(loop.counts), rel=1e-5)
    assert (results["train_target_tokens"], results["train_steps"]) == (sum(loop.counts), 5)
    assert (results["epoch"], results["train_samples"]) == (2.5, 48)


def test_an_epoch_has_every_row_once_and_epochs_differ(make_task: MakeTask, folder: Path) -> None:
    loop = Watched(make_task(**OPTIONS | {"max_steps": 6}, gradient_accumulation_steps=4), folder)
    loop.run()
    first, second = (np.concatenate(loop.rows[part]) for part in (slice(0, 3), slice(3, 6)))
    assert sorted(first) == sorted(second) == list(range(90))
    assert first.tolist() != second.tolist()


def test_every_batch_has_a_seed_of_its_own(make_task: MakeTask, tmp_path: Path) -> None:
    runs = [
        Watched(make_task(**OPTIONS, gradient_accumulation_steps=3, seed=seed), tmp_path / str(i))
        for i, seed in enumerate((1, 1, 2))
    ]
    for loop in runs:
        loop.run()
    first, again, other = ([seed for step in loop.seeds for seed in step] for loop in runs)
    assert len(set(first)) == len(first) > 10
    assert first == again
    assert not set(first) & set(other)


def test_a_batch_has_one_seed_whatever_process_takes_it(make_task: MakeTask, folder: Path) -> None:
    loop = Watched(make_task(**OPTIONS), folder)
    alone = []
    for index in range(4):
        loop._seed(index)
        alone.append(torch.initial_seed())
    shared = []
    for index in range(2):
        for rank in range(2):
            place = {"num_processes": 2, "process_index": rank, "device": torch.device("cpu")}
            loop.accelerator = SimpleNamespace(**place)  # type: ignore[assignment]
            loop._seed(index)
            shared.append(torch.initial_seed())
    assert shared == alone


@pytest.mark.parametrize("dies_at", [3, 4, 5])
def test_a_resumed_run_logs_what_one_never_stopped_logs(make_task: MakeTask, tmp_path: Path, dies_at: int) -> None:
    """Checkpoints at 2, 3, 4 and 6 lie between the lines of the log at 5 and 7; one is the best at equal scores."""
    options = OPTIONS | {"max_steps": 7, "save_steps": 3, "logging_steps": 5, "eval_steps": 2, "save_total_limit": 9}
    options |= {"metric_for_best_model": "exact_match"}  # which stays at 0: the likelier of equals is kept, at 2, 4, 6
    whole = Watched(make_task(dropout=0.2, **options), tmp_path / "whole")
    killed = Watched(make_task(dropout=0.2, **options), tmp_path / "killed", dies_at=dies_at)
    whole.run()
    with pytest.raises(Killed):
        killed.run()
    resumed = Watched(make_task(dropout=0.2, **options), tmp_path / "killed", "last")
    assert resumed.state.global_step == min(dies_at, 4)
    resumed.run()
    timed = ("tokens_per_second", "eval_runtime")
    lines = [
        [{k: v for k, v in line.items() if k not in timed} for line in log_of(tmp_path / name)]
        for name in ("whole", "killed")
    ]
    assert lines[0] == lines[1]
    results = [train_results(loop.task, loop.state, 1) for loop in (whole, resumed)]
    for name in ("train_loss", "train_target_tokens", "train_steps", "epoch"):
        assert results[0][name] == results[1][name], name
    states = [
        json.loads((tmp_path / name / "checkpoint-7" / "trainer_state.json").read_text())
        for name in ("whole", "killed")
    ]
    unlogged = [state["unlogged_weight"] for state in states]
    assert unlogged == [0, 0]
    best = [(state["best_metric"], state["best_model_checkpoint"]) for state in states]
    assert best[0] == best[1]
    kept = json.loads((tmp_path / "whole" / "checkpoint-3" / "trainer_state.json").read_text())
    assert kept["unlogged_weight"] == sum(whole.counts[:3])


def test_a_resumed_run_may_have_more_steps(make_task: MakeTask, tmp_path: Path) -> None:
    options = OPTIONS | {"lr_scheduler_type": "constant"}
    whole = Watched(make_task(**options | {"max_steps": 8}), tmp_path / "whole")
    whole.run()
    Watched(make_task(**options | {"max_steps": 4}), tmp_path / "more").run()
    more = Watched(make_task(**options | {"max_steps": 8}), tmp_path / "more", "last")
    state = more.run()
    assert (state.global_step, state.max_steps, len(more.rows)) == (8, 8, 4)
    weights = [load_file(tmp_path / name / "checkpoint-8" / "model.safetensors") for name in ("whole", "more")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert [line["step"] for line in training_lines(tmp_path / "more")] == [2, 4, 6, 8]


def test_the_best_is_saved_between_the_steps_of_saving(
    make_task: MakeTask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {1: 3.0, 2: 1.0, 3: 2.0, 4: 2.0}
    task = make_task(**OPTIONS | {"max_steps": 4, "eval_steps": 1}, save_steps=100)
    loop = Watched(task, folder)
    weights: dict[int, dict[str, torch.Tensor]] = {}

    def evaluate(*_: Any) -> tuple[dict[str, float], dict[str, Any]]:
        step = loop.state.global_step
        weights[step] = {name: value.clone() for name, value in task.model.state_dict().items()}
        return {"eval_loss": values[step]}, {}

    monkeypatch.setattr("hf_seq2seq.training.loop.evaluate_and_predict", evaluate)
    state = loop.run()
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-1", "checkpoint-2", "checkpoint-4"]
    assert (state.best_metric, state.best_model_checkpoint) == (1.0, "checkpoint-2")
    assert all(torch.equal(value, weights[2][name]) for name, value in task.model.state_dict().items())
    assert [line["step"] for line in log_of(folder) if "eval_loss" in line] == [1, 2, 3, 4]
    assert [entry["step"] for entry in state.log_history] == [1, 2, 3, 4]


def test_patience_ends_a_run_which_is_saved(make_task: MakeTask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(**OPTIONS | {"max_steps": 50, "eval_steps": 3}, save_steps=100, early_stopping_patience=2)
    loop = Watched(task, folder)
    evaluated = "hf_seq2seq.training.loop.evaluate_and_predict"
    monkeypatch.setattr(evaluated, lambda *_: ({"eval_loss": loop.state.global_step}, {}))
    state = loop.run()
    assert (state.global_step, state.stopped_early) == (9, True)
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-3", "checkpoint-9"]


def test_old_checkpoints_go_when_new_ones_come(
    make_task: MakeTask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = OPTIONS | {"max_steps": 9, "eval_steps": 3, "metric_for_best_model": "exact_match"}
    results = {"eval_loss": 1.0, "eval_exact_match": 0.0}
    monkeypatch.setattr("hf_seq2seq.training.loop.evaluate_and_predict", lambda *_: (results, {}))
    state = Watched(make_task(**options, save_steps=2, save_total_limit=2), folder).run()
    assert state.best_model_checkpoint == "checkpoint-3"  # never bettered, and not counted
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-3", "checkpoint-8", "checkpoint-9"]


def test_a_signal_saves_the_step_and_ends_the_run(
    make_task: MakeTask, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = Watched(make_task(**OPTIONS | {"max_steps": 50}), folder)
    loop.signals = {3: signal.SIGTERM}
    state = loop.run()
    assert (state.global_step, loop.signal) == (3, signal.SIGTERM)
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-3"]
    assert "stopped at step 3" in capsys.readouterr().err


def test_remade_rows_are_those_of_the_epoch(make_task: MakeTask, tmp_path: Path) -> None:
    """Five steps, two per epoch; the run resumes in the middle of the second."""
    asked: list[int] = []

    def renewing(**more: Any) -> Task:
        task = make_task(**OPTIONS | {"logging_steps": 1}, max_train_samples=16, **more)
        examples = task.splits["train"]

        class Renewed:
            lengths = examples.lengths

            def __call__(self, epoch: int) -> Any:
                asked.append(epoch)
                rows = np.roll(np.arange(16), epoch)
                return SimpleNamespace(examples=examples, rows=rows)

        collate = task.collate
        object.__setattr__(task, "presented", TrainingRows(examples, Renewed()))
        object.__setattr__(task, "collate", lambda made, rows: collate(made.examples, made.rows[rows]))
        object.__setattr__(task, "splits", {"train": examples})
        return task

    whole = Watched(renewing(save_steps=3), tmp_path / "whole")
    whole.run()
    assert asked == [0, 1, 2]
    stopped = Watched(renewing(save_steps=3), tmp_path / "stopped", dies_at=4)
    with pytest.raises(Killed):
        stopped.run()
    asked.clear()
    resumed = Watched(renewing(save_steps=3), tmp_path / "stopped", "last")
    resumed.run()
    assert asked == [1, 2]
    assert training_lines(tmp_path / "whole")[3:] == [
        line | {"tokens_per_second": whole_line["tokens_per_second"]}
        for line, whole_line in zip(
            training_lines(tmp_path / "stopped")[3:], training_lines(tmp_path / "whole")[3:], strict=True
        )
    ]


def test_the_log_is_cut_back_to_the_checkpoint(make_task: MakeTask, folder: Path) -> None:
    options = OPTIONS | {"logging_steps": 1}
    killed = Watched(make_task(**options, save_steps=2), folder, dies_at=3)
    with pytest.raises(Killed):
        killed.run()
    path = folder / "train_log.jsonl"
    assert [line["step"] for line in log_of(folder)] == [1, 2, 3]
    path.write_text(path.read_text() + '{"step": 4, "lo')
    Watched(make_task(**options, save_steps=2, resume_from_checkpoint="last"), folder, "last").run()
    assert [line["step"] for line in training_lines(folder)] == [1, 2, 3, 4, 5]


def test_no_number_is_never_the_best() -> None:
    state = State()
    assert not state.improves(math.nan, True)
    assert not state.improves(math.nan, False)
    assert state.improves(-math.inf, True)
    state.best_metric = 1.0
    assert [state.improves(value, True) for value in (0.5, 1.0, 1.5, math.nan)] == [False, False, True, False]
    assert [state.improves(value, False) for value in (0.5, 1.0, 1.5, math.nan)] == [True, False, False, False]


@pytest.mark.parametrize(("accumulation", "logging", "what"), [(1, 1, "loss is nan"), (2, 100, "loss is nan")])
def test_a_loss_that_is_no_number_ends_the_run(
    make_task: MakeTask, folder: Path, accumulation: int, logging: int, what: str
) -> None:
    options = SMALL | {"max_steps": 20, "eval_steps": 100, "save_steps": 2, "gradient_accumulation_steps": accumulation}
    loop = Watched(make_task(**options, logging_steps=logging), folder)
    step = loop._step

    def poison(rows: list[np.ndarray], number: int) -> int:
        if loop.state.global_step == 4:
            next(loop.task.model.parameters()).data.fill_(math.nan)
        return step(rows, number)

    loop._step = poison  # type: ignore[method-assign]
    with pytest.raises(InputError, match=rf"step 5: the {what}, and training cannot continue;.*\n.*/checkpoint-4$"):
        loop.run()
    assert loop.state.global_step == 5
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-2", "checkpoint-4"]
    assert all("NaN" not in path.read_text() for path in folder.rglob("*.json*"))


@pytest.mark.parametrize("what", ["gradient", "weights"])
def test_a_gradient_or_a_weight_that_is_not_finite_ends_the_run(make_task: MakeTask, folder: Path, what: str) -> None:
    loop = Watched(make_task(**OPTIONS | {"max_steps": 3}, save_steps=1), folder)
    update = loop._update

    def poison() -> None:
        parameter = next(loop.task.model.parameters())
        if what == "gradient" and loop.state.global_step == 1:
            assert parameter.grad is not None
            parameter.grad.view(-1)[0] = math.inf
        update()
        if what == "weights" and loop.state.global_step == 1:
            parameter.data.view(-1)[0] = math.inf

    loop._update = poison  # type: ignore[method-assign]
    message = {"gradient": "the norm of the gradient is inf", "weights": "weights are not finite"}[what]
    with pytest.raises(InputError, match=rf"step 2: {message}, .*\nlast complete checkpoint: .*checkpoint-1$"):
        loop.run()
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-1"]


def test_a_gradient_is_not_clipped_where_no_limit_is_set(make_task: MakeTask, tmp_path: Path) -> None:
    weights = []
    for limit in (0.0, 1e9):
        task = make_task(**OPTIONS | {"max_steps": 2}, max_grad_norm=limit)
        Watched(task, tmp_path / str(limit)).run()
        weights.append(task.model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    fresh = make_task(**OPTIONS).model.state_dict()
    assert not all(torch.equal(value, fresh[name]) for name, value in weights[0].items())


def test_a_model_that_was_loaded_for_reading_is_trained_with_dropout(make_task: MakeTask, folder: Path) -> None:
    task = make_task(**OPTIONS | {"max_steps": 1}, dropout=0.5)
    task.objective.eval()
    loop = Watched(task, folder)
    assert {module.training for module in task.model.modules()} == {True}
    loop.measures = True
    loop.run()
    assert training_lines(folder)[0]["loss"] != pytest.approx(loop.sums[0] / loop.counts[0], rel=1e-3)


def test_the_speed_counts_the_tokens_of_both_sides_since_the_last_line(
    make_task: MakeTask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(StepLog, "training", lambda self, *, tokens, **others: told.append(tokens))
    task = make_task(**OPTIONS)
    loop = Watched(task, folder)
    loop.run()
    examples = task.splits["train"]
    lengths = [int(examples.lengths[rows].sum()) for rows in loop.rows]
    assert told == [sum(lengths[:2]), sum(lengths[2:4]), lengths[4]]


class Several:
    """The first of two processes, of which the other has these figures."""

    device = torch.device("cpu")
    num_processes = 2

    def __init__(self, other: list[float]) -> None:
        self.other = other

    def gather(self, mine: torch.Tensor) -> torch.Tensor:
        return torch.cat([mine, torch.tensor(self.other, dtype=mine.dtype)])


@pytest.mark.parametrize(("mine", "theirs", "strongest"), [(0, 15, 15), (2, 0, 2), (0, 0, 0)])
def test_figures_and_signals_are_those_of_every_process(
    make_task: MakeTask, folder: Path, mine: int, theirs: int, strongest: int
) -> None:
    loop = Watched(make_task(**OPTIONS), folder)
    loop.accelerator = Several([100.0, 10.0, 1000.0, float(theirs), 0.0, 0.0, 0.0, 0.0])  # type: ignore[assignment]
    examples = loop.task.splits["train"]
    batches = [loop.task.collate(examples, rows) for rows in (np.arange(3), np.arange(3, 5))]
    targets = [int((batch["labels"] != -100).sum()) for batch in batches]
    step = StepBatches(examples, [], batches, [1.0, 0.0], 7.0)  # the second batch is there to be waited for
    total, signal_number = loop._totals(batches, step, mine)
    assert (total, signal_number) == (100 + targets[0], strongest)
    assert loop._tokens == 1000 + 7
    assert loop.state.target_tokens_seen == 10 + targets[0]
    loop._totals(batches, replace(step, real=[1.0, 1.0]), mine)
    assert loop.state.target_tokens_seen == 20 + 2 * targets[0] + targets[1]


@pytest.mark.parametrize("figure", [6, 7])
def test_all_processes_end_where_one_has_no_finite_loss_or_gradient(
    make_task: MakeTask, folder: Path, figure: int
) -> None:
    loop = Watched(make_task(**OPTIONS), folder)
    other = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    other[figure] = math.nan
    loop.accelerator = Several(other)  # type: ignore[assignment]
    step = next(step_batches(loop.task, loop.plan, Accelerator(cpu=True), 0))
    with pytest.raises(InputError, match="the loss is nan" if figure == 6 else "gradient is nan"):
        loop._totals(step.batches, step, 0)


def test_no_process_continues_before_a_checkpoint_is_whole(
    make_task: MakeTask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a run, all load the best one."""
    loop = Watched(make_task(**OPTIONS | {"max_steps": 1}), folder)
    there: list[bool] = []
    monkeypatch.setattr(loop.accelerator, "wait_for_everyone", lambda: there.append((folder / "checkpoint-1").exists()))
    loop.run()
    assert there == [True]


def test_losses_before_the_checkpoint_are_counted_by_one_process(
    make_task: MakeTask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watched(
        make_task(**OPTIONS | {"max_steps": 3, "logging_steps": 100}, save_steps=2, save_total_limit=9), folder
    ).run()
    again = {"resume_from_checkpoint": str(folder / "checkpoint-2")}
    first = Watched(make_task(**OPTIONS, **again), folder, again["resume_from_checkpoint"])
    monkeypatch.setattr(Accelerator, "is_main_process", False)
    second = Watched(make_task(**OPTIONS, **again), folder, again["resume_from_checkpoint"])
    assert float(first._loss) > 0
    assert (float(second._loss), second._weight) == (
        0.0,
        first._weight,
    )  # the sum is over all, the weight is everyone's


def test_the_time_of_training_adds_up(make_task: MakeTask, folder: Path) -> None:
    loop = Watched(make_task(**OPTIONS), folder)
    loop.state.train_runtime, loop.state.train_cpu_time = 1000.0, 900.0
    state = loop.run()
    assert 1000 < state.train_runtime < 1100
    assert 900 < state.train_cpu_time < 1000


def test_signals_are_watched_while_the_run_lasts() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        with watch_signals() as interrupts:
            signal.raise_signal(number)
            assert interrupts.signal == number
        assert [signal.getsignal(number) for number in numbers] == before


def test_signals_are_noted_and_the_second_interrupt_ends_the_process() -> None:
    interrupts = Interrupts()
    interrupts.note(signal.SIGTERM, None)
    assert interrupts.signal == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):
        interrupts.note(signal.SIGINT, None)
