import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from hf_seq2seq.configs import Schedule
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.objectives.objective import Guard
from hf_seq2seq.recipes import rnn
from hf_seq2seq.sections import Choice
from hf_seq2seq.task import Task
from hf_seq2seq.training.budget import describe_short
from hf_seq2seq.training.checkpoints import list_checkpoints, prune_checkpoints
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.model_selection import Selection
from hf_seq2seq.training.state import State

MakeTask = Callable[..., Task]


def test_patience_counts_evaluations_without_a_gain(make_task: MakeTask) -> None:
    schedule = Schedule(eval_steps=10, metric_for_best_model="eval_exact_match", early_stopping_patience=2)
    selection = Selection(schedule, make_task(), steps_per_epoch=7)
    state = State(max_steps=1000)
    outcomes = []
    for step, value in ((10, 1.0), (20, 3.0), (30, 3.0), (40, 4.0), (50, float("nan")), (60, 0.0)):
        state.global_step = step
        outcomes.append((selection.update(state, {"eval_exact_match": value}), state.stopped_early))
    assert outcomes == [(True, False), (True, False), (False, False), (True, False), (False, False), (False, True)]
    assert state.best_model_checkpoint == "checkpoint-40"
    assert state.best_metric == 4.0
    stopped = "stopped early at step 60: exact_match did not improve in 2 evaluations; "
    assert selection.outcome(state) == f"{stopped}the best checkpoint is checkpoint-40, with exact_match 4"
    state.evaluations_without_gain = 1
    assert "did not improve in 1 evaluation; " in selection.outcome(state)


def test_a_run_that_improves_nothing_says_that_it_kept_the_start(make_task: MakeTask) -> None:
    selection = Selection(Schedule(metric_for_best_model="exact_match"), make_task(), steps_per_epoch=7)
    state = State(max_steps=20)
    assert selection.outcome(state).startswith("no evaluation gave exact_match: ")
    for state.global_step, value in ((0, 5.0), (10, 4.0), (20, 3.0)):
        selection.update(state, {"eval_exact_match": value})
    assert "no step improved exact_match (5): the model is that of the start" in selection.outcome(state)


def test_a_better_score_that_does_not_count_is_told_with_its_reason(make_task: MakeTask) -> None:
    task = make_task(metrics="exact_match,chrf")
    task.objective.guard = Guard("chrf", patience=3, given=True)
    selection, state = Selection(Schedule(metric_for_best_model="exact_match"), task, 7), State(max_steps=20)
    for state.global_step, value, watched in ((0, 5.0, 50.0), (10, 8.0, 40.0), (20, 4.0, 60.0)):
        selection.update(state, {"eval_exact_match": value, "eval_chrf": watched})
    assert selection.outcome(state) == (
        "exact_match was 8 at step 10, but chrf, which must not fall, was 40 then and 50 at the start: "
        "the best checkpoint is checkpoint-0, with 5"
    )
    state.global_step = 30
    selection.update(state, {"eval_exact_match": 9.0, "eval_chrf": 50.0})
    assert selection.outcome(state) == "the best checkpoint is checkpoint-30, with exact_match 9"


def test_a_final_score_unlike_the_best_is_explained_by_its_beams(make_task: MakeTask) -> None:
    schedule = Schedule(metric_for_best_model="exact_match", eval_beams=1)
    selection = Selection(schedule, make_task(), steps_per_epoch=7)
    state = State(best_metric=5.0, best_model_checkpoint="checkpoint-7")
    (line,) = selection.beside_best(state, {"eval_exact_match": 4.0}, beams=5)
    assert "4 with --num-beams 5, 5 with --eval-beams 1, by which checkpoint-7 was selected" in line
    assert line.endswith("; try generate --num-beams 1")
    (line,) = selection.beside_best(state, {"eval_exact_match": 9.0}, beams=5)
    assert line.endswith("9 with --num-beams 5, 5 with --eval-beams 1, by which checkpoint-7 was selected")
    (line,) = selection.beside_best(state, {"eval_exact_match": 4.5}, beams=5)
    assert line.endswith("by which checkpoint-7 was selected")  # half a point may be chance
    assert not selection.beside_best(state, {"eval_exact_match": 5.01}, beams=5)
    assert selection.outcome(state).endswith("checkpoint-7, with exact_match 5 by 1 beam")
    assert not selection.beside_best(state, {"eval_exact_match": 4.0}, beams=1)  # other reasons than beams
    assert not selection.beside_best(State(), {}, beams=5)


