"""Outputs for users: text, and on request tokens, log-probabilities, alignment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_seq2seq.data.batches import ordered_batches
from hf_seq2seq.data.copying import Words
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.alignment import NOWHERE, align, pharaoh, replace_unknown, words_of
from hf_seq2seq.decoding.decoder import batch_of
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.scoring import Scored, score_targets
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READ_AGAIN = ("tokens", "log_probs", "alignment")
"""Details that require another pass over the outputs."""


@dataclass(frozen=True)
class Output:
    """One output of a source.

    Attributes:
        text: its text.
        details: more about it, by the requested names: `score`, `tokens`, `log_probs` (natural, of each token under the
            model without search constraints), `alignment` (Pharaoh format).
        unended: whether it reached the maximum length without ending.
    """

    text: str
    details: dict[str, Any] = field(default_factory=dict)
    unended: bool = False


@dataclass(frozen=True)
class Written:
    """The outputs of a source.

    Attributes:
        ids: token ids of the source.
        source: its text, without the prefix.
        hypotheses: its outputs.
        texts: the texts of these.
        words: unknown words that ids beyond the vocabulary stand for.
        origin: the encoded sources that it is one of; None if outputs are not described in detail.
        row: its number among these.
        limit: maximum length of an output, in tokens.
    """

    ids: np.ndarray
    source: str
    hypotheses: Sequence[Hypothesis]
    texts: Sequence[str]
    words: Words = ()
    origin: Ragged | None = None
    row: int = 0
    limit: int = 0

    def pairs(self) -> Iterator[tuple[Hypothesis, str]]:
        """Each hypothesis and its text."""
        return zip(self.hypotheses, self.texts, strict=True)


@dataclass(frozen=True)
class Reader:
    """Describes outputs.

    Attributes:
        models: the models that generated them, more than one for an ensemble.
        tokenizers: tokenizers of the models.
        details: names of the requested details.
        replacing: whether unknown words are replaced by source words.
        prefix: prefix of every source, excluded from alignments.
        average: what an ensemble averages.
        batch_size: outputs per batch.
        tags: ids of tokens in front of a text that name a language.
    """

    models: Sequence["PreTrainedModel"]
    tokenizers: Tokenizers
    details: tuple[str, ...] = ()
    replacing: bool = False
    prefix: str = ""
    average: str = "probability"
    batch_size: int = 64
    tags: frozenset[int] = frozenset()

    @property
    def reads_again(self) -> bool:
        """Whether the models have to read the outputs."""
        return self.replacing or bool(set(self.details) & set(READ_AGAIN))

    def describe(self, written: Sequence[Written]) -> list[list[Output]]:
        """The outputs of every source."""
        if not self.reads_again:
            wanted = "score" in self.details
            return [
                [
                    Output(text, {"score": each.score} if wanted else {}, each.fills(one.limit))
                    for each, text in one.pairs()
                ]
                for one in written
            ]
        targets = [each.whole for one in written for each in one.hypotheses]
        if not targets or written[0].origin is None:
            return [[] for _ in written]
        rows = np.array([one.row for one in written for _ in one.hypotheses])
        scored = iter(self.score(written[0].origin.select(rows), targets))
        return [[self._output(one, each, text, next(scored)) for each, text in one.pairs()] for one in written]

    def _output(self, one: Written, each: Hypothesis, text: str, scored: Scored) -> Output:
        target = self.tokenizers.target
        if self.replacing and scored.attention is not None and target.unk_token_id in each.ids:
            text = replace_unknown(each.ids, scored.attention, self.source_words(one.ids), one.source.split(), target)
        known = {"score": each.score} | self.details_of(one.ids, each.whole, scored, one.words)
        return Output(text, {name: known[name] for name in self.details if name in known}, each.fills(one.limit))

    def score(
        self,
        sources: Ragged,
        targets: Sequence[Sequence[int]],
        others: Sequence[Sequence[int]] | None = None,
        best: bool = False,
    ) -> list[Scored]:
        """Scores of targets under the models, one target per source; `others` and `best` as in `score_targets`."""
        found: dict[int, Scored] = {}
        pad = self.tokenizers.source.pad_token_id or 0
        attend = self.replacing or "alignment" in self.details
        lengths = np.array([[len(target), length] for target, length in zip(targets, sources.lengths, strict=True)])
        for rows in ordered_batches(lengths, self.batch_size) if len(targets) else []:
            batch = batch_of(self.models[0], sources, rows, pad)
            more = None if others is None else [others[row] for row in rows]
            wanted = [targets[row] for row in rows]
            scored = score_targets(self.models, batch, wanted, self.average, attend, more, best)
            found |= zip(rows.tolist(), scored, strict=True)
        return [found[row] for row in range(len(targets))]

    def source_words(self, source: np.ndarray) -> list[int]:
        """The index of the word of the text without prefix that each source token belongs to; negative for none."""
        if source.ndim > 1:  # frames
            return list(range(len(source)))
        before, known = len(self.prefix.split()), self._known(source, self.tokenizers.source)
        start = next((place + 1 for place, token in enumerate(known) if token in self.tags), 0)
        words = words_of(known[start:], self.tokenizers.source)
        return [NOWHERE] * start + ([word - before for word in words] if not start else words)

    def source_tokens(self, source: np.ndarray, words: Words = ()) -> list[str]:
        """The tokens of a source, with unknown words that a model copies spelled out."""
        if source.ndim > 1:  # frames
            return [str(number) for number in range(1, len(source) + 1)]
        return _named(source, words, self.tokenizers.source)

    def details_of(self, source: np.ndarray, ids: Sequence[int], scored: Scored, words: Words = ()) -> dict[str, Any]:
        """Tokens, their log-probabilities and, if there is attention, the alignment of one output."""
        tokenizer = self.tokenizers.target
        tokens = _named(ids, words, tokenizer)
        found: dict[str, Any] = {"tokens": tokens, "log_probs": scored.log_probs}
        if scored.attention is not None:
            target = words_of(self._known(ids, tokenizer), tokenizer)
            found["alignment"] = pharaoh(align(scored.attention, self.source_words(source), target))
        return found

    @staticmethod
    def _known(ids: Sequence[int] | np.ndarray, tokenizer: Any) -> list[int]:
        """Ids with the unknown token for those beyond the vocabulary."""
        return [int(token) if token < len(tokenizer) else tokenizer.unk_token_id for token in ids]


def _named(ids: Sequence[int] | np.ndarray, words: Words, tokenizer: Any) -> list[str]:
    """The tokens of ids; those beyond the vocabulary stand for unknown words."""
    size = len(tokenizer)
    return [
        words[int(token) - size] if 0 <= int(token) - size < len(words) else tokenizer.convert_ids_to_tokens(int(token))
        for token in ids
    ]
