"""Pretraining of an encoder on raw text: every epoch masks different tokens and pairs different segments."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hf_seq2seq.data.collation import MaskedCollator
from hf_seq2seq.data.examples import Documents, Examples
from hf_seq2seq.data.raw_text import RawRows, encode_raw, keep_rows, stretches
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.training_rows import Renewed, TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.next_sentence import NextSentence
from hf_seq2seq.noising.noise import noise_counts
from hf_seq2seq.noising.rows import counts_within, enclose
from hf_seq2seq.objectives.masked_lm import MaskedTokenCrossEntropy
from hf_seq2seq.problems.masked_lm import MaskedLMProblem
from hf_seq2seq.ragged import IGNORE, Ragged
from hf_seq2seq.run_configs import EncoderRun
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import refuse_curriculum
from hf_seq2seq.tasks.denoising import count_documents, make_masked_tokens
from hf_seq2seq.tasks.open_text import settle_rows_of_text, settle_text
from hf_seq2seq.training.checks import check_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Masks:
    """Masks rows of tokens.

    Attributes:
        noise: BERT's noise.
        starts: whether a word starts at a token, by id, `(vocabulary,)` bool; None if single tokens are chosen.
    """

    noise: MaskedTokens
    starts: np.ndarray | None

    def mark(self, rows: RawRows) -> RawRows:
        """The rows with the vocabulary size added to each token that continues a word.

        This preserves word boundaries when rows are split, paired and enclosed by special tokens.
        """
        if self.starts is None:
            return rows
        tokens = rows.tokens
        goes_on = ~(self.starts[tokens.values] | rows.unspaced)
        values = (tokens.values + goes_on * len(self.starts)).astype(np.int32)
        return rows._replace(tokens=Ragged(values, tokens.offsets))

    def __call__(self, rows: Ragged, rng: np.random.Generator) -> tuple[Ragged, Ragged]:
        """The masked rows, from rows marked by `mark`, and the original ids of masked tokens, -100 elsewhere.

        Raises:
            InputError: words are so long that 1.5 times the requested number of tokens would be masked.
        """
        if self.starts is None:
            source, labels, _ = self.noise(rows, rng)
            return source, labels
        size = len(self.starts)
        source, labels, _ = self.noise(Ragged(rows.values % size, rows.offsets), rng, rows.values < size)
        self._check(rows, labels)
        return source, labels

    def _check(self, rows: Ragged, labels: Ragged) -> None:
        """Rejects text without words, such as DNA, of which whole rows would be masked."""
        special = [self.noise.mask, *self.noise.special]
        places = np.flatnonzero(~np.isin(rows.values, special))
        wanted = noise_counts(counts_within(places, rows.offsets), self.noise.rate).sum()
        chosen = (labels.values != IGNORE).sum()
        if chosen > 1.5 * wanted:
            raise InputError(
                f"--whole-word-masking: {chosen / max(1, len(places)):.0%} of the tokens would be masked instead of "
                f"{self.noise.rate:.0%}, because the words of this text are too long; leave it out"
            )


@dataclass(frozen=True)
class MaskedRows:
    """The rows of a split, masked differently in every epoch.

    Attributes:
        rows: clean tokens, including special ones.
        texts: the text that each row is from.
        masks: masks them.
        seed: seed of the masks.
        made_of: how the rows came about.
    """

    rows: Ragged
    texts: list[str]
    masks: Masks
    seed: int
    made_of: Documents

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each row in any epoch, `(rows, 1)`."""
        return self.rows.lengths[:, None]

    def __call__(self, epoch: int) -> Examples:
        """The masked rows of an epoch; the same for the same seed and epoch."""
        source, labels = self.masks(self.rows, np.random.default_rng([self.seed, epoch]))
        return Examples(source, self.texts, source_labels=labels, made_of=self.made_of)


