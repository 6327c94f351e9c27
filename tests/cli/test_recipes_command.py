"""Recipes: listed, shown, copied, and the copy runs."""

from pathlib import Path

import pytest


def test_list_says_what_each_does(command) -> None:
    result = command("recipes", "list")
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert {"rnn", "t5", "bert_classifier"} <= set(lines)
    assert lines["t5"] == "Fine-tune T5 on pairs of text, or train it from scratch."


@pytest.mark.parametrize(("group", "example"), [("recipes", "copy "), ("tokenizer", "train ")])
def test_a_group_alone_shows_its_help(command, group: str, example: str) -> None:
    result = command(group)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: hf-seq2seq {group} ")
    assert f"\n  {example}" in result.out


def test_show_prints_the_source(command, repository: Path) -> None:
    assert command("recipes", "show", "rnn").out == (repository / "recipes" / "rnn.py").read_text()
    assert "unknown recipe 'rn'; did you mean 'rnn'?" in command("recipes", "show", "rn").err


def test_a_copy_runs(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("recipes", "copy", "rnn")
    assert result.out == "rnn.py\nrun it:  hf-seq2seq train ./rnn.py --help\n"
    path = tmp_path / "rnn.py"
    path.write_text(path.read_text().replace('"""Train a recurrent', '"""My recurrent'))
    result = command("train", "./rnn.py", "--help")
    assert result.code == 0
    assert "My recurrent" in result.out
    assert "--hidden-size" in result.out


def test_a_copy_overwrites_nothing(command, tmp_path: Path) -> None:
    target = tmp_path / "mine.py"
    assert command("recipes", "copy", "t5", target).code == 0
    result = command("recipes", "copy", "rnn", target)
    assert (result.code, result.err) == (2, f"error: {target}: already exists; give another file\n")
    assert "T5" in target.read_text()
    assert "there is no folder" in command("recipes", "copy", "t5", tmp_path / "no" / "t5.py").err
    assert "ends in .py" in command("recipes", "copy", "t5", tmp_path / "folder").err


@pytest.mark.parametrize("recipe", ["bart", "bert_classifier", "gpt", "pegasus", "rnn", "seq2seq", "t5", "transformer"])
def test_examples_in_help_keep_their_lines(command, recipe: str) -> None:
    lines = [line.split() for line in command("train", recipe, "--help").out.splitlines()]
    examples = [line for line in lines if line[:2] == ["hf-seq2seq", "train"]]
    assert examples
    assert all(line.count("hf-seq2seq") == 1 for line in examples)
    assert all(line[-1].endswith((".csv", ".tsv", ".txt", ".jsonl")) or "--output-dir" in line for line in examples)
