"""Runs on rows whose subwords are sampled again in every epoch: what varies, an exact resume, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from hf_seq2seq.cli.root import app
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import gpt, rnn
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.step_batches import step_batches

MakeTask = Callable[..., Task]
BPE: dict[str, Any] = {"tokenizer_type": "bpe", "vocab_size": 420, "bpe_dropout": 0.3, "max_target_length": 20}


@pytest.mark.parametrize("sides", ["both", "source", "target"])
def test_training_rows_vary_by_epoch_and_others_do_not(make_task: MakeTask, sides: str) -> None:
    task, plain = make_task(**BPE, subword_sides=sides), make_task(**BPE | {"bpe_dropout": 0})
    epochs = [task.training_rows.of_epoch(number) for number in (0, 1, 0)]
    for side in ("source", "target"):
        values = [getattr(epoch, side).values for epoch in epochs]
        assert np.array_equal(values[0], values[2])
        assert np.array_equal(values[0], values[1]) == (sides not in ("both", side))
        kept = getattr(task.splits["validation"], side).values
        assert np.array_equal(kept, getattr(plain.splits["validation"], side).values)
    read = task.tokenizers.source.batch_decode([epochs[0].source[row] for row in range(90)], skip_special_tokens=True)
    assert read == task.splits["train"].texts
    lengths = np.array([task.training_rows.of_epoch(number).lengths for number in range(5)])
    assert (lengths <= task.training_rows.lengths).all()


def test_batches_keep_to_the_budget_in_every_epoch(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(**BPE, max_tokens_per_batch=60)
    loop = Loop(task, Accelerator(cpu=True), tmp_path)
    batches = step_batches(task, loop.plan, loop.accelerator, 0)
    sizes = [
        batch["input_ids"].numel() + batch["labels"].numel()
        for _ in range(3 * len(loop.plan))
        for batch in next(batches).batches
    ]
    assert 40 < max(sizes) <= 60


def test_batches_are_made_by_the_lengths_of_their_epoch(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(**BPE, max_tokens_per_batch=60)
    plan = Loop(task, Accelerator(cpu=True), tmp_path).plan
    for epoch in range(3):
        lengths = task.training_rows.of_epoch(epoch).lengths
        batches = [batch for step in plan.epoch(epoch) for batch in step]
        assert sorted(np.concatenate(batches).tolist()) == list(range(90))
        assert all(len(batch) * lengths[batch].max(axis=0).sum() <= 60 for batch in batches)
    tokens = task.training_rows.of_epoch(0).lengths.sum()
    padded = sum(len(b) * task.training_rows.of_epoch(0).lengths[b].max(axis=0).sum() for s in plan.epoch(0) for b in s)
    assert plan.padding == pytest.approx(1 - tokens / padded)
    assert plan.steps(2.5) == len(plan.epoch(0)) + len(plan.epoch(1)) + -(-len(plan.epoch(2)) // 2)


def test_rows_that_are_not_sampled_are_counted(
    make_task: MakeTask, pairs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = Path(pairs["train_file"]).read_text().splitlines()
    tagged = tmp_path / "tagged.tsv"
    tagged.write_text(
        "\n".join([lines[0], *(f"<BT> {line}" if n % 3 == 0 else line for n, line in enumerate(lines[1:]))])
    )
    make_task(**BPE | {"train_file": str(tagged), "added_tokens": "<BT>"})
    assert "30 of 90 sources are not sampled: they contain added tokens" in caplog.text


def test_a_resumed_run_draws_the_same(make_task: MakeTask, tmp_path: Path) -> None:
    options = BPE | {"max_steps": 18, "save_steps": 6, "eval_steps": 18, "save_total_limit": 9}
    whole = make_task(**options)
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    Loop(whole, Accelerator(cpu=True), tmp_path / "whole").run()
    (tmp_path / "whole" / "checkpoint-6").rename(tmp_path / "part" / "checkpoint-6")
    resumed = make_task(**options)
    Loop(resumed, Accelerator(cpu=True), tmp_path / "part", "last").run()
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name])


def test_a_decoder_alone_learns_sampled_prompts_and_continuations(pairs: dict[str, str]) -> None:
    values = pairs | BPE | {"from_scratch": True, "max_source_length": 30}
    task = gpt.prepare(build(gpt.Config, values | {"max_target_length": 30}))
    first, second = (task.training_rows.of_epoch(number) for number in (0, 1))
    for side in ("source", "target"):
        assert not np.array_equal(getattr(first, side).values, getattr(second, side).values)
    assert (first.lengths <= task.training_rows.lengths).all()
    prompt = task.tokenizers.source.decode(first.source[0])
    assert prompt == task.tokenizers.source.decode(task.splits["train"].source[0])


def test_members_of_a_mixture_are_sampled_too(make_task: MakeTask, pairs: dict[str, str], tmp_path: Path) -> None:
    lines = "".join(f"{name}:\n  train_file: {pairs['train_file']}\n" for name in ("one", "two"))
    (tmp_path / "mixture.yaml").write_text(lines)
    options = BPE | {"mixture": str(tmp_path / "mixture.yaml"), "train_file": None, "validation_file": None}
    rows = make_task(**options).training_rows
    assert rows.redrawn
    assert not np.array_equal(rows.of_epoch(0).source.values, rows.of_epoch(1).source.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tokenizer_type": "char"},
            "the source tokenizer is of the kind WordLevel; use --tokenizer-type bpe",
        ),
        ({"bpe_dropout": 1.5}, "--bpe-dropout: 1.5"),
        ({"bpe_dropout": 0, "subword_sides": "source"}, "--subword-sides source: add --bpe-dropout"),
        ({"objective": "span_corruption", "metrics": ""}, "--bpe-dropout works with pairs, not with raw text"),
    ],
)
def test_bad_options(make_task: MakeTask, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_task(**BPE | options)


def test_one_kind_per_side(pairs: dict[str, str], tmp_path: Path) -> None:
    values = pairs | {"tokenizer_type": "bpe", "target_tokenizer_type": "unigram", "vocab_size": 420}
    values |= {"target_vocab_size": 40, "bpe_dropout": 0.2, "output_dir": str(tmp_path)}
    with pytest.raises(InputError, match="--bpe-dropout: the target tokenizer is of the kind Unigram"):
        rnn.prepare(build(rnn.Config, values))
    with pytest.raises(InputError, match="--unigram-sampling: no side that is sampled has a tokenizer of that kind"):
        rnn.prepare(build(rnn.Config, values | {"unigram_sampling": 0.1, "subword_sides": "source"}))
    first, second = (
        rnn.prepare(build(rnn.Config, values | {"unigram_sampling": 0.1})).training_rows.of_epoch(n) for n in (0, 1)
    )
    assert not np.array_equal(first.target.values, second.target.values)  # type: ignore[union-attr]


def test_conversations_are_refused(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    rows = "".join(json.dumps({"messages": turns}) + "\n" for _ in range(30))
    (tmp_path / "chats.jsonl").write_text(rows)
    flags = [
        "--train-file",
        str(tmp_path / "chats.jsonl"),
        "--bpe-dropout",
        "0.1",
        "--output-dir",
        str(tmp_path / "run"),
    ]
    with pytest.raises(InputError, match="--bpe-dropout cannot be combined with --objective dialogue"):
        app(["train", "rnn", "--objective", "dialogue", "--tokenizer-type", "bpe", *flags], standalone_mode=False)
