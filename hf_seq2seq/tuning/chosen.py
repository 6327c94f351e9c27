"""The run of a search that becomes its final model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.state import State


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
