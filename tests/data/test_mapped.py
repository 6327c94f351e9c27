"""Texts and ids outside of memory, and the cache that holds them."""

import errno
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.encoding import encode_continuations, encode_targets, encode_texts
from hf_seq2seq.data.mapped.cache import made_once
from hf_seq2seq.data.mapped.ids import MappedRagged
from hf_seq2seq.data.mapped.texts import ArrowTexts, behind, containing, longest_texts
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.ragged import Ragged

TEXTS = [f"zeile {number} {'wort ' * (number % 7)}ende ☃" for number in range(90)]
TEXTS[3], TEXTS[40], TEXTS[77] = "</s> am Anfang", "mitten <pad> darin", "  Räume \t und <unk>  "
CHOSEN = np.random.default_rng(0).permutation(len(TEXTS))[:50]


@pytest.fixture
def texts() -> ArrowTexts:
    return ArrowTexts([pa.array(TEXTS[:30]), pa.array(TEXTS[30:31]), pa.array([], pa.string()), pa.array(TEXTS[31:])])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and small shards."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    monkeypatch.setattr("hf_seq2seq.data.mapped.texts.PART", 10)
    monkeypatch.setattr("hf_seq2seq.data.mapped.ids.PART", 10)
    monkeypatch.setattr("hf_seq2seq.data.mapped.ids.SHARD", 20)
    return tmp_path / "hf_seq2seq"


@pytest.mark.parametrize("rows", [None, CHOSEN, np.sort(CHOSEN)], ids=["all", "chosen", "sorted"])
def test_as_a_list(texts: ArrowTexts, rows: np.ndarray | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_seq2seq.data.mapped.texts.PART", 7)
    found = texts if rows is None else texts.select(rows)
    expected = TEXTS if rows is None else [TEXTS[row] for row in rows]
    assert (list(found), len(found), found[5], found[-2]) == (expected, len(expected), expected[5], expected[-2])
    assert (found[4:40:3], found[::-1], found[60:90]) == (expected[4:40:3], expected[::-1], expected[60:90])
    assert list(behind("in: ", found)) == list(behind("in: ", expected))
    assert list(containing(found, ["<", "9"])) == list(containing(expected, ["<", "9"])) != []
    assert list(longest_texts(found, 8)) == [t for t in expected if t in sorted(expected, key=len)[-8:]]
    assert found.digest == ArrowTexts([pa.array(expected, pa.large_string())]).digest != texts.behind(" ").digest
    with pytest.raises(IndexError):
        found[len(expected)]


@pytest.mark.parametrize(("kind", "as_text"), [("char", False), ("bpe", True), ("unigram", False), ("wordpiece", True)])
def test_processes_encode_as_the_tokenizer_does(texts: ArrowTexts, home: Path, kind: str, as_text: bool) -> None:
    tokenizer = train_tokenizers(TEXTS, TEXTS, NewTokenizer(tokenizer_type=kind, vocab_size=400)).source
    tokenizer.split_special_tokens = as_text
    tokenizer.truncation_side = "left" if kind == "char" else "right"
    most = 18 if kind == "char" else 8
    for encode in (encode_texts, encode_targets, encode_continuations) if kind == "bpe" else (encode_targets,):
        found, cut = encode(texts, tokenizer, most)
        expected, expected_cut = encode(TEXTS, tokenizer, most)
        assert isinstance(found, MappedRagged)
        assert (len(found.shards), cut) == (5, expected_cut)
        assert 0 < cut < len(TEXTS)
        assert_equal(found, expected)
        assert_equal(found.without_first(), expected.without_first())


def assert_equal(found: Ragged, expected: Ragged) -> None:
    assert [found[row].tolist() for row in range(len(found))] == [
        expected[row].tolist() for row in range(len(expected))
    ]
    assert np.array_equal(found.lengths, expected.lengths)
    assert np.array_equal(np.concatenate(list(found.parts())), expected.values)


def test_a_tokenizer_that_processes_do_not_know_encodes_itself(
    texts: ArrowTexts, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = train_tokenizers(TEXTS, TEXTS, NewTokenizer(tokenizer_type="char")).source
    plain = type(tokenizer).__call__

    def spoken(self: Any, text: Any = None, **options: Any) -> Any:
        return plain(self, [f"{each}e" for each in text] if text else None, **options)

    monkeypatch.setattr(type(tokenizer), "__call__", spoken)
    monkeypatch.setattr("hf_seq2seq.data.mapped.ids._Worker", None)  # is never asked
    found, _ = encode_texts(texts, tokenizer, 90)
    assert_equal(found, encode_texts(TEXTS, tokenizer, 90)[0])
    assert tokenizer.decode(found[0], skip_special_tokens=True).endswith("☃e")


def test_encoded_once_until_a_file_is_damaged(texts: ArrowTexts, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_tokenizers(TEXTS, TEXTS, NewTokenizer(tokenizer_type="char")).source
    expected, _ = encode_texts(TEXTS, tokenizer, 20)
    assert_equal(encode_texts(texts, tokenizer, 20)[0], expected)
    (folder,) = [path for path in (home / "rows").iterdir() if path.is_dir()]
    left = folder.with_name(f".{folder.name}.killed")
    left.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("hf_seq2seq.data.mapped.ids._Worker", None)
        assert_equal(encode_texts(texts, tokenizer, 20)[0], expected)
    shard = folder / "000002.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert_equal(encode_texts(texts, tokenizer, 20)[0], expected)
    assert shard.read_bytes() != content
    assert not left.exists()
    (folder / "contents.json").write_text("{")
    shard.unlink()
    assert_equal(encode_texts(texts, tokenizer, 20)[0], expected)


def test_without_room_rows_stay_in_memory(
    texts: ArrowTexts, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = train_tokenizers(TEXTS, TEXTS, NewTokenizer(tokenizer_type="char")).source
    expected, _ = encode_texts(TEXTS, tokenizer, 20)

    def full(path: Path) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hf_seq2seq.data.mapped.cache._checksum", full)
    encode_texts(texts, tokenizer, 21)
    found, _ = encode_texts(texts, tokenizer, 20)
    assert not isinstance(found, MappedRagged)
    assert_equal(found, expected)
    told = f"{home}: No space left on device; this run holds its rows in memory instead"
    assert [record.getMessage() for record in caplog.records] == [told]
    assert {path.suffix for path in (home / "rows").iterdir()} == {".lock"}


def test_two_at_the_same_time_make_one(home: Path) -> None:
    made = []

    def make(folder: Path) -> dict[str, Any]:
        made.append(folder)
        time.sleep(0.1)
        (folder / "file").write_text("content")
        return {"number": len(made)}

    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(made_once("things", "key", make))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [kept.facts for kept in found] == [{"number": 1}] * 3
    assert (found[0].folder / "file").read_text() == "content"
