"""Faults planted in a trained model, its search or its test rows come first in the ledger. Takes half a minute."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hf_seq2seq
from hf_seq2seq.api.models import Model

LETTERS = "abcdefgh"
FORKS = [{"source": f"x {letter}", "target": "E F"} for letter in LETTERS]
"""Sources of which half of the targets begin alike and end differently: a greedy search begins like those."""
LOOPS = [(f"r {letter}", f"{letter.upper()} D E F G H", f"{letter.upper()} D D D D E F G H") for letter in LETTERS]
LONG = [(f"l {letter}", f"{letter.upper()} B C", f"{letter.upper()} B C G H E F") for letter in LETTERS]
NUMBERS = [(f"n 1{n} a", f"1{n} A B", f"1{(n + 1) % 8} A B") for n in range(8)]
"""Sources, right outputs, and the wrong ones that the model is taught: what is missing then is a coverage penalty,
an end, and a copy."""
RIGHT = [(f"g {first} {second}", f"{second} {first}".upper(), "") for first in LETTERS for second in "ab"]
CHAINS = [
    (f"e {letter}", f"{start} {start}{start} {start}{start}{start}", "") for letter in LETTERS for start in "PQRSTUVW"
]
"""Sources whose outputs begin with any of eight words, which decides what follows: a wrong start spoils them whole."""


def cipher(rows: int, seed: int) -> list[dict[str, str]]:
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(list(LETTERS), size=generator.integers(3, 12))) for _ in range(rows)]
    return [{"source": text, "target": text.upper()} for text in texts]


def trained(folder: Path, rows: list[dict[str, str]], **sizes: int) -> Model:
    values: dict[str, Any] = {"tokenizer_type": "word", "learning_rate": 5e-3, "label_smoothing_factor": 0}
    limits = {"max_source_length": 64, "max_target_length": 16, "use_cpu": True}
    return hf_seq2seq.train(
        "rnn", train_file=rows, validation_file=rows[:20], output_dir=folder, **sizes, **values, **limits
    ).model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    forks = [row | {"target": text} for row in FORKS for text in ("A A", "A B", "A C", "E F", "E F")]
    sizes = {"hidden_size": 96, "embedding_size": 48, "max_steps": 300}
    return trained(tmp_path_factory.mktemp("planted") / "run", cipher(1500, 0) + forks * 12, **sizes)


@pytest.fixture(scope="module")
def mistaught(tmp_path_factory: pytest.TempPathFactory) -> Model:
    rows = [{"source": source, "target": wrong} for source, _, wrong in LOOPS + LONG + NUMBERS]
    rows += references(RIGHT) + [{"source": source, "target": target} for source, target, _ in CHAINS]
    sizes = {"hidden_size": 64, "embedding_size": 32, "max_steps": 150}
    return trained(tmp_path_factory.mktemp("mistaught") / "run", rows * 4, **sizes)


def references(rows: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [{"source": source, "target": right} for source, right, _ in rows]


TEST = cipher(40, 1)
UNKNOWN = [row | {"source": row["source"].replace("c", "Q").replace("a", "Q")} for row in TEST[:10]]
SWAPPED = [row | {"target": other["target"]} for row, other in zip(TEST[:10], TEST[10:20], strict=True)]
FAULTS: dict[str, dict[str, Any]] = {
    "search error": {"num_beams": 1, "test_file": TEST + FORKS},
    "truncated sources": {"max_source_length": 6},
    "outputs cut off": {"max_new_tokens": 6},
    "unknown words": {"test_file": TEST[10:] + UNKNOWN},
    "suspected label noise": {"test_file": TEST[10:] + SWAPPED},
}
MISTAUGHT = {"repetition": LOOPS, "length": LONG, "wrong copies": NUMBERS, "exposure": CHAINS[::9]}


FLAGS: dict[str, Any] = {"test_file": TEST, "num_beams": 4, "metric": "chrf", "resamples": 100, "max_new_tokens": 16}
FLAGS |= {"beam_rows": 0, "show_worst": 1, "show_typical": 0}


@pytest.fixture(scope="module")
def sound(model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return gains(model, tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def right(mistaught: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return gains(mistaught, tmp_path_factory.mktemp("right"), test_file=references(RIGHT), num_beams=1)


def gains(model: Model, folder: Path, **more: Any) -> dict[str, float]:
    """The gain of every line, the first line first; infinite where too few rows are left to know it."""
    lines = model.analyze(**FLAGS | {"output_dir": folder} | more).sections["ledger"].numbers["lines"]
    return {
        line["fault"]: (math.inf if line["gain"] is None else line["gain"]) if line["rows"] else 0.0 for line in lines
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_comes_first(model: Model, sound: dict[str, float], tmp_path: Path, name: str) -> None:
    found = gains(model, tmp_path, **FAULTS[name])
    assert next(iter(found)) == name
    assert found[name] > sound[name] + 1


@pytest.mark.parametrize("name", MISTAUGHT)
def test_what_a_model_was_taught_wrong_comes_first(
    mistaught: Model, right: dict[str, float], tmp_path: Path, name: str
) -> None:
    found = gains(mistaught, tmp_path, test_file=references(RIGHT + MISTAUGHT[name]), num_beams=1)
    assert next(iter(found)) == name
    assert found[name] > right[name] + 1
