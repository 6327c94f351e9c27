"""Conversations, every message checked: rows of messages, or the numbered lines of the bAbI dialogues."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cells import column_cells, row_sample, shown
from hf_seq2seq.data.columns.finding import named_column
from hf_seq2seq.data.sources import load_splits, row_number, split_place
from hf_seq2seq.errors import InputError, nearest

Messages = list[dict[str, str]]
"""A conversation: `[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]`."""

OBJECTIVE = "dialogue"
COLUMN = "messages"
USER, ASSISTANT = "user", "assistant"
ROLES = ("system", "developer", USER, ASSISTANT, "tool", "function")
"""Those of the chat templates that models come with."""
_NUMBERED = re.compile(r"(\d+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Conversations:
    """The conversations of one split.

    Attributes:
        messages: of every row; the last one is the assistant's.
        column: where they were found.
        place: the file or data set, for errors.
    """

    messages: list[Messages]
    column: str
    place: str

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def columns(self) -> tuple[str, str]:
        """Where sources and targets were found, for people."""
        return self.column, "each reply"

    @property
    def histories(self) -> list[Messages]:
        """What stands before the last reply."""
        return [messages[:-1] for messages in self.messages]

    @property
    def references(self) -> list[list[str]]:
        """The last reply of every row."""
        return [[messages[-1]["content"]] for messages in self.messages]

    @property
    def contents(self) -> list[str]:
        """The text of all messages."""
        return [message["content"] for messages in self.messages for message in messages]

    @property
    def sources(self) -> list[str]:
        """Every message with its speaker, as text that a vocabulary of sources is learnt from."""
        return [f"{message['role']}: {message['content']}" for messages in self.messages for message in messages]

    @property
    def targets(self) -> list[str]:
        """The text of every reply."""
        return [messages[-1]["content"] for messages in self.each_reply().messages]

    def each_reply(self) -> "Conversations":
        """A row for every reply, which ends with it."""
        ends = [
            messages[: index + 1]
            for messages in self.messages
            for index, message in enumerate(messages)
            if message["role"] == ASSISTANT
        ]
        return replace(self, messages=ends)


def is_dialogue(options: Mapping[str, Any]) -> bool:
    """Whether a run, by its options' flat names, learns replies: some recipes have one objective, others a list."""
    return options.get("objective") in (OBJECTIVE, [OBJECTIVE])


def read_conversations(data: PairData) -> dict[str, Conversations]:
    """The conversations of every split.

    Args:
        data: where the rows come from; `source_column` names another column than `messages`.

    Raises:
        InputError: a prefix; no such column, a cell that is no list of messages, or a conversation that does not end
            with a reply.
    """
    if data.source_prefix:
        raise InputError("--source-prefix is for pairs; a conversation may begin with a message of the system")
    splits = load_splits(data, arrange=joined_lines)
    column = data.source_column or COLUMN
    found = {}
    for split, rows in splits.items():
        place = split_place(data, split)
        option = "source_column" if data.source_column else "objective"
        named_column(rows.column_names, row_sample(rows), option, column, place)
        cells = column_cells(rows, column).to_pylist()
        messages = [
            check_messages(cell, f"{place}: row {row_number(rows, i)}, column {column!r}", reply=True)
            for i, cell in enumerate(cells)
        ]
        found[split] = Conversations(messages, column, place)
    return found


def check_messages(value: Any, place: str, reply: bool) -> Messages:
    """A cell as messages of role and content alone.

    Args:
        value: the cell.
        place: for errors.
        reply: whether the last message must be the assistant's; otherwise it must not.

    Raises:
        InputError: names the message.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InputError(f'{place}: {shown(value)} is no list of messages, such as {{"role": "user", "content": "hi"}}')
    messages: Messages = []
    for number, message in enumerate(value, start=1):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if not isinstance(role, str) or not isinstance(content, str):
            raise InputError(f"{place}: message {number}, {shown(message)}, needs a role and a content, both text")
        if role not in ROLES:
            raise InputError(f"{place}: message {number}: unknown role {role!r}{nearest(role, ROLES)}")
        if role in (USER, ASSISTANT) and not content.strip():
            raise InputError(f"{place}: message {number}, the {role}'s, is empty; fill it in or remove the row")
        messages.append({"role": role, "content": content})
    if messages[0]["role"] == ASSISTANT:
        raise InputError(f"{place}: the first message is the assistant's, who can but reply")
    if (messages[-1]["role"] == ASSISTANT) != reply:
        raise InputError(f"{place}: the last message is {'not ' if reply else ''}the assistant's")
    return messages


def joined_lines(rows: Dataset, place: str) -> Dataset:
    """Plain text as rows of messages: `1 hi TAB hello`, numbered anew or after a blank line in each dialogue.

    A line without a tab is what the assistant was told, the result of its last call: a message of a `tool`. Rows that
    are no plain text are returned as they are.

    Paper: Bordes et al., 2017, appendix A (the bAbI dialogues), https://arxiv.org/abs/1605.07683

    Raises:
        InputError: plain text, but a line without a number.
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
            raise InputError(f"{place}:{number}: {shown(line)} is no line of a dialogue, such as '1 hi TAB hello'")
        if begins or found[1] == "1":
            dialogues.append([])
        begins = False
        said, tab, reply = found[2].partition("\t")
        dialogues[-1].append({"role": "user" if tab else "tool", "content": said})
        dialogues[-1] += [{"role": ASSISTANT, "content": reply}] if tab else []
    return Dataset(pa.table({COLUMN: dialogues}), fingerprint=generate_random_fingerprint())
