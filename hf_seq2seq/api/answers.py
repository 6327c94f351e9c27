"""What a model answers in Python."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Generation:
    """An output.

    Attributes:
        text: of it.
        score: sum of the log-probabilities of its tokens, EOS counted, after length normalization and penalties.
        tokens: of it, EOS among them.
        log_probs: natural, of each token.
        alignment: source word and output word, counted from 0; None where there is no attention on a source.
    """

    text: str
    score: float | None = None
    tokens: list[str] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    alignment: list[tuple[int, int]] | None = None


@dataclass(frozen=True)
class Label:
    """The verdict on a text.

    Attributes:
        label: the best one; of a classifier of several labels all above one half; in regression the number's name.
        score: of it, or of them, 0 to 1; in regression the number.
        scores: of every label.
    """

    label: str | list[str]
    score: float | list[float]
    scores: dict[str, float]


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a target.

    Attributes:
        log_prob: natural, the sum over its tokens, EOS counted.
        perplexity: per token.
        tokens: of the target.
        log_probs: of each token.
        unknown_tokens: tokens that stand for what the vocabulary lacks, and count for nothing.
    """

    log_prob: float
    perplexity: float
    tokens: list[str]
    log_probs: list[float]
    unknown_tokens: int = 0


@dataclass(frozen=True)
class Attention:
    """Where a model looks while it writes.

    Attributes:
        source_tokens: as it reads them.
        target_tokens: as it writes them.
        weights: averaged over layers and heads, `(target, source)`; each row sums to 1.
    """

    source_tokens: list[str]
    target_tokens: list[str]
    weights: "np.ndarray"
