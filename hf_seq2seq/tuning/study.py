"""The study: Optuna's sampler, pruner and journal, and what is known of every trial.

Trials are drawn by the tree-structured Parzen estimator and stopped by asynchronous successive halving: a trial goes
on from one rung to the next in the same run, its learning rate on the same schedule, so that nothing is trained twice.

Papers: Bergstra et al., 2011, https://papers.nips.cc/paper/4443; Li et al., 2020, https://arxiv.org/abs/1810.05934
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import remove
from hf_seq2seq.tuning.earlier import as_json, check_same
from hf_seq2seq.tuning.spaces import Family, prefixes, size_of

JOURNAL = "journal.log"
RUNGS = 9
"""Parts of a trial: it is compared with the others after 1, 3 and 9 of them."""
REDUCTION = 3
"""One of this many trials at a rung continues."""
PATIENCE = 3
"""The defaults of a family run for at least this many parts, as some families learn late."""
HOPELESS = 2
"""A family is not tried further if its defaults have this many times the error of another's, or its score is to theirs
as one to this; both after as many parts."""
STARTS = 3
"""How often a trial that ended without a word is started again."""
REPEATS = 30
"""How many trials in a row may be like earlier ones before the search ends: the space is exhausted."""
COMPLETE, STOPPED, FAILED, RUNNING = "complete", "stopped", "failed", "running"
SKIPPED = "skipped"
"""Of a trial for which too little time was left."""


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial.

    Attributes:
        number: from 0.
        recipe: that trained it.
        settings: its flags besides those of all trials.
        state: "complete", "stopped" at a rung, "failed", "skipped" for lack of time, or "running", also of one that a
            killed or interrupted search left.
        value: the best score on the validation rows; None where there is none.
        seconds: that it took.
        share: of its steps that were done, 0-1.
        folder: its name below that of the trials.
        reason: why it stopped or failed.
        loss: the best on the validation rows, which decides between equal scores; None where it is unknown.
        needed: seconds that it needs, where too few were left for it.
    """

    number: int
    recipe: str
    settings: dict[str, Any]
    state: str
    value: float | None
    seconds: float
    share: float
    folder: str
    reason: str
    loss: float | None = None
    needed: float | None = None


