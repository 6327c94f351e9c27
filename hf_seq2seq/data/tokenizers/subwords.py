"""Rows of text whose segmentation into subwords is sampled in every epoch."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hf_seq2seq.data.tokenizers.bpe_dropout import BpeDropout
from hf_seq2seq.data.tokenizers.random_bits import key_of, keyed
from hf_seq2seq.data.tokenizers.unicode_text import valid_text
from hf_seq2seq.data.tokenizers.unigram_sampling import UnigramSampling
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged, counted, gathered, offsets_of
from hf_seq2seq.training_options import Subwords

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

SAMPLES = 32
"""Segmentations of each word from which the usual length of a row is estimated."""
DEVIATIONS = 2.0
"""Standard deviations above its mean that a row may be long; a longer one is drawn again."""
ATTEMPTS = 8
SLACK = 1
"""Tokens that a row may be longer than that besides."""
PART = 1 << 15
"""Rows segmented at once."""


class Sampler(Protocol):
    """Segments words of a list at random."""

    plain: Ragged

    def __call__(self, words: np.ndarray, keys: np.ndarray) -> Ragged:
        """Ids of numbered words, from random bits for each."""


def make_sampler(words: Sequence[str], backend: "Tokenizer | None", options: Subwords, side: str) -> Sampler:
    """The sampler for a tokenizer's model.

    Raises:
        InputError: the options are not for this kind of model.
    """
    model = json.loads(backend.to_str())["model"] if backend is not None else {"type": "slow"}
    kind = "byte" if model["type"] == "BPE" and not model["merges"] else model["type"]
    if backend is not None and kind == "BPE" and options.bpe_dropout:
        return BpeDropout(words, backend, options.bpe_dropout)
    if backend is not None and kind == "Unigram" and options.unigram_sampling is not None:
        return UnigramSampling(words, backend, options.unigram_sampling)
    given, wanted = ("--bpe-dropout", "bpe") if options.bpe_dropout else ("--unigram-sampling", "unigram")
    other = {"BPE": "--bpe-dropout", "Unigram": "--unigram-sampling"}.get(kind, f"--tokenizer-type {wanted}")
    others = {"source": "target", "target": "source"}
    raise InputError(
        f"{given}: the {side} tokenizer is of the kind {kind}; use {other}, or leave this side out by "
        f"--subword-sides {others[side]}"
    )


ROWS_FOR_FRAME = 100
"""Rows in which special tokens are looked for where all are truncated."""


@dataclass(frozen=True)
class Frame:
    """Special tokens around every text of a side.

    Attributes:
        head: ids before it.
        tail: ids after it.
    """

    head: np.ndarray
    tail: np.ndarray

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return len(self.head) + len(self.tail)

    @classmethod
    def of(cls, rows: Ragged, bodies: Ragged, limit: int) -> "Frame":
        """Finds them in the first row that has its whole text inside, or else around most of a truncated text."""
        filled = np.flatnonzero(bodies.lengths > 0)
        for number in filled[rows.lengths[filled] < limit].tolist():
            row, body = rows[number], bodies[number]
            for start in range(len(row) - len(body) + 1):
                if np.array_equal(row[start : start + len(body)], body):
                    return cls(row[:start], row[start + len(body) :])
        frames = [cls._around_start(rows[number], bodies[number]) for number in filled[:ROWS_FOR_FRAME].tolist()]
        none = cls(rows.values[:0], rows.values[:0])
        return min(frames, key=lambda frame: frame.size, default=none)

    @classmethod
    def _around_start(cls, row: np.ndarray, body: np.ndarray) -> "Frame":
        """What stands before and after the longest run in a row that a text begins with."""
        runs = []
        for start in range(len(row)):
            size = min(len(row) - start, len(body))
            differing = np.flatnonzero(row[start : start + size] != body[:size])
            runs.append(int(differing[0]) if len(differing) else size)
        start = int(np.argmax(runs))
        return cls(row[:start], row[start + runs[start] :])

    def around(self, bodies: Ragged, limit: int) -> Ragged:
        """The texts between them, cut so that rows have at most `limit` tokens."""
        inside = np.minimum(bodies.lengths, max(0, limit - self.size))
        lengths = inside + self.size
        offsets = offsets_of(lengths)
        values = np.zeros(int(offsets[-1]), dtype=np.int32)
        starts = offsets[:-1] + len(self.head)
        values[np.repeat(starts, inside) + counted(inside)] = gathered(bodies.values, bodies.offsets[:-1], inside)
        values[offsets[:-1, None] + np.arange(len(self.head))] = self.head
        values[(starts + inside)[:, None] + np.arange(len(self.tail))] = self.tail
        return Ragged(values, offsets)


@dataclass(frozen=True)
class SubwordRows:
    """The rows of one side, each of its words segmented at random.

    Attributes:
        plain: the rows without sampling, truncated.
        words: the numbers of each row's words.
        sampler: segments them.
        frame: special tokens before and after the text of a row.
        limit: most tokens of a row.
        varied: rows that are these words and nothing else; the others stay as they are, `(rows,)`.
        cut: rows that are truncated without sampling, too, `(rows,)`.
        longest: most tokens of each row in any epoch, `(rows,)`; all other rows are drawn again rather than cut.
    """

    plain: Ragged
    words: Ragged
    sampler: Sampler
    frame: Frame
    limit: int
    varied: np.ndarray
    cut: np.ndarray
    longest: np.ndarray

    def of_epoch(self, *seeds: int) -> Ragged:
        """The rows for a sequence of numbers: the run's seed, the side, the epoch.

        A row depends on these and on its own number and text alone.
        """
        parts, total = [self.plain.values], len(self.plain.values)
        starts, lengths = self.plain.offsets[:-1].copy(), self.plain.lengths
        waiting = np.flatnonzero(self.varied)
        for attempt in range(ATTEMPTS):
            key, again = key_of(*seeds, attempt), []
            for rows in (waiting[start : start + PART] for start in range(0, len(waiting), PART)):
                found, whole = self._drawn(rows, key)
                fits = (whole <= self.longest[rows]) | self.cut[rows]
                starts[rows[fits]] = found.offsets[:-1][fits] + total
                lengths[rows[fits]] = found.lengths[fits]
                parts.append(found.values)
                total += len(found.values)
                again.append(rows[~fits])
            waiting = np.concatenate([*again, waiting[:0]])
        return Ragged(gathered(np.concatenate(parts), starts, lengths), offsets_of(lengths))

    def _drawn(self, rows: np.ndarray, key: np.ndarray) -> tuple[Ragged, np.ndarray]:
        """The rows as sampled, truncated, and how many tokens each would have without that."""
        counts = self.words.lengths[rows]
        words = gathered(self.words.values, self.words.offsets[rows], counts)
        keys = keyed(keyed(key, rows.astype(np.uint64)).repeat(counts), counted(counts).astype(np.uint64))
        found = self.sampler(words, keys)
        bodies = Ragged(found.values, found.offsets[offsets_of(counts)])
        return self.frame.around(bodies, self.limit), bodies.lengths + self.frame.size


def subword_rows(
    texts: Sequence[str],
    plain: Ragged,
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    options: Subwords,
    side: str,
) -> SubwordRows:
    """Prepares the rows of one side.

    Args:
        texts: of every row, with its prefix.
        plain: their ids, truncated, with special tokens.
        tokenizer: made them.
        limit: most tokens of a row.
        options: what is sampled.
        side: "source" or "target", for errors.

    Raises:
        InputError: the options are not for this kind of tokenizer, or its rows are not made of its words.
    """
    backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    words, numbers = split_words(texts, backend) if backend is not None else (plain, {})
    sampler = make_sampler(list(numbers), backend, options, side)
    bodies = _without_sampling(words, sampler)
    frame = Frame.of(plain, bodies, limit)
    varied = _same_rows(frame.around(bodies, limit), plain)
    if not varied.any():
        raise InputError(f"--subword-sides: the {side} tokenizer does not segment word by word; leave this side out")
    if not varied.all():
        kept = f"{len(varied) - int(varied.sum()):,} of {len(varied):,} {side}s"
        logger.warning(
            "%s are not sampled: they contain added tokens, such as tags, or were normalized otherwise", kept
        )
    cut = bodies.lengths + frame.size > limit
    return SubwordRows(plain, words, sampler, frame, limit, varied, cut, _longest(words, sampler, plain, frame, limit))


def split_words(texts: Sequence[str], tokenizer: "Tokenizer") -> tuple[Ragged, dict[str, int]]:
    """The words of every text as the tokenizer's model gets them, numbered, and the number of each distinct one."""
    numbers: dict[str, int] = {}
    rows = []
    for text in map(valid_text, texts):
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        parts = tokenizer.pre_tokenizer.pre_tokenize_str(normal) if tokenizer.pre_tokenizer else [(normal, (0, 0))]
        rows.append([numbers.setdefault(word, len(numbers)) for word, _ in parts if word])
    return Ragged.of(rows), numbers


