"""Rows outside of memory train as rows in memory do, to the bit."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.mapped.ids import MappedRagged
from hf_seq2seq.data.mapped.texts import ArrowTexts
from hf_seq2seq.recipes import gpt, rnn, t5
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task

SMALL: dict[str, Any] = {
    "max_tokens_per_batch": 400,
    "max_source_length": 4,
    "max_target_length": 5,
    "max_steps": 6,
}  # fmt: skip
TINY = {"hidden_size": 16, "embedding_size": 16}
SCRATCH = {"from_scratch": True, "model_size": "tiny"}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Makes 50 rows many, and shards small."""
    monkeypatch.setattr("hf_seq2seq.data.cells.LARGE", 50)
    monkeypatch.setattr("hf_seq2seq.data.mapped.texts.PART", 16)
    monkeypatch.setattr("hf_seq2seq.data.mapped.ids.PART", 16)
    monkeypatch.setattr("hf_seq2seq.data.mapped.ids.SHARD", 64)
    return monkeypatch


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (rnn, TINY | {"source_prefix": "say: ", "tokenizer_type": "word", "target_tokenizer_type": "char"}),
        (t5, SCRATCH | {"tokenizer_type": "unigram", "vocab_size": 120}),
        (gpt, SCRATCH | {"tokenizer_type": "char", "objective": "pairs"}),
    ],
    ids=lambda value: value.__name__.split(".")[-1] if isinstance(value, ModuleType) else "",
)
def test_the_same_batches(
    recipe: ModuleType, more: dict[str, Any], pair_files: dict[str, str], large: pytest.MonkeyPatch
) -> None:
    values = SMALL | more
    values |= {"train_file": pair_files["train_file"], "validation_split_percentage": 10}
    outside = recipe.prepare(build(recipe.Config, values))
    large.undo()
    inside = recipe.prepare(build(recipe.Config, values))
    train = outside.splits["train"]
    assert isinstance(train.texts, ArrowTexts)
    assert isinstance(train.source, MappedRagged)
    assert isinstance(train.target, MappedRagged)
    assert len(train.source.shards) == 5
    assert not isinstance(inside.splits["train"].source, MappedRagged)
    assert batches(outside) == batches(inside)
    assert [*train.texts] == inside.splits["train"].texts
    assert list(train.references or ()) == inside.splits["train"].references
    assert train.truncated == inside.splits["train"].truncated
    assert np.array_equal(train.source.values, inside.splits["train"].source.values)
    assert np.array_equal(train.source.offsets, inside.splits["train"].source.offsets)


def batches(task: Task) -> list[dict[str, Any]]:
    plan = BatchPlan(task.training_rows, task.config.optimization, 1, 0)
    steps = [batch for step in plan.epoch(1) for batch in step]
    return [{name: tensor.tolist() for name, tensor in task.collate(task.splits["train"], b).items()} for b in steps]


def test_the_same_run(pair_files: dict[str, str], tmp_path: Path, large: pytest.MonkeyPatch) -> None:
    values = (
        SMALL | TINY | pair_files | {"metrics": "chrf", "tokenizer_type": "char", "logging_steps": 1, "dropout": 0.1}
    )
    rnn.main(build(rnn.Config, values | {"output_dir": str(tmp_path / "outside")}))
    large.undo()
    rnn.main(build(rnn.Config, values | {"output_dir": str(tmp_path / "inside")}))
    logs = [(tmp_path / name / "train_log.jsonl").read_text().splitlines() for name in ("outside", "inside")]
    found, expected = ([json.loads(line).get("loss") for line in log] for log in logs)
    assert found == expected
    weights, wanted = (load_file(tmp_path / name / "model.safetensors") for name in ("outside", "inside"))
    assert all(torch.equal(weights[name], weight) for name, weight in wanted.items())
    cards = [(tmp_path / name / "README.md").read_text() for name in ("outside", "inside")]
    tables = [[line for line in card.splitlines() if line.startswith("| train |")] for card in cards]
    assert tables[0] == tables[1] != []
