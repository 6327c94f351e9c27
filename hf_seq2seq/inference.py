"""Options shared by training and inference: batching and generation.

Separate from `configs` because fast commands import it.
"""

from dataclasses import dataclass

from hf_seq2seq.sections import Section, option

DEFAULT_METRICS = ("bleu", "chrf", "exact_match")
"""Default metrics of texts."""


@dataclass(frozen=True, kw_only=True)
class Inference(Section):
    """Inference: batches outside training."""

    per_device_eval_batch_size: int = option(64, "Examples per device in evaluation and generation.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Decoding(Inference):
    """Decoding: how targets are generated."""

    num_beams: int = option(1, "Beams; 1 is greedy.", at_least=1, at_most=10_000)
    length_penalty: float = option(
        1.0, "Exponent of the length by which a beam's score is divided.", at_least=-20, at_most=20
    )
    no_repeat_ngram_size: int = option(0, "Forbid repeating n-grams of this size.", at_least=0)
