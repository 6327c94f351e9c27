"""A search: trials within a budget, then the best one to its end, then its scores on the test rows, once."""

import dataclasses
import errno
import math
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import empty, locked_folder, remove
from hf_seq2seq.sections import flag
from hf_seq2seq.time_limits import duration
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.tuning.averaged import OF_MEAN, averaged
from hf_seq2seq.tuning.budget import LONGER, Budget, TooLittleTimeError, needed_seconds
from hf_seq2seq.tuning.chosen import Chosen, preferred
from hf_seq2seq.tuning.ensembles import ensembled
from hf_seq2seq.tuning.final import close, longer_run, remarks_on_beams, tell_better, tell_short, tuned
from hf_seq2seq.tuning.following import Ending, Progress, every, follow, progress_of, start_run, write_flags
from hf_seq2seq.tuning.leaderboard import DATA, TABLE, UNSCORED, Entry, line_of, table, write_leaderboard
from hf_seq2seq.tuning.members import Member, other_seeds
from hf_seq2seq.tuning.request import FOLDER, TRIALS, SearchRequest, tell
from hf_seq2seq.tuning.spaces import describe_settings
from hf_seq2seq.tuning.spending import Spending
from hf_seq2seq.tuning.study import COMPLETE, FAILED, JOURNAL, RUNNING, SKIPPED, STOPPED, TrialRecord
from hf_seq2seq.tuning.train_server import TrainServer

KEPT = 3
"""Trials whose checkpoints are kept: the best ones; twice as many as an ensemble has, of which some may not fit."""
NOTED = 5
"""Seconds after which the time is noted again while a run is in progress, for a start after a kill."""
FAILURES = 3
"""The search ends where so many trials fail before any has a score."""


def search(request: SearchRequest) -> dict[str, Any]:
    """Runs the search, or resumes the one in the folder; returns what is known of the final system.

    Raises:
        InputError: the budget is too small for one evaluation, every trial failed, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the same command resumes.
        SystemExit: SIGTERM or SIGHUP, likewise.
    """
    folder = request.output_dir / FOLDER
    with locked_folder(folder), closing(TrainServer()) as server:
        if request.overwrite:
            empty(folder)
        running = _Search(request, folder, server)
        try:
            return running.run()
        except TooLittleTimeError:
            for name in (JOURNAL, TRIALS, TABLE, DATA):
                remove(folder / name)
            raise
        except (KeyboardInterrupt, SystemExit):
            tell(f"stopped; the same command resumes the search in {folder}")
            raise
        finally:
            if (folder / JOURNAL).exists():
                running.time.note()