def test_of_equal_scores_the_one_with_the_lower_loss_is_kept(make_task: MakeTask) -> None:
    """Exact match can be 0 until late; patience counts these evaluations once it has moved."""
    schedule = Schedule(eval_steps=10, metric_for_best_model="exact_match", early_stopping_patience=3)
    selection = Selection(schedule, make_task(), steps_per_epoch=7)
    state = State(max_steps=1000)
    outcomes = []
    for step, score, loss in (
        *((10, 0.0, 3.0), (20, 0.0, 2.0), (30, 0.0, 2.5), (40, 0.0, 2.2), (50, 0.0, 1.5), (60, 1.0, 1.4)),
        *((70, 1.0, 1.3), (80, 1.0, 1.35), (90, 1.0, 1.2)),
    ):
        state.global_step = step
        results = {"eval_exact_match": score, "eval_loss": loss}
        outcomes.append((selection.update(state, results), state.best_model_checkpoint, state.stopped_early))
    assert outcomes == [
        (True, "checkpoint-10", False),
        (True, "checkpoint-20", False),
        (False, "checkpoint-20", False),
        (False, "checkpoint-20", False),
        (True, "checkpoint-50", False),  # it learns, though no row is right
        (True, "checkpoint-60", False),
        (True, "checkpoint-70", False),
        (False, "checkpoint-70", False),
        (True, "checkpoint-90", True),
    ]


@pytest.mark.parametrize(
    ("metric", "values"), [("exact_match", (9.0, 100.00000000000004)), ("levenshtein", (2.0, 0.0))]
)
def test_a_perfect_score_leaves_little_patience(make_task: MakeTask, metric: str, values: tuple[float, float]) -> None:
    schedule = Schedule(eval_steps=10, metric_for_best_model=metric, early_stopping_patience=8)
    task = dataclasses.replace(
        make_task(), metrics={name: TEXT_METRICS[name] for name in ("exact_match", "levenshtein")}
    )
    selection, state = Selection(schedule, task, steps_per_epoch=7), State(max_steps=1000)
    for state.global_step, value in zip((10, 20, 30, 40), (*values, values[1], values[1]), strict=True):
        assert not state.stopped_early
        selection.update(state, {f"eval_{metric}": value, "eval_loss": 3 - state.global_step / 20})
    assert state.stopped_early
    assert state.best_model_checkpoint == "checkpoint-40"  # equal, and likelier
    assert f"stopped early at step 40: {metric} cannot improve any more; " in selection.outcome(state)


def test_a_loss_is_better_when_smaller(make_task: MakeTask) -> None:
    selection = Selection(Schedule(), make_task(), steps_per_epoch=7)
    state = State()
    assert [selection.update(state, {"eval_loss": value}) for value in (2.0, 3.0, 1.0)] == [True, False, True]


def test_evaluation_and_saving_have_their_own_intervals(make_task: MakeTask) -> None:
    selection = Selection(Schedule(save_steps=4), make_task(), steps_per_epoch=6)
    states = [State(global_step=step, max_steps=14) for step in range(1, 15)]
    assert [s.global_step for s in states if selection.evaluates(s)] == [6, 12, 14]
    assert [s.global_step for s in states if selection.saves(s)] == [4, 8, 12, 14]


