"""Usual names of columns, in data sets on the Hub and in Hugging Face's training scripts."""

from collections.abc import Mapping, Sequence
from typing import Any

OF_SIDES = ("source_column", "target_column", "context_column", "source_template", "source_lang", "target_lang")
OF_PAIRS = (*OF_SIDES, "source_lang_column", "target_lang_column")
OF_LABELS = ("text_column", "text_pair_column", "label_column")
"""Options that say what is read of a row: of source and target, of pairs with all, and of labels."""
MESSAGE_COLUMNS = ("messages", "conversations", "conversation")
"""Of columns of messages."""
PAIRS = (
    ("source", "target"),
    ("src", "tgt"),
    ("src", "trg"),
    ("sources", "targets"),
    ("source_text", "target_text"),
    ("input", "output"),
    ("input", "target"),
    ("input_text", "target_text"),
    ("inputs", "targets"),
    ("text", "summary"),
    ("document", "summary"),
    ("article", "summary"),
    ("article", "highlights"),
    ("article", "abstract"),
    ("dialogue", "summary"),
    ("body", "summary"),
    ("description", "abstract"),
    ("extract_text", "summary_text"),
    ("news_body", "news_title"),
    ("review_body", "review_title"),
    ("question", "answer"),
    ("question", "answers"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("word", "pronunciation"),
    ("word", "phonemes"),
    ("word", "ipa"),
    ("grapheme", "phoneme"),
    ("graphemes", "phonemes"),
    ("lemma", "form"),
    ("text", "target"),
)
TEXT_PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("text", "text_pair"),
    ("sentence_a", "sentence_b"),
)
TEXTS = (
    "text",
    "sentence",
    "texts",
    "sentences",
    "content",
    "review",
    "tweet",
    "message",
    "sms",
    "comment",
    "document",
)
LABELS = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "intent",
    "emotion",
    "stars",
    "rating",
    "score",
)
# Column names in files of systems' outputs.
OUTPUTS = ("prediction", "predictions", "hypothesis", "hypotheses", "reference", "references")
# The column whose cells are objects with texts by language.
TRANSLATION = "translation"
# Columns that number or identify rows: never text for a model.
BOOKKEEPING = frozenset({"id", "idx", "index", "guid", "unnamed: 0", "__index_level_0__"})

_TARGETS = frozenset(target for _, target in PAIRS) - {source for source, _ in PAIRS}
_KNOWN = frozenset(name for pair in PAIRS + TEXT_PAIRS for name in pair) | {
    *TEXTS,
    *LABELS,
    *OUTPUTS,
    *BOOKKEEPING,
    TRANSLATION,
}


def is_known_name(name: str) -> bool:
    """Whether this is a usual name of a column, ignoring case."""
    return name.strip().lower() in _KNOWN


def is_target_name(name: str) -> bool:
    """Whether a column of this name usually contains targets, and never sources."""
    return name.strip().lower() in _TARGETS


def is_label_name(name: str) -> bool:
    """Whether a column of this name usually contains labels."""
    return name.strip().lower() in LABELS


def messages_column(sample: Sequence[Mapping[str, Any]]) -> str | None:
    """The column of messages in the first rows, by its usual names."""
    return next((name for name in MESSAGE_COLUMNS if any(isinstance(row.get(name), list) for row in sample)), None)
