"""Curricula of real tasks: every measure of difficulty, whole runs, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from hf_seq2seq.data.curriculum import CurriculumRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.error_rate import edit_distance
from hf_seq2seq.recipes import bert_classifier, gpt, rnn
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.files import write_model
from hf_seq2seq.training.loop import Loop

Make = Callable[..., Task]
WORDS = ["ab", "abcab", "zab", "b", "abzcq", "aab", "bbca", "cab", "a", "bab", "bcb", "caabb"] * 3


@pytest.fixture
def make(tmp_path: Path) -> Make:
    lines = [f"{word}\t{word[::-1]}\t{row % 7}\n" for row, word in enumerate(WORDS)]
    (tmp_path / "train.tsv").write_text("source\ttarget\tnoise\n" + "".join(lines))
    data = {"train_file": str(tmp_path / "train.tsv"), "validation_split_percentage": 0}
    sizes = {
        "hidden_size": 16,
        "embedding_size": 8,
        "tokenizer_type": "char",
        "num_train_epochs": 4,
        "logging_steps": 3,
    }
    batches = {"per_device_train_batch_size": 4, "eval_steps": 100, "output_dir": str(tmp_path / "run")}

    def make(**options: Any) -> Task:
        return rnn.prepare(build(rnn.Config, data | sizes | batches | options))

    return make


def rows_of(task: Task) -> CurriculumRows:
    assert isinstance(task.presented, CurriculumRows)
    return task.presented


def test_each_measure_equals_its_definition(make: Make) -> None:
    def difficulty(measure: str) -> np.ndarray:
        return rows_of(make(curriculum="competence", difficulty=measure)).plan.difficulty

    task = make(curriculum="competence")
    tokens = [task.splits["train"].source[row] for row in range(len(WORDS))]
    counts = np.bincount(np.concatenate(tokens))
    shares = counts / counts.sum()
    assert difficulty("length").tolist() == [len(ids) for ids in tokens]
    assert difficulty("rarity") == pytest.approx([-np.log(shares[ids]).sum() for ids in tokens])
    assert difficulty("edit_distance").tolist() == [edit_distance(word, word[::-1]) for word in WORDS]
    assert difficulty("noise").tolist() == [row % 7 for row in range(len(WORDS))]
    assert set(difficulty("pattern_distance")) == {0}  # twelve words, all of them common


def test_the_nearest_common_pattern_is_found(make: Make, tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(200)]
    texts = [f"the {word} sleeps" for word in words] + ["the one w1 w2 sleeps", "w3"]
    filler = [" ".join(["the", "sleeps"] * 30)] * 3
    (tmp_path / "train.tsv").write_text("source\ttarget\n" + "".join(f"{t}\tx\n" for t in texts + filler))
    found = rows_of(make(curriculum="competence", difficulty="pattern_distance")).plan.difficulty
    assert found[0] == 0
    assert len(found) == 205


def test_the_loss_is_that_of_the_given_model(make: Make, tmp_path: Path) -> None:
    trained = make()
    (tmp_path / "first").mkdir()
    write_model(tmp_path / "first", trained, trained.model.state_dict())
    task = make(curriculum="competence", difficulty="loss", difficulty_model=str(tmp_path / "first"))
    trained.model.eval()
    found = rows_of(task).plan.difficulty
    for row in range(5):
        batch = trained.collate(trained.splits["train"], np.array([row]))
        with torch.no_grad():
            logits = trained.model(**batch).logits
        loss = torch.nn.functional.cross_entropy(logits[0].float(), batch["labels"][0])
        assert found[row] == pytest.approx(float(loss), rel=1e-4)


class Killed(BaseException):
    """Ends a run."""


def test_a_run_logs_its_curriculum_and_is_resumed_bit_for_bit(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(loop: Loop) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in loop.task.model.state_dict().items()}

    options = {"curriculum": "competence", "difficulty": "rarity", "curriculum_steps": 8, "save_steps": 6}
    options |= {"max_steps": 12}
    whole = Loop(make(**options), Accelerator(cpu=True), tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    whole.run()
    lines = [json.loads(line) for line in (tmp_path / "whole/train_log.jsonl").read_text().splitlines()]
    shares = [line["competence"] for line in lines if "competence" in line]
    assert shares == sorted(shares)
    assert shares[0] < 0.7
    assert shares[-1] == 1
    assert all(math.isfinite(line["difficulty"]) for line in lines if "competence" in line)

    (tmp_path / "killed").mkdir()
    killed = Loop(make(**options), Accelerator(cpu=True), tmp_path / "killed")
    step = killed._step

    def dies(*arguments: Any) -> int:
        if killed.state.global_step == 8:  # between two checkpoints, within the curriculum
            raise Killed
        return step(*arguments)

    monkeypatch.setattr(killed, "_step", dies)
    with pytest.raises(Killed):
        killed.run()
    again = Loop(make(**options), Accelerator(cpu=True), tmp_path / "killed", "last")
    assert again.state.global_step == 6
    again.run()
    found, wanted = weights(again), weights(whole)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    logs = [(tmp_path / name / "train_log.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    figures = [[json.loads(line).get("difficulty") for line in log] for log in logs]
    assert figures[0] == figures[1]


def test_the_first_rows_are_no_handful(make: Make) -> None:
    assert rows_of(make(curriculum="competence")).window(0) == (0, 16)  # four steps of four rows
    assert rows_of(make(curriculum="competence", initial_competence=0.1)).window(0) == (0, 3)
    assert rows_of(make(curriculum="competence", per_device_train_batch_size=1)).window(0) == (0, 4)


def test_parts_hold_whole_batches(make: Make) -> None:
    rows = rows_of(make(curriculum="competence", curriculum_steps=4))
    assert [len(part) for part in rows.parts(0)] == [12, 4, 20]  # of 9 steps of 4 rows


def test_half_of_the_run_is_the_curriculum_unless_told(make: Make) -> None:
    assert rows_of(make(curriculum="competence")).plan.duration == 2
    assert rows_of(make(curriculum="competence", max_steps=18)).plan.duration == 1
    assert rows_of(make(curriculum="competence", curriculum_steps=36)).plan.duration == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difficulty": "rarety"}, "'rarety' is neither a measure nor a column .*; did you mean 'rarity'"),
        ({"difficulty": "target"}, "--difficulty target: row 1: .* is not a number"),
        ({"curriculum": "one_pass", "curriculum_buckets": 37}, "--curriculum-buckets: 37 of 36 training rows"),
        ({"max_time": "1h"}, "with a time limit: .*give --curriculum-steps"),
        ({"difficulty": "loss", "difficulty_model": "nowhere"}, "nowhere"),
    ],
)
def test_what_does_not_fit_the_rows_is_refused(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**{"curriculum": "competence"} | options)


def test_the_loss_of_conversations_is_none_of_pairs(make: Make, tmp_path: Path) -> None:
    make()
    messages = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]
    (tmp_path / "chat.jsonl").write_text(f"{json.dumps({'messages': messages})}\n" * 9)
    options = {"train_file": str(tmp_path / "chat.jsonl"), "objective": "dialogue"}
    with pytest.raises(InputError, match="--difficulty loss: scores pairs, not the replies of conversations"):
        make(curriculum="baby_steps", difficulty="loss", difficulty_model="none", **options)


def test_other_recipes_have_curricula_and_raw_text_has_none(make: Make, tmp_path: Path) -> None:
    small: dict[str, Any] = {"from_scratch": True, "output_dir": str(tmp_path / "run"), "curriculum": "baby_steps"}
    small |= {"validation_split_percentage": 0}
    make()
    file = str(tmp_path / "train.tsv")
    pairs = gpt.prepare(build(gpt.Config, small | {"train_file": file}))
    assert rows_of(pairs).plan.difficulty.tolist() == pairs.splits["train"].source.lengths.tolist()
    (tmp_path / "labels.tsv").write_text("text\tlabel\thard\n" + "".join(f"{w} x\t{w[0]}\t{len(w)}\n" for w in WORDS))
    labels = small | {"train_file": str(tmp_path / "labels.tsv"), "difficulty": "hard"}
    task = bert_classifier.prepare(build(bert_classifier.Config, labels))
    assert rows_of(task).plan.difficulty.tolist() == [len(word) for word in WORDS]
    with pytest.raises(InputError, match=r"--curriculum: needs pairs, .*, not raw text"):
        gpt.prepare(build(gpt.Config, small | {"train_file": file, "objective": "causal", "text_column": "source"}))
