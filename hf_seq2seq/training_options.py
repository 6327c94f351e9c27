"""Options of training that go with any objective; importing this module does not import torch."""

from dataclasses import dataclass

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option


@dataclass(frozen=True, kw_only=True)
class Averaging(Section):
    """Averaging: weights that are means over the run."""

    ema_decay: float | None = option(
        None,
        "Evaluate and save an exponential moving average of the weights with this decay.",
        above=0,
        at_most=0.99999,
    )
    ema_start: int = option(0, "Step at which that average begins.", at_least=0)
    average_checkpoints: int | None = option(
        None, "The final model is the mean of this many checkpoints, instead of the best one.", at_least=2, at_most=1000
    )
    average_around: str = option(
        "last", "Average the last checkpoints, or the best and those around it.", choices=("last", "best")
    )

    def __post_init__(self) -> None:
        """Rejects options of an average that is not asked for."""
        super().__post_init__()
        if self.ema_start and self.ema_decay is None:
            raise InputError(
                f"--ema-start: {self.ema_start} without an average; add --ema-decay 0.999, or leave it out"
            )
        if self.average_around != "last" and self.average_checkpoints is None:
            raise InputError(f"--average-around {self.average_around}: add --average-checkpoints 5, or leave it out")
