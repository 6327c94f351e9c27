"""The run of a search that becomes its final model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning.study import COMPLETE, TrialRecord

SHARES = ("accuracy", "exact_match", "word_error_rate")
"""Scores that are a percentage of the rows."""


@dataclass(frozen=True)
class Chosen:
    """The run that becomes the final model.

    Attributes:
        recipe: that trained it.
        folder: of the run.
        values: its flags besides those of all trials.
        base: every option of its family without them.
        score: on the validation rows.
        decoding: settings that were chosen after training.
        held: flags that keep everything else as in the base; see `Family.held`.
    """

    recipe: str
    folder: Path
    values: dict[str, Any]
    base: dict[str, Any]
    score: float
    decoding: dict[str, Any] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)

    @property
    def flags(self) -> dict[str, Any]:
        """The flags of a further run of the same settings, besides those of all trials."""
        return self.held | self.values


def preferred(ranked: Sequence[TrialRecord], metric: str, rows: int) -> TrialRecord:
    """The best trial, or a family's defaults that are within one standard error of it.

    Of many settings the best one is so in part by chance, and the more the fewer rows there are, while the defaults
    have been measured on other rows. Source: the one-standard-error rule of Breiman et al., 1984, section 3.4.3.

    Args:
        ranked: trials with scores, best first.
        metric: the score; only of shares of rows, in percent, the standard error is known without the outputs.
        rows: of validation.
    """
    best = ranked[0]
    if metric not in SHARES or not rows:
        return best
    share = (best.value or 0.0) / 100
    error = 100 * math.sqrt(share * (1 - share) / rows)
    near = (each for each in ranked if abs((each.value or 0.0) - (best.value or 0.0)) <= error)
    return next((each for each in near if not each.settings and each.state == COMPLETE), best)


def best_checkpoint(folder: Path) -> Path:
    """The checkpoint of a run that its final model is, or the newest.

    Raises:
        InputError: there is none.
    """
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        raise InputError(f"{folder}: holds no checkpoint")
    best = State.load(checkpoints[-1]).best_model_checkpoint
    return folder / best if best and (folder / best).is_dir() else checkpoints[-1]
