"""Time-limited runs: how many steps fit, and how often to evaluate.

Before training, a few rows are evaluated to estimate the time of an evaluation; a limit too short for one is rejected
here, before anything is written. The first steps give the seconds per token. Then the run is planned: its steps, over
which the learning rate decays, its evaluations, and what comes after the last step. It is replanned when the clock
proves the estimate wrong. The state includes the plan, so a resumed run continues with it.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from accelerate import Accelerator

from hf_seq2seq.clocks import clocks
from hf_seq2seq.configs import RunConfig, Schedule
from hf_seq2seq.data.evaluation_sets import rows_of, sets_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MANY, flag
from hf_seq2seq.task import Task
from hf_seq2seq.time_limits import duration
from hf_seq2seq.training.evaluation import evaluate_sample, with_eval_beams
from hf_seq2seq.training.origin import started_at
from hf_seq2seq.training.state import State

AIM = 0.95
"""Share of the limit that is planned for."""
SLACK = 0.03
"""Share of the limit by which a plan may be wrong before the run is replanned."""
USED = 0.8
"""Share of the limit below which a run says why it does not take longer."""
TOLD = 0.1
"""A new plan is told where its steps differ by this share from those that were told last."""
WARM_UP = 2
"""Steps that are not measured: the first ones allocate memory."""
FEW = 2
"""Rows of an evaluation that is not measured."""
MEASURED = (5, 0.02)
"""Steps, and the share of the limit, that are measured at the least; fewer steps where 5 times that share is over."""
EVALUATING = 0.15
"""Share of what is left that evaluations may take, within these bounds of their number."""
EVALUATIONS = (4, 20)
MOST_EVALUATING = 0.4
"""The most that the lesser of those bounds may take; fewer evaluations then."""
FEWEST_PLANNED = 20
"""Steps up to which a given number of them is the plan; it may be over before a share of the limit is measured."""
MEMORY = 50
"""Steps after which a step's time counts by a third in the estimate."""
CPU = "max_cpu_time"
NAMES = ("max_time", CPU)
FEW_STEPS = 2
"""It is told if a run has had so many times fewer steps than the defaults plan."""
KINDS = ("validation", "test")
CLOSING = 3.0
"""Seconds for the card, the pictures and the intervals of the scores, besides saving and scoring."""
CLOSING_OF_START = 0.3
"""The same as a share of what the start took, which is long where the machine is busy; 0.1-0.2 was measured."""
LEAST_EVALUATION = 0.1
"""An evaluation is at least this share of what it took with its checkpoint."""


@dataclass
class Meter:
    """One limit, and what has been measured against it, in seconds of the clock or of all processes' CPUs.

    Attributes:
        limit: of the whole run.
        spent: so far, over all resumed runs.
        tokens: source and target tokens of the steps that were measured lately.
        seconds: that they took.
        measured: seconds of all steps that were measured.
        start: before the first step, from when the command began.
        evaluation: of one evaluation.
        scoring: after the last step, of the validation and the test sets.
        saving: of one checkpoint.
    """

    limit: float
    spent: float = 0.0
    start: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0
    measured: float = 0.0
    evaluation: float = 0.0
    scoring: float = 0.0
    saving: float = 0.0

    @property
    def closing(self) -> float:
        """Everything after the last step."""
        return self.scoring + self.saving + max(min(CLOSING, self.limit / 10), CLOSING_OF_START * self.start)

    @property
    def pause(self) -> float:
        """What interrupts training now and then: an evaluation, if there are validation rows, and a checkpoint."""
        return self.evaluation + self.saving

    def time_of(self, tokens: float) -> float:
        """What training on so many tokens takes."""
        return tokens * self.seconds / max(1.0, self.tokens)

    def measure(self, tokens: float, seconds: float) -> None:
        """Adds a step to the estimate, in which earlier ones fade."""
        keep = 1 - 1 / MEMORY
        self.tokens, self.seconds = self.tokens * keep + tokens, self.seconds * keep + seconds
        self.measured += seconds


