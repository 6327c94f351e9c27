"""Runs within a limit of time: laid out by a simulated clock, and real ones that end, resume and are refused."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate import Accelerator

from hf_seq2seq.configs import Schedule
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Choice
from hf_seq2seq.task import Task
from hf_seq2seq.training.budget import Budget, Meter
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.model_selection import Selection
from hf_seq2seq.training.resuming import describe_changes
from hf_seq2seq.training.run import run
from hf_seq2seq.training.starts import late_starts
from hf_seq2seq.training.state import State

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}
TOKENS = 100.0


def simulate(
    schedule: Schedule,
    step_time: Callable[[int], float],
    evaluation: float,
    estimate: float,
    processes: int = 1,
    start: float = 10.0,
) -> tuple[float, State, list[int], list[int]]:
    """A run on a clock of its own: when it ends, its state, the totals it was planned for, and its evaluations."""
    budget, state = Budget(schedule, TOKENS), State()
    budget.begin(state)
    for meter in budget.meters.values():
        meter.evaluation, meter.scoring = estimate, 2 * estimate
    clock, totals, evaluated = start, [], []
    while not state.finished:
        if budget.look([clock, clock * processes], state):
            totals.append(state.max_steps)
        clock += step_time(state.global_step)
        state.global_step += 1
        every = schedule.eval_steps or state.eval_steps
        pause = bool(every and state.planned) and (state.global_step % every == 0 or state.finished)
        if pause:
            clock += evaluation
            state.log_history.append({})
            evaluated.append(state.global_step)
        budget.done(TOKENS, "evaluation" if pause else "")
    return clock + 2 * evaluation + 3, state, totals, evaluated


def steady(step: int) -> float:
    return 5.0 if step == 0 else 0.5


@pytest.mark.parametrize(
    ("step_time", "evaluation", "estimate"),
    [
        (steady, 10, 10),
        (steady, 10, 60),  # a new model's outputs, which do not end, took longer
        (steady, 40, 10),
        (lambda step: 0.5 if step < 500 else 1.0, 10, 10),  # somebody else began to compute
        (lambda step: 1.0 if step < 500 else 0.5, 10, 10),
        (lambda step: 0.25 + (step * 7 % 11) / 20, 10, 10),
        (lambda step: 30.0, 10, 10),  # a few slow steps
    ],
)
def test_a_run_ends_in_time_with_its_scores(
    step_time: Callable[[int], float], evaluation: float, estimate: float
) -> None:
    end, state, totals, evaluated = simulate(Schedule(max_time="20m"), step_time, evaluation, estimate)
    assert 0.9 * 1200 < end <= 1200
    assert state.global_step == totals[-1] == state.max_steps
    assert evaluated[-1] == state.global_step
    assert 3 <= len(evaluated) <= 22
    assert evaluation * len(evaluated) < 0.5 * 1200
    late = [b - a for a, b in pairwise(evaluated[2:])]
    assert not late or min(late[:-1], default=math.inf) >= state.eval_steps  # evaluations keep their distance


@pytest.mark.parametrize("step", [0.02, 0.3])
def test_short_steps_are_planned_for_long_limits(step: float) -> None:
    limit = 100_000 * step
    end, state, _, evaluated = simulate(Schedule(max_time=f"{limit}s"), lambda _: step, limit / 200, limit / 200)
    assert 0.9 * limit < end <= limit
    assert state.global_step == state.max_steps
    assert evaluated[0] < 0.1 * state.max_steps


def test_cpu_time_is_that_of_all_processes() -> None:
    end, _, _, _ = simulate(Schedule(max_cpu_time="20m"), steady, 10, 10, processes=2)
    assert 0.9 * 1200 < 2 * end <= 1200


@pytest.mark.parametrize(
    ("limit", "speed", "unit"),
    [("max_time", "100 tokens/s", ""), ("max_cpu_time", "100 tokens per CPU second", " of CPU time")],
)
def test_a_plan_says_which_time_it_is_about(limit: str, speed: str, unit: str) -> None:
    budget, state = Budget(Schedule(**{limit: "20m"}), TOKENS), State()  # type: ignore[arg-type]
    budget.begin(state)
    budget.meters[limit].evaluation = 20.0
    told = [text for step in range(60) if not budget.done(TOKENS) and (text := budget.look([step, step], state))]
    assert f" steps at {speed}, " in told[0]
    assert f", an evaluation of 20 s{unit} every " in told[0]
    assert f"; 3.0 s{unit} for the end" in told[0]


def test_the_tighter_limit_and_a_given_number_of_steps_count() -> None:
    both, _, _, _ = simulate(Schedule(max_time="20m", max_cpu_time="5m"), steady, 5, 5)
    assert 0.85 * 300 < both <= 300
    few = simulate(Schedule(max_time="20m", max_steps=30), steady, 5, 5)[1]
    assert few.global_step == 30
    three = simulate(Schedule(max_time="20m", max_steps=3), steady, 5, 5)[1]
    assert three.global_step == 3


@pytest.mark.parametrize(
    ("options", "most", "early"),
    [
        ({"max_steps": 500}, 500, "--max-steps is 500"),
        ({"max_steps": 5_000}, 5_000, ""),
        ({"num_train_epochs": 2.5}, 500, "--num-train-epochs is 2.5"),
    ],
)
def test_a_run_that_ends_long_before_its_limit_says_why(options: dict[str, Any], most: int, early: str) -> None:
    budget, state = Budget(Schedule(max_time="20m", **options), TOKENS, most), State()
    budget.begin(state)
    clock, told = 10.0, ""
    while not told:
        told = budget.look([clock, clock], state)
        clock += 0.5
        state.global_step += 1
        budget.done(TOKENS)
    assert state.max_steps <= most
    assert (f"; ends early, after 22% of the time: {early}, give more to use it all" in told) == bool(early)


def test_a_run_whose_rows_end_says_so() -> None:
    budget, state = Budget(Schedule(max_time="20m"), TOKENS, 500, "the last stage, 'end', is over"), State()
    budget.begin(state)
    told = [text for step in range(60) if not budget.done(TOKENS) and (text := budget.look([step, step], state))]
    assert told[0].endswith("% of the time: the last stage, 'end', is over")


def test_a_given_interval_of_evaluations_stays() -> None:
    end, _, _, evaluated = simulate(Schedule(max_time="20m", eval_steps=150), steady, 20, 20)
    assert end <= 1200
    assert all(step % 150 == 0 for step in evaluated[:-1])


def test_a_limit_that_leaves_no_time_for_an_evaluation_is_refused_before_anything_is_written(
    make_task: MakeTask, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(InputError) as caught:
        run(make_task(**SMALL, max_time="0.01s"))
    assert "--max-time: 0.01s is too little: the start took" in str(caught.value)
    assert "one evaluation about" in str(caught.value)
    assert "give at least" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_a_run_and_one_that_resumes_it_keep_the_plan(make_task: MakeTask, tmp_path: Path) -> None:
    options = SMALL | {"max_steps": None, "metrics": "exact_match", "logging_steps": 1, "learning_rate": 1e-2}
    task = make_task(**options, max_cpu_time="4s")
    loop = Loop(task, Accelerator(cpu=True), tmp_path)
    loop.budget.probe(task, loop.accelerator)
    assert not loop.state.planned
    assert loop.budget.meters["max_cpu_time"].evaluation > 0
    state = loop.run()
    used = loop.budget.readings()[1]
    assert used < 4 + 1  # in a process that does not start for it
    assert state.planned
    assert state.global_step > 10
    written = yaml.safe_load((tmp_path / f"checkpoint-{state.global_step}" / "run.yaml").read_text())
    assert (written["max_cpu_time"], written["max_steps"]) == ("4s", state.max_steps)
    assert written["eval_steps"] == state.eval_steps
    rates = [
        line["learning_rate"]
        for line in map(json.loads, (tmp_path / "train_log.jsonl").read_text().splitlines())
        if "learning_rate" in line
    ]
    assert rates[0] == pytest.approx(1e-2)
    assert rates[-1] < 3e-3  # it decayed, over the steps that fitted

    checkpoints = sorted(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    early = State.load(checkpoints[0])
    resumed = Loop(make_task(**options, max_cpu_time="4s"), Accelerator(cpu=True), tmp_path, str(checkpoints[0]))
    assert resumed.state.planned
    assert (resumed.state.max_steps, resumed.state.eval_steps) == (early.max_steps, early.eval_steps)
    assert resumed.task.config.schedule.max_steps == early.max_steps
    assert not describe_changes(resumed.task.config, checkpoints[0], early.data)
    resumed.budget.look([0.0, 0.0], resumed.state)
    assert resumed.budget.meters["max_cpu_time"].spent == early.budget["max_cpu_time"]["spent"]
    other = Loop(make_task(**options, max_cpu_time="20s"), Accelerator(cpu=True), tmp_path, str(checkpoints[0]))
    assert not other.state.planned  # another limit is planned again, from what was measured
    assert other.budget.meters["max_cpu_time"].seconds > 0


def test_a_plan_is_told_again_where_it_has_changed() -> None:
    budget, state = Budget(Schedule(max_time="100s"), TOKENS), State()
    budget.begin(state)
    told, plans, clock = list[int](), set(), 0.0
    while state.global_step < state.max_steps:
        clock += 0.1 * (1 + state.global_step / 2000)  # each step takes a little longer than the one before
        state.global_step += 1
        budget.done(TOKENS)
        if budget.look([clock, clock], state):
            plans.add(state.max_steps)
            told += [state.max_steps] * budget.is_news(state)
    assert len(plans) > len(told) > 1
    assert all(abs(after - before) > 0.1 * before for before, after in pairwise(told))


def test_without_a_limit_nothing_is_planned() -> None:
    budget, state = Budget(Schedule(), TOKENS), State(max_steps=7, budget={"max_time": {"limit": 5.0}}, eval_steps=3)
    budget.begin(state)
    budget.resume(state)
    assert (state.max_steps, state.eval_steps, state.budget, state.planned) == (7, 0, {}, True)
    assert budget.look([1.0, 1.0], state) == ""


def test_the_estimate_follows_the_last_steps() -> None:
    meter = Meter(100.0)
    for _ in range(200):
        meter.measure(10, 1.0)
    assert meter.time_of(10) == pytest.approx(1.0)
    for _ in range(200):
        meter.measure(10, 3.0)
    assert meter.time_of(10) == pytest.approx(3.0, rel=0.1)


def test_what_never_begins_in_a_planned_run_is_told(make_task: MakeTask) -> None:
    task = make_task(loss_type="scheduled_sampling", loss_args="start=50", ema_decay=0.9, ema_start=60, max_steps=100)
    assert late_starts(task, 61) == []
    sampling, average = late_starts(task, 50)
    assert "start: 50 is too late, for the run has 50 steps" in sampling
    assert average == "--ema-start: 60 is not before the last step, 50"
    (warmup,) = late_starts(make_task(max_steps=60, warmup_steps=50), 40)
    assert (
        warmup == "--warmup-steps: 50 is not before the last step, 40: the learning rate only reaches 0.8 of its peak"
    )


def test_a_warm_up_that_does_not_end_is_told(make_task: MakeTask, capsys: pytest.CaptureFixture[str]) -> None:
    run(make_task(**SMALL, max_steps=3, warmup_steps=6))
    assert "--warmup-steps: 6 is not before the last step, 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settled",
    [{"given": frozenset({"num_train_epochs"})}, {"derived": (Choice("num_train_epochs", 2.0, "few rows"),)}],
)
def test_epochs_are_a_maximum_beside_a_time_limit(make_task: MakeTask, tmp_path: Path, settled: dict[str, Any]) -> None:
    task = make_task(**SMALL, max_time="2m", max_steps=None, num_train_epochs=2.0)
    run(replace(task, config=replace(task.config, **settled)))
    assert json.loads((tmp_path / "run" / "trainer_state.json").read_text())["epoch"] == 2.0


def test_few_steps_decay_beside_a_time_limit(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(**SMALL, max_time="10m", max_steps=10, warmup_ratio=0.2, logging_steps=1)
    run(replace(task, config=replace(task.config, given=frozenset({"max_steps"}))))
    lines = [json.loads(line) for line in (tmp_path / "run" / "train_log.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert len(rates) == 10
    assert max(rates) == task.config.optimization.learning_rate
    assert rates[-1] < 0.2 * max(rates)


def test_a_limit_counts_without_rows_to_score(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(**SMALL, max_time="0.0001s", max_steps=None, validation_file=None, test_file=None)
    assert not task.splits.keys() & {"validation", "test"}
    with pytest.raises(InputError, match=r"0\.0001s is too little: the start took [^,]*; give at least [^,]*$"):
        run(task)
    assert not (tmp_path / "run").exists()


def test_the_time_of_the_final_scores_stays_known_however_often_checkpoints_follow_evaluations() -> None:
    budget, state = Budget(Schedule(max_time="100s"), TOKENS), State()
    budget.begin(state)
    meter, clock = budget.meters["max_time"], 0.0
    meter.evaluation, meter.scoring, meter.saving = 1.0, 2.0, 0.5
    for step in range(40):
        budget.look([clock, clock], state)
        budget.done(TOKENS, "evaluation" if step % 4 == 3 else "")
        clock += 0.1 + 1.5 * (step % 4 == 3)
    assert meter.scoring == pytest.approx(2.0, rel=0.1)
    assert meter.pause == pytest.approx(1.5, rel=0.1)


def test_a_busy_start_leaves_more_for_the_end() -> None:
    assert Meter(100.0, start=5.0).closing == 3.0
    assert Meter(100.0, start=30.0).closing == pytest.approx(9.0)


def test_nothing_is_evaluated_or_saved_before_the_plan_unless_asked_for(make_task: MakeTask) -> None:
    task = make_task(metrics="exact_match")
    before, planned = State(global_step=6, max_steps=100, planned=False), State(global_step=6, max_steps=100)
    for schedule, expected in ((Schedule(), False), (Schedule(eval_steps=3), True)):
        selection = Selection(schedule, task, 6)
        assert (selection.evaluates(before), selection.saves(before)) == (expected, expected)
        assert selection.evaluates(planned)
        assert selection.saves(planned)
    assert Selection(Schedule(), task, 6).evaluates(State(global_step=6, max_steps=6, planned=False))
