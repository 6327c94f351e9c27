"""Training from Python: any rows, the command line's errors, its lock, and a card that names the call."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from hf_seq2seq import InputError, preview, train
from hf_seq2seq.api.flags import divided
from hf_seq2seq.api.runs import TrainingRun
from hf_seq2seq.folders import LOCK, locked_folder

OWN = sys.executable
"""A new interpreter, in which nothing is imported yet."""

TEXTS = ["ab ba", "abc cba", "bca acb", "ca ac", "bb aac", "c"]
ROWS = [{"source": text, "target": text[::-1]} for text in TEXTS * 4]
SMALL: dict[str, Any] = {"hidden_size": 16, "embedding_size": 16, "tokenizer_type": "char", "use_cpu": True}
SMALL |= {"max_steps": 2, "max_target_length": 12}


def test_results_are_those_of_the_folder(run: TrainingRun) -> None:
    assert run.results == json.loads((run.folder / "all_results.json").read_text())
    assert run.results["train_samples"] == len(ROWS)
    assert "predict_loss" in run.results
    assert not (run.folder / ".lock").exists()


def as_file(rows: list[dict[str, str]], folder: Path) -> str:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "rows.jsonl")


def test_all_forms_of_rows_give_the_same_run(tmp_path: Path) -> None:
    import pandas

    forms = {
        "dicts": ROWS,
        "columns": {name: [row[name] for row in ROWS] for name in ROWS[0]},
        "pandas": pandas.DataFrame(ROWS),
        "arrow": pa.Table.from_pylist(ROWS),
        "datasets": datasets.Dataset.from_list(ROWS),
        "file": as_file(ROWS, tmp_path),
        "path": tmp_path / "rows.jsonl",
    }
    pages = {name: str(preview("rnn", train_file=rows, **SMALL)) for name, rows in forms.items()}
    assert len(set(pages.values())) == 1
    sets = datasets.DatasetDict({"train": forms["datasets"], "validation": forms["datasets"].select(range(3))})
    assert preview("rnn", dataset_name=sets, **SMALL).rows == {"train": 24, "validation": 3}
    assert preview("rnn", train_file=ROWS, test_file={"a": ROWS[:2], "b": forms["file"]}, **SMALL).rows == {
        "train": 24,
        "test_a": 2,
        "test_b": 24,
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"lerning_rate": 1}, "unknown option 'lerning_rate'; did you mean 'learning_rate'"),
        ({"learning_rate": -1}, "--learning-rate: -1"),
        ({"train_file": "none.tsv"}, "none.tsv: no such file"),
        ({"train_file": [{"source": "a", "target": 5}]}, "memory:train_file"),
        ({"train_file": [{"source": "a", "target": "b"}, {1: "a"}]}, "item 2: the name of column 1 is not text"),
        (
            {"train_file": {"source": ["a", "b"], "target": ["b"]}},
            "--train-file: columns need as many cells as each other: 'source' has 2, 'target' has 1",
        ),
        ({"train_file": [("a", "b")]}, "item 1: ('a', 'b') is not a dict of columns, such as {'source': 'a text'"),
        ({"output_dir": "rows.jsonl"}, "--output-dir: rows.jsonl is a file"),
    ],
)
def test_errors_have_the_command_line_s_words(
    flags: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    as_file(ROWS, tmp_path)
    with pytest.raises(InputError) as refused:
        train("rnn", **{"train_file": ROWS, "output_dir": "out"} | SMALL | flags)
    assert message in str(refused.value)
    assert not Path("out").exists()


def test_an_unknown_recipe() -> None:
    with pytest.raises(InputError, match=r"unknown recipe 'rmn'.*did you mean 'rnn'"):
        train("rmn", train_file=ROWS)


def test_the_card_names_the_call_that_repeats_it(run: TrainingRun, tmp_path: Path) -> None:
    program = re.search(
        r"```python\n(from hf_seq2seq import train\n.*?)```", (run.folder / "README.md").read_text(), re.S
    )
    assert program is not None
    assert "# train_file: 24 rows with the columns source, target" in program[1]
    again = program[1].replace(str(run.folder), str(tmp_path / "again"))
    exec(again, {"train_file": ROWS, "test_file": ROWS[:4]})
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run.folder, tmp_path / "again")]
    assert weights[0] == weights[1]


def test_a_recipe_that_python_calls_itself_has_such_a_card_and_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_seq2seq.recipes import rnn
    from hf_seq2seq.sections import build
    from hf_seq2seq.training import run as running

    locked: list[bool] = []
    before = running.finish

    def finish(*arguments: Any) -> Any:
        locked.append((tmp_path / "out" / LOCK).exists())
        return before(*arguments)

    monkeypatch.setattr(running, "finish", finish)
    flags = {"train_file": as_file(ROWS, tmp_path), "output_dir": str(tmp_path / "out")}
    rnn.main(build(rnn.Config, SMALL | flags))
    assert locked == [True]
    assert f"train_file={flags['train_file']!r}" in (tmp_path / "out" / "README.md").read_text()


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    """Neither of two processes, nor of two threads of one."""
    found: list[str] = []

    def start() -> None:
        try:
            train("rnn", train_file=ROWS, output_dir=tmp_path / "out", **SMALL)
        except InputError as error:
            found.append(str(error))

    with locked_folder(tmp_path / "out"):
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        code = f"""
from hf_seq2seq import InputError, train
try:
    train("rnn", train_file={ROWS!r}, output_dir={str(tmp_path / "out")!r})