def test_the_final_model_is_the_best_checkpoint(make_task: MakeTask, tmp_path: Path) -> None:
    """A learning rate that explodes after a while leaves the best model behind."""
    task = make_task(max_steps=12, eval_steps=2, learning_rate=0.5, warmup_ratio=1.0, save_total_limit=1)
    Loop(task, Accelerator(cpu=True), tmp_path).run()
    lines = [json.loads(line) for line in (tmp_path / "train_log.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["eval_loss"] for line in lines if "eval_loss" in line}
    best = min(losses, key=lambda step: losses[step])
    assert best < 12  # else this test shows nothing
    saved = load_file(tmp_path / f"checkpoint-{best}" / "model.safetensors")
    weights = task.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in saved.items())
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"checkpoint-{best}", "checkpoint-12"]


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step in (5, 10, 100, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
    prune_checkpoints(tmp_path, 1, "checkpoint-10")
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-100"]


def test_a_guard_that_falls_ends_the_run_and_its_checkpoints_are_not_the_best(make_task: MakeTask) -> None:
    task = make_task(metrics="exact_match,chrf")
    task.objective.guard = Guard("chrf", patience=2)
    selection = Selection(Schedule(metric_for_best_model="exact_match"), task, steps_per_epoch=7)
    state = State(max_steps=1000)
    outcomes = []
    for step, (reward, guarded) in enumerate([(1, 50), (2, 51), (9, 49.9), (8, 50), (3, 49), (9, float("nan"))]):
        state.global_step = step
        found = selection.update(state, {"eval_exact_match": float(reward), "eval_chrf": float(guarded)})
        outcomes.append((found, state.evaluations_below_guard, state.stopped_early))
    assert [found for found, _, _ in outcomes] == [True, True, False, True, False, False]
    assert [below for _, below, _ in outcomes] == [0, 0, 1, 0, 1, 2]
    assert [stopped for _, _, stopped in outcomes] == [False] * 5 + [True]
    assert state.best_model_checkpoint == "checkpoint-3"
    assert "chrf on the validation rows, which is not trained for, was worse in 2 evaluations in a row" in (
        state.stop_reason
    )
    assert "(nan) than at the start (50)" in state.stop_reason


def test_a_guard_for_which_lower_is_better_falls_by_rising(make_task: MakeTask) -> None:
    task = make_task(metrics="exact_match,ter")
    task.objective.guard = Guard("ter", patience=1, tolerance=1.0)
    selection = Selection(Schedule(), task, steps_per_epoch=7)
    state = State()
    for value in (40.0, 39.0, 41.0, 41.1):
        assert not state.stopped_early
        selection.update(state, {"eval_loss": 1.0, "eval_ter": value})
    assert state.stopped_early


def test_a_guard_that_is_not_computed(make_task: MakeTask) -> None:
    task = make_task()
    task.objective.guard = Guard("chrf", patience=2)
    assert not Selection(Schedule(), task, 7).guarding
    task.objective.guard = Guard("chrf", patience=2, given=True)
    with pytest.raises(InputError, match="guard=chrf: no evaluation computes it; needs --metrics exact_match,chrf"):
        Selection(Schedule(), task, 7)


def test_a_guarded_run_is_stopped_says_why_and_resumes_exactly(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard's values are made up: it falls after step 4; the run is resumed from step 2."""
    folder = tmp_path / "run"
    folder.mkdir()
    values = {0: 50.0, 2: 51.0, 4: 49.0, 6: 48.0}
    seen: list[int] = []

    def made_up(task: Task, *_: Any) -> tuple[dict[str, float], dict[str, Any]]:
        step = loops[-1].state.global_step
        seen.append(step)
        return {"eval_loss": 3.0 - step / 10, "eval_exact_match": 0.0, "eval_chrf": values[step]}, {}

    monkeypatch.setattr("hf_seq2seq.training.loop.evaluate_and_predict", made_up)
    loops: list[Loop] = []

    def run(resume: str | None) -> State:
        options = {"max_steps": 20, "eval_steps": 2, "save_total_limit": 9, "overwrite_output_dir": True}
        task = make_task(metrics="exact_match,chrf", **options)
        task.objective.guard = Guard("chrf", patience=2)
        loops.append(Loop(task, Accelerator(cpu=True), folder, resume))
        return loops[-1].run()

    whole = run(None)
    weights = load_file(folder / "checkpoint-6" / "model.safetensors")
    assert seen == [0, 2, 4, 6]
    assert (whole.global_step, whole.best_model_checkpoint) == (6, "checkpoint-2")
    again = run(str(folder / "checkpoint-2"))
    assert seen == [0, 2, 4, 6, 4, 6]
    assert (again.guard_start, again.evaluations_below_guard, again.stop_reason) == (50.0, 2, whole.stop_reason)
    torch.testing.assert_close(load_file(folder / "checkpoint-6/model.safetensors"), weights, rtol=0, atol=0)
    (line,) = [line for line in (folder / "train_log.jsonl").read_text().splitlines() if "stopped" in line]
    assert json.loads(line)["stopped"] == whole.stop_reason
    from_start = run(str(folder / "checkpoint-0"))
    assert seen[6:] == [2, 4, 6]
    assert from_start.guard_start == 50.0
    torch.testing.assert_close(load_file(folder / "checkpoint-6/model.safetensors"), weights, rtol=0, atol=0)


def test_a_run_that_its_limit_left_few_steps_says_so_with_the_time_for_all() -> None:
    """30 s before the first step, 10 s for 10 of 100: 130 s for all; with `--max-steps` nothing is said of a plan."""
    state = State(
        global_step=10, max_steps=10, steps_per_epoch=5, budget={"max_time": {"limit": 41, "start": 30, "spent": 40}}
    )
    config = rnn.Config(derived=(Choice("max_steps", 100, "rows"),))
    told = "the run had 10 of the 100 steps that the defaults plan for these rows; give about --max-time 3m"
    assert describe_short(config, state) == [told]
    assert describe_short(rnn.Config(derived=(Choice("num_train_epochs", 20.0, "rows"),)), state) == [told]
    assert not describe_short(rnn.Config(), state)
    for other in ({"global_step": 50}, {"stopped_early": True}, {"budget": {}}):
        assert not describe_short(config, dataclasses.replace(state, **other))