def _without_sampling(words: Ragged, sampler: Sampler) -> Ragged:
    """The ids of every row's words as the tokenizer gives them, one word at a time."""
    lengths = sampler.plain.lengths[words.values]
    values = gathered(sampler.plain.values, sampler.plain.offsets[words.values], lengths)
    return Ragged(values, offsets_of(lengths)[words.offsets])


def _same_rows(found: Ragged, wanted: Ragged) -> np.ndarray:
    """Which rows are equal, `(rows,)`."""
    same: np.ndarray = found.lengths == wanted.lengths
    rows = np.flatnonzero(same)
    lengths = wanted.lengths[rows]
    first, second = (gathered(r.values, r.offsets[rows], lengths) for r in (found, wanted))
    same[np.repeat(rows, lengths)[first != second]] = False
    return same


def _longest(words: Ragged, sampler: Sampler, plain: Ragged, frame: Frame, limit: int) -> np.ndarray:
    """Most tokens that each row may have in an epoch: some deviations above its mean, at most the limit."""
    every = np.arange(len(sampler.plain))
    drawn = [sampler(every, keyed(key_of(number), every.astype(np.uint64))).lengths for number in range(SAMPLES)]
    moments = (np.mean(drawn, axis=0), np.var(drawn, axis=0))
    mean, variance = (
        np.diff(np.concatenate([[0.0], np.cumsum(moment[words.values])])[words.offsets]) for moment in moments
    )
    usual = np.ceil(mean + DEVIATIONS * np.sqrt(np.maximum(variance, 0))) + SLACK + frame.size
    return np.maximum(np.minimum(usual, limit).astype(np.int64), plain.lengths)
