"""Validated conversations: rows of messages, or the numbered lines of the bAbI dialogues."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cells import column_cells, row_sample
from hf_seq2seq.data.columns.conventions import MESSAGE_COLUMNS
from hf_seq2seq.data.columns.finding import cell, named_column
from hf_seq2seq.data.columns.templates import template_columns
from hf_seq2seq.data.messages import (
    ASSISTANT,
    BESIDE,
    COLUMN,
    READ,
    SPEAKERS,
    USER,
    Messages,
    check_messages,
    reply_numbers,
    transcript,
)
from hf_seq2seq.data.pairs import lacks_targets, read_pairs
from hf_seq2seq.data.rows import shown
from hf_seq2seq.data.sources import OpenShare, load_splits, row_number
from hf_seq2seq.data.splits import Splits
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

logger = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(\d+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Conversations:
    """The conversations of one split.

    Attributes:
        messages: messages of every row; the last one is the assistant's.
        column: the column they come from.
        place: the file or data set, for errors.
        replies: the acceptable last replies of every row, if there may be several; None for the one in its messages.
    """

    messages: list[Messages]
    column: str
    place: str
    replies: list[list[str]] | None = None

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def columns(self) -> tuple[str, str]:
        """Description of the columns of sources and targets, for users."""
        return self.column, "each reply"

    @property
    def histories(self) -> list[Messages]:
        """The messages before the last reply."""
        return [messages[:-1] for messages in self.messages]

    @property
    def references(self) -> list[list[str]]:
        """The last reply of every row, or all acceptable ones."""
        if self.replies is not None:
            return self.replies
        return [[messages[-1]["content"]] for messages in self.messages]

    @property
    def contents(self) -> list[str]:
        """The text of all messages."""
        return [message["content"] for messages in self.messages for message in messages]

    @property
    def sources(self) -> list[str]:
        """Every message with its speaker, as text to learn a source vocabulary from."""
        return [f"{message['role']}: {message['content']}" for messages in self.messages for message in messages]

    @property
    def targets(self) -> list[str]:
        """The text of every reply."""
        return [messages[-1]["content"] for messages in self.each_reply().messages]

    @property
    def transcripts(self) -> list[str]:
        """The messages before the last reply of every row, one per line."""
        return [transcript(history) for history in self.histories]

    def first(self, count: int) -> "Conversations":
        """The first rows."""
        return replace(self, messages=self.messages[:count], replies=self.replies and self.replies[:count])

    def each_reply(self) -> "Conversations":
        """One row per reply, which ends with it."""
        ends = [messages[: index + 1] for messages in self.messages for index in reply_numbers(messages)]
        one_each = len(ends) == len(self.messages)
        return replace(self, messages=ends, replies=self.replies if one_each else None)


def read_conversations(data: PairData, share: OpenShare | None = None) -> dict[str, Conversations]:
    """The conversations of every split.

    Args:
        data: the data options; `source_column` names a column other than `messages` or `conversations`. Rows of text
            are pairs: the source is the user's message, the target the reply.
        share: as for `load_splits`.

    Raises:
        InputError: a prefix is given, columns cannot be found, a cell is not a list of messages, or a conversation does
            not end with a reply.
    """
    if data.source_prefix:
        raise InputError("--source-prefix is for pairs; a conversation may begin with a system message")
    for name in ("frames_column", "feature_columns"):
        if getattr(data, name, None):
            raise InputError(f"{flag(name)} is for pairs; conversations are texts")
    splits = load_splits(data, arrange=joined_lines, share=share)
    column, names = _column(splits[splits.first], data), splits[splits.first].column_names
    if column is None and len(names) == 1 and names[0] in MESSAGE_COLUMNS:
        column = names[0]  # of texts, which is refused
    for split, rows in splits.items():
        _tell_unread(rows, column or "", data, splits.place(split))
    if column is None:
        return _exchanges(splits, data)
    for name in ("source_template", "context_column", "target_column"):
        if getattr(data, name) is not None:
            raise InputError(f"{flag(name)} is for pairs; column {column!r} has whole conversations")
    found = {}
    for split, rows in splits.items():
        place = splits.place(split)
        named_column(rows.column_names, row_sample(rows), "source_column", column, place)
        cells = column_cells(rows, column).to_pylist()
        messages = [
            check_messages(cell, f"{place}: row {row_number(rows, i)}, column {column!r}", reply=True)
            for i, cell in enumerate(cells)
        ]
        found[split] = Conversations(messages, column, place)
    return found


def read_histories(data: PairData) -> dict[str, list[Messages]] | None:
    """The conversations of every split whose rows have no replies; None if a row ends with one.

    Args:
        data: as for `read_conversations`; rows of a single text are the user's messages.

    Raises:
        InputError: columns cannot be found, or a cell is not a list of messages.
    """
    splits = load_splits(data, arrange=joined_lines)
    rows, place = splits[splits.first], splits.place(splits.first)
    column = _column(rows, data)
    if column is None:
        if not lacks_targets(splits, data):
            return None
        pairs = read_pairs(splits, data, need_target=False)
        return {split: [[{"role": USER, "content": text}] for text in found.sources] for split, found in pairs.items()}
    cells = {split: column_cells(each, column).to_pylist() for split, each in splits.items()}
    if any(_ends_with_reply(cell) for found in cells.values() for cell in found):
        return None
    named_column(rows.column_names, row_sample(rows), "source_column", column, place)
    return {
        split: [
            check_messages(
                cell, f"{splits.place(split)}: row {row_number(splits[split], i)}, column {column!r}", reply=False
            )
            for i, cell in enumerate(found)
        ]
        for split, found in cells.items()
    }


def _ends_with_reply(value: Any) -> bool:
    last = value[-1] if isinstance(value, list) and value else None
    speaker = (last.get("role") or last.get("from")) if isinstance(last, Mapping) else None
    return SPEAKERS.get(str(speaker), speaker) == ASSISTANT


def _column(rows: Dataset, data: PairData) -> str | None:
    """The column of messages, or None if the rows are pairs of text."""
    usual = [name for name in MESSAGE_COLUMNS if name in rows.column_names]
    names = [data.source_column] if data.source_column else usual
    sample = row_sample(rows)
    return next((name for name in names if not any(isinstance(cell(row, name), str) for row in sample)), None)


def _tell_unread(rows: Dataset, column: str, data: PairData, place: str) -> None:
    """Warns of columns and keys of messages that are not read."""
    named = (column, data.source_column, data.target_column, data.context_column)
    filled = template_columns(data.source_template) if data.source_template else []
    columns = [name for name in BESIDE if name in rows.column_names and name not in (*named, *filled)]
    full = [name for name in columns if any(column_cells(rows, name).to_pylist())]
    if full:
        hint = "put whatever the model should see into the messages, for example a system message"
        logger.warning("%s: columns that are not read: %s; %s", place, ", ".join(full), hint)
    cells = column_cells(rows, column).to_pylist() if column in rows.column_names else []
    messages = (message for cell in cells if isinstance(cell, list) for message in cell if isinstance(message, Mapping))
    keys = {key: None for message in messages for key, value in message.items() if value not in (None, "", [], {})}
    if unread := [key for key in keys if key not in READ]:
        logger.warning("%s: keys of messages that are not read: %s", place, ", ".join(unread))


def _exchanges(splits: Splits, data: PairData) -> dict[str, Conversations]:
    """Pairs as conversations of one exchange."""
    found = {}
    for split, pairs in read_pairs(splits, data).items():
        messages = [
            [{"role": USER, "content": source}, {"role": ASSISTANT, "content": target}]
            for source, target in zip(pairs.sources, pairs.targets, strict=True)
        ]
        found[split] = Conversations(messages, pairs.columns[0], splits.place(split), [*pairs.references])
    return found


def joined_lines(rows: Dataset, place: str) -> Dataset:
    """Plain text as rows of messages: `1 hi TAB hello`, where numbering restarts, or a blank line separates, dialogues.

    A line without a tab is the result of the assistant's last call: a message of a `tool`. Rows other than plain text
    are returned unchanged.

    Paper: Bordes et al., 2017, appendix A (the bAbI dialogues), https://arxiv.org/abs/1605.07683

    Raises:
        InputError: a line of plain text has no number.
    """
    if rows.column_names != ["text"]:
        return rows
    dialogues: list[Messages] = []
    begins = True
    for number, line in enumerate(column_cells(rows, "text").to_pylist(), start=1):
        if not line.strip():
            begins = True
            continue
        found = _NUMBERED.fullmatch(line)
        if not found:
            raise InputError(f"{place}:{number}: {shown(line)} is not a line of a dialogue, such as '1 hi TAB hello'")
        if begins or found[1] == "1":
            dialogues.append([])
        begins = False
        said, tab, reply = found[2].partition("\t")
        dialogues[-1].append({"role": "user" if tab else "tool", "content": said})
        dialogues[-1] += [{"role": ASSISTANT, "content": reply}] if tab else []
    return Dataset(pa.table({COLUMN: dialogues}), fingerprint=generate_random_fingerprint())
