"""A small real task: reversed words, trained by a tiny T5 through the recipe's own code."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.recipes import t5
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task

LETTERS = "abcdefghij"
SMALL = "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"


def write_pairs(path: Path, rows: int, seed: int) -> Path:
    """Words and their reversals as a tsv file."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(1, 9))) for _ in range(rows)]
    path.write_text("source\ttarget\n" + "".join(f"{w}\t{w[::-1]}\n" for w in words))
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pairs")
    return {
        "train_file": str(write_pairs(folder / "train.tsv", 90, 1)),
        "validation_file": str(write_pairs(folder / "dev.tsv", 17, 2)),
    }


@pytest.fixture(scope="module")
def save_start(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int, dict[str, int]], Path]:
    """Saves `train.tsv`, `dev.tsv` and a T5 without dropout in a folder, and names it: rows, training rows, sizes."""

    def save(rows: int, train: int, sizes: dict[str, int]) -> Path:
        folder: Path = tmp_path_factory.mktemp("start")
        torch.manual_seed(0)
        words = ["".join(chr(97 + (7 * row + 3 * k * row) % 10) for k in range(1 + row % 9)) for row in range(rows)]
        for name, part in (("train", words[:train]), ("dev", words[train:])):
            (folder / f"{name}.tsv").write_text("source\ttarget\n" + "".join(f"{w}\t{w[::-1]}\n" for w in part))
        tokenizers = train_tokenizers(words, words, NewTokenizer(tokenizer_type="char"))
        ids = {"pad_token_id": tokenizers.source.pad_token_id, "eos_token_id": tokenizers.source.eos_token_id}
        ids |= {"decoder_start_token_id": ids["pad_token_id"], "vocab_size": len(tokenizers.source)}
        config = T5Config(initializer_factor=1.5, dropout_rate=0.0, **sizes, **ids)
        T5ForConditionalGeneration(config).save_pretrained(folder / "t5")
        tokenizers.save(folder / "t5")
        return folder

    return save


MakeTask = Callable[..., Task]


@pytest.fixture
def make_task(pairs: dict[str, str], tmp_path: Path) -> MakeTask:
    def make(dropout: float = 0.0, **values: Any) -> Task:
        defaults: dict[str, Any] = {
            "from_scratch": True,
            "tokenizer_type": "char",
            "per_device_train_batch_size": 8,
            "max_steps": 6,
            # Adam turns a gradient of 1e-9 and one of -1e-9 into opposite steps; a large epsilon keeps it continuous.
            "adam_epsilon": 1e-3,
            "max_target_length": 12,
            "metrics": "exact_match",
            "output_dir": str(tmp_path / "run"),
        }
        if values.get("optim") == "adafactor":
            del defaults["adam_epsilon"]
        if values.get("from_scratch", True):
            defaults["config_overrides"] = SMALL
        config = build(t5.Config, pairs | defaults | values)
        task = t5.prepare(replace(config, given=None))  # nothing is chosen from the rows
        for module in task.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = dropout
        return task

    return make
