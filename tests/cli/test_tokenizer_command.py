"""`tokenizer`: trained from files, shown piece by piece."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("source\ttarget\n" + "the dog runs\tder hund läuft\nthe cat sees\tdie katze sieht\n" * 20)
    return path


def test_a_shared_tokenizer(command, pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    flags = ["--train-file", pairs, "--tokenizer-type", "word", "--output-dir", folder]
    result = command("tokenizer", "train", *flags)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{folder}: 15 pieces from 40 rows\n"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("the hund runs")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the hund runs"
    shown = [line.split("\t") for line in command("tokenizer", "show", folder, "the hund runs").out.splitlines()]
    assert [int(number) for number, _ in shown] == ids
    assert [piece for _, piece in shown] == ["the", "hund", "runs", "</s>"]
    result = command("tokenizer", "train", *flags)
    assert (result.code, "is not empty; give --overwrite-output-dir" in result.err) == (2, True)
    result = command("tokenizer", "train", *flags[:-1], folder / "tokenizer.json")
    assert (result.code, "tokenizer.json is a file" in result.err) == (2, True)
    assert command("tokenizer", "train", *flags, "--overwrite-output-dir").code == 0


def test_separate_tokenizers(command, pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    flags = ["--tokenizer-type", "word", "--target-tokenizer-type", "char", "--output-dir", folder]
    assert command("tokenizer", "train", "--train-file", pairs, *flags).code == 0
    source = command("tokenizer", "show", folder, "the hund").out
    target = command("tokenizer", "show", folder, "the hund", "--target").out
    assert [line.split("\t")[1] for line in source.splitlines()] == ["the", "<unk>", "</s>"]
    assert [line.split("\t")[1] for line in target.splitlines()][-5:] == ["h", "u", "n", "d", "</s>"]


def test_one_column_of_text(command, tmp_path: Path) -> None:
    path, folder = tmp_path / "lines.txt", tmp_path / "tokenizer"
    path.write_text("the dog runs\nthe cat\n")
    assert (
        command("tokenizer", "train", "--train-file", path, "--tokenizer-type", "word", "--output-dir", folder).code
        == 0
    )
    assert [line.split("\t")[1] for line in command("tokenizer", "show", folder, "dog cat").out.splitlines()] == [
        "dog",
        "cat",
        "</s>",
    ]


def test_bad_input(command, pairs: Path, tmp_path: Path) -> None:
    result = command("tokenizer", "train")
    assert (result.code, result.err) == (2, "error: tokenizer train: give --train-file or --dataset-name\n")
    result = command("tokenizer", "show", tmp_path / "none", "text")
    assert result.code == 2
    assert "none" in result.err
    result = command("tokenizer", "train", "--train-file", pairs, "--vocab-size", "2")
    assert "--vocab-size: 2 is too small; the minimum is 8" in result.err
    assert command("tokenizer", "train", "--train-file", pairs, "--tokenizer-type", "wrd").code == 2


def test_bytes_are_shown_as_the_text_that_they_are(command, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("source\ttarget\n" + "schöne Männer\tfɪʃ ɪz\n" * 20)
    folder = tmp_path / "bytes"
    flags = ["--train-file", tmp_path / "pairs.tsv", "--tokenizer-type", "bpe", "--output-dir", folder]
    assert command("tokenizer", "train", *flags).code == 0
    shown = [line.split("\t")[1] for line in command("tokenizer", "show", folder, "schöne Männer fɪʃ").out.splitlines()]
    assert shown == ["schöne", "ĠMänner", "Ġ", "fɪʃ", "</s>"]
    half = [line.split("\t")[1] for line in command("tokenizer", "show", folder, "ß").out.splitlines()]
    assert half == ["Ã", "Ł", "</s>"]  # neither byte is a character