class Budget:
    """Plans a run within the time limits of its schedule; does nothing without limits.

    Args:
        schedule: the limits; `max_steps` is one more, and a given `eval_steps` stays.
        tokens: of an optimizer step, on average.
        most: the steps of its epochs, where those are one more limit.
        end: what ends those, for people, where it is no option.
    """

    def __init__(self, schedule: Schedule, tokens: float, most: int | None = None, end: str = "") -> None:
        self._schedule, self._tokens, self._most_is = schedule, tokens, end
        self.meters = {name: Meter(limit) for name, limit in schedule.limits().items()}
        self._most = schedule.max_steps or most or MANY
        self._since, self._before = started_at(), [0.0, 0.0]
        self._earlier = [0.0, 0.0]
        self._done = 0
        self._last_tokens, self._pause = 0.0, ""
        self._told = 0

    def begin(self, state: State) -> None:
        """Leaves the number of steps open, where a limit is to settle it."""
        if self.meters:
            state.max_steps, state.planned = self._most, self._most <= FEWEST_PLANNED
            state.eval_steps = self._most if state.planned else state.eval_steps

    def resume(self, state: State) -> None:
        """Continues with the plan of a checkpoint's state; with other limits or steps, only with its measurements.

        The time between two runs, and that of a second start, do not count.
        """
        if not self.meters:
            state.budget, state.eval_steps, state.planned = {}, 0, True
            return
        self._since = clocks()
        known = {item.name for item in fields(Meter)} - {"limit"}
        for name, meter in self.meters.items():
            for field, value in state.budget.get(name, {}).items():
                if field in known:
                    setattr(meter, field, value)
        self._earlier = [self.meters[name].spent if name in self.meters else 0.0 for name in NAMES]
        limits = {name: values.get("limit") for name, values in state.budget.items()}
        if limits != {name: meter.limit for name, meter in self.meters.items()} or state.max_steps > self._most:
            state.eval_steps = 0
            self.begin(state)

    def readings(self) -> list[float]:
        """Seconds of this process since the run's start: of the clock, and of its CPU."""
        return [now - then for now, then in zip(clocks(), self._since, strict=True)]

    def probe(self, task: Task, accelerator: Accelerator) -> None:
        """Estimates evaluations and the final scores from a few rows; all processes at once.

        Raises:
            InputError: the limit leaves no time for one.
        """
        rows = {kind: rows_of(task.splits, kind) for kind in KINDS}
        if not self.meters or any(meter.start for meter in self.meters.values()):
            return
        scored, sampled = [split for kind in KINDS for split in sets_of(task.splits, kind)], 1
        if scored:
            evaluate_sample(task, scored[0], accelerator, FEW)  # a first pass allocates memory
        readings = [self.readings()]
        for each in (with_eval_beams(task), task):
            sampled = evaluate_sample(each, scored[0], accelerator) if scored else 1
            readings.append(self.readings())
        every = accelerator.gather(torch.tensor(readings, dtype=torch.float64, device=accelerator.device)).view(
            -1, 3, 2
        )
        passed = every.diff(dim=1, prepend=torch.zeros_like(every[:, :1]))
        spent, evaluation, scoring = torch.stack([passed[..., 0].amax(0), passed[..., 1].sum(0)], 1).tolist()
        for number, name in enumerate(NAMES):
            if meter := self.meters.get(name):
                meter.start = spent[number]
                meter.evaluation = evaluation[number] * rows["validation"] / sampled
                meter.scoring = scoring[number] * sum(rows.values()) / sampled
                self._check(name, spent[number], sum(rows.values()))

    def _check(self, name: str, start: float, rows: int) -> None:
        meter = self.meters[name]
        needed = start + meter.evaluation + meter.closing
        if needed > meter.limit:
            took = f"{getattr(self._schedule, name)} is too little: the start took {_told(name, start)}"
            took += f", one evaluation about {_told(name, meter.evaluation)}" if meter.evaluation else ""
            enough, fewer = f"give at least {duration(math.ceil(1.5 * needed))}", ""
            if rows:
                took += f", and the scores of {rows:,} rows at the end take about {_told(name, meter.scoring)}"
                fewer = ", or fewer rows (--max-eval-samples, --max-predict-samples)"
            raise InputError(f"{flag(name)}: {took}; {enough}{fewer}")

    def is_news(self, state: State) -> bool:
        """Whether the plan differs enough from the one that this told of last."""
        if abs(state.max_steps - self._told) <= TOLD * self._told:
            return False
        self._told = state.max_steps
        return True

    def done(self, tokens: float, pause: str = "") -> None:
        """Notes a step.

        Args:
            tokens: of all its rows.
            pause: what came after it: "evaluation", "saving" or nothing.
        """
        self._done, self._last_tokens, self._pause = self._done + 1, tokens, pause

    def look(self, readings: list[float], state: State) -> str:
        """Reads the clocks before a step, and replans the run when due; returns a message about that.

        Args:
            readings: the clock's, and the CPUs' of all processes; all processes give the same.
            state: is given the number of steps, the interval of evaluations, and what was measured.
        """
        if not self.meters:
            return ""
        for name, now, earlier, before in zip(NAMES, readings, self._earlier, self._before, strict=True):
            if meter := self.meters.get(name):
                meter.spent = earlier + now
                if self._done:
                    self._measure(meter, now - before)
        self._before = readings
        detail = self._lay_out(state) if self._is_due(state) else ""
        state.budget = {name: asdict(meter) for name, meter in self.meters.items()}
        return detail

    def _measure(self, meter: Meter, seconds: float) -> None:
        if not self._pause:
            if self._done == WARM_UP + 1:
                meter.tokens = meter.seconds = meter.measured = 0.0
            meter.measure(self._last_tokens, seconds)
            return
        rest = max(0.0, seconds - meter.time_of(self._last_tokens))
        if self._pause == "saving":
            meter.saving = rest
            return
        evaluation = max(rest - meter.saving, LEAST_EVALUATION * rest)
        if meter.evaluation:
            meter.scoring *= evaluation / meter.evaluation
        meter.evaluation = evaluation

    def _is_due(self, state: State) -> bool:
        if not state.planned:
            steps, share = MEASURED
            measured = max(meter.measured / meter.limit for meter in self.meters.values())
            return self._done > WARM_UP and measured >= share * (1 if self._done >= steps + WARM_UP else 5)
        late = max(self._end(meter, state) / meter.limit for meter in self.meters.values()) - AIM
        if late < 0 and (self._pause != "evaluation" or state.max_steps == self._most):
            return False
        return abs(late) > SLACK

    def _end(self, meter: Meter, state: State) -> float:
        """When the run would end by its present plan."""
        left = state.max_steps - state.global_step
        every = self._schedule.eval_steps or state.eval_steps
        pauses = math.ceil(state.max_steps / every) - state.global_step // every
        return meter.spent + meter.time_of(left * self._tokens) + pauses * meter.pause + meter.closing

    def _lay_out(self, state: State) -> str:
        # A first evaluation corrects its estimate; later ones keep their distance.
        every = self._schedule.eval_steps or (state.eval_steps if len(state.log_history) > 1 else 0)
        plans = {name: self._fitting(meter, every) for name, meter in self.meters.items()}
        name = min(plans, key=lambda name: plans[name][0])
        steps, pauses = plans[name]
        state.max_steps = min(self._most, state.global_step + max(1, int(steps)))
        state.planned = True
        left = state.max_steps - state.global_step
        pauses = min(pauses, left)
        if not every:
            state.eval_steps = math.ceil(state.max_steps / round(pauses * state.max_steps / left))
        return self._describe(name, state, left)

    def _fitting(self, meter: Meter, every: int) -> tuple[float, int]:
        """Steps that fit into what is left, and the pauses among them where their interval is open (0)."""
        room = max(0.0, AIM * meter.limit - meter.spent - meter.closing)
        step = max(1e-9, meter.time_of(self._tokens))
        if every:
            return max(0.0, room - meter.pause) / (step + meter.pause / every), 1
        fewest, most = EVALUATIONS
        if not meter.pause:
            return room / step, fewest
        count = max(fewest, min(most, int(EVALUATING * room / meter.pause)))
        count = max(1, min(count, int(MOST_EVALUATING * room / meter.pause)))
        return max(0.0, room - count * meter.pause) / step, count

    def _describe(self, name: str, state: State, left: int) -> str:
        meter = self.meters[name]
        speed = meter.tokens / max(1e-9, meter.seconds)
        every = self._schedule.eval_steps or state.eval_steps
        pause = f", an evaluation of {_told(name, meter.evaluation)} every {every:,}" if meter.evaluation else ""
        per = " per CPU second" if name == CPU else "/s"
        return (
            f"{flag(name)} {getattr(self._schedule, name)}: {state.max_steps:,} steps at {speed:,.0f} tokens{per}, "
            f"{left:,} to go{pause}; {_told(name, meter.closing)} for the end{self._left_over(state)}"
        )

    def _left_over(self, state: State) -> str:
        """Says why a run ends long before its limits, if it does."""
        ends = [self._end(meter, state) / meter.limit for meter in self.meters.values()]
        if state.max_steps < self._most or max(ends) > USED:
            return ""
        steps, epochs = self._schedule.max_steps, self._schedule.num_train_epochs
        most = self._most_is or f"--num-train-epochs is {epochs:g}, give more to use it all"
        most = f"--max-steps is {steps:,}, give more to use it all" if steps else most
        return f"; ends early, after {max(ends):.0%} of the time: {most}"


