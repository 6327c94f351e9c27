"""When to evaluate and save, which checkpoint is best, and when to stop early."""

from hf_seq2seq.configs import Schedule
from hf_seq2seq.data.evaluation_sets import name_of, sets_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import best_metric
from hf_seq2seq.metrics.metric import perfect_score
from hf_seq2seq.sections import MANY
from hf_seq2seq.task import Task
from hf_seq2seq.training.guarding import Guarding
from hf_seq2seq.training.state import State

PATIENCE_AT_BEST = 2
"""Evaluations that a run may go on for, to lower its loss, once the score that selects cannot get better."""

SEEN = 0.05
"""Points by which a final score visibly differs from the best checkpoint's, so that it is told why."""
NOTABLE = 1.0
"""Points by which it is notably worse; less may be chance."""


class Selection:
    """Applies a schedule to a task.

    Args:
        schedule: intervals, the selection metric, patience.
        task: its metrics and splits.
        steps_per_epoch: the default interval of evaluation.

    Raises:
        InputError: the selection metric or one that must not fall is not computed, or there are no validation rows.

    Attributes:
        guarding: the metric that must not fall.
    """

    def __init__(self, schedule: Schedule, task: Task, steps_per_epoch: int) -> None:
        sets = {name_of(split): task.metrics_of(split) for split in sets_of(task.splits, "validation")}
        self._has_validation = bool(sets)
        self._is_given = schedule.eval_steps is not None
        self._every = schedule.eval_steps or steps_per_epoch
        self._save_steps = schedule.save_steps
        self._eval_beams = schedule.eval_beams
        self._patience = schedule.early_stopping_patience
        self._metric = schedule.metric_for_best_model.removeprefix("eval_")
        measured = dict.fromkeys(metric for own in sets.values() for metric in own) or task.metrics
        self._greater = best_metric(self._metric, measured, {name: own for name, own in sets.items() if name})
        shared = [metric for metric in measured if all(metric in own for own in sets.values())] if sets else []
        self.guarding = Guarding(task.objective.guard, shared)
        if not self._has_validation and (self._patience or self._metric != "loss"):
            flag = "--early-stopping-patience" if self._patience else "--metric-for-best-model"
            raise InputError(f"{flag} needs validation rows: --validation-file or --validation-split-percentage")

    def evaluates(self, state: State) -> bool:
        """Whether the run is to be evaluated now; not before a limit of time is planned, unless at a given interval."""
        every = self._every if state.planned or self._is_given else MANY
        return self._has_validation and (state.global_step % (state.eval_steps or every) == 0 or state.finished)

    def saves(self, state: State) -> bool:
        """Whether a checkpoint is due now."""
        every = self._every if state.planned or self._is_given else MANY
        return state.global_step % (self._save_steps or state.eval_steps or every) == 0 or state.finished

    def update(self, state: State, results: dict[str, float]) -> bool:
        """Records an evaluation in the state; returns whether it is the best so far."""
        state.log_history.append({"step": state.global_step} | results)
        value = results[f"eval_{self._metric}"]
        fallen = self.guarding.falls(state, results)
        gained = not fallen and state.improves(value, self._greater)
        improved = gained or (not fallen and self._likelier(state, value, results))
        if improved:
            state.best_metric = value
            state.best_model_checkpoint = f"checkpoint-{state.global_step}"
        learns = gained or (improved and not self._has_moved(state))
        state.evaluations_without_gain = 0 if learns else state.evaluations_without_gain + 1
        state.stopped_early |= self._is_out_of_patience(state)
        return improved

    def resume(self, state: State, again: bool, comparable: bool) -> None:
        """Judges the evaluations of a resumed run by this run's patience.

        Args:
            state: changed in place.
            again: whether they were judged by another metric.
            comparable: whether later evaluations have the same rows and beams; if not, the best is selected among
                these alone.
        """
        if again or not comparable:
            state.best_metric = state.best_model_checkpoint = None
            state.evaluations_without_gain = 0
        if again and comparable:
            history, step, state.log_history = state.log_history, state.global_step, []
            for entry in history:
                state.global_step = entry["step"]
                if f"eval_{self._metric}" in entry:
                    self.update(state, entry)
            state.log_history, state.global_step = history, step
        if not state.stop_reason:
            state.stopped_early = self._is_out_of_patience(state)

    def _is_out_of_patience(self, state: State) -> bool:
        patience = self._patience
        if patience is not None and self._is_perfect(state.best_metric):
            patience = min(patience, PATIENCE_AT_BEST)
        return patience is not None and state.evaluations_without_gain >= patience

    def outcome(self, state: State) -> str:
        """One line on the end of a run: why it ended before its last step, and which checkpoint is the best."""
        name = self._metric
        if state.best_model_checkpoint is None or state.best_metric is None:
            why = f"no evaluation gave {name}" if self._has_validation else "there are no validation rows"
            return f"{why}: the last checkpoint counts as the best"
        best = f"the best checkpoint is {state.best_model_checkpoint}, with {name} {state.best_metric:.4g}"
        if self._eval_beams is not None and name != "loss":
            best += f" by {self._eval_beams} beam{'s' * (self._eval_beams != 1)}"
        if state.best_model_checkpoint == "checkpoint-0":
            best = f"no step improved {name} ({state.best_metric:.4g}): the model is that of the start"
            best += "; another --learning-rate or more steps may help"
        best = self._refused(state) or best
        if not state.stopped_early or state.stop_reason:
            return best
        if self._is_perfect(state.best_metric):
            return f"stopped early at step {state.global_step}: {name} cannot improve any more; {best}"
        tried = f"{state.evaluations_without_gain} evaluation{'s' * (state.evaluations_without_gain != 1)}"
        return f"stopped early at step {state.global_step}: {name} did not improve in {tried}; {best}"

    def _refused(self, state: State) -> str:
        """A line on the evaluation with the best score, if it does not count because another metric fell."""
        key, sign = f"eval_{self._metric}", 1 if self._greater else -1
        entries = [entry for entry in state.log_history if self.guarding.refusal(state, entry) and key in entry]
        first = max(entries, key=lambda entry: sign * entry[key], default=None)
        if first is None or state.best_metric is None or sign * (first[key] - state.best_metric) <= 0:
            return ""
        return (
            f"{self._metric} was {first[key]:.4g} at step {first['step']}, but {self.guarding.refusal(state, first)}: "
            f"the best checkpoint is {state.best_model_checkpoint}, with {state.best_metric:.4g}"
        )

    def beside_best(self, state: State, results: dict[str, float], beams: int) -> list[str]:
        """A line if the final score differs from the best checkpoint's, which other beams than these had given."""
        best, value, name = state.best_metric, results.get(f"eval_{self._metric}"), self._metric
        if name == "loss" or best is None or value is None or self._eval_beams in (None, beams):
            return []
        if abs(best - value) < SEEN:
            return []
        worse = (best - value if self._greater else value - best) >= NOTABLE
        return [
            f"{name} of the validation rows: {value:.4g} with --num-beams {beams}, {best:.4g} with --eval-beams "
            f"{self._eval_beams}, by which {state.best_model_checkpoint} was selected"
            + (f"; try generate --num-beams {self._eval_beams}" if worse else "")
        ]

    def _likelier(self, state: State, value: float, results: dict[str, float]) -> bool:
        """Whether an evaluation ties with the best so far and has a lower loss: a metric can be 0 for long."""
        if value != state.best_metric or self._metric == "loss" or "eval_loss" not in results:
            return False
        best = [entry for entry in state.log_history if f"checkpoint-{entry['step']}" == state.best_model_checkpoint]
        return bool(best) and results["eval_loss"] < best[-1].get("eval_loss", float("-inf"))

    def _is_perfect(self, value: float | None) -> bool:
        """Whether a score is the best possible one."""
        best = perfect_score(self._metric, self._greater)
        return self._metric != "loss" and value is not None and abs(value - best) < 1e-9

    def _has_moved(self, state: State) -> bool:
        """Whether the metric was ever another one: the loss alone shows that a model learns until then."""
        values = {entry[name] for entry in state.log_history if (name := f"eval_{self._metric}") in entry}
        return len(values) > 1
