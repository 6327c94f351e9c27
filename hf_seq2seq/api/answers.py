"""Results of a model's methods."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hf_seq2seq.decoding.outputs import Output


@dataclass(frozen=True)
class Generation:
    """A generated output.

    Attributes:
        text: its text.
        score: summed log-probability of its tokens, including EOS, after length normalization and penalties.
        tokens: its tokens, including EOS.
        log_probs: natural log-probability of each token.
        alignment: source word and output word, counted from 0; None if there is no attention on a source.
        pieces: of a text that was read in pieces, the source, prediction and details of each.
        rounds: how often its outputs were read again, the first reading included, with `combine="again"`.
    """

    text: str
    score: float | None = None
    tokens: list[str] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    alignment: list[tuple[int, int]] | None = None
    pieces: list[dict[str, Any]] = field(default_factory=list)
    rounds: int = 1

    @classmethod
    def of(cls, output: "Output") -> "Generation":
        """The form of an output in Python."""
        known = dict(output.details)
        if "alignment" in known:
            pairs = (link.split("-") for link in known["alignment"].split())
            known["alignment"] = [(int(source), int(target)) for source, target in pairs]
        return cls(output.text, **known)


@dataclass(frozen=True)
class Label:
    """The classification of a text.

    Attributes:
        label: the best one; for multiple labels all above 0.5; in regression the number's name.
        score: its score or their scores, 0 to 1; in regression the number.
        scores: scores of all labels.
    """

    label: str | list[str]
    score: float | list[float]
    scores: dict[str, float]


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a target under a model.

    Attributes:
        log_prob: natural log-probability, summed over its tokens, including EOS.
        perplexity: per token.
        tokens: tokens of the target.
        log_probs: log-probability of each token.
        unknown_tokens: number of its tokens that are unknown, and score as the unknown token.
    """

    log_prob: float
    perplexity: float
    tokens: list[str]
    log_probs: list[float]
    unknown_tokens: int = 0


@dataclass(frozen=True)
class Attention:
    """The attention of a model on its source.

    Attributes:
        source_tokens: tokens of the source.
        target_tokens: tokens of the target.
        weights: attention weights averaged over layers and heads, `(target, source)`; each row sums to 1.
    """

    source_tokens: list[str]
    target_tokens: list[str]
    weights: "np.ndarray"
