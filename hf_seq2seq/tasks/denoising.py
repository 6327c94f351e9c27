"""Pretraining on raw text: the text is re-noised every epoch, and the model restores it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_seq2seq.configs import Denoising
from hf_seq2seq.data.collation import Seq2SeqCollator
from hf_seq2seq.data.examples import Documents, Examples
from hf_seq2seq.data.raw_text import RawRows, encode_raw, keep_rows, sentences_of
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.noising import NOISES
from hf_seq2seq.noising.gap_sentences import GapSentences
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.noise import Combined, Enclosed, Noise
from hf_seq2seq.objectives import add_terms, make_objective
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.label_smoothing import smoothing_factor
from hf_seq2seq.objectives.masked_lm import TargetAndMaskedCrossEntropy
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.problems.denoising import DenoisingProblem
from hf_seq2seq.run_configs import Seq2SeqRun
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import refuse_curriculum
from hf_seq2seq.tasks.open_text import settle_rows_of_text, settle_text
from hf_seq2seq.tasks.subwords import refuse_subwords

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

SENTENCE_MASK = "<mask_1>"
HINT = "sentence_permutation needs rows of several sentences, other noises more tokens or a larger share"


@dataclass(frozen=True)
class NoisedRows:
    """The rows of a split, noised differently in every epoch.

    Attributes:
        rows: clean tokens.
        texts: the text of each row.
        noise: creates source and target.
        seed: seed of the noise.
        made_of: how texts became rows.
    """

    rows: RawRows
    texts: list[str]
    noise: Noise
    seed: int
    made_of: Documents

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> np.ndarray:
        """Maximum number of tokens of source and target in any epoch, `(rows, 2)`."""
        return self.noise.bound(self.rows.tokens.lengths, self.rows.starts)

    def __call__(self, epoch: int) -> Examples:
        """The noised rows of an epoch; the same for the same seed and epoch."""
        source, target, labels = self.noise(
            self.rows.tokens, np.random.default_rng([self.seed, epoch]), self.rows.starts
        )
        return Examples(source, self.texts, target, source_labels=labels, made_of=self.made_of)


def denoising_task(
    recipe: str,
    config: Seq2SeqRun,
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    documents: dict[str, list[str]],
    column: str,
) -> Task:
    """A task whose training rows are re-noised every epoch, and whose other rows are noised once.

    Raises:
        InputError: the tokenizer or the text does not support the noise.
    """
    refuse_curriculum(config, "raw text")
    refuse_subwords(config, "raw text")
    tokenizer = tokenizers.source
    config = settle_rows_of_text(config, model, tokenizer, documents["train"])
    noise = make_noise(NOISES[recipe], config.denoising, tokenizer)
    splits: dict[str, NoisedRows] = {}
    for number, (split, texts) in enumerate(documents.items()):
        rows, made_of = _encode(texts, tokenizer, config, noise, split)
        found = [texts[i] for i in rows.documents]
        splits[split] = NoisedRows(rows, found, noise, config.run.seed + number, made_of)
    noised = {split: _checked(rows(0), split) for split, rows in splits.items()}
    config = settle_text(config, recipe, model, splits["train"].lengths, splits)
    objective = _objective(config, model, tokenizers, int(splits["train"].lengths.max(initial=0)))
    return Task(
        recipe=recipe,
        config=config,
        model=model,
        tokenizers=tokenizers,
        splits=noised,
        columns={"text": column},
        objective=objective,
        collate=Seq2SeqCollator(tokenizer.pad_token_id, rows=objective.reads_rows),
        metrics=(),
        problem=DenoisingProblem(config.tokens.max_target_length),
        presented=TrainingRows(noised["train"], splits["train"]),
    )


def _objective(config: Seq2SeqRun, model: "PreTrainedModel", tokenizers: Tokenizers, most: int) -> Objective:
    """The objective; rows are re-noised every epoch to at most so many tokens, and only their labels are known."""
    smoothing = config.optimization.label_smoothing_factor
    if config.denoising.gap_masked_tokens:
        smoothing = smoothing_factor(smoothing, config.loss.label_smoothing_type, model)
        objective = TargetAndMaskedCrossEntropy(model, smoothing)
        add_terms(objective, config.loss)
        return objective
    context = GenerationContext(tokenizers, None, config.run.seed, config.tokens.max_target_length, most=most)
    return make_objective(config.loss, model, smoothing, context)


def make_noise(kinds: dict[str, type[Noise]], options: Denoising, tokenizer: "PreTrainedTokenizerBase") -> Enclosed:
    """The noise selected by the options, several applied in sequence, between the tokenizer's special tokens.

    Args:
        kinds: the recipe's noises.
        options: which noises, and how much.
        tokenizer: has the special tokens.

    Raises:
        InputError: the tokenizer lacks the sentinels or the mask token that it needs.
    """
    chosen = [_make(kinds[name], options, tokenizer) for name in options.objective]
    special = tokenizer("")["input_ids"]
    return Enclosed(chosen[0] if len(chosen) == 1 else Combined(tuple(chosen)), tuple(special[:-1]), (special[-1],))


def _make(kind: type[Noise], options: Denoising, tokenizer: "PreTrainedTokenizerBase") -> Noise:
    """The noise with its options; only then is the tokenizer checked for what it needs."""
    known: dict[str, Callable[[], Any]] = {
        "mask": lambda: _token(tokenizer, SENTENCE_MASK if kind is GapSentences else tokenizer.mask_token),
        "sentinels": lambda: _sentinels(tokenizer),
        "mean_span_length": lambda: options.mean_noise_span_length,
        "ratio": lambda: options.gap_sentences_ratio,
        "selection": lambda: options.gap_selection,
        "sequential": lambda: options.gap_sequential,
        "unique": lambda: options.gap_unique,
    }
    if options.mlm_probability is not None:
        known["rate"] = lambda: options.mlm_probability
    if options.gap_masked_tokens:
        known["masked_tokens"] = lambda: make_masked_tokens(tokenizer, options.mlm_probability)
    return kind(**{name: known[name]() for name in signature(kind).parameters if name in known})


def make_masked_tokens(
    tokenizer: "PreTrainedTokenizerBase", rate: float | None, whole_words: bool = False
) -> MaskedTokens:
    """BERT's noise for a tokenizer, with a default rate of 15 %.

    Raises:
        InputError: the tokenizer has no mask token.
    """
    mask = _token(tokenizer, tokenizer.mask_token)
    special = tuple(tokenizer.all_special_ids)
    shares = {} if rate is None else {"rate": rate}
    return MaskedTokens(mask, len(tokenizer), special, whole_words=whole_words, **shares)


def _sentinels(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    known = tokenizer.get_vocab()
    for spelling in ("<extra_id_{}>", "▁<extra_id_{}>"):  # mT5's sentinels are pieces of text
        found = [known[name] for name in map(spelling.format, range(len(known))) if name in known]
        if found:
            return tuple(found)
    raise InputError("--objective: this tokenizer has no sentinels <extra_id_0>, <extra_id_1>, …")


def _token(tokenizer: "PreTrainedTokenizerBase", token: str | None) -> int:
    if token is None or token not in tokenizer.get_vocab():
        raise InputError(f"--objective: this tokenizer has no token {token or '<mask>'!r}")
    return tokenizer.get_vocab()[token]


def _encode(
    texts: list[str], tokenizer: "PreTrainedTokenizerBase", config: Seq2SeqRun, noise: Enclosed, split: str
) -> tuple[RawRows, Documents]:
    """Rows up to the maximum source length; too short ones are dropped and counted."""
    room = config.tokens.max_source_length - len(noise.before) - len(noise.after)
    if room < 2:
        raise InputError(f"--max-source-length: {config.tokens.max_source_length} leaves no room for text")
    rows = encode_raw(texts, tokenizer, room, config.denoising.sentence_language)
    enough, reason = rows.tokens.lengths > 1, "fewer than two tokens"
    if not enough.any():
        raise InputError(f"{split}: the text has no row of two tokens")
    if "gap_sentences" in config.denoising.objective:
        enough, reason = enough & (sentences_of(rows) > 1), "fewer than two sentences"
        if not enough.any():
            raise InputError(f"{split}: no row has two sentences")
    return keep_rows(rows, enough), count_documents(rows, enough, len(texts), reason)


def count_documents(rows: RawRows, kept: np.ndarray, texts: int, reason: str) -> Documents:
    """How texts became rows, of which those where `kept`, `(rows,)` bool, is true are used for training."""
    empty = texts - len(np.unique(rows.documents))
    return Documents(texts, int(kept.sum()), int((~kept).sum()) + empty, reason)


def _checked(examples: Examples, split: str) -> Examples:
    """The noised rows, after checking how many of them the noise left unchanged.

    Raises:
        InputError: all are unchanged.
    """
    assert examples.target is not None
    same = sum(np.array_equal(examples.source[row], examples.target[row]) for row in range(len(examples)))
    if same == len(examples):
        raise InputError(f"{split}: --objective changes no row, so that the model would learn to copy; {HINT}")
    if same > len(examples) / 2:
        logger.warning(
            "%s: --objective leaves %.0f %% of the rows unchanged; %s", split, 100 * same / len(examples), HINT
        )
    return examples
