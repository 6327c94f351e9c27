"""Whether a run's loss was still falling when its training ended."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from hf_seq2seq.training.state import LOG_FILE, read_log

LATE = 0.75
"""The share of the steps after which a loss should hardly fall."""
VALIDATED, TRAINED = 0.03, 0.05
"""How much of the validation loss, and of the noisier training loss, must have gone since to be told."""
FEWEST = 8  # lines of training loss


def still_falling(place: Path) -> str | None:
    """How the loss fell at the end, as the log of a run or of a checkpoint's run has it; None if it did not.

    Args:
        place: the folder of the model.
    """
    file = next((each / LOG_FILE for each in (place, place.parent) if (each / LOG_FILE).is_file()), None)
    lines = read_log(file) if file else []
    validated, trained = (_values(lines, name) for name in ("eval_loss", "loss"))
    if len(validated) > 1:
        return _fallen("validation loss", validated, VALIDATED, single=True)
    return _fallen("training loss", trained, TRAINED) if len(trained) >= FEWEST else None


def _fallen(name: str, losses: Sequence[tuple[int, float]], share: float, single: bool = False) -> str | None:
    """What is told of losses by step: single values are compared, or else the means of the last two quarters."""
    border, last = LATE * losses[-1][0], losses[-1][1]
    if single:
        before = ([loss for step, loss in losses if step <= border] or [losses[0][1]])[-1]
        if last > min(loss for _, loss in losses):
            return None
    else:
        quarter = len(losses) // 4
        before, last = (
            fmean(loss for _, loss in part) for part in (losses[-2 * quarter : -quarter], losses[-quarter:])
        )
    if before - last <= share * abs(before):
        return None
    return f"the {name} was still falling in the last quarter of training, from {before:.3g} to {last:.3g}"


def _values(lines: Sequence[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(line["step"], line[name]) for line in lines if isinstance(line.get(name), float) and "step" in line]
