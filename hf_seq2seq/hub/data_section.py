"""The data section of a model card: sources, text lengths, labels."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from hf_seq2seq.data.cleaning.options import BACK_TRANSLATED
from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mixtures import Member, Mixture, shares
from hf_seq2seq.data.statistics import PERCENTILES, describe_lengths
from hf_seq2seq.data.tokenizers.unknown import percent
from hf_seq2seq.hub.markdown import code, folded, table
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Task

SHOWN_LABELS = 50
FIRST_ROWS = 100
LONGEST_EXAMPLE = 100  # characters


def data_section(task: Task) -> list[str]:
    """Paragraphs about the rows of every split."""
    options = flatten(task.config)
    names = ["dataset_name", "dataset_config_name", "dataset_revision", "stages"]
    names += ["train_file", "validation_file", "test_file"]
    places = [f"{name.replace('_', ' ')} {code(options[name])}" for name in names if options.get(name)]
    columns = [f"{role.replace('_', ' ')} {code(column)}" for role, column in task.columns.items()]
    parts = [f"From {', '.join(places)}; columns: {', '.join(columns)}."] if places else []
    parts += _mixture(task.mixture) if task.mixture else []
    parts += _marked(task.splits.get("train"), options.get("added_tokens") or ())
    if order := task.training_rows.describe():
        parts += ["Training rows come in an order:", "\n".join(f"- {code(line)}" for line in order)]
    rows = [row for split, examples in task.splits.items() for row in _length_rows(task, split, examples)]
    header = ["Split", "Rows", "Tokens of", *(f"{p} %" for p in PERCENTILES), "Truncated", "Unknown"]
    lengths = "A length under p % is the p-th percentile over rows, including special tokens, after truncation."
    lengths += " An unknown token stands for text outside the vocabulary; shares are of the tokens of text."
    lengths += f" {task.problem.row_note}" if task.problem.row_note else ""
    return [*parts, table(header, rows), lengths, *([_labels(task)] if task.label_names else [])]


def _marked(train: Examples | None, tokens: Iterable[str]) -> list[str]:
    """How many training sources begin with each added token, as back-translated ones do."""
    marks = (BACK_TRANSLATED, *tokens)
    marked = (text for text in map(str, train.texts if train else ()) if text.lstrip().startswith(marks))
    starts = Counter(text.split(maxsplit=1)[0] for text in marked)
    parts = []
    for token in dict.fromkeys(marks):
        if count := starts[token]:
            share = f"{count:,} of {len(train or ()):,} training sources ({100 * count / len(train or ()):.1f} %)"
            note = ", the tag of synthetic, back-translated sources" if token == BACK_TRANSLATED else ""
            parts.append(f"{share} begin with {code(token)}{note}.")
    return parts


def _mixture(mixture: Mixture) -> list[str]:
    """The tasks of a mixture: prefix, data and share of each."""
    header = ["Task", "Prefix", "From", "Training rows", "Rows per epoch", "Share"]
    columns = (mixture.members, mixture.epochs.sizes, mixture.epochs.draws, shares(mixture))
    rows = [
        [code(m.name), code(repr(m.data.source_prefix)), _place(m), f"{size:,}", f"{count:,}", f"{share:.2f} %"]
        for m, size, count, share in zip(*columns, strict=True)
    ]
    return [table(header, rows)]


def _place(member: Member) -> str:
    return ", ".join(code(name) for name in (member.data.dataset_name, member.data.train_file) if name)


def _length_rows(task: Task, split: str, examples: Examples) -> list[list[object]]:
    count = f"{len(examples):,}"
    return [
        [
            title_of(split),
            count,
            side,
            *lengths.percentiles.values(),
            f"{lengths.truncated:.2f} %",
            percent(lengths.unknown).replace("%", " %"),
        ]
        for side, lengths in describe_lengths(examples, task.tokenizers).items()
    ]


def _labels(task: Task) -> str:
    train = task.splits["train"]
    assert train.labels is not None
    has = train.labels > 0 if train.labels.ndim == 2 else train.labels[:, None] == np.arange(len(task.label_names))
    rows = [
        [name, f"{int(of_label.sum()):,}", _example(train, np.flatnonzero(of_label))]
        for name, of_label in zip(task.label_names, has.T, strict=True)
    ]
    listing = table(["Label", "Training rows", "One of them"], rows)
    return listing if len(rows) <= SHOWN_LABELS else folded(f"{len(rows)} labels", listing)


def _example(examples: Examples, rows: np.ndarray) -> str:
    """The first short text among the rows, or the beginning of the first."""
    texts = [examples.texts[row] for row in rows[:FIRST_ROWS]]
    text = next((text for text in texts if len(text) <= LONGEST_EXAMPLE), texts[0] if texts else "")
    return code(text if len(text) <= LONGEST_EXAMPLE else text[: LONGEST_EXAMPLE - 1] + "…") if text.strip() else ""
