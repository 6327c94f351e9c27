import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.data.files.readers import iterate_rows
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import t5
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.output_folder import check_output_dir
from hf_seq2seq.training.run import run, write_predictions

pytestmark = pytest.mark.usefixtures("forked")


def test_tensorboard_gets_the_curves(make_task: Callable[..., Task], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(make_task(report_to="tensorboard", logging_steps=2))
    assert [path for path in (tmp_path / "run").rglob("events.out.tfevents.*") if path.stat().st_size > 200]


def test_a_run_is_replaced_only_on_request(make_task: Callable[..., Task], tmp_path: Path) -> None:
    first = make_task(max_steps=4, eval_steps=2)
    run(first)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="--overwrite-output-dir"):
        check_output_dir(first.config)
    run(make_task(max_steps=2, eval_steps=2, overwrite_output_dir=True))
    assert sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*")) == ["checkpoint-2"]
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    names = ("config.json", "model.safetensors", "checkpoint-2/model.safetensors", "checkpoint-2/optimizer.safetensors")
    assert len({(tmp_path / "run" / name).stat().st_mode for name in names}) == 1


def config(folder: Path, **values: object) -> t5.Config:
    return build(t5.Config, {"train_file": "train.tsv", "output_dir": str(folder)} | values)


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("")
    check_output_dir(config(tmp_path, train_file=str(tmp_path / "data" / "train.tsv")))
    (tmp_path / "README.md").write_text("of the project")
    with pytest.raises(
        InputError, match=r"contains README\.md, which a run would replace; give --overwrite-output-dir or"
    ):
        check_output_dir(config(tmp_path))
    check_output_dir(config(tmp_path, overwrite_output_dir=True))
    (tmp_path / "train_log.jsonl").write_text("")  # of a run that was killed before its first checkpoint
    check_output_dir(config(tmp_path))


def test_predictions_stay_what_they_are_but_for_line_ends(
    make_task: Callable[..., Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["a\nb", "c\u2028d\x0be\x85f", " g ", "h\r\ni"]
    write_predictions(tmp_path, make_task(), {"predict": texts})
    found = [row["text"] for row in iterate_rows(tmp_path / "generated_predictions.txt")]
    assert found == ["a b", *texts[1:3], "h i"]
    assert "generated_predictions.txt: 2 of 4 predictions have line breaks" in capsys.readouterr().err


def test_what_a_run_reads_is_not_replaced_by_it(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint-4").mkdir(parents=True)
    (tmp_path / "run" / "generated_predictions.txt").write_text("")
    (tmp_path / "run" / "train.tsv").write_text("")
    run = {"folder": tmp_path / "run", "overwrite_output_dir": True}
    for name, value in [
        ("model_name_or_path", "run/checkpoint-4"),
        ("model_name_or_path", "run"),
        ("tokenizer_name", "run"),
        ("train_file", "run/generated_predictions.txt"),
        ("validation_file", "a=run/train.tsv,b=run/generated_predictions.txt"),
    ]:
        given = {name: value.replace("run", str(tmp_path / "run"), 2)}
        with pytest.raises(InputError, match=f"which --{name.replace('_', '-')} reads; give another folder"):
            check_output_dir(config(**run, **given))
    (tmp_path / "run" / "t5").mkdir()
    kept = {"train_file": str(tmp_path / "run" / "train.tsv"), "model_name_or_path": str(tmp_path / "run" / "t5")}
    check_output_dir(config(**run, **kept))
    check_output_dir(config(**run, model_name_or_path="t5-small"))
    resumed = {"resume_from_checkpoint": "last", "model_name_or_path": str(tmp_path / "run")}
    check_output_dir(config(tmp_path / "run", **resumed))


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
