"""The time of a search in progress: what it has used, what is left, and for what."""

import math
from pathlib import Path

from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning.budget import DRAWING, SPARE, Budget, closing_seconds
from hf_seq2seq.tuning.request import SearchRequest
from hf_seq2seq.tuning.study import Study
from hf_seq2seq.tuning.train_server import TrainServer


class Spending:
    """Measures a search by its budget, over all its starts; without a budget nothing is limited.

    Args:
        request: has the budget, and when the search began.
        study: keeps the measurements.
        server: knows the CPU time of the runs.

    Attributes:
        used_before: seconds of earlier starts.
        trial: seconds of a trial that is never stopped; None without a budget.
    """

    def __init__(self, request: SearchRequest, study: Study, server: TrainServer) -> None:
        self._request, self._study, self._server = request, study, server
        self.used_before = study.seconds
        if study.noted("start") is None:
            study.note("start", self.used)
        self.trial: float | None = study.noted("trial_seconds")
        if self.trial is None and request.budget is not None:
            self.give_trials(request.budget.trial(self.used))

    @property
    def used(self) -> float:
        """Seconds since the search was called, without the time in which it did not run; of CPUs, if they are limited.

        The CPU time of a run counts when it has ended.
        """
        budget = self._request.budget or Budget(math.inf)
        runs = self._server.cpu_seconds if budget.is_cpu else 0.0
        return self.used_before + budget.since(self._request.began) + runs

    def note(self) -> None:
        """Keeps the time that was used for a later start."""
        self._study.note_seconds(self.used)

    def give_trials(self, seconds: float) -> None:
        """Sets the time of a trial."""
        self.trial = seconds
        self._study.note("trial_seconds", seconds)

    def measure_end(self, folder: Path, took: float) -> None:
        """Notes what a run needs beside its steps, by a trial that `took` so long of the budget's time."""
        self._study.note(f"took {folder.name}", took)
        budget, checkpoints = self._request.budget, list_checkpoints(folder)
        meter = State.load(checkpoints[-1]).budget.get(budget.name) if budget and checkpoints else None
        if meter:
            seconds = closing_seconds(meter, took, self._request.test_share)
            self._study.note("closing", max(seconds, self._study.noted("closing") or 0.0))

    @property
    def closing(self) -> float:
        """Seconds for the final scores and the leaderboard, by what the trials took for theirs."""
        return SPARE * (self._study.noted("closing") or 0.0) + DRAWING * self._study.noted("start")

    def left(self) -> float:
        """Seconds for averages and decoding settings, each of which takes about as long as the final scores."""
        budget = self._request.budget
        return math.inf if budget is None else budget.total - self.used - 2 * self.closing

    def has_time(self) -> bool:
        """Whether one more trial may begin; the first one always does."""
        budget = self._request.budget
        if budget is None or not self._study.records():
            return True
        used = self.used
        return used < budget.search and used + (self.trial or 0.0) + self.closing < budget.total

    def for_trial(self) -> float:
        """After which a trial is stopped in any case: a little more than the search has left."""
        budget = self._request.budget
        if budget is None or budget.is_cpu:  # the clock does not tell CPU time, which the run itself keeps to
            return math.inf
        return max(budget.search - self.used, self.trial or 0.0) * 1.1

    def for_runs(self) -> float:
        """Seconds for further runs of the best settings."""
        budget = self._request.budget
        return 0.0 if budget is None else budget.for_runs(self.used, self.closing)
