"""Training rows that are read during training, and a run on them that is killed and resumed."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from accelerate import Accelerator
from datasets import IterableDataset
from safetensors.torch import load_file

from hf_seq2seq.data.streams import Stream
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import gpt, rnn
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.state import State

ROWS = 70
VALUES: dict[str, Any] = {
    "streaming": True, "shuffle_buffer_size": 32, "max_steps": 14, "per_device_train_batch_size": 8, "save_steps": 2,
    "hidden_size": 16, "embedding_size": 16, "dropout": 0.2, "tokenizer_type": "char", "logging_steps": 1,
    "max_source_length": 12, "max_target_length": 12, "eval_steps": 100, "save_total_limit": 100, "use_cpu": True,
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> str:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcde", k=draw.randint(2, 9))) for _ in range(ROWS)]
    path = tmp_path / "train.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{word}\t{word[::-1]}\n" for word in words))
    return str(path)


def prepared(file: str, **more: Any) -> Task:
    return rnn.prepare(build(rnn.Config, VALUES | {"train_file": file} | more))


def test_every_row_comes_once_a_round(file: str) -> None:
    rows = prepared(file).training_rows
    expected = [line.split("\t")[0] for line in Path(file).read_text().splitlines()[1:]]
    read = [text for number in range(7) for text in rows.of_epoch(number).texts]
    assert read == (expected * 4)[: 7 * 32]
    assert [*rows.of_epoch(2).texts] == read[64:96]  # also after later ones


def test_the_position_is_the_one_of_datasets(file: str, tmp_path: Path) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps({"number": number}) + "\n" for number in range(ROWS)))
    options = {"data_files": str(lines), "split": "train", "streaming": True, "cache_dir": str(tmp_path / "cache")}
    streams = [Stream(datasets.load_dataset("json", **options), "rows", 32) for _ in range(2)]
    state, expected = streams[0].start, []
    for _ in range(5):
        rows, after = streams[0].read(state)
        expected.append((state, [row["number"] for row in rows]))
        state = after
    for saved, numbers in reversed(expected):
        saved = json.loads(json.dumps(saved))
        assert [row["number"] for row in streams[1].read(saved)[0]] == numbers


@pytest.mark.parametrize("kill_at", [3, 4, 9])
def test_killed_and_resumed(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    Loop(prepared(file), Accelerator(cpu=True), tmp_path / "whole").run()
    loop = Loop(prepared(file), Accelerator(cpu=True), tmp_path / "killed")
    update = loop._update

    def dies() -> None:
        if loop.state.global_step == kill_at:
            raise KeyboardInterrupt
        update()

    monkeypatch.setattr(loop, "_update", dies)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    Loop(prepared(file), Accelerator(cpu=True), tmp_path / "killed", "last").run()
    assert_equal_bits(tmp_path / "killed" / "checkpoint-14", tmp_path / "whole" / "checkpoint-14")


def assert_equal_bits(folder: Path, expected: Path) -> None:
    found, wanted = (load_file(path / "model.safetensors") for path in (folder, expected))
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())


DYING = """
import os
import signal

from hf_seq2seq.recipes import rnn
from hf_seq2seq.recipes.rnn import Config, prepare
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.state import State


def main(config):
    update = Loop._update

    def dies(loop):
        first = config.run.resume_from_checkpoint is None and config.run.output_dir.endswith("killed")
        if first and loop.state.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        update(loop)

    Loop._update = dies
    rnn.main(config)