except InputError as error:
    print(error)
"""
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is in use by another run" in found[0]
    assert "is in use by another run" in said.stdout


def test_progress_hears_every_line_of_the_log_and_a_thread_may_train(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    flags = SMALL | {
        "train_file": ROWS,
        "validation_file": ROWS[:3],
        "logging_steps": 1,
        "output_dir": tmp_path / "out",
    }
    thread = threading.Thread(target=lambda: train("rnn", progress=lines.append, **flags))
    thread.start()
    thread.join()
    assert lines == [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]


@pytest.mark.usefixtures("forked")
def test_several_processes(tmp_path: Path) -> None:
    flags = SMALL | {"num_processes": 2, "output_dir": str(tmp_path / "out")}
    with pytest.raises(InputError, match="train_file: rows in this process's memory; several processes need a file"):
        train("rnn", train_file=ROWS, **flags)
    rows = as_file(ROWS, tmp_path)
    with (
        locked_folder(tmp_path / "out"),
        pytest.raises(InputError, match=r"^--output-dir: .*/out is in use by another"),
    ):
        train("rnn", train_file=rows, **flags)
    run = train("rnn", train_file=rows, **flags)
    assert run.results["train_processes"] == 2
    assert "num_processes=2" in (run.folder / "README.md").read_text()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = """
import sys
from hf_seq2seq import InputError, evaluate, load, preview, train
heavy = {"torch", "transformers", "datasets", "accelerate", "numpy", "pyarrow"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([OWN, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_says_what_it_has() -> None:
    import hf_seq2seq

    assert {"load", "train", "evaluate", "preview", "__version__"} <= set(dir(hf_seq2seq))
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = hf_seq2seq.lode


def test_an_empty_list_is_rows_only_where_rows_may_be() -> None:
    rows, values = divided({"train_file": [], "difficulty_thresholds": [], "metrics": ()})
    assert list(rows) == [values["train_file"]] == ["memory:train_file"]
    assert (values["difficulty_thresholds"], values["metrics"]) == ([], ())


def test_a_preview_needs_no_place_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").write_text("a file, so that no run can lie in outputs/")
    rows = [{"source": "a" * n, "target": "b" * n} for n in range(1, 9)]
    assert preview("rnn", train_file=rows).rows["train"] == 8
    with pytest.raises(InputError, match="outputs is a file"):
        preview("rnn", train_file=rows, output_dir="outputs/mine")
