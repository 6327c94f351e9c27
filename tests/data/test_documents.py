import json
from pathlib import Path

import numpy as np
import pytest

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.documents import pack, read_documents
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged


def packed_by_hand(documents: list[list[int]], size: int) -> list[tuple[list[int], list[int]]]:
    """Blocks and places, token by token."""
    stream = [(token, place == 0) for document in documents for place, token in enumerate(document)]
    blocks = []
    for start in range(0, len(stream) - 1, size):
        ids: list[int] = []
        places: list[int] = []
        for token, begins in stream[start : start + size + 1]:
            places.append(0 if begins or not places else places[-1] + 1)
            ids.append(token)
        blocks.append((ids, places))
    return blocks


@pytest.mark.parametrize("size", [2, 3, 5, 7, 100])
def test_pack_equals_a_loop(size: int) -> None:
    random = np.random.default_rng(size)
    documents = [random.integers(0, 99, random.integers(2, 12)).tolist() for _ in range(20)]
    blocks, places = pack(Ragged.of(documents), size)
    expected = packed_by_hand(documents, size)
    assert [(blocks[row].tolist(), places[row].tolist()) for row in range(len(blocks))] == expected
    # Every token but the first of a document is learned once.
    learned = [int(i) for row in range(len(blocks)) for i, p in zip(blocks[row][1:], places[row][1:], strict=True) if p]
    assert learned == [token for document in documents for token in document[1:]]


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_lines_are_documents_and_blank_ones_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = PairData(train_file=write(tmp_path / "a.txt", "one\n\n  \ntwo\n"))
    assert read_documents(data) == ({"train": ["one", "two"]}, "text")
    assert "a.txt: 2 of 4 rows have no text and are left out" in caplog.text


def test_one_document_keeps_its_lines_and_gives_its_end(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n\n" for number in range(40))
    data = PairData(train_file=write(tmp_path / "a.txt", text), validation_split_percentage=10)
    documents, _ = read_documents(data, one_document=True)
    assert documents["train"][0] + documents["validation"][0] == text
    assert len(documents["train"][0]) == int(0.9 * len(text))


def test_a_column_of_a_table(tmp_path: Path) -> None:
    rows = [{"id": "a", "body": "some text", "kind": "T"}, {"id": "b", "body": "", "kind": "U"}]
    file = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    data = PairData(train_file=file, source_column="body")
    assert read_documents(data) == ({"train": ["some text"]}, "body")
    numbers = write(tmp_path / "n.jsonl", '{"first": 1, "second": 2}\n')
    with pytest.raises(InputError, match=r"n.jsonl: name the columns by --source-column; its columns are fir"):
        read_documents(PairData(train_file=numbers))
    with pytest.raises(InputError, match=r"no column 'bdy'.*did you mean 'body'"):
        read_documents(PairData(train_file=file, source_column="bdy"))
    with pytest.raises(InputError, match=r"e.txt: column 'text' contains no text"):
        read_documents(PairData(train_file=write(tmp_path / "e.txt", "\n \n")))
