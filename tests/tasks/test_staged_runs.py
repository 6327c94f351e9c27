"""Runs in stages: every recipe on pairs, exact on resume, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.data.stages import StageRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.data_section import data_section
from hf_seq2seq.objectives.candidates import CandidateObjective
from hf_seq2seq.recipes import gpt, rnn, t5
from hf_seq2seq.sections import MANY, build
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop

Make = Callable[..., Task]
STAGES = """datasets:
  clean: clean.tsv
  dirty: dirty.tsv
stages: [start, end]
start:
  - dirty 0.75
  - clean 0.25
  - until dirty 1
end:
  - clean 1
  - until 6 steps
modifiers:
  - UpperCase: 0.5
"""
OPTIONS: dict[str, Any] = {"stages": "stages.yaml", "validation_file": "clean.tsv", "logging_steps": 3, "save_steps": 4}
SIZES: dict[str, Any] = {"hidden_size": 16, "embedding_size": 8, "tokenizer_type": "char", "metrics": "exact_match"}
BATCHES: dict[str, Any] = {"per_device_train_batch_size": 4, "eval_steps": 100}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("clean", 16), ("dirty", 24)):
        words = ["abcdefgh"[row % 8] * (1 + row % 5) for row in range(rows)]
        Path(f"{name}.tsv").write_text("source\ttarget\n" + "".join(f"{w}\t{w[::-1]}\n" for w in words))
    Path("stages.yaml").write_text(STAGES)

    def make(**options: Any) -> Task:
        return rnn.prepare(build(rnn.Config, OPTIONS | SIZES | BATCHES | options))

    return make


class Killed(BaseException):
    """Ends a run."""


def test_a_run_ends_with_its_stages_and_is_resumed_bit_for_bit(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "killed"):
        Path(name).mkdir()
    whole = Loop(make(), Accelerator(cpu=True), Path("whole"))
    state = whole.run()
    assert state.global_step == 8 + 6
    killed = Loop(make(), Accelerator(cpu=True), Path("killed"))
    step = killed._step

    def dies(*arguments: Any) -> int:
        if killed.state.global_step == 10:
            raise Killed
        return step(*arguments)

    monkeypatch.setattr(killed, "_step", dies)
    with pytest.raises(Killed):
        killed.run()
    again = Loop(make(), Accelerator(cpu=True), Path("killed"), "last")
    assert again.state.global_step == 8
    again.run()
    wanted = whole.task.model.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in again.task.model.state_dict().items())


def test_the_command_resumes_stages_without_a_limit(make: Make) -> None:
    values = OPTIONS | SIZES | BATCHES | {"output_dir": "run"}
    Path("run").mkdir()
    Loop(make(output_dir="run"), Accelerator(cpu=True), Path("run")).run()
    again = rnn.prepare(resolve(rnn.Config, values | {"resume_from_checkpoint": "last"}))
    assert Loop(again, Accelerator(cpu=True), Path("run"), "last").state.max_steps == 8 + 6
    with pytest.raises(InputError, match="--num-train-epochs and --stages"):
        rnn.prepare(resolve(rnn.Config, values | {"num_train_epochs": 2, "resume_from_checkpoint": "last"}))


def test_a_new_tokenizer_knows_what_modifiers_write(make: Make) -> None:
    task = make()
    assert isinstance(task.presented, StageRows)
    assert "A" in task.tokenizers.source.get_vocab()
    upper = [text for text in task.presented.of_epoch(0).texts if text.isupper()]
    assert upper
    assert len(task.splits["train"]) == 40
    assert task.splits["train"].texts[0] == "a"


def test_a_new_tokenizer_learns_from_every_modifier_of_a_kind(make: Make) -> None:
    tags = "".join(f"  - Tag: 0.5\n    tag: {tag}\n" for tag in "PQ")
    make()
    Path("stages.yaml").write_text(STAGES.replace("  - UpperCase: 0.5\n", tags))
    assert {"P", "Q"} <= set(make().tokenizers.source.get_vocab())


def test_given_steps_end_the_stages_or_go_on_with_the_last(make: Make) -> None:
    for steps in (3, 40):
        task = make(max_steps=steps)
        Path(f"run{steps}").mkdir()
        assert Loop(task, Accelerator(cpu=True), Path(f"run{steps}")).state.max_steps == steps


def test_a_run_of_limited_time_ends_with_its_stages_unless_the_last_has_no_end(make: Make) -> None:
    def most_steps(folder: str, **options: Any) -> tuple[int, bool]:
        task = make(**options)
        Path(folder).mkdir()
        told = task.training_rows.describe()[-1].endswith("; continues until the end of the run")
        return Loop(task, Accelerator(cpu=True), Path(folder)).state.max_steps, told

    assert most_steps("limited", max_time="1h") == most_steps("unlimited")
    Path("stages.yaml").write_text(STAGES.replace("  - until 6 steps\n", ""))
    assert most_steps("open", max_time="1h") == (MANY, True)


def test_the_card_tells_the_stages(make: Make) -> None:
    first, _, order, *_ = data_section(make())
    assert first.startswith("From stages `stages.yaml`, validation file `clean.tsv`")
    assert order.splitlines()[1] == "- `stage end: 6 steps: clean 1.5 passes of 16; UpperCase 0.5`"


def test_the_card_tells_which_sources_are_synthetic(make: Make) -> None:
    lines = Path("dirty.tsv").read_text().splitlines()
    Path("dirty.tsv").write_text("\n".join([lines[0], *(f"<BT> {line}" for line in lines[1:])]) + "\n")
    _, told, *_ = data_section(make(added_tokens=("<BT>", "<none>")))
    tag = "the tag of synthetic, back-translated sources"
    assert told == f"24 of 40 training sources (60.0 %) begin with `<BT>`, {tag}."


def test_other_recipes_have_stages(make: Make) -> None:
    make()
    small = {"stages": "stages.yaml", "from_scratch": True, "metrics": "exact_match"}
    joined = gpt.prepare(build(gpt.Config, small))
    assert isinstance(joined.presented, StageRows)
    modified = joined.presented.of_epoch(0)
    row = next(row for row, text in enumerate(modified.texts) if text.isupper())
    assert modified.references is not None
    assert modified.references[row][0].isupper()
    family = t5.prepare(build(t5.Config, small))
    assert family.training_rows.describe()[1].startswith("stage end: 6 steps: clean")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_file": "clean.tsv"}, "--train-file and --stages: the training rows are the sets of stages.yaml"),
        ({"curriculum": "competence"}, "--curriculum and --stages: both order the rows"),
        ({"num_train_epochs": 2}, "--num-train-epochs and --stages"),
        ({"objective": "dialogue"}, "--stages: needs pairs, not conversations"),
        (
            {"bpe_dropout": 0.1, "tokenizer_type": "bpe", "vocab_size": 300},
            "--bpe-dropout: rows that a stage modifies are not sampled",
        ),
        ({"stages": "stage.yaml"}, "stage.yaml: No such file"),
    ],
)
def test_what_does_not_go_with_stages_is_refused(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        make(**options)


def test_outputs_of_modified_rows_are_compared_with_their_labels(make: Make) -> None:
    plain = STAGES.partition("modifiers")[0]
    assert make().objective.context.examples is None
    assert make(max_source_length=50, max_target_length=40).objective.context.most == 50
    Path("stages.yaml").write_text(plain)
    task = make()
    assert task.objective.context.examples is task.splits["train"]


def test_outputs_of_modified_rows_have_one_reference_and_no_source(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"loss_type": "minimum_risk", "loss_args": "random_start=true,metric=chrf"}
    assert make(**options).objective.generates
    with monkeypatch.context() as patch:
        patch.setattr(CandidateObjective, "reads_sources", True)  # as of COMET, which is not always installed
        with pytest.raises(InputError, match=r"stages.yaml: outputs of modified rows .* and the metric reads sources"):
            make(**options)
    rows = [{"source": "ab", "target": ["ba", "b"]}] * 24
    Path("dirty.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("stages.yaml").write_text(STAGES.replace("dirty.tsv", "dirty.jsonl"))
    with pytest.raises(InputError, match="24 rows have several references; leave out the modifiers"):
        make(**options)
    Path("stages.yaml").write_text(STAGES.replace("dirty.tsv", "dirty.jsonl").partition("modifiers")[0])
    assert make(**options).objective.generates


def test_stages_keep_better_and_worse_outputs(make: Make) -> None:
    plain = STAGES.partition("modifiers")[0]
    Path("stages.yaml").write_text(plain)
    make()
    Path("clean.tsv").write_text("source\ttarget\tchosen\trejected\n" + "ab\tba\tba\tab\n" * 16)
    with pytest.raises(InputError, match="set 'dirty' has no chosen and rejected outputs, but 'clean' does"):
        make(validation_file="dirty.tsv")
    Path("dirty.tsv").write_text("source\ttarget\tchosen\trejected\n" + "abc\tcba\tcba\tabc\n" * 24)
    for split in ("clean", "dirty"):
        Path(f"{split}.csv").write_text("source,target\nab,ba\n")
    options = {"loss_type": "preference", "loss_args": "random_start=true", "validation_file": "clean.csv"}
    task = make(**options)
    rows = np.array([0, 20])
    batch = task.batch(task.splits["train"], rows, torch.device("cpu"))
    assert {"chosen", "rejected"} <= set(batch)
    with pytest.raises(InputError, match="--loss-args of preference: samples: nothing is generated for rows with"):
        make(**options | {"loss_args": "random_start=true,samples=3"})
    Path("stages.yaml").write_text(STAGES)
    with pytest.raises(InputError, match="modifiers do not change chosen and rejected outputs"):
        make(**options)


def test_a_missing_set_is_named_with_its_place(make: Make) -> None:
    Path("stages.yaml").write_text(STAGES.replace("dirty.tsv", "dirt.tsv"))
    with pytest.raises(InputError, match=r"stages.yaml:3: set 'dirty': .*dirt.tsv"):
        make()
