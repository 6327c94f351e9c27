import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.training.run import check_output_dir, run
from hf_seq2seq.training.task import Task


def test_tensorboard_gets_the_curves(make_task: Callable[..., Task], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(make_task(report_to="tensorboard", logging_steps=2))
    assert [path for path in (tmp_path / "run").rglob("events.out.tfevents.*") if path.stat().st_size > 200]


def test_a_run_is_replaced_only_on_request(make_task: Callable[..., Task], tmp_path: Path) -> None:
    first = make_task(max_steps=4, eval_steps=2)
    run(first)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="--overwrite-output-dir"):
        check_output_dir(first.config.run)
    run(make_task(max_steps=2, eval_steps=2, overwrite_output_dir=True))
    assert sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*")) == ["checkpoint-2"]
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_accelerate_launch(pairs: dict[str, str], tmp_path: Path) -> None:
    flags = [text for name, value in pairs.items() for text in ("--" + name.replace("_", "-"), value)]
    flags += [
        "--tokenizer-type",
        "char",
        "--hidden-size",
        "16",
        "--max-steps",
        "2",
        "--output-dir",
        str(tmp_path / "out"),
    ]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    done = subprocess.run(
        [*launcher, "-m", "hf_seq2seq", "train", "rnn", *flags], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.safetensors").exists()
