"""Watches a metric that is not trained for, and stops a run that gains its reward at the expense of it."""

from collections.abc import Iterable

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.objectives.objective import Guard
from hf_seq2seq.training.state import State


class Guarding:
    """Compares a metric with its value before the first step.

    Args:
        guard: what the objective wants watched; None if nothing.
        metrics: the names of the metrics that evaluations compute; empty without validation rows.

    Raises:
        InputError: the metric was asked for, and evaluations do not compute it.
    """

    def __init__(self, guard: Guard | None, metrics: Iterable[str]) -> None:
        known = tuple(metrics)
        if guard is not None and guard.metric not in known and guard.given:
            wanted = f"--metrics {','.join((*known, guard.metric))}" if known else "--validation-file"
            raise InputError(f"--loss-args guard={guard.metric}: no evaluation computes it; needs {wanted}")
        self._guard = guard if guard is not None and guard.metric in known else None
        if self._guard is not None:
            (metric,) = check_metrics((self._guard.metric,), TEXT_METRICS).values()
            self._key, self._sign = f"eval_{metric.keys[0]}", 1 if metric.greater_is_better else -1

    def __bool__(self) -> bool:
        """Whether anything is watched, so that the run needs an evaluation before its first step."""
        return self._guard is not None

    def refusal(self, state: State, results: dict[str, float]) -> str:
        """How the metric of an evaluation is worse than at the start; empty if it is not."""
        start = state.guard_start
        if self._guard is None or start is None or self._key not in results:
            return ""
        if self._sign * (results[self._key] - start) >= -self._guard.tolerance:
            return ""
        name = self._key.removeprefix("eval_")
        return f"{name}, which must not fall, was {results[self._key]:.4g} then and {start:.4g} at the start"

    def falls(self, state: State, results: dict[str, float]) -> bool:
        """Records an evaluation in the state; returns whether the metric is worse than at the start."""
        if self._guard is None:
            return False
        value = results[self._key]
        if state.guard_start is None:
            state.guard_start = value
        is_worse = bool(self.refusal(state, results))
        state.evaluations_below_guard = state.evaluations_below_guard + 1 if is_worse else 0
        if state.evaluations_below_guard >= self._guard.patience:
            name, patience = self._key.removeprefix("eval_"), self._guard.patience
            times = "in this evaluation" if patience == 1 else f"in {patience} evaluations in a row"
            state.stopped_early = True
            state.stop_reason = (
                f"{name} on the validation rows, which is not trained for, was worse {times} ({value:.4g}) than at the "
                f"start ({state.guard_start:.4g})"
            )
        return is_worse