@dataclass(frozen=True)
class MaskedPairs:
    """Every segment of a split with the next of its document or one of another, redrawn and re-masked every epoch.

    Attributes:
        stretches: clean tokens, without special ones, in at least two segments per document.
        texts: the documents.
        pairs: pairs them.
        masks: masks the pairs.
        seed: seed of both.
        made_of: how the rows came about.
    """

    stretches: RawRows
    texts: list[str]
    pairs: NextSentence
    masks: Masks
    seed: int
    made_of: Documents

    @property
    def lengths(self) -> np.ndarray:
        """Maximum number of tokens of each row in any epoch, `(rows, 1)`."""
        lengths = self.stretches.tokens.lengths
        return np.minimum(lengths[self._first()] + lengths.max() + 3, self.pairs.max_tokens)[:, None]

    def __call__(self, epoch: int) -> Examples:
        """The pairs of an epoch; the same for the same seed and epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        tokens, documents = self.stretches.tokens, self.stretches.documents
        rows, segments, is_next = self.pairs(tokens, documents, rng)
        source, labels = self.masks(rows, rng)
        texts = [self.texts[number] for number in documents[self._first()]]
        follows = np.where(is_next, 0, 1).astype(np.int64)  # transformers' convention
        types = Ragged(segments, rows.offsets)
        return Examples(source, texts, labels=follows, token_types=types, source_labels=labels, made_of=self.made_of)

    def _first(self) -> np.ndarray:
        """The segments that have a successor."""
        documents = self.stretches.documents
        return np.flatnonzero(documents[1:] == documents[:-1])


def masked_task(
    config: EncoderRun,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    documents: dict[str, list[str]],
    column: str,
) -> Task:
    """A task whose training rows are re-masked every epoch, and whose other rows are masked once.

    Raises:
        InputError: the tokenizer has no mask token, or the text cannot be split as required.
    """
    refuse_curriculum(config, "raw text")
    options, language = config.masking, config.masking.sentence_language
    config = settle_rows_of_text(config, model, tokenizer, documents["train"])
    check_positions(model, config.tokens)
    noise = make_masked_tokens(tokenizer, options.mlm_probability, options.whole_word_masking)
    masks = Masks(noise, word_starts(tokenizer) if options.whole_word_masking else None)
    make = _pairs if options.next_sentence_prediction else _rows
    rows: dict[str, Renewed] = {}
    splits: dict[str, Examples] = {}
    for number, (split, texts) in enumerate(documents.items()):
        try:
            rows[split] = make(
                texts, tokenizer, config.tokens.max_source_length, masks, config.run.seed + number, language
            )
            splits[split] = rows[split](0)
        except InputError as error:
            raise InputError(f"{split}: {error}") from error
    config = settle_text(config, "bert_classifier", model, rows["train"].lengths, splits)
    return Task(
        recipe="bert_classifier",
        config=config,
        model=model,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        splits=splits,
        columns={"text": column},
        objective=MaskedTokenCrossEntropy(
            model, options.next_sentence_prediction, config.optimization.label_smoothing_factor
        ),
        collate=MaskedCollator(tokenizer.pad_token_id),
        metrics=(),
        problem=MaskedLMProblem(),
        presented=TrainingRows(splits["train"], rows["train"]),
    )


def word_starts(tokenizer: "PreTrainedTokenizerBase") -> np.ndarray:
    """Whether a token begins a word, `(vocabulary,)` bool, by tokenizers' marks: no `##`, or `▁` or `Ġ`.

    Special tokens also begin one, so that no word extends over them.

    Raises:
        InputError: no token has such a mark.
    """
    tokens = [token or "" for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
    counts = {mark: sum(token.startswith(mark) for token in tokens) for mark in ("##", "▁", "Ġ")}
    whole = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None) == "##"
    mark = "##" if whole else max(counts, key=lambda name: counts[name])
    if not whole and not counts[mark]:
        raise InputError("--whole-word-masking: the tokens of this tokenizer do not mark word starts")
    starts = np.array([token.startswith(mark) != (mark == "##") for token in tokens])
    starts[tokenizer.all_special_ids] = True
    return starts


def _rows(
    texts: list[str], tokenizer: "PreTrainedTokenizerBase", longest: int, masks: Masks, seed: int, language: str
) -> MaskedRows:
    special = tokenizer("")["input_ids"]
    if longest - len(special) < 2:
        raise InputError(f"--max-source-length: {longest} leaves no room for text")
    found, made_of = _with_words(encode_raw(texts, tokenizer, longest - len(special), language), masks, len(texts))
    rows = enclose(found.tokens, special[:-1], special[-1:])
    return MaskedRows(rows, [texts[number] for number in found.documents], masks, seed, made_of)


def _pairs(
    texts: list[str], tokenizer: "PreTrainedTokenizerBase", longest: int, masks: Masks, seed: int, language: str
) -> MaskedPairs:
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise InputError("--next-sentence-prediction: this tokenizer has no [CLS] or no [SEP]")
    whole = encode_raw(texts, tokenizer, sys.maxsize, language)
    found, _ = _with_words(stretches(whole, max(1, (longest - 3) // 2)), masks, len(texts))
    pairs = NextSentence(tokenizer.cls_token_id, tokenizer.sep_token_id, longest)
    several = np.flatnonzero(np.bincount(found.documents, minlength=len(texts)) > 1)
    made = MaskedPairs(
        found,
        texts,
        pairs,
        masks,
        seed,
        Documents(
            len(texts),
            len(found.documents) - len(np.unique(found.documents)),
            len(texts) - len(several),
            "fewer than two sentences",
        ),
    )
    if not len(made.lengths):
        raise InputError("no document has two sentences")
    return made


def _with_words(rows: RawRows, masks: Masks, texts: int) -> tuple[RawRows, Documents]:
    """The marked rows that have a token to mask, and their count.

    Raises:
        InputError: there are none.
    """
    special = [masks.noise.mask, *masks.noise.special]
    places = np.flatnonzero(~np.isin(rows.tokens.values, special))
    some = counts_within(places, rows.tokens.offsets) > 0
    if not some.any():
        raise InputError("the text has no token of the vocabulary")
    return masks.mark(keep_rows(rows, some)), count_documents(rows, some, texts, "no token of the vocabulary")
