"""What a search is asked for, and how it speaks."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_seq2seq.clocks import clocks
from hf_seq2seq.data.evaluation_sets import kind_of
from hf_seq2seq.folders import remove
from hf_seq2seq.tuning.budget import Budget
from hf_seq2seq.tuning.decoding_settings import Validation
from hf_seq2seq.tuning.domains import Domain
from hf_seq2seq.tuning.earlier import ROWS
from hf_seq2seq.tuning.following import Goal
from hf_seq2seq.tuning.leaderboard import Entry
from hf_seq2seq.tuning.spaces import Family
from hf_seq2seq.tuning.study import JOURNAL, RUNNING, Study

FOLDER, TRIALS = "search", "trials"
NOT_IN_TRIALS = (
    "test_file", "push_to_hub", "max_time", "max_cpu_time", "resume_from_checkpoint", "overwrite_output_dir",
    "output_dir",
)  # fmt: skip
"""Flags that are the final run's alone: test rows are looked at once, when all is chosen."""


@dataclass(frozen=True)
class SearchRequest:
    """What is searched.

    Attributes:
        families: what is tried.
        values: flags that all runs have.
        output_dir: of the final model; trials and leaderboard are in its folder `search`.
        goal: what trials are compared by.
        validation: the validation rows, of pairs; None for labels, and where the goal is a loss.
        decoding: settings of decoding to try on them.
        budget: of time; None for none.
        most: trials at most.
        ensemble: models of an ensemble beside the single best; fewer than two for none.
        seed: of the sampler.
        overwrite: whether an earlier search in the folder is removed.
        call: the command that repeats it.
        baselines: trains systems that need no search, and returns their entries.
        test_share: number of test rows by that of validation rows.
        began: what `clocks` returned when the search was called.
        rows: the number of rows of every split and a digest of them.
        prefers_defaults: whether defaults are taken that are within one standard error of the best trial.
    """

    families: tuple[Family, ...]
    values: dict[str, Any]
    output_dir: Path
    goal: Goal
    validation: Validation | None = None
    decoding: dict[str, Domain] = field(default_factory=dict)
    budget: Budget | None = None
    most: int = 20
    ensemble: int = 0
    seed: int = 42
    overwrite: bool = False
    call: str = ""
    baselines: Callable[[], tuple[Entry, ...]] = tuple[Entry, ...]
    test_share: float = 0.0
    began: tuple[float, float] = field(default_factory=clocks)
    rows: Mapping[str, Any] = field(default_factory=dict)
    prefers_defaults: bool = False

    @property
    def rows_to_choose_by(self) -> int:
        """The number of validation rows."""
        return sum(found[0] for split, found in self.rows.items() if kind_of(split) == "validation")

    def study(self, folder: Path) -> Study:
        """The study in a folder; a new one in place of one that ended without any score, of which nothing is kept."""
        asked = (self.families, self.goal.greater, self.seed, self.most)
        study = Study(folder, *asked)
        records = study.records()
        if not records or study.ranked() or any(record.state == RUNNING for record in records):
            return study
        tell(f"{folder}: the search there ended without a score; starting over")
        for name in (JOURNAL, TRIALS):
            remove(folder / name)
        return Study(folder, *asked)

    def fingerprint(self) -> dict[str, Any]:
        """What makes it another search when it changes; a longer time or more trials do not."""
        spaces = {
            f"{name} of {family.recipe}": str(domain)
            for family in self.families
            for name, domain in sorted(family.space.items())
        }
        recipes = {"recipes": ",".join(family.recipe for family in self.families)}
        return self.of_trials() | recipes | spaces | {ROWS: self.rows}

    def of_trials(self) -> dict[str, Any]:
        """The flags of a trial, as far as they are those of all."""
        return {name: value for name, value in self.values.items() if name not in NOT_IN_TRIALS}

    def of_family(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Those of them that a family has, by its options."""
        return {name: value for name, value in self.of_trials().items() if name in base}


def tell(*lines: str) -> None:
    """Says lines on standard error; a terminal that is gone ends nothing."""
    try:
        print(*lines, sep="\n", file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the process's life