def _told(name: str, seconds: float) -> str:
    """A time that was measured against a limit; says so where it is CPU time."""
    return duration(seconds) + " of CPU time" * (name == CPU)


def describe_short(config: RunConfig, state: State) -> list[str]:
    """A line where a limit left a run much fewer steps than its rows ask for, with about the time for all of them."""
    planned = planned_steps({choice.name: choice.value for choice in config.derived}, state)
    spent = {name: meter["spent"] / meter["limit"] for name, meter in state.budget.items()}
    if not spent or state.stopped_early or not is_short(state, planned):
        return []
    name = max(spent, key=spent.__getitem__)
    enough = f"{math.ceil(time_for(state, name, planned) / 60)}m"
    return [f"{of_planned('the run', state, planned)}; give about {flag(name)} {enough}"]


def planned_steps(options: Mapping[str, Any], state: State) -> int:
    """The steps that options by flat name plan, or their epochs; 0 if they plan none."""
    return options.get("max_steps") or round((options.get("num_train_epochs") or 0) * state.steps_per_epoch)


def is_short(state: State, planned: int) -> bool:
    """Whether a run had much fewer steps than planned."""
    return 0 < state.global_step * FEW_STEPS < planned


def of_planned(what: str, state: State, planned: int) -> str:
    """How many steps a run had of those that the defaults plan."""
    return f"{what} had {state.global_step:,} of the {planned:,} steps that the defaults plan for these rows"


def time_for(state: State, name: str, planned: int) -> float:
    """Seconds of a limit in which a run like a finished one has all planned steps."""
    meter = state.budget[name]
    return meter["start"] + (meter["spent"] - meter["start"]) * planned / state.global_step