class _Search:
    """One search in progress."""

    def __init__(self, request: SearchRequest, folder: Path, server: TrainServer) -> None:
        self.request, self.folder, self.server = request, folder, server
        self.study = request.study(folder)
        self.families = {family.recipe: family for family in request.families}
        self.study.check_same(request.fingerprint())
        self.time = Spending(request, self.study, server)
        self._longest = 0.0
        self.baselines: tuple[Entry, ...] = ()
        self.members: list[Member] = []
        server.waiting = every(NOTED, self.time.note)

    def run(self) -> dict[str, Any]:
        """Trials, final run, decoding settings, test scores."""
        if before := self.study.records():
            done = f"{len(before)} trial{'s' * (len(before) != 1)} and {duration(self.time.used)}"
            tell(f"resumed     the search in {self.folder}, of {done} so far")
        self._try_all()
        self._keep_interrupted()
        self.time.note()
        self._compare()
        chosen = self._chosen()
        if self.time.left() > 0:
            chosen = averaged(chosen, self.request)
        if self.time.left() > 0:
            chosen = tuned(chosen, self.request, self.time.left)
        elif self.request.decoding:
            tell("decoding    not tuned: no time was left")
        found = close(chosen, self.request, self.server)
        chosen = dataclasses.replace(
            chosen, score=found["scores"].get(f"eval_{self.request.goal.metric}", chosen.score)
        )
        entries = [self._final(chosen, found), *self._entries()]
        best = (self.folder / TRIALS / self._best().folder,) if self.members else ()
        if together := ensembled(chosen, self._costs(), self.request, [*best, *(m.folder for m in self.members)]):
            entries.append(together.entry)
            found |= {"ensemble": {"members": list(map(str, together.members)), "scores": together.scores}}
        remarks = remarks_on_beams(chosen)
        write_leaderboard(self.folder, entries, self.request.goal, found, remarks)
        tell("", *table(entries, self.request.goal), "", *remarks, f"leaderboard  {self.folder / TABLE}")
        fresh = any(family.given.get("from_scratch") for family in self.families.values())
        tell_better(self.baselines, chosen.score, self.request.goal, fresh)
        tell_short(chosen, self.request)
        return found

    def _final(self, chosen: Chosen, found: Mapping[str, Any]) -> Entry:
        """The entry of the model in the output folder."""
        seconds = {folder.name: took for folder, took in self._costs().items()}
        name = chosen.folder.name.removeprefix(OF_MEAN)
        common = self.families[chosen.recipe].given
        own = {name: value for name, value in found["settings"].items() if name not in common}
        settings = ({"from": chosen.folder.name} if name in seconds else {}) | own
        took, loss = seconds.get(name, self.study.noted(f"seconds of {name}") or 0.0), found["scores"].get("eval_loss")
        return Entry("final", chosen.recipe, settings, score=chosen.score, seconds=took, loss=loss)

    def _costs(self) -> dict[Path, float]:
        """The runs that an ensemble is made of, and what they took: other seeds, and trials that were not stopped."""
        members = {member.folder: member.seconds for member in self.members}
        trials = (self._best(), *self._whole())
        return members | {self.folder / TRIALS / record.folder: record.seconds for record in trials}

    def _best(self) -> TrialRecord:
        """The trial whose settings are taken."""
        ranked, request = self.study.ranked(), self.request
        if not request.prefers_defaults:
            return ranked[0]
        return preferred(ranked, request.goal.metric, request.rows_to_choose_by)

    def _whole(self) -> list[TrialRecord]:
        return [record for record in self.study.ranked() if record.state == COMPLETE]  # none that was stopped

    def _try_all(self) -> None:
        if (before := self.study.records()) and not self.time.has_time() and self.request.budget is not None:
            took = max(record.seconds for record in before)
            left = max(0.0, self.request.budget.total - self.time.used)
            tell(f"no time for a further trial: {left:.0f} s are left, and the longest one took {took:.0f} s")
        while self.time.has_time():
            trial = self.study.next_trial()
            if trial is None:
                break
            record = self._try(trial)
            if record.state == RUNNING:
                tell(f"{record.folder}  {record.reason}; restarting it")
                continue
            tell(line_of(record, self.request.goal))
            self.time.note()
            write_leaderboard(self.folder, self._entries(), self.request.goal, {})
            self._check(record)
            self._compare()
            self._clear()

        self._tell_missing()

    def _keep_interrupted(self) -> None:
        """Takes the score of a trial that has no time to go on; a later start with more time resumes it."""
        for record in self.study.records():
            if record.state == RUNNING:
                done = progress_of(self.folder / TRIALS / record.folder, self.request.goal)
                self.study.note_left(record, value=done.score, share=done.share, loss=done.loss)

    def _tell_missing(self) -> None:
        """Says which families had no time for a trial."""
        budget, records = self.request.budget, self.study.records()
        short = {record.recipe for record in records if record.needed is not None}
        tried = {record.recipe for record in records if record.needed is None}
        # With time left, the number of trials was reached.
        untried = short if self.time.has_time() else set(self.families)
        missing = [name for name in self.families if name in untried - tried]
        if budget is None or not missing:
            return
        longest = max(self._longest, *(record.seconds for record in records))
        enough = budget.for_all(self.study.noted("start"), longest, len(self.families))
        were = "was" if len(missing) == 1 else "were"
        tell(f"{' and '.join(missing)} {were} not tried: no time was left; give about {flag(budget.name)} {enough}")

    def _compare(self) -> None:
        """Trains the baselines, once, when a trial has shown that the search can give something."""
        if self.baselines or not self.study.ranked():
            return
        if self.study.noted("baselines") is None:
            self.study.note("baselines", [asdict(entry) for entry in self.request.baselines()])
        self.baselines = tuple(Entry(**entry) for entry in self.study.noted("baselines"))

    def _try(self, trial: Any) -> TrialRecord:
        """Runs one trial to its end, or until it is stopped; one that was killed from outside is still running then.

        Raises:
            InputError: the disk is full, so that no other trial would do better.
        """
        record = self.study.record(trial)
        ending = self._run(trial, record)
        if ending.code < 0 and not ending.stopped:
            return dataclasses.replace(record, reason=ending.reason)
        if os.strerror(errno.ENOSPC) in ending.reason:
            self.study.leave(trial)
            raise InputError(f"{self.folder}: {ending.reason}; free some space and run the same command again")
        budget, needed = self.request.budget, needed_seconds(ending.reason)
        if budget is not None and needed is not None:
            if self.time.used + needed > budget.search:
                self._refuse_little_time(budget, needed)
                self._longest = max(self._longest, needed)
                reason = f"too little time was left: a trial needs {duration(needed)}"
                ending = dataclasses.replace(ending, reason=reason)
            else:
                self.time.give_trials(needed)
                ending, needed = self._run(trial, record), None
        state = ending.state if needed is None else SKIPPED
        self.study.tell(
            trial,
            state,
            ending.reason or ending.stopped or ("no score is a number" if state == FAILED else ""),
            value=None if state in UNSCORED else ending.progress.score,
            seconds=record.seconds + ending.seconds,
            share=ending.progress.share,
            loss=ending.progress.loss,
            needed=needed,
        )
        return self.study.record(trial)

    def _run(self, trial: Any, record: TrialRecord) -> Ending:
        folder = self.folder / TRIALS / record.folder
        values = self.trial_values(record)
        write_flags(folder, record.recipe, values)
        start_run(self.server, record.recipe, values, folder)

        def is_worth(progress: Progress) -> bool:
            assert progress.value is not None
            return not self.study.report(trial, progress.share, progress.value)

        def note_times() -> None:
            self.time.note()
            self.study.note_trial_seconds(trial, record.seconds + self.time.used - before)

        before, usual = self.time.used, self.server.waiting
        self.server.waiting = every(NOTED, note_times)
        try:
            ending = follow(self.server, folder, self.request.goal, self.time.for_trial(), is_worth)
        except (KeyboardInterrupt, SystemExit):
            self.study.leave(trial)
            raise
        self.server.waiting, took = usual, self.time.used - before
        if ending.code == 0:
            self.time.measure_end(folder, took)
        return dataclasses.replace(ending, seconds=took)

    def _refuse_little_time(self, budget: Budget, needed: float) -> None:
        """Ends a search whose first trial has no room.

        Raises:
            InputError: says how much it needs.
        """
        if not self.study.ranked():
            raise TooLittleTimeError(str(budget.refusal(self.time.used, needed)))

    def _clear(self) -> None:
        """Removes the checkpoints of trials that are neither running nor among the best, which fill a disk."""
        ranked, whole = self.study.ranked(), self._whole()[: 2 * self.request.ensemble]
        kept = {record.folder for record in (*ranked[:KEPT], *whole, *([self._best()] if ranked else []))}
        for record in self.study.records():
            if record.state != RUNNING and record.folder not in kept:
                for checkpoint in list_checkpoints(self.folder / TRIALS / record.folder):
                    remove(checkpoint)

    def trial_values(self, record: TrialRecord) -> dict[str, Any]:
        """The flags of a trial."""
        family = self.families[record.recipe]
        budget, seconds = self.request.budget, self.time.trial
        planned = budget is not None and seconds is not None and budget.name in family.base
        timed = {budget.name: f"{max(0.1, seconds):.1f}s"} if planned and budget and seconds is not None else {}
        own = family.given | timed | {"save_total_limit": 1} | family.held(record.settings) | record.settings
        return self.request.of_family(family.base) | own

    def _check(self, record: TrialRecord) -> None:
        """Ends a search that can give nothing.

        Raises:
            InputError: says why.
        """
        budget, records = self.request.budget, self.study.records()
        if any(each.value is not None for each in records):
            return
        if budget is not None and record.state == STOPPED:
            raise TooLittleTimeError(
                f"{flag(budget.name)}: {duration(budget.total)} is too little for one evaluation: a trial had "
                f"{duration(record.seconds)} of it; give more time, or a smaller model"
            )
        if len(records) >= FAILURES:
            raise InputError(
                f"every trial failed, the last one by: {record.reason}\n"
                f"see {self.folder / TRIALS}; the next search in this folder starts over"
            )

    def _chosen(self) -> Chosen:
        """The best trial, or a longer run with its settings, where there is time for one and it is better.

        Raises:
            InputError: no trial has a score.
        """
        ranked = self.study.ranked()
        if not ranked:
            last = next(reversed(self.study.records()), None)
            why = last.reason if last else "there was none"
            if last and last.state == RUNNING:
                why = f"{last.folder} was interrupted before its first evaluation; with more time it goes on"
            raise InputError(f"no trial has a score: {why}")
        best = self._best()
        family = self.families[best.recipe]
        folder = self.folder / TRIALS / best.folder
        values = family.given | best.settings
        near = f", within one standard error of {ranked[0].folder}" if best != ranked[0] else ""
        tell(f"best trial  {best.folder}: {describe_settings(best.settings)}{near}")
        held = family.held(best.settings)
        chosen = Chosen(best.recipe, folder, values, family.base, best.value or 0.0, held=held)
        if self.request.ensemble and self.request.budget is not None:
            needed = self.study.noted(f"took {best.folder}") or self.time.trial or 0.0
            self.members = other_seeds(chosen, self.request, self.server, needed, self.time.for_runs)
        if not self.members:
            return self._longer(chosen)
        first, goal = self.members[0], self.request.goal
        if goal.better(first.score, chosen.score):
            return dataclasses.replace(chosen, folder=first.folder, score=first.score)
        return chosen

    def _longer(self, chosen: Chosen) -> Chosen:
        """The best of the trial and longer runs with its settings; one more where there is much more time now."""
        seconds, trial = self.time.for_runs(), self.time.trial or 0.0
        room = seconds if self.request.budget is not None and seconds >= LONGER * trial else None
        first = self.folder / f"final-{chosen.folder.name}"
        runs = [first, *sorted(self.folder.glob(f"{first.name}-*"))]
        given = self.study.noted(f"limit of {runs[-1].name}") or math.inf
        is_new = not progress_of(runs[-1], self.request.goal).finished
        if not is_new and seconds >= LONGER * given:
            runs.append(self.folder / f"{first.name}-{len(runs) + 1}")
            is_new = True
        if is_new and room is not None:
            self.study.note(f"limit of {runs[-1].name}", room)
        for run in runs:
            before, name = self.time.used, f"seconds of {run.name}"
            chosen = longer_run(chosen, self.request, self.server, run, room)
            if self.study.noted(name) is None and progress_of(run, self.request.goal).finished:
                self.study.note(name, self.time.used - before)
        return chosen

    def _entries(self) -> list[Entry]:
        trials = [Entry.of(record) for record in self.study.records()]
        return [*trials, *(member.entry() for member in self.members), *self.baselines]
