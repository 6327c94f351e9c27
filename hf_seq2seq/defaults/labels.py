"""Metrics, vocabulary, lengths and passes of classifiers, from the labelled texts."""

from collections.abc import Iterator, Sequence

from hf_seq2seq.data.text_kinds import Side
from hf_seq2seq.defaults.pairs import subword_size
from hf_seq2seq.defaults.schedules import enough_epochs
from hf_seq2seq.sections import Choice

LONGEST_TEXT = 512
BEST = ("accuracy", "micro_f1", "pearson")
"""The first metrics of the kinds of labels, which choose the best checkpoint."""


def label_metric_choices(problem: str, metrics: Sequence[str], validated: bool) -> Iterator[Choice]:
    """What chooses the best checkpoint of a classifier."""
    if validated and metrics and metrics[0] in BEST:
        yield Choice("metric_for_best_model", metrics[0], f"labels are {problem}", ("metrics",))


def classifier_choices(texts: Side) -> Iterator[Choice]:
    """Vocabulary, learning rate and epochs of an encoder from scratch, which needs many more passes than BERT."""
    reason = f"an encoder from scratch; {texts}"
    yield Choice("vocab_size", max(1_000, subword_size(texts), texts.alphabet * 2 + 64), reason, ("tokenizer_name",))
    yield Choice("learning_rate", 5e-4, reason, ("optim",))
    yield Choice("num_train_epochs", float(round(enough_epochs(None, texts) / 2)), reason, ("max_steps",))
    yield Choice("warmup_ratio", 0.1, reason, ("warmup_steps",))


def text_length_choices(longest: int, positions: int | None) -> Iterator[Choice]:
    """A limit under which no text is cut, as far as the model's positions and 512 tokens allow."""
    limit = min(longest + max(8, longest // 5), LONGEST_TEXT, positions or LONGEST_TEXT)
    more = ", plus a fifth or at least 8 for longer texts" if limit > longest else ""
    yield Choice("max_source_length", limit, f"the longest row has {longest:,} tokens{more}")
