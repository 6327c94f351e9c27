"""A run of a few steps on rows that lie in memory."""

from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq import train
from hf_seq2seq.api.runs import TrainingRun

TEXTS = ["ab ba", "abc cba", "bca acb", "ca ac", "bb aac", "c"]
ROWS = [{"source": text, "target": text[::-1]} for text in TEXTS * 4]
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "embedding_size": 16,
    "tokenizer_type": "char",
    "max_steps": 2,
    "max_target_length": 12,
    "max_source_length": 12,
    "use_cpu": True,
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    folder: Path = tmp_path_factory.mktemp("api") / "run"
    return train("rnn", train_file=ROWS, test_file=ROWS[:4], output_dir=folder, **SMALL)
