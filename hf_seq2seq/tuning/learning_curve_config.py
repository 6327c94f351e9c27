"""The flags of `learning-curve` besides its recipe's; importing this imports no torch."""

from dataclasses import dataclass, field

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option


@dataclass(frozen=True, kw_only=True)
class LearningCurve(Section):
    """Learning curve: sizes, and what is predicted."""

    sizes: int = option(5, "Numbers of rows to train on, each half of the next: 5 are 1/16, 1/8, 1/4, 1/2, 1/1.",
                        at_least=4, at_most=20)  # fmt: skip
    gain: float | None = option(None, "Improvement to ask more rows for; by default 2, or 5 % of a score below 10.")
    curve_confidence: float = option(95.0, "Level of intervals, in percent.", at_least=1)

    def __post_init__(self) -> None:
        """Rejects an improvement that is none, and a confidence of 100 percent."""
        super().__post_init__()
        if self.gain is not None and self.gain <= 0:
            raise InputError(f"--gain: {self.gain:g} is no improvement; give a positive number, also for errors")
        if self.curve_confidence >= 100:
            raise InputError(f"--curve-confidence: {self.curve_confidence:g} must be below 100; it is a percentage")


@dataclass(frozen=True, kw_only=True)
class LearningCurveConfig:
    """The flags of `learning-curve` besides its recipe's."""

    curve: LearningCurve = field(default_factory=LearningCurve)
