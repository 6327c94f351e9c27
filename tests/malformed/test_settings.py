"""Files of settings that are broken: a run's YAML, a mixture, an Accelerate configuration, a run's own run.yaml."""

from pathlib import Path
from typing import Any

import pytest

GOOD = "recipe: rnn\ntrain_file: good.tsv\n"
DEEP = 3000
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
YAML: dict[str, str | bytes] = {
    "deep list": "train_file: " + "[" * DEEP + "]" * DEEP,
    "deep mapping": "".join(f"{' ' * n}a:\n" for n in range(DEEP)),
    "deep flow": "a: " + "{a: " * DEEP + "}" * DEEP,
    "unclosed": "train_file: [a, b\n",
    "tab": "train_file: good.tsv\n\tseed: 3\n",
    "list": "- train_file: good.tsv\n",
    "scalar": "good.tsv\n",
    "number": "7\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
    "aliases of aliases": BOMB + "source_prefix: *a9\n",
    "anchor to itself": "train_file: &a [*a]\n",
    "unknown anchor": "seed: *b\n",
    "python tag": "seed: !!python/object/apply:os.system ['echo hi']\n",
    "unknown tag": "seed: !seed 3\n",
    "binary": "seed: !!binary x\n",
    "date": GOOD + "seed: 2020-01-01\n",
    "timestamp": GOOD + "learning_rate: 2020-01-01 10:00:00\n",
    "impossible date": GOOD + "seed: 2020-13-45\n",
    "sexagesimal": GOOD + "learning_rate: 1:30\n" + "seed: x\n",
    "lone surrogate": 'train_file: "\\ud800"\n',
    "list for a set's name": "train_file: good.tsv\nvalidation_file:\n  ? [1]\n  : good.tsv\n",
    "null key": "~: 3\n",
    "list key": "[1, 2]: 3\n",
    "mapping key": "? {a: 1}\n: 3\n",
    "number key": "3: 3\n",
    "empty key": "'': 3\n",
    "merge key": "<<: 3\n",
    "twice": "seed: 1\nseed: 2\n",
    "null value": GOOD + "seed: ~\n",
    "empty value": GOOD + "seed:\n",
    "list for number": GOOD + "seed: [1, 2]\n",
    "mapping for number": GOOD + "seed: {a: 1}\n",
    "mapping in list": GOOD + "metrics: [{a: 1}]\n",
    "list in list": GOOD + "metrics: [[bleu]]\n",
    "null in list": GOOD + "metrics: [~]\n",
    "text for switch": GOOD + "bf16: maybe\n",
    "number for switch": GOOD + "bf16: 3\n",
    "not finite": GOOD + "learning_rate: .inf\n",
    "not a number": GOOD + "learning_rate: .nan\n",
    "huge": GOOD + "seed: 1" + "0" * 400 + "\n",
    "thousands of digits": GOOD + "seed: 1" + "0" * 5000 + "\n",
    "huge float": GOOD + "seed: 1.0e+300\n",
    "set": GOOD + "metrics: !!set {bleu, chrf}\n",
    "ordered": GOOD + "metrics: !!omap [a: b]\n",
    "NUL in a path": GOOD.replace("good", '"go\\0od"').replace('".tsv', '.tsv"').replace('"go', '"go'),
    "NUL folder": GOOD + 'output_dir: "a\\0b"\n',
    "surrogate": GOOD.replace("good.tsv", '"\\udce4.tsv"'),
    "NUL": b"seed: 1\0\n",
    "control": b"seed: \x07\n",
    "latin-1": "train_file: Mädchen\n".encode("latin-1"),
    "utf-16": "seed: 1\n".encode("utf-16"),
    "broken utf-8": b"seed: \xff\xfe\n",
    "zip": b"PK\x03\x04\x14\x00\x00\x00",
    "recipe list": "recipe: [rnn]\n",
    "recipe mapping": "recipe: {a: rnn}\n",
    "recipe null": "recipe: ~\ntrain_file: good.tsv\n",
    "recipe unknown": "recipe: rn\n",
    "recipe file": "recipe: missing.py\n",
    "recipe folder": "recipe: folder.py\n",
    "train file mapping": "recipe: rnn\ntrain_file: {a: {b: c}}\n",
    "train file list": "recipe: rnn\ntrain_file: [a, [b]]\n",
    "train file number": "recipe: rnn\ntrain_file: 3\n",
    "bomb": "a: &a [x, x]\n"
    + "".join(f"{n}: &{n} [*{p}, *{p}, *{p}]\n" for p, n in zip("abcdefghij", "bcdefghijk", strict=True))
    + GOOD
    + "metrics: *k\n",
}


