"""Small files of pairs and of labelled texts, and a process that has transformers alone."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _reversals(path: Path, rows: int, seed: int) -> str:
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcde", k=draw.randint(2, 6))) for _ in range(rows)]
    path.write_text("source\ttarget\n" + "".join(f"{w}\t{w[::-1]}\n" for w in words))
    return str(path)


@pytest.fixture
def pair_files(tmp_path: Path) -> dict[str, str]:
    return {
        "train_file": _reversals(tmp_path / "train.tsv", 300, 1),
        "validation_file": _reversals(tmp_path / "dev.tsv", 20, 2),
        "test_file": _reversals(tmp_path / "test.tsv", 20, 3),
    }


@pytest.fixture
def fresh_process(transformers_processes: Any) -> Callable[[str], str]:
    """Runs a program in a new process and returns what it prints."""

    def run(program: str) -> str:
        done = transformers_processes.run(program=program)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def plain_outputs(fresh_process: Callable[[str], str]) -> Callable[[Path, str], list[str]]:
    """What transformers alone generates, in a new process, for the sources of a file of pairs."""

    def generate(model: Path, pairs: str) -> list[str]:
        program = f"""
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(model)!r})
model = AutoModelForSeq2SeqLM.from_pretrained({str(model)!r})
for word in open({pairs!r}).read().splitlines()[1:]:
    ids = model.generate(**tokenizer(word.split("\\t")[0], return_tensors="pt"), do_sample=False)
    print(tokenizer.decode(ids[0], skip_special_tokens=True))
"""
        return fresh_process(program).splitlines()

    return generate
