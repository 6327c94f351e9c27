"""A conversation in a file: JSON lines, a message each."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.data.messages import ASSISTANT, SPEAKERS, USER, Messages, check_messages
from hf_seq2seq.data.rows import json_line, shown
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError


def read_messages(path: Path) -> Messages:
    """The messages of a file; none if it does not exist.

    Raises:
        InputError: it cannot be read, a line is no message, or the last message has no answer.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; give JSON lines of messages") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    messages = [_message(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if messages and messages[-1]["role"] == USER:
        raise InputError(f"{path}: the last message is the user's and has no answer; remove it and say it again")
    return messages


def _message(line: str, place: str) -> dict[str, str]:
    try:
        value = strict_json.loads(line)
    except ValueError:
        raise InputError(f'{place}: {shown(line)} is not JSON, such as {{"role": "user", "content": "hi"}}') from None
    if not isinstance(value, Mapping):
        raise InputError(f'{place}: {shown(value)} is not a message, such as {{"role": "user", "content": "hi"}}')
    if ASSISTANT in (value.get("role"), SPEAKERS.get(str(value.get("from")))):
        return check_messages([{"role": USER, "content": "-"}, value], place, reply=True)[1]
    return check_messages([value], place, reply=False)[0]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows as JSON lines; the file appears once complete.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with open_draft(path) as stream:
            stream.writelines(json_line(dict(row)) + "\n" for row in rows)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
