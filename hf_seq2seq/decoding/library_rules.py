"""Rules that are the library's own processors, for generation settings that a model may come with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    ExponentialDecayLengthPenalty,
    LogitNormalization,
    LogitsProcessor,
    NoBadWordsLogitsProcessor,
    SequenceBiasLogitsProcessor,
)

from hf_seq2seq.decoding.rules import Prefixes
from hf_seq2seq.errors import InputError


class LibraryRule:
    """A processor of the library, which reads prompt and output of every row, as a rule.

    Args:
        kind: the class of the processor.
        settings: that it takes.

    Raises:
        InputError: it cannot take them.
    """

    def __init__(self, kind: Callable[..., LogitsProcessor], *settings: Any) -> None:
        with as_input_error():
            self.process: Any = kind(*settings)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says."""
        with as_input_error():
            changed: Tensor = self.process(prefixes.tokens, scores)
        return changed


@contextmanager
def as_input_error() -> Iterator[None]:
    """Blames the file of the settings for what a processor refuses."""
    try:
        yield
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"generation_config.json: {str(error).splitlines()[0]}") from None


def sequence_bias(own: GenerationConfig) -> Iterator[LibraryRule]:
    """What is added to the scores of tokens that end certain phrases."""
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


def length_decay(own: GenerationConfig, eos: Tensor, prompt: int) -> Iterator[LibraryRule]:
    """Raises EOS more and more from a length on.

    Args:
        own: the model's generation settings.
        eos: tokens that end an output.
        prompt: tokens before the output, padding counted.
    """
    if own.exponential_decay_length_penalty and len(eos):
        yield LibraryRule(ExponentialDecayLengthPenalty, own.exponential_decay_length_penalty, eos, prompt)


def renormalization(own: GenerationConfig) -> Iterator[LibraryRule]:
    """Makes probabilities of what the other rules have left; comes last."""
    if own.renormalize_logits:
        yield LibraryRule(LogitNormalization)
