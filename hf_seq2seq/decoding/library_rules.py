"""Rules that wrap transformers' logits processors, for generation settings that a model may come with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitNormalization,
    LogitsProcessor,
    NoBadWordsLogitsProcessor,
    SequenceBiasLogitsProcessor,
)

from hf_seq2seq.decoding.rules import Prefixes
from hf_seq2seq.errors import InputError


class LibraryRule:
    """A logits processor of transformers, which reads prompt and output of every row, as a rule.

    Args:
        kind: the class of the processor.
        settings: its arguments.

    Raises:
        InputError: it rejects them.
    """

    def __init__(self, kind: Callable[..., LogitsProcessor], *settings: Any) -> None:
        with as_input_error():
            self.process: Any = kind(*settings)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        with as_input_error():
            changed: Tensor = self.process(prefixes.tokens, scores)
        return changed


@contextmanager
def as_input_error() -> Iterator[None]:
    """Turns a processor's errors into errors about the settings file."""
    try:
        yield
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"generation_config.json: {str(error).splitlines()[0]}") from None


def sequence_bias(own: GenerationConfig) -> Iterator[LibraryRule]:
    """The bias added to the scores of tokens that end certain phrases."""
    if own.sequence_bias:
        yield LibraryRule(SequenceBiasLogitsProcessor, own.sequence_bias)


def bad_words(own: GenerationConfig, eos: Tensor) -> Iterator[LibraryRule]:
    """Forbids words and phrases.

    Args:
        own: the model's generation settings.
        eos: tokens that end an output; they are never forbidden.
    """
    ends = set(eos.tolist())
    if any(len(ids) != 1 or ids[0] not in ends for ids in own.bad_words_ids or ()):
        yield LibraryRule(NoBadWordsLogitsProcessor, own.bad_words_ids, eos)


@dataclass(frozen=True)
class LengthDecay:
    """Increasingly raises the score of EOS from a given length on, as transformers does.

    Attributes:
        eos: tokens that end an output.
        start: tokens of an output before it begins.
        factor: by which the score grows with each further token.
    """

    eos: Tensor
    start: int
    factor: float

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        beyond = (prefixes.lengths - self.start).clamp(min=0)
        ends = scores[:, self.eos]
        growth = ends.abs() * (self.factor ** beyond.to(scores.dtype) - 1)[:, None]
        scores[:, self.eos] = ends + growth.masked_fill(~ends.isfinite(), 0)
        return scores


def length_decay(own: GenerationConfig, eos: Tensor) -> Iterator[LengthDecay]:
    """The increase of the score of EOS with the length that the settings ask for.

    Raises:
        InputError: they are no pair of numbers.
    """
    if own.exponential_decay_length_penalty and len(eos):
        with as_input_error():
            start, factor = own.exponential_decay_length_penalty
            yield LengthDecay(eos, int(start), float(factor))


def renormalization(own: GenerationConfig) -> Iterator[LibraryRule]:
    """Renormalizes after all other rules; comes last."""
    if own.renormalize_logits:
        yield LibraryRule(LogitNormalization)