def load_optuna() -> Any:
    """Imports Optuna.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError("a search over settings needs Optuna: pip install 'hf-seq2seq[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


class Study:
    """Trials in a folder's journal; a search begun by another process is resumed.

    Args:
        folder: holds the journal.
        families: what is tried.
        greater: whether a greater score is better.
        seed: of the sampler.
        most: trials at most.
    """

    def __init__(self, folder: Path, families: Sequence[Family], greater: bool, seed: int, most: int) -> None:
        self._optuna = load_optuna()
        self._families = {family.recipe: family for family in families}
        self._prefixes = prefixes(families)
        self.greater = greater
        self._most = most
        _mend(folder / JOURNAL)
        journal = self._optuna.storages.journal
        storage = self._optuna.storages.JournalStorage(journal.JournalFileBackend(str(folder / JOURNAL)))
        self._study = self._optuna.create_study(
            storage=storage,
            study_name="search",
            direction="maximize" if greater else "minimize",
            pruner=self._optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION),
            load_if_exists=True,
        )
        # A resumed sampler must not repeat its first draws.
        drawn = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = self._optuna.samplers.TPESampler(
            multivariate=True, group=True, n_startup_trials=5, seed=seed + drawn
        )
        if not drawn:
            self._enqueue()

    def _enqueue(self) -> None:
        """Puts the defaults of every family first; of a small space of choices every one."""
        grids = [family.grid(self._prefixes[family.recipe], self._most) for family in self._families.values()]
        self.is_grid = len(grids) == 1 and bool(grids[0])
        if self.is_grid:
            for parameters in grids[0]:
                self._study.enqueue_trial(parameters)
            self._study.set_user_attr("trials", len(grids[0]))
            return
        for recipe, family in self._families.items():
            named = {"recipe": recipe} if len(self._families) > 1 else {}
            self._study.enqueue_trial(named | family.first(self._prefixes[recipe]))

    @property
    def seconds(self) -> float:
        """Seconds that the search has taken, over all its starts."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def note_seconds(self, seconds: float) -> None:
        """Notes them."""
        self._study.set_user_attr("seconds", seconds)

    def note_trial_seconds(self, trial: Any, seconds: float) -> None:
        """Keeps how long a trial in progress has taken yet."""
        trial.set_user_attr("seconds", seconds)

    def note(self, name: str, value: Any) -> None:
        """Keeps a value with the study, as JSON."""
        self._study.set_user_attr(name, value)

    def noted(self, name: str) -> Any:
        """What `note` kept; None for nothing."""
        return self._study.user_attrs.get(name)

    def check_same(self, request: Mapping[str, Any]) -> None:
        """Rejects resuming a different search; records the request of a new one.

        Raises:
            InputError: says what it was.
        """
        before = self.noted("request")
        if before is None:
            self.note("request", as_json(request))
            return
        advice = "give the same to resume it, another --output-dir, or --overwrite-output-dir to start over"
        check_same(before, request, "a search", advice)

    def next_trial(self) -> Any:
        """The trial that is to run: one that a killed search left, or a new one; None where there is no further one."""
        states = self._optuna.trial.TrialState
        for frozen in self._study.get_trials(deepcopy=False, states=[states.RUNNING]):
            trial = self._taken_up(frozen)
            if trial.user_attrs.get("starts", 0) < STARTS and "run" in trial.user_attrs:
                return self._started(trial)
            self.tell(trial, FAILED, f"ended {STARTS} times without a word: killed, as where memory runs out")
        for _ in range(REPEATS):
            if len(self.records()) >= min(self._most, self.noted("trials") or self._most):
                return None
            trial = self._study.ask()
            if self._draw(trial):
                return self._started(trial)
            self._study.tell(trial, state=states.FAIL)
        return None

    def _draw(self, trial: Any) -> bool:
        """Draws a trial's settings; says whether they are new."""
        several = len(self._families) > 1
        recipe = trial.suggest_categorical("recipe", list(self._families)) if several else next(iter(self._families))
        if self._is_hopeless(recipe):
            return False
        settings = self._families[recipe].draw(trial, self._prefixes[recipe])
        if (size := size_of(settings)) in self._too_large(recipe):
            settings = {name: value for name, value in settings.items() if name not in size}
        if any((r.recipe, r.settings) == (recipe, settings) for r in self.records()):
            return False
        folder = f"{len(self.records()):03}-{Path(recipe).stem}"
        trial.set_user_attr("run", {"recipe": recipe, "settings": settings, "folder": folder})
        return True

    def _is_hopeless(self, recipe: str) -> bool:
        """Whether the defaults of a family were stopped, far behind those of another at the same part."""
        trials = {
            trial.user_attrs["run"]["recipe"]: trial
            for trial in self._study.get_trials(deepcopy=False)
            if trial.user_attrs.get("run", {}).get("settings") == {}
        }
        own = trials.get(recipe)
        if own is None or own.user_attrs.get("state") != STOPPED or own.last_step is None:
            return False
        value = own.intermediate_values[own.last_step]
        others = [trial.intermediate_values.get(own.last_step) for name, trial in trials.items() if name != recipe]
        known = [other for other in others if other is not None]
        return any(value * HOPELESS < other if self.greater else value > other * HOPELESS for other in known)

    def _too_large(self, recipe: str) -> list[dict[str, Any]]:
        """The sizes of models for which a trial had too little time; the defaults' stands in for them."""
        short = [record for record in self.records() if record.recipe == recipe and record.needed is not None]
        return [size for record in short if (size := size_of(record.settings))]

    def _taken_up(self, frozen: Any) -> Any:
        """A trial that can be changed, made of a record of Optuna's as it does itself."""
        return self._optuna.trial.Trial(self._study, frozen._trial_id)

    def _started(self, trial: Any) -> Any:
        trial.set_user_attr("starts", trial.user_attrs.get("starts", 0) + 1)
        return trial

    def leave(self, trial: Any) -> None:
        """Leaves a trial to the next start, which whoever interrupts it does not count against it."""
        trial.set_user_attr("starts", trial.user_attrs["starts"] - 1)

    def note_left(self, record: TrialRecord, **known: Any) -> None:
        """Keeps the score of a trial that was left in progress; `known` as in `tell`."""
        trial = self._taken_up(self._study.get_trials(deepcopy=False)[record.number])
        for name, value in known.items():
            trial.set_user_attr(name, value)

    def report(self, trial: Any, share: float, value: float) -> bool:
        """Notes the best score of a trial so far; says whether it is to stop, because others were better there.

        Args:
            trial: that is in progress.
            share: of its steps that are done.
            value: the score.
        """
        part = int(share * RUNGS + 1e-6)
        if part > (self._frozen(trial).last_step or 0):
            trial.report(value, part)
            is_behind = bool(trial.should_prune())  # which also notes the score at the rung, for the others
            is_early = part < PATIENCE and not self.record(trial).settings
            return is_behind and not is_early and share < 1
        return False

    def tell(self, trial: Any, state: str, reason: str = "", **known: Any) -> None:
        """Ends a trial; `known` is `value`, `seconds` and `share` as in `TrialRecord`."""
        for name, value in (known | {"reason": reason, "state": state}).items():
            trial.set_user_attr(name, value)
        states = self._optuna.trial.TrialState
        if state == COMPLETE:
            self._study.tell(trial, known["value"])
        else:
            # The sampler takes pruned trials without a score for the worst, and draws few like them.
            self._study.tell(trial, state=states.PRUNED)

    def records(self) -> list[TrialRecord]:
        """All trials that were started, in order."""
        found = [trial for trial in self._study.get_trials(deepcopy=False) if "run" in trial.user_attrs]
        return [_record(trial.number, trial.user_attrs) for trial in found]

    def record(self, trial: Any) -> TrialRecord:
        """What is known of one trial."""
        return _record(trial.number, trial.user_attrs)

    def _frozen(self, trial: Any) -> Any:
        return self._study.get_trials(deepcopy=False)[trial.number]

    def ranked(self) -> list[TrialRecord]:
        """The trials that have a score, best first; of equal scores the one with the lower loss."""
        scored = [record for record in self.records() if record.value is not None]
        sign = -1 if self.greater else 1
        return sorted(scored, key=lambda record: (sign * (record.value or 0.0), _or_inf(record.loss)))


def _record(number: int, known: Mapping[str, Any]) -> TrialRecord:
    return TrialRecord(
        number=number,
        **known["run"],
        state=known.get("state", RUNNING),
        value=known.get("value"),
        seconds=known.get("seconds", 0.0),
        share=known.get("share", 0.0),
        reason=known.get("reason", ""),
        loss=known.get("loss"),
        needed=known.get("needed"),
    )


def _or_inf(loss: float | None) -> float:
    return math.inf if loss is None else loss


def _mend(journal: Path) -> None:
    """Takes a line that a killed process left half-written, and its lock, from a journal."""
    remove(journal.with_name(f"{journal.name}.lock"))
    if not journal.exists():
        return
    text = journal.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        with journal.open("r+b") as file:
            file.truncate(len(whole))
    for line in whole.splitlines():
        try:
            json.loads(line)
        except ValueError:
            raise InputError(f"{journal}: is not a search's journal; give another --output-dir") from None
