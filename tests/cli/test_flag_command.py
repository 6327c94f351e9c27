"""Plain command lines, which are read without Typer, are read as Typer reads them."""

import dataclasses
import inspect
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest

from hf_seq2seq.cli import app, root
from hf_seq2seq.cli.command_table import COMMANDS, module_of
from hf_seq2seq.cli.flag_command import FlagCommand

PLAIN = [
    ("generate", ["m"]),
    ("generate", ["m", "a text", "", "another one", "--num-beams", "3"]),
    ("generate", ["--num_beams=3", "m", "--json-lines", "--output-details", "score,tokens", "--max-length", "5"]),
    ("generate", ["m", "--source-prefix", "", "--input-file=a=b.txt", "--length-penalty", "-1"]),
    ("generate", ["m", "--no-json-lines", "--no-repeat-ngram-size", "2"]),
    ("classify", ["m", "--max-seq-length", "7", "ein Satz"]),
    ("evaluate", []),
    ("evaluate", ["--predictions", "a.txt", "--references", "b.txt,c.txt", "--metrics", "bleu, chrf", "--json"]),
    ("evaluate", ["m", "--test-file", "x y.tsv", "--summary_column", "s", "--confidence", "95"]),
    ("average", ["a", "b", "c", "--output-dir", "d"]),
    ("export", ["m", "out", "--dtype", "int8"]),
    ("push", ["m", "--private", "--no-merge-adapter"]),
    ("pull", ["me/m", "folder", "--revision", "v1"]),
    ("rate", ["a.txt", "b.txt", "--scale", "1-7"]),
    ("ratings", ["key", "one.json", "two.json", "--json"]),
]
OTHERS = [
    ("generate", []),
    ("generate", ["--help"]),
    ("generate", ["m", "--num-beam", "3"]),
    ("generate", ["m", "--num-beams"]),
    ("generate", ["m", "--num-beams", "--json-lines"]),
    ("generate", ["m", "--json-lines=true"]),
    ("generate", ["m", "--num-beams", "3", "--num-beams", "4"]),
    ("generate", ["m", "--", "--num-beams"]),
    ("generate", ["m", "-x"]),
    ("generate", ["m", "-"]),
    ("generate", ["m", "--no-num-beams"]),
    ("generate", ["--no-num-beams", "5", "m"]),
    ("generate", ["m", "--no-output-details=score"]),
    ("generate", ["m", "--json-lines", "--no-json-lines"]),
    ("evaluate", ["m", "n"]),
    ("average", []),
    ("export", ["m"]),
    ("export", ["m", "out", "more"]),
    ("push", ["m", "--no-private"]),
]


def recorded(name: str) -> tuple[FlagCommand, list[dict[str, Any]]]:
    """The command, which writes down what it is called with and does nothing."""
    calls: list[dict[str, Any]] = []
    real = import_module(module_of(name)).COMMAND

    def record(**given: Any) -> None:
        calls.append(given)

    record.__signature__ = inspect.signature(real.function)  # type: ignore[attr-defined]
    return dataclasses.replace(real, function=record), calls


def by_typer(name: str, line: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    command, calls = recorded(name)
    monkeypatch.setattr(f"{module_of(name)}.build_command", command.build)
    root.app([name, *line], standalone_mode=False)
    return calls


@pytest.mark.parametrize(("name", "line"), PLAIN)
def test_a_plain_line_is_read_as_typer_reads_it(name: str, line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command, calls = recorded(name)
    assert command.run_plain(line)
    (expected,) = by_typer(name, line, monkeypatch)
    missing = {word: value for word, value in expected.items() if word not in calls[0]}
    assert calls == [{word: value for word, value in expected.items() if word not in missing}]
    assert not any(missing.values())  # what the function takes for granted


@pytest.mark.parametrize(("name", "line"), OTHERS)
def test_every_other_line_is_left_to_typer(name: str, line: list[str]) -> None:
    command, calls = recorded(name)
    assert not command.run_plain(line)
    assert not calls


def test_every_command_is_built_by_its_module() -> None:
    for name, text in COMMANDS.items():
        assert import_module(module_of(name)).build_command(name, text).name == name


def test_completion_is_typer_s() -> None:
    asked = {"_HF_SEQ2SEQ_COMPLETE": "complete_bash", "COMP_WORDS": "hf-seq2seq evaluate --pre", "COMP_CWORD": "2"}
    code = f"import sys; sys.argv = ['hf-seq2seq', 'evaluate']; from {app.__name__} import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    assert "--predictions" in done.stdout