"""


@pytest.mark.usefixtures("forked")
def test_two_processes_killed_and_resumed(file: str, tmp_path: Path) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    given = VALUES | {"max_steps": 8, "train_file": file, "num_processes": 2}
    flags = [word for name, value in given.items() for word in (f"--{name}", str(value)) if value is not True]
    command = [sys.executable, "-m", "hf_seq2seq", "train", str(tmp_path / "dying.py"), *flags]
    command += ["--streaming", "--use-cpu", "--output-dir"]

    def run(name: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, str(tmp_path / name), *more], capture_output=True, text=True)

    whole = run("whole")
    assert whole.returncode == 0, whole.stderr
    assert "on 2 process" in whole.stderr
    killed = run("killed")
    assert "was ended by SIGKILL" in killed.stderr
    assert not (tmp_path / "killed" / "checkpoint-6").exists()
    resumed = run("killed", "--resume-from-checkpoint", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming from" in resumed.stderr
    assert_equal_bits(tmp_path / "killed", tmp_path / "whole")


def test_a_hub_set_is_read_no_further_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def rows() -> Any:
        for number in range(1000):
            read.append(number)
            yield {"source": "ab" * (1 + number % 3), "target": "ba"}

    other = IterableDataset.from_generator(lambda: iter([{"source": "b", "target": "a"}]))
    found = {"train": IterableDataset.from_generator(rows), "validation": other}
    monkeypatch.setattr("hf_seq2seq.data.named_sets._load_hub", lambda _: found)
    task = rnn.prepare(build(rnn.Config, VALUES | {"dataset_name": "team/pairs"}))
    assert max(read) < 40
    assert len(task.splits["validation"]) == 1
    assert len(task.training_rows.of_epoch(2)) == 32
    assert max(read) < 100


def test_gpt_streams(file: str) -> None:
    values = {name: value for name, value in VALUES.items() if name not in ("embedding_size", "hidden_size")}
    values |= {"objective": "pairs", "from_scratch": True, "model_size": "tiny", "train_file": file}
    rows = gpt.prepare(build(gpt.Config, values)).training_rows
    assert rows.of_epoch(1).texts != rows.of_epoch(0).texts
    assert rows.of_epoch(1).joined


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"max_steps": None}, "a stream has no end that is known, so give --max-steps"),
        ({"deduplicate": True}, "--streaming and --deduplicate: it needs all rows at once"),
        ({"validation_split_percentage": 5}, "--streaming and --validation-split-percentage"),
        ({"curriculum": "competence"}, "--streaming and --curriculum"),
        ({"bpe_dropout": 0.1, "tokenizer_type": "bpe"}, "--streaming and --bpe-dropout"),
        ({"train_file": "nothing.tsv"}, "nothing.tsv: no such file"),
    ],
)
def test_refusals(file: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(file, **more)


def test_a_bad_row_is_named(file: str) -> None:
    with Path(file).open("a") as stream:
        stream.write("word\t \n")
    rows = prepared(file).training_rows
    with pytest.raises(InputError, match=r"train\.tsv: row 71 after the header, column 'target': empty text"):
        rows.of_epoch(2)
    with pytest.raises(InputError, match=r"train\.tsv: row 71 after the header"):
        prepared(file, shuffle_buffer_size=100)


def test_a_cell_of_another_kind_is_named_where_it_is_read(tmp_path: Path) -> None:
    rows = [{"source": "ab", "target": "ba", "n": number} for number in range(70)]
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    rows[50]["n"] = "x"
    for file, part in zip(files, (rows[:20], rows[20:]), strict=True):
        file.write_text("\n" + "".join(json.dumps(row) + "\n" for row in part))
    assert len(prepared(str(tmp_path / "*.jsonl")).training_rows.of_epoch(2)) == 32
    for place, cell, message in ((29, 5, ":31, column 'source': number 5 among cells that are text"), (28, None, "")):
        broken = [dict(row) for row in rows[20:]]
        broken[place]["source"] = cell
        files[1].write_text("\n" + "".join(json.dumps(row) + "\n" for row in broken))
        message = f"{files[1]}{message}" if message else f"row 29 of {files[1]}, column 'source': null"
        with pytest.raises(InputError, match=re.escape(message)):
            prepared(str(tmp_path / "*.jsonl")).training_rows.of_epoch(1)


def test_a_changed_file_is_told_and_one_that_ends_before_is_refused(file: str, tmp_path: Path) -> None:
    folder, lines = tmp_path / "run", Path(file).read_text().splitlines(keepends=True)
    folder.mkdir()
    Loop(prepared(file, max_steps=6), Accelerator(cpu=True), folder).run()  # the second buffer, from row 33

    def resumed() -> Loop:
        return Loop(prepared(file, shuffle_buffer_size=32, max_steps=8), Accelerator(cpu=True), folder, "last")

    assert "train.tsv" not in resumed().notes[0]
    Path(file).write_text("".join([*lines[:-1], lines[-1].upper()]))
    assert "train.tsv: changed content in its" in resumed().notes[0]
    Path(file).write_text("".join(lines[:60]))
    assert re.search(r"train\.tsv: [\d,]+ bytes \(were", resumed().notes[0])
    Path(file).write_text("".join(lines[:21]))
    position = State.load(folder / "checkpoint-6").stream
    with pytest.raises(InputError, match="ends behind row 20, before row 32 where training is to go on; restore"):
        prepared(file).training_rows.resume(position)


def test_fewer_rows_than_a_buffer_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "train.tsv"
    file.write_text("source\ttarget\n" + "ab\tba\nabc\tcba\n" * 10)
    prepared(str(file), shuffle_buffer_size=20)
    assert "has fewer rows" not in caplog.text
    prepared(str(file), shuffle_buffer_size=21)
    assert "train.tsv: has fewer rows than a buffer of 21, which repeats them" in caplog.text
