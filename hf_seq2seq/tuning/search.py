"""A search: trials within a budget, then the best one to its end, then its scores on the test rows, once."""

import math
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder, remove
from hf_seq2seq.saved.run_settings import RUN_FILE
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.tuning.averaged import averaged
from hf_seq2seq.tuning.chosen import Chosen
from hf_seq2seq.tuning.final import close, longer_run, tuned
from hf_seq2seq.tuning.following import Ending, Goal, Progress, follow, start_run
from hf_seq2seq.tuning.leaderboard import TABLE, Entry, table, write_leaderboard
from hf_seq2seq.tuning.request import FOLDER, SearchRequest, tell
from hf_seq2seq.tuning.spaces import Family, describe_settings
from hf_seq2seq.tuning.study import COMPLETE, FAILED, RUNNING, STOPPED, Study, TrialRecord
from hf_seq2seq.tuning.train_server import TrainServer

TRIALS = "trials"
KEPT = 3
"""Trials whose checkpoints are kept: the best ones."""
FAILURES = 3
"""The search ends where so many trials fail before any has a score."""


def search(request: SearchRequest) -> dict[str, Any]:
    """Runs the search, or resumes the one in the folder; returns what is known of the final system.

    Raises:
        InputError: the budget is too small for one evaluation, every trial failed, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the same command resumes.
    """
    folder = request.output_dir / FOLDER
    with locked_folder(folder), closing(TrainServer()) as server:
        running = _Search(request, folder, server)
        try:
            return running.run()
        except KeyboardInterrupt:
            tell(f"stopped; the same command resumes the search in {folder}")
            raise
        finally:
            running.note_time()


