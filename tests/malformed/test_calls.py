"""Calls with arguments that do not go together, places that cannot be written, and calls as processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LONG = "a" * 300
TRAIN = ["train", "rnn", "--train-file", "good.tsv"]
CALLS = [
    ["what"],
    ["--what"],
    ["train"],
    ["train", "what"],
    ["train", "./missing.py"],
    ["train", "rnn"],
    ["train", "rnn", "word"],
    ["train", "rnn", "-c"],
    ["train", "rnn", "-c", "missing.yaml"],
    ["train", "rnn", "-c", "."],
    ["train", "-c", LONG],
    [*TRAIN, "--output-dir", ""],
    [*TRAIN, "--output-dir", LONG],
    [*TRAIN, "--output-dir", "good.tsv"],
    [*TRAIN, "--output-dir", "good.tsv/below"],
    [*TRAIN, "--output-dir", "/proc/nothing/here"],
    [*TRAIN, "--bf16", "--no-bf16"],
    [*TRAIN, "--bf16=perhaps"],
    [*TRAIN, "--gpus", "x"],
    [*TRAIN, "--gpus", "0,0"],
    [*TRAIN, "--report-to", "what"],
    [*TRAIN, "--resume-from-checkpoint", "nowhere"],
    ["preview"],
    ["preview", "rnn"],
    ["generate"],
    ["generate", ""],
    ["generate", LONG],
    ["generate", "good.tsv", "ab"],
    ["generate", "a\nb\nc\nd", "ab"],
    ["generate", "model", "ab", "--input-file", "good.tsv"],
    ["generate", "model", "ab", "--output-file", ""],
    ["generate", "model", "ab", "--output-file", "."],
    ["generate", "model", "ab", "--output-file", LONG],
    ["generate", "model", "ab", "--output-file", "nowhere/o"],
    ["generate", "model", "ab", "--output-details", "score"],
    ["generate", "model", "ab", "--ensemble", "nowhere"],
    ["generate", "model", "ab", "--mbr-metric", "what"],
    ["generate", "model", "ab", "--engine", "ctranslate2"],
    ["generate", "model", "ab", "--encoding", "what", "--output-file", "o", "--input-file", "good.tsv"],
    ["generate", "model", "a\udcffb"],
    ["generate", "labels", "ab"],
    ["classify", "model", "ab"],
    ["classify", "labels", "--input-file", "good.tsv", "--text-column", "what"],
    ["classify", "labels", "ab", "--text-pair-column", "what"],
    ["evaluate"],
    ["evaluate", "model"],
    ["evaluate", "model", "--predictions", "lines.txt"],
    ["evaluate", "--predictions", "lines.txt"],
    ["evaluate", "--references", "lines.txt"],
    ["evaluate", "--predictions", "lines.txt", "--references", "lines.txt", "--metrics", "what"],
    ["evaluate", "--predictions", "lines.txt", "--references", "lines.txt", "--compare", "missing"],
    ["evaluate", "model", "--test-file", "good.tsv", "--metrics", ",,"],
    ["rate"],
    ["rate", "lines.txt"],
    ["rate", "lines.txt", "lines.txt", "--source-file", "lines.txt"],
    ["rate", "lines.txt", "--source-file", "lines.txt", "--scale", "5-1"],
    ["rate", "lines.txt", "--source-file", "lines.txt", "--scale", "9" * 500 + "-1"],
    ["rate", "lines.txt", "--source-file", "lines.txt", "--criteria", ""],
    ["rate", "lines.txt", "--source-file", "lines.txt", "--output-dir", LONG],
    ["rate", "lines.txt", "--source-file", "lines.txt", "--output-dir", "good.tsv"],
    ["ratings"],
    ["ratings", "missing", "missing"],
    ["ratings", "good.tsv", "good.tsv"],
    ["average"],
    ["average", "model"],
    ["average", "model", "missing"],
    ["average", "model", "labels", "--output-dir", "out"],
    ["average", "model", "model", "--output-dir", LONG],
    ["average", "model", "model", "--output-dir", "good.tsv"],
    ["export", "model"],
    ["export", "missing", "new"],
    ["export", "model", "labels"],
    ["export", "model", LONG],
    ["export", "model", "good.tsv/new", "--format", "safetensors"],
    ["export", "model", "new", "--format", "onnx", "--quantization", "int8"],
    ["push"],
    ["push", "missing"],
    ["push", "model"],
    ["push", LONG, "--hub-model-id", "me/model"],
    ["push", "model", "--hub-model-id", "a/b/c"],
    ["pull"],
    ["pull", "me/model"],
    ["pull", "a/b/c", "new"],
    ["pull", "me/model", LONG],
    ["pull", "me/model", "good.tsv"],
    ["tokenizer", "train"],
    ["tokenizer", "train", "--train-file", "good.tsv", "--output-dir", LONG],
    ["tokenizer", "train", "--train-file", "good.tsv", "--output-dir", "good.tsv"],
    ["tokenizer", "show"],
    ["tokenizer", "show", "missing", "ab"],
    ["tokenizer", "show", "model"],
    ["recipes", "show", "what"],
    ["recipes", "copy", "rnn", "nowhere/x.py"],
    ["recipes", "copy", "rnn", "x.txt"],
    ["recipes", "copy", "rnn", LONG + ".py"],
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call)[:60].encode("ascii", "replace").decode())
def test_calls(refused: Any, place: Path, call: list[str]) -> None:
    refused(*call)


KEYS: dict[str, Any] = {
    "scale": {"scale": [float("-inf"), float("inf")]},
    "not numbers": {"scale": [float("nan"), 5]},
    "text scale": {"scale": "1-5"},
    "texts": {"texts": 3},
    "criteria": {"criteria": [float("inf")]},
}


@pytest.mark.parametrize("name", KEYS)
def test_rating_keys(attempt: Any, place: Path, name: str) -> None:
    attempt("rate", "lines.txt", "--source-file", "lines.txt", "--output-dir", "sheet")
    key = json.loads((place / "sheet" / "rating_key.json").read_text())
    (place / "sheet" / "rating_key.json").write_text(json.dumps(key | KEYS[name]))
    (place / "rated.json").write_text("{}")
    assert attempt("ratings", "sheet", "rated.json")[0] == 2


PROCESSES = [
    ["train", "rnn", "--train-file", "good.tsv", "--learning-rate", "nan"],
    ["train", "rnn", "--train-file", "good.tsv", "--output-dir", LONG],
    ["generate", "missing", "ab"],
    ["evaluate", "--predictions", "missing", "--references", "lines.txt"],
    ["generate", "a\udcffb", "ab"],
]


@pytest.mark.parametrize("call", PROCESSES, ids=lambda call: call[0])
def test_processes(place: Path, repository: Path, call: list[str], forked_python: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [forked_python, "-m", "hf_seq2seq", *call]
    ended = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, errors="replace")
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) <= 2


def test_standard_output_is_closed(place: Path, repository: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    for call in (["recipes", "list"], ["--help"], ["generate", "model", "ab"]):
        command = [sys.executable, "-m", "hf_seq2seq", *call]
        shut = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
        ended = subprocess.run(shut, cwd=place, env=environment, capture_output=True, text=True)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.startswith("error: standard output: "), ended.stderr
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
