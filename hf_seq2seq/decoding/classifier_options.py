"""How a classifier reads texts."""

from dataclasses import dataclass

from hf_seq2seq.inference import Inference
from hf_seq2seq.sections import option


@dataclass(frozen=True, kw_only=True)
class Reading(Inference):
    """Model: lengths and batches."""

    max_source_length: int | None = option(
        None, "Truncate texts to this many tokens.", at_least=2, aliases=("max_seq_length",)
    )
    stride: int | None = option(
        None,
        "Read longer texts in windows that overlap by this many tokens; by default as in training.",
        at_least=0,
    )
    window_pooling: str | None = option(
        None,
        "How to pool the windows' logits; by default as in training, or mean.",
        choices=("mean", "max", "first"),
    )
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")
