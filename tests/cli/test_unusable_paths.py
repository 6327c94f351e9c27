"""Paths and tokenizers that no command can use end in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "~nobody-here/model", "a"),
        ("train", "rnn", "--train-file", "~nobody-here/rows.tsv"),
        ("baseline", "copy", "--train-file", "~nobody-here/rows.tsv"),
    ],
)
def test_a_home_of_nobody(command: Callable, words: tuple[str, ...], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = command(*words)
    assert found.code == 2
    assert found.err.startswith("error: ~nobody-here/")
    assert found.err.endswith(" begins with ~ is written ./" + found.err.split(": ")[1] + "\n")
    assert "there is no user 'nobody-here'" in found.err
    assert not list(tmp_path.iterdir())


def test_a_model_behind_a_dangling_link(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("gone")
    found = command("generate", tmp_path / "model", "a")
    assert (found.code, found.err) == (
        2, f"error: {tmp_path / 'model'}: is a symbolic link to 'gone', which is not there\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("encoder_layers", 10**9, "1,000,000,000 does not fit the weights, which are {} tensors"),
        ("d_model", 10**9, "1,000,000,000 does not fit the weights, which are at most {} numbers"),
        ("vocab_size", 10**15, "1,000,000,000,000,000 does not fit the weights, which are at most {} numbers"),
        ("num_labels", 10**9, "1,000,000,000 does not fit the weights, which are at most {} numbers"),
    ],
)
def test_numbers_that_the_weights_have_no_room_for(
    command: Callable, model_folder: Path, tmp_path: Path, name: str, value: int, message: str
) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    found = command("generate", tmp_path / "model", "a")
    first, last = message.split("{}")
    assert found.code == 2
    assert found.err.startswith(f"error: {file}: {name}: {first}")
    assert found.err.endswith(f"{last}\n")
    assert found.err.count("\n") == 1


def test_a_pattern_that_tries_endless_ways(command: Callable, model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    file = tmp_path / "model" / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["pre_tokenizer"] = {
        "type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False
    }  # fmt: skip
    file.write_text(json.dumps(tokenizer))
    found = command("generate", tmp_path / "model", "a" * 60 + "c")
    assert found.code == 2
    assert found.err.splitlines()[-1].startswith("error: the tokenizer cannot read this text: Onig: Regex search error")
