"""An n-gram language model with an open vocabulary: an unknown word is spelled out, so that no text is free.

A word that the vocabulary lacks costs what the unknown token costs, and then its spelling by an n-gram model of
characters, learned from the rare words of training; a character that this model lacks costs one of all code points. So
the model gives every text a probability, and its perplexity and bits per byte hide no unknown words.

Papers: Chen and Goodman, 1999, https://doi.org/10.1006/csla.1999.0128; Brown et al., 1992, section 3, whose model
spells unknown words, too, https://aclanthology.org/J92-1002
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hf_seq2seq.baselines.baseline import Baseline, Reader
from hf_seq2seq.baselines.kneser_ney import FIRST, UNKNOWN, KneserNey, fit
from hf_seq2seq.sections import Section, option

CODE_POINTS = 0x110000
"""Characters that a text may hold."""
SPELLING_ORDER = 6
"""Length of the longest n-grams of the characters of unknown words."""
ORDERS = {"words": 5, "characters": 8}
"""Length of the longest n-grams where none is given."""
_WORD = re.compile(r"\n| [^ \n]*")


@dataclass(frozen=True, kw_only=True)
class Options(Section):
    """Baseline: the n-gram language model."""

    units: str = option("words", "What is predicted.", choices=("words", "characters"))
    ngram_order: int | None = option(
        None, "Length of the longest n-grams; by default 5 words or 8 characters.", at_least=1, at_most=20
    )
    min_count: int = option(2, "Words that are rarer in training are spelled out as unknown ones are.", at_least=1)


@dataclass(frozen=True)
class OpenVocabulary:
    """An n-gram model whose unknown tokens are spelled.

    Attributes:
        model: of the tokens' ids.
        ids: of the vocabulary.
        spell: log-probabilities of the spellings of tokens.
    """

    model: KneserNey
    ids: dict[str, int]
    spell: Callable[[Sequence[str]], np.ndarray]

    def unknown(self, texts: Sequence[Sequence[str]]) -> list[str]:
        """All tokens that are not in the vocabulary."""
        return [token for text in texts for token in text if token not in self.ids]

    def log_probabilities(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """Of each text, its end among it, `(texts,)`, in nats."""
        ids = [np.array([self.ids.get(token, UNKNOWN) for token in text], dtype=np.int64) for text in texts]
        found = np.array([np.log(row).sum() for row in self.model.probabilities(ids)])
        spelled = self.spell(self.unknown(texts))
        owners = [row for row, text in enumerate(texts) for token in text if token not in self.ids]
        np.add.at(found, owners, spelled)
        return found


def words_of(text: str) -> list[str]:
    """The words of a text, which ends of lines and spaces divide; joined by `text_of` they are the text again."""
    return _WORD.findall(" " + text.replace("\n", "\n "))


def text_of(words: Sequence[str]) -> str:
    """The text that has these words."""
    return "".join(words).replace("\n ", "\n")[1:]


def open_vocabulary(
    texts: Sequence[Sequence[str]], order: int, min_count: int, spell: Callable[[Sequence[str]], np.ndarray]
) -> OpenVocabulary:
    """Learns a model of tokens, of which rare ones are unknown."""
    counts = Counter(token for text in texts for token in text)
    kept = sorted(token for token, count in counts.items() if count >= min_count)
    ids = {token: number for number, token in enumerate(kept, start=FIRST)}
    documents = [np.array([ids.get(token, UNKNOWN) for token in text], dtype=np.int64) for text in texts]
    return OpenVocabulary(fit(documents, order, FIRST + len(kept)), ids, spell)


def _any_character(tokens: Sequence[str]) -> np.ndarray:
    return np.full(len(tokens), -math.log(CODE_POINTS))


def _spelling(texts: Sequence[Sequence[str]], min_count: int) -> OpenVocabulary:
    """A model of the characters of rare words, each of which counts once; without any rare ones, of all words."""
    counts = Counter(word for text in texts for word in text)
    rare = sorted(word for word, count in counts.items() if count < min_count) or sorted(counts)
    return open_vocabulary([list(word) for word in rare], SPELLING_ORDER, 1, _any_character)


def train(documents: Sequence[str], options: Options) -> Reader:
    """Counts n-grams."""
    order = options.ngram_order or ORDERS[options.units]
    if options.units == "characters":
        model = open_vocabulary([list(text) for text in documents], order, 1, _any_character)
        return lambda texts: _likelihoods(model, [list(text) for text in texts])
    texts = [words_of(text) for text in documents]
    spelling = _spelling(texts, options.min_count)
    spell = lambda words: spelling.log_probabilities([list(word) for word in words])  # noqa: E731
    model = open_vocabulary(texts, order, options.min_count, spell)
    return lambda texts: _likelihoods(model, [words_of(text) for text in texts])


def _likelihoods(model: OpenVocabulary, texts: Sequence[Sequence[str]]) -> np.ndarray:
    """Summed log-probability and number of tokens of each text, `(texts, 2)`; says what is unknown."""
    found = model.log_probabilities(texts)
    counts = np.array([len(text) + 1 for text in texts])
    if unknown := model.unknown(texts):
        share = float(model.spell(unknown).sum() / found.sum())
        detail = f"{len(unknown)} of {counts.sum()} tokens are unknown; spelling them out is {share:.1%} of the loss"
        print(f"ngram_lm: {detail}", file=sys.stderr)
    return np.column_stack([found, counts])


NGRAM_LM = Baseline("An n-gram language model; unknown words are spelled out.", "text", train, Options)
