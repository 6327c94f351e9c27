"""Faults planted in a trained model, its search or its test rows come first in the ledger. Takes half a minute."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hf_seq2seq
from hf_seq2seq.api.models import Model

LETTERS = "abcdefgh"
FORKS = [{"source": f"x {letter}", "target": "E F"} for letter in LETTERS]
"""Sources of which half of the targets begin alike and end differently: a greedy search begins like those."""


def cipher(rows: int, seed: int) -> list[dict[str, str]]:
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(list(LETTERS), size=generator.integers(3, 12))) for _ in range(rows)]
    return [{"source": text, "target": text.upper()} for text in texts]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    forks = [row | {"target": text} for row in FORKS for text in ("A A", "A B", "A C", "E F", "E F")]
    rows, sizes = cipher(1500, 0) + forks * 12, {"hidden_size": 96, "embedding_size": 48, "max_steps": 300}
    values: dict[str, Any] = {"tokenizer_type": "word", "learning_rate": 5e-3, "label_smoothing_factor": 0}
    limits = {"max_source_length": 64, "max_target_length": 16, "use_cpu": True}
    folder = tmp_path_factory.mktemp("planted") / "run"
    return hf_seq2seq.train(
        "rnn", train_file=rows, validation_file=rows[:20], output_dir=folder, **sizes, **values, **limits
    ).model


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


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_comes_first(model: Model, tmp_path: Path, name: str) -> None:
    flags: dict[str, Any] = {
        "test_file": TEST,
        "num_beams": 4,
        "metric": "chrf",
        "resamples": 100,
        "max_new_tokens": 16,
    }
    before = model.analyze(**flags | {"output_dir": tmp_path / "before"}).sections["ledger"].numbers
    after = model.analyze(**flags | {"output_dir": tmp_path / "after"} | FAULTS[name]).sections["ledger"].numbers
    assert before["lines"][0]["fault"] != name
    assert after["lines"][0]["fault"] == name
