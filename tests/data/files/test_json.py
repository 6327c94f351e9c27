from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.data.files.json import json_document_rows, json_line_rows
from hf_seq2seq.data.files.text_files import opened
from hf_seq2seq.errors import InputError


def read(rows: Callable, path: str) -> list[tuple[int, dict]]:
    with opened(Path(path)) as file:
        return list(rows(file, "utf-8"))


def test_json_lines_are_numbered_as_in_the_file(write):
    path = write("a.jsonl", '{"a": 1}\n\n{"a": [2, null]}\n')
    assert read(json_line_rows, path) == [(1, {"a": 1}), (3, {"a": [2, None]})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n{"a": \n', ":2:7: broken JSON: Expecting value"),
        ('{"a": 1}\n[1, 2]\n', ":2: [1, 2] is not a JSON object with columns; a list of objects needs a name"),
        ('{"a": 1}\n{"a": 1, "b": {"c": 1, "c": 2}}\n', ':2: broken JSON: "c" is twice in one object'),
        ('"text"\n', ':1: "text" is not a JSON object'),
        ('{"a": ' + "[" * 100_000 + "\n", ":1: broken JSON"),
    ],
)
def test_a_bad_line_is_named(write, content, message):
    with pytest.raises(InputError) as error:
        read(json_line_rows, write("a.jsonl", content))
    assert f"a.jsonl{message}" in str(error.value)


ROWS = [{"s": "a", "t": "b"}, {"s": "c", "t": "d"}]


@pytest.mark.parametrize(
    "content",
    [
        '[{"s": "a", "t": "b"},\n {"s": "c", "t": "d"}]',
        '{"version": 1, "data": [{"s": "a", "t": "b"}, {"s": "c", "t": "d"}]}',
        '{"s": ["a", "c"],\n "t": ["b", "d"]}',
        '{"s": "a", "t": "b"}\n{"s": "c", "t": "d"}\n',
    ],
    ids=["list", "data", "columns", "lines"],
)
def test_a_document_has_rows_in_four_forms(write, content):
    rows = read(json_document_rows, write("a.json", content))
    assert rows == [(1, ROWS[0]), (2, ROWS[1])]


def test_a_document_may_be_one_row(write):
    assert read(json_document_rows, write("a.json", '{"s": "a"}')) == [(1, {"s": "a"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1},\n {"a": }]', "a.json:2:8: broken JSON"),
        ('[{"a": 1},\n {"a": 2}', "a.json:2:10: broken JSON"),
        ('[{"a": 1}, 7]', "a.json: item 2, 7, is not a JSON object"),
        ('[{"a": 1}]\n[]', "a.json:2:1: broken JSON: text after the end"),
        ('{"a": 1}\n{"a": 2\n', "a.json:2:8: broken JSON"),
        ('[{"a": 1, "a": 2}]', 'a.json: broken JSON: "a" is twice in one object'),
        ("7", "a.json: item 1, 7, is not a JSON object"),
    ],
)
def test_a_bad_document_is_refused_with_its_place(write, content, message):
    with pytest.raises(InputError) as error:
        read(json_document_rows, write("a.json", content))
    assert message in str(error.value)
