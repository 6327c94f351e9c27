"""Training rows whose subword segmentation is sampled in every epoch."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hf_seq2seq.configs import TextRunConfig
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.frames import Frames
from hf_seq2seq.data.inputs import Inputs
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.bpe_dropout import BpeDropout
from hf_seq2seq.data.tokenizers.subwords import SubwordRows, subword_rows
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.training_rows import Renewed, TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.tasks.stages import are_modified

SIDES = ("source", "target")


@dataclass(frozen=True)
class SubwordPairs:
    """Pairs of which one side or both are segmented at random.

    Attributes:
        examples: the pairs without sampling.
        sides: the rows of each side that is sampled, by its name.
        seed: of the run.
    """

    examples: Examples
    sides: dict[str, SubwordRows]
    seed: int
    _latest: dict[int, tuple[int, Examples]] = field(default_factory=dict)

    @property
    def lengths(self) -> np.ndarray:
        """The most tokens of each row in any epoch, `(rows, sides)`."""
        longest = [self.sides[s].longest if s in self.sides else getattr(self.examples, s).lengths for s in SIDES]
        sampled = np.stack([np.sum(longest, axis=0)] if self.examples.joined else longest, axis=1)
        return np.maximum(sampled, self.examples.lengths)  # which count preferences, too

    def __call__(self, epoch: int) -> Examples:
        """The rows of an epoch."""
        latest, found = self._latest.get(0, (None, self.examples))
        if epoch != latest:
            drawn: dict[str, Any] = {
                name: rows.of_epoch(self.seed, SIDES.index(name), epoch) for name, rows in self.sides.items()
            }
            found = replace(self.examples, **drawn)
            self._latest[0] = (epoch, found)
        return found

    def lengths_of(self, epoch: int) -> np.ndarray:
        """Tokens of the rows of an epoch: by the most that they may have, batches would have a quarter fewer rows."""
        return self(epoch).lengths


def subword_pairs(
    config: TextRunConfig, pairs: Pairs | Conversations, examples: Examples, tokenizers: Tokenizers
) -> Renewed | None:
    """The training rows with sampled subwords; None if that is not asked for.

    Raises:
        InputError: rows or tokenizers cannot be sampled.
    """
    options, limits = config.subwords, config.tokens
    if not options.asked_for:
        return None
    if isinstance(pairs, Conversations) or examples.unknown is not None:
        reason = "--copy-vocab-size" if examples.unknown is not None else "--objective dialogue"
        raise InputError(f"{options.asked_for} cannot be combined with {reason}; leave out one of them")
    if are_modified(pairs):
        raise InputError(f"{options.asked_for}: rows that a stage modifies are not sampled; leave out one of them")
    refuse_rich_sources(examples.source, str(options.asked_for))
    assert examples.target is not None
    sides = {
        "source": lambda: subword_rows(
            [config.data.source_prefix + text for text in pairs.sources],
            examples.source,
            tokenizers.source,
            limits.max_source_length,
            options,
            "source",
        ),
        "target": lambda: subword_rows(
            pairs.targets, examples.target, tokenizers.target, limits.max_target_length, options, "target"
        ),
    }
    chosen = {name: make() for name, make in sides.items() if options.subword_sides in ("both", name)}
    kinds = {type(rows.sampler) for rows in chosen.values()}
    if options.bpe_dropout and options.unigram_sampling is not None and len(kinds) < 2:
        idle = "--unigram-sampling" if BpeDropout in kinds else "--bpe-dropout"
        raise InputError(f"{idle}: no side that is sampled has a tokenizer of that kind; leave it out")
    return SubwordPairs(examples, chosen, config.run.seed)


def most_tokens(config: TextRunConfig, pairs: Any, rows: TrainingRows) -> int:
    """The tokens that a side of a training row has in any epoch, at most: the limits where stages modify rows."""
    if not are_modified(pairs):
        return int(rows.lengths.max(initial=0))
    limits = config.tokens.max_source_length, config.tokens.max_target_length
    return sum(limits) if rows.examples.joined else max(limits)


def refuse_rich_sources(source: Ragged, asked: str) -> None:
    """Rejects what changes texts where sources are more than the ids of a text.

    Raises:
        InputError: names the option, and what sources are.
    """
    kind = "feature matrices" if isinstance(source, Frames) else ""
    if isinstance(source, Inputs):
        kind = "marked with codes of languages" if source.features is None else "read with features"
    if kind:
        raise InputError(f"{asked}: only changes texts, and sources are {kind}; leave it out")


def refuse_subwords(config: TextRunConfig, rows: str) -> None:
    """Rejects sampling for rows that are not pairs.

    Raises:
        InputError: it is asked for.
    """
    if config.subwords.asked_for:
        raise InputError(f"{config.subwords.asked_for} works with pairs, not with {rows}; leave it out")