class _Search:
    """One search in progress."""

    def __init__(self, request: SearchRequest, folder: Path, server: TrainServer) -> None:
        self.request, self.folder, self.server = request, folder, server
        self.study = Study(folder, request.families, request.goal.greater, request.seed, request.most)
        self.families = {family.recipe: family for family in request.families}
        self.study.check_same(request.fingerprint())
        self.used_before = self.study.seconds
        self.trial_seconds: float | None = self.study.noted("trial_seconds")
        if self.trial_seconds is None and request.budget is not None:
            self.trial_seconds = request.budget.trial
            self.study.note("trial_seconds", self.trial_seconds)
        self.started = time.monotonic()

    @property
    def used(self) -> float:
        """Seconds since the search began, without the time in which it did not run."""
        return self.used_before + time.monotonic() - self.started

    def note_time(self) -> None:
        """Keeps the time that was used for a later start."""
        self.study.note_seconds(self.used)

    def run(self) -> dict[str, Any]:
        """Trials, final run, decoding settings, test scores."""
        self._try_all()
        self.note_time()
        chosen = self._chosen()
        chosen = averaged(chosen, self.request)
        chosen = tuned(chosen, self.request, self._left())
        found = close(chosen, self.request, self.server)
        write_leaderboard(self.folder, self._entries(), self.request.goal, found)
        tell(*_board(self._entries(), self.request.goal), f"leaderboard  {self.folder / TABLE}")
        return found

    def _left(self) -> float:
        return math.inf if self.request.budget is None else max(0.0, self.request.budget.total - self.used) / 2

    def _try_all(self) -> None:
        budget = self.request.budget
        while budget is None or self.used < budget.search or not self.study.records():
            trial = self.study.next_trial()
            if trial is None:
                break
            record = self._try(trial)
            tell(_line(record, self.request.goal))
            self.note_time()
            write_leaderboard(self.folder, self._entries(), self.request.goal, {})
            self._check(record)
            self._clear()

    def _try(self, trial: Any) -> TrialRecord:
        """Runs one trial to its end, or until it is stopped."""
        record = self.study.record(trial)
        folder = self.folder / TRIALS / record.folder
        values = self.trial_values(record)
        _write_flags(folder, record.recipe, values)
        start_run(self.server, record.recipe, values, folder)

        def is_worth(progress: Progress) -> bool:
            assert progress.value is not None
            return not self.study.report(trial, progress.share, progress.value)

        ending = follow(self.server, folder, self.request.goal, self._seconds_for_trial(), is_worth)
        state = _state(ending)
        self.study.tell(
            trial,
            state,
            ending.reason or ending.stopped or ("no score is a number" if state == FAILED else ""),
            value=ending.progress.value if state != FAILED else None,
            seconds=record.seconds + ending.seconds,
            share=ending.progress.share,
        )
        return self.study.record(trial)

    def _clear(self) -> None:
        """Removes the checkpoints of trials that are neither running nor among the best, which fill a disk."""
        kept = {record.folder for record in self.study.ranked()[:KEPT]}
        for record in self.study.records():
            if record.state != RUNNING and record.folder not in kept:
                for checkpoint in list_checkpoints(self.folder / TRIALS / record.folder):
                    remove(checkpoint)

    def trial_values(self, record: TrialRecord) -> dict[str, Any]:
        """The flags of a trial."""
        family = self.families[record.recipe]
        own = {name: value for name, value in self.request.of_trials().items() if name in family.base}
        planned = self.trial_seconds is not None and can_plan(family)
        timed = {"max_time": f"{self.trial_seconds:.0f}s"} if planned else {}
        return own | family.given | timed | {"save_total_limit": 1} | record.settings

    def _seconds_for_trial(self) -> float:
        """After which a trial is stopped in any case: a little more than the search has left."""
        budget = self.request.budget
        return math.inf if budget is None else max(budget.search - self.used, self.trial_seconds or 0.0) * 1.1

    def _check(self, record: TrialRecord) -> None:
        """Ends a search that can give nothing.

        Raises:
            InputError: says why.
        """
        budget, records = self.request.budget, self.study.records()
        if any(each.value is not None for each in records):
            return
        if budget is not None and record.state == STOPPED:
            raise InputError(
                f"--max-time: {budget.total:.0f} seconds are too few for one evaluation: a trial had "
                f"{record.seconds:.0f} of them; give more time, or a smaller model"
            )
        if len(records) >= FAILURES or record.reason.startswith("--max-time"):
            raise InputError(f"every trial failed, the last one by: {record.reason}\nsee {self.folder / TRIALS}")

    def _chosen(self) -> Chosen:
        """The best trial, or a longer run with its settings, where there is time for one and it is better.

        Raises:
            InputError: no trial has a score.
        """
        ranked = self.study.ranked()
        if not ranked:
            failed = self.study.records()
            raise InputError(f"no trial has a score: {failed[-1].reason if failed else 'there was none'}")
        best = ranked[0]
        family = self.families[best.recipe]
        folder = self.folder / TRIALS / best.folder
        values = family.given | best.settings
        tell(f"best trial  {best.folder}: {describe_settings(best.settings)}")
        chosen = Chosen(best.recipe, folder, values, family.base, best.value or 0.0)
        seconds = None if self.request.budget is None else self.request.budget.for_longer_run(self.used)
        return longer_run(chosen, self.request, self.server, self.folder / "final", seconds)

    def _entries(self) -> list[Entry]:
        return [*(Entry.of(record) for record in self.study.records()), *self.request.baselines]


def can_plan(family: Family) -> bool:
    """Whether a family's recipe can lay out a run for a given time."""
    return "max_time" in family.base


def _state(ending: Ending) -> str:
    if ending.stopped:
        return STOPPED
    value = ending.progress.value
    return COMPLETE if ending.code == 0 and value is not None and math.isfinite(value) else FAILED


def _write_flags(folder: Path, recipe: str, values: Mapping[str, Any]) -> None:
    """Leaves the flags of a trial in its folder, which a run that ends replaces by all its options."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / RUN_FILE).exists():
        with open_draft(folder / RUN_FILE) as file:
            yaml.safe_dump({"recipe": recipe} | dict(values), file, sort_keys=False, allow_unicode=True)


def _line(record: TrialRecord, goal: Goal) -> str:
    score = "no score" if record.value is None else f"{goal.metric} {record.value:.4g}"
    ended = {COMPLETE: "complete", STOPPED: f"stopped at {record.share:.0%}", FAILED: f"failed: {record.reason}"}
    settings = describe_settings(record.settings)
    return f"{record.folder}  {score}  {record.seconds:.0f} s  {ended.get(record.state, record.state)}  {settings}"


def _board(entries: list[Entry], goal: Goal) -> list[str]:
    return ["", *table(entries, goal), ""]
