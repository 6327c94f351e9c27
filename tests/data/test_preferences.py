"""Rows with a better and a worse output, from the file to the batch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.preferences import Preferences, joined
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task

ROWS = [
    {"prompt": "ab", "chosen": "ba", "rejected": "abba"},
    {"prompt": "bab", "chosen": "bab", "rejected": "a"},
    {"prompt": "aa", "chosen": "aa", "rejected": "b"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path: Path, rows: list[dict[str, Any]], **options: Any) -> Pairs:
    data = PairData(train_file=write(path / "rows.jsonl", rows), **options)
    return read_pairs(load_splits(data), data)["train"]


def test_without_a_target_the_better_output_is_the_target(tmp_path: Path) -> None:
    pairs = read(tmp_path, ROWS)
    assert pairs.columns == ("prompt", "chosen")
    assert pairs.targets == ["ba", "bab", "aa"]
    assert pairs.preferences == Preferences(["ba", "bab", "aa"], ["abba", "a", "b"])


def test_a_target_beside_them_is_the_target_and_may_be_absent(tmp_path: Path) -> None:
    rows = [row | {"target": target} for row, target in zip(ROWS, ("t1", None, "t3"), strict=True)]
    rows = [{"source" if key == "prompt" else key: value for key, value in row.items()} for row in rows]
    pairs = read(tmp_path, rows)
    assert (pairs.columns, pairs.targets) == (("source", "target"), ["t1", "bab", "t3"])
    absent = read(tmp_path, [row | {"target": None} for row in rows], source_column="source", target_column="target")
    assert absent.targets == ["ba", "bab", "aa"]


def test_the_columns_are_named_by_flags(tmp_path: Path) -> None:
    rows = [{"x": row["prompt"], "good": row["chosen"], "bad": row["rejected"]} for row in ROWS]
    pairs = read(tmp_path, rows, chosen_column="good", rejected_column="bad")
    assert (pairs.columns, pairs.targets) == (("x", "good"), ["ba", "bab", "aa"])
    with pytest.raises(InputError, match=r"no column 'rejected' \(--rejected-column\); its columns are x, good, bad"):
        read(tmp_path, rows, chosen_column="good")


def test_equal_outputs_teach_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    equal = ROWS[0] | {"rejected": ROWS[0]["chosen"]}
    read(tmp_path, [equal, *ROWS[1:]])
    assert "in 1 of 3 rows 'chosen' equals 'rejected'; they teach nothing" in caplog.text
    with pytest.raises(InputError, match="'chosen' equals 'rejected' in every row"):
        read(tmp_path, [equal] * 3)


def test_cells_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2, column 'rejected': empty text"):
        read(tmp_path, [ROWS[0], ROWS[1] | {"rejected": ""}])


def make_task(
    tmp_path: Path, validation: list[dict[str, Any]], rows: list[dict[str, Any]] = ROWS, **options: Any
) -> Task:
    files = {
        "train_file": write(tmp_path / "t.jsonl", rows),
        "validation_file": write(tmp_path / "v.jsonl", validation),
    }
    values = {"loss_type": "preference", "loss_args": "random_start=true", "tokenizer_type": "char", "max_steps": 2}
    return rnn.prepare(build(rnn.Config, values | files | {"output_dir": str(tmp_path / "out")} | options))


def test_validation_rows_may_have_targets_instead(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"prompt": "ab", "completion": "ba"}])
    assert task.splits["validation"].references == [["ba"]]
    assert task.splits["validation"].chosen is None


def test_the_loss_is_the_formula_of_the_given_pairs(tmp_path: Path) -> None:
    task = make_task(tmp_path, ROWS)
    rows, model = np.array([2, 0, 1]), task.model.double().eval()
    batch = task.batch(task.splits["train"], rows, torch.device("cpu"))
    with torch.no_grad():
        found = task.objective(task.objective.augment(batch))
        logs = {side: log_probabilities(task, batch, side) for side in ("chosen", "rejected")}
        expected = -torch.log(torch.sigmoid(0.1 * (logs["chosen"] - logs["rejected"]))) - logs["chosen"]
        torch.testing.assert_close(found, expected.sum(), rtol=1e-9, atol=0)
        measured = task.objective.measure(batch)  # an evaluation takes the batch as it is
    torch.testing.assert_close(measured[0, 0], -log_probabilities(task, batch, "labels").sum().detach())
    texts = task.tokenizers.target.batch_decode(batch["rejected"].clamp(min=0), skip_special_tokens=True)
    assert texts == ["b", "abba", "a"]
    assert task.training_rows.lengths[:, 1].tolist() == [5, 4, 3]
    assert model is task.model


def log_probabilities(task: Task, batch: dict[str, torch.Tensor], side: str) -> torch.Tensor:
    model: Any = task.model
    inputs = model.prepare_decoder_input_ids_from_labels(labels=batch[side])
    logits = model(batch["input_ids"], batch["attention_mask"], decoder_input_ids=inputs, use_cache=False).logits
    tokens = logits.log_softmax(-1).gather(-1, batch[side].clamp(min=0)[..., None])[..., 0]
    return (tokens * (batch[side] != -100)).sum(1)


def test_another_loss_refuses_the_flags(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--rejected-column: only read by --loss-type preference"):
        make_task(tmp_path, ROWS, loss_type="cross_entropy", loss_args="", rejected_column="rejected")


@pytest.mark.parametrize(("has", "lacks"), [("chosen", "rejected"), ("rejected", "chosen")])
def test_one_column_without_the_other_is_refused(tmp_path: Path, has: str, lacks: str) -> None:
    validation = [{"prompt": "ab", "completion": "ba"}]
    rows = [{"prompt": row["prompt"], has: row[has]} for row in ROWS]
    with pytest.raises(InputError, match=rf"t\.jsonl: column '{has}' without '{lacks}', .*--{lacks}-column"):
        make_task(tmp_path, validation, rows)


def test_joined_preferences() -> None:
    one = Preferences(["a"], ["b"])
    assert joined([one, Preferences(["c"], ["d"])]) == Preferences(["a", "c"], ["b", "d"])
    assert joined([one, None]) is None