@pytest.mark.parametrize("name", YAML)
@pytest.mark.parametrize("command", ["train", "preview"])
def test_configuration(refused: Any, place: Path, command: str, name: str) -> None:
    text = YAML[name]
    (place / "folder.py").mkdir()
    (place / "run.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    refused(command, "-c", "run.yaml")
    refused(command, "rnn", "-c", "run.yaml")


MIXTURES = {name: YAML[name] for name in YAML if not name.startswith(("recipe", "train file"))} | {
    "task is a list": "first: [a]\n",
    "task is text": "first: good.tsv\n",
    "task is null": "first:\n",
    "no task": "{}\n",
    "unknown key": "first:\n  trainfile: good.tsv\n",
    "no train file": "first:\n  test_file: good.tsv\n",
    "wrong value": "first:\n  train_file: good.tsv\n  max_train_samples: x\n",
    "bad name": "'a/b':\n  train_file: good.tsv\n  train_file: good.tsv\n",
}


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures(refused: Any, place: Path, name: str) -> None:
    text = MIXTURES[name]
    (place / "tasks.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    refused("train", "t5", "--from-scratch", "--mixture", "tasks.yaml", "--output-dir", "out")


LAUNCH = {
    "text": "distributed",
    "list": "- a",
    "number": "3",
    "empty": "",
    "null": "~",
    "unknown kind": "distributed_type: WHAT\n",
    "null kind": "distributed_type: ~\n",
    "list kind": "distributed_type: [FSDP]\n",
    "processes": "distributed_type: MULTI_CPU\nnum_processes: many\n",
    "many": "distributed_type: MULTI_CPU\nnum_processes: 99999999\n",
    "negative": "distributed_type: MULTI_CPU\nnum_processes: -3\n",
    "machines": "distributed_type: MULTI_CPU\nnum_machines: x\n",
    "fsdp list": "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: [a]\n",
    "fsdp null": "distributed_type: FSDP\nnum_processes: 1\nfsdp_config: ~\n",
    "fsdp key": "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: {what: 3}\n",
    "gpus": "distributed_type: MULTI_GPU\nnum_processes: 2\ngpu_ids: [0, x]\n",
    "unknown key": "what: 3\n",
    "deep": "a: " + "[" * DEEP,
    "binary": "\0\1",
    "unclosed": "a: [b",
    "tag": "a: !!python/object/apply:os.getcwd []\n",
}


@pytest.mark.parametrize("name", LAUNCH)
def test_launch_files(refused: Any, place: Path, name: str) -> None:
    (place / "launch.yaml").write_text(LAUNCH[name])
    refused("train", "rnn", "--train-file", "good.tsv", "--accelerate-config", "launch.yaml", "--output-dir", "out")


def test_a_second_file_of_flags_is_refused(refused: Any, place: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (place / name).write_text(GOOD)
    for first in (["-c", "a.yaml"], ["-ca.yaml"], ["--config=a.yaml"]):
        said = refused("preview", *first, "--config", "b.yaml")
        assert "--config: given 2 times, a.yaml and b.yaml" in said


def test_a_file_of_flags_names_the_recipe_in_any_spelling(refused: Any, place: Path) -> None:
    (place / "a.yaml").write_text("recipe: nothing\n")
    for spelling in (["-c", "a.yaml"], ["-ca.yaml"], ["--config=a.yaml"], ["--config", "a.yaml"]):
        assert "unknown recipe 'nothing'" in refused("preview", *spelling)
