"""Conversations from JSON lines and from numbered lines, and what is no conversation."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.conversations import read_conversations
from hf_seq2seq.errors import InputError

ASKS, ANSWERS = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_of_messages(tmp_path: Path) -> None:
    system = {"role": "system", "content": "be short"}
    rows = [{"id": 1, "messages": [system, ASKS | {"name": "Ann"}, ANSWERS]}, {"id": 2, "messages": [ASKS, ANSWERS]}]
    found = read_conversations(PairData(train_file=write(tmp_path / "a.jsonl", rows)))["train"]
    assert found.messages == [[system, ASKS, ANSWERS], [ASKS, ANSWERS]]
    assert found.histories == [[system, ASKS], [ASKS]]
    assert found.references == [["hello"], ["hello"]]
    named = [{"talk": row["messages"]} for row in rows]
    data = PairData(train_file=write(tmp_path / "b.jsonl", named), source_column="talk")
    assert read_conversations(data)["train"].messages == found.messages


def test_numbered_lines(tmp_path: Path) -> None:
    lines = "1 hi\thello\n2 a place R_phone 12\n3 <SILENCE>\tthe number is 12\n\n\n1 hi there\thello\n1 bye\tbye bye\n"
    (tmp_path / "talk.txt").write_text(lines)
    found = read_conversations(PairData(train_file=str(tmp_path / "talk.txt"), max_train_samples=2))["train"]
    assert len(found) == 2  # dialogues, not lines, are counted
    assert [(m["role"], m["content"]) for m in found.messages[0]] == [
        ("user", "hi"), ("assistant", "hello"), ("tool", "a place R_phone 12"), ("user", "<SILENCE>"),
        ("assistant", "the number is 12"),
    ]  # fmt: skip
    assert found.contents[-2:] == ["hi there", "hello"]
    data = PairData(train_file=str(tmp_path / "talk.txt"), validation_split_percentage=34)
    assert {name: len(rows) for name, rows in read_conversations(data).items()} == {"train": 2, "validation": 1}


def test_numbered_turns() -> None:
    path = Path(__file__).parent.parent / "samples" / "dialogue.txt.gz"
    found = read_conversations(PairData(train_file=str(path)))["train"]
    assert len(found) == 2
    with gzip.open(path, "rt") as stream:
        lines = [line for line in stream if line.strip()]
    replies = [line.rstrip("\n").split("\t")[1] for line in lines if "\t" in line]
    assert [m["content"] for row in found.messages for m in row if m["role"] == "assistant"] == replies
    assert sum(m["role"] == "tool" for row in found.messages for m in row) == len(lines) - len(replies)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([ASKS], r"row 2, column 'messages': the last message is not the assistant's"),
        ([ANSWERS], "the only message is the assistant's; a reply needs a message before it"),
        ([], r"row 2, column 'messages': \[\] is not a list of messages"),
        ([ASKS, {"role": "assistant", "content": None}], "message 2, .* needs a role and a content, both text"),
        ([ASKS, ANSWERS | {"content": " "}], "message 2, of the assistant, is empty; fill it in or remove the row"),
        ([ASKS | {"content": ""}, ANSWERS], "message 1, of the user, is empty"),
        ([ASKS, {"role": "asistant", "content": "hello"}], "unknown role 'asistant'; did you mean 'assistant'"),
    ],
)
def test_what_is_no_conversation_is_refused(tmp_path: Path, messages: list[dict[str, Any]], message: str) -> None:
    path = write(tmp_path / "a.jsonl", [{"messages": [ASKS, ANSWERS]}, {"messages": messages}])
    with pytest.raises(InputError, match=message) as caught:
        read_conversations(PairData(train_file=path))
    assert str(caught.value).startswith(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"a": "a", "b": "b", "c": "c"}])
    with pytest.raises(InputError, match=r"name the columns by --source-column and --target-column; its columns"):
        read_conversations(PairData(train_file=path))
    (tmp_path / "talk.txt").write_text("1 hi\thello\nand so on\n")
    with pytest.raises(InputError, match=r"talk.txt:2: 'and so on' is not a line of a dialogue"):
        read_conversations(PairData(train_file=str(tmp_path / "talk.txt")))


def test_messages_that_are_text_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": "hi"}\n' * 5)
    with pytest.raises(InputError, match="row 1, column 'messages': 'hi' is not a list of messages, such as"):
        read_conversations(PairData(train_file=str(path)))


@pytest.mark.parametrize("column", ["conversations", "messages", "conversation"])
def test_conversations_as_sharegpt_has_them(tmp_path: Path, column: str) -> None:
    turns = [("system", "be brief"), ("human", "hi"), ("gpt", "hello"), ("observation", "17"), ("gpt", "seventeen")]
    rows = [{"id": 1, column: [{"from": speaker, "value": text, "weight": None} for speaker, text in turns]}]
    found = read_conversations(PairData(train_file=write(tmp_path / "a.jsonl", rows)))["train"]
    roles = ["system", "user", "assistant", "tool", "assistant"]
    assert found.messages == [[{"role": r, "content": t} for r, (_, t) in zip(roles, turns, strict=True)]]
    rows[0][column][1]["from"] = "humam"
    with pytest.raises(InputError, match=rf"row 1, column '{column}': message 2: unknown role 'humam'"):
        read_conversations(PairData(train_file=write(tmp_path / "a.jsonl", rows)))


def test_a_first_message_of_the_assistant_is_read_and_no_reply(tmp_path: Path) -> None:
    rows = [{"messages": [ANSWERS, ASKS, ANSWERS]}]
    found = read_conversations(PairData(train_file=write(tmp_path / "a.jsonl", rows)))["train"]
    assert found.messages == [[ANSWERS, ASKS, ANSWERS]]
    assert found.each_reply().messages == found.messages
    assert found.transcripts == [f"assistant: {ANSWERS['content']}\nuser: {ASKS['content']}"]


def test_pairs_are_exchanges(tmp_path: Path) -> None:
    alpaca = [
        {"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "Say hi.", "input": "", "output": "hi"},
    ]  # fmt: skip
    found = read_conversations(PairData(train_file=write(tmp_path / "a.jsonl", alpaca)))["train"]
    asked = ["Add.\n\n1 2", "Say hi."]
    assert [[m["content"] for m in row] for row in found.messages] == [[asked[0], "3"], [asked[1], "hi"]]
    assert {m["role"] for row in found.messages for m in row[::2]} == {"user"}
    several = [{"source": "a", "target": ["b", "c"]}]
    tests = read_conversations(PairData(test_file=write(tmp_path / "b.jsonl", several)))["test"]
    assert (tests.references, tests.histories) == ([["b", "c"]], [[{"role": "user", "content": "a"}]])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": [ASKS, ANSWERS | {"weight": 0}]}, "keys of messages that are not read: weight"),
        ({"messages": [ASKS, ANSWERS | {"tool_calls": [{"name": "x"}]}]}, "messages that are not read: tool_calls"),
        ({"system": "be short", "messages": [ASKS, ANSWERS]}, "columns that are not read: system; put whatever"),
        ({"instruction": "hi", "input": "", "output": "ho", "history": [["a", "b"]]}, "are not read: history;"),
        ({"system": "", "messages": [ASKS | {"name": None, "tool_calls": []}, ANSWERS]}, None),
    ],
)
def test_what_is_not_read_of_a_conversation_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, row: dict[str, Any], told: str | None
) -> None:
    read_conversations(PairData(train_file=write(tmp_path / "a.jsonl", [row, row])))
    assert told in caplog.text if told else caplog.text == ""
