"""`export` from the command line, and `generate --engine ctranslate2` on what it wrote."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.tsv"
    words = "the a small big red green house dog cat runs sees likes old new".split()  # noqa: SIM905
    rows = [" ".join(words[(row * 5 + step) % 14] for step in range(1 + row % 7)) for row in range(30)]
    path.write_text("number\tquestion\n" + "".join(f"{number}\t{row}\n" for number, row in enumerate(rows)))
    return path


def test_export_then_generate(command: Command, model_folder: Path, questions: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="needs the extra [export]")
    out = tmp_path / "exports" / "bart"
    done = command("export", model_folder, out, "--input-file", questions, "--source-column", "question")
    assert done.code == 0, done.err
    assert "ctranslate2, float32" in done.out
    assert f"20 of 20 greedy outputs equal the model's ({questions})" in done.out
    told = json.loads((out / "export_report.json").read_text())
    assert (told["rows"], told["equal"]) == (20, 20)
    assert (out / "run.yaml").read_text() == (model_folder / "run.yaml").read_text()
    # The same flags, columns and lengths; the run's own column is found in both.
    for flags in (
        [],
        ["--num-beams", "1", "--json-lines"],
        ["--max-new-tokens", "4", "--per-device-eval-batch-size", "7"],
    ):
        rows = ["--input-file", questions, *flags]
        wanted = command("generate", model_folder, *rows)
        found = command("generate", out, "--engine", "ctranslate2", *rows)
        assert found.code == 0, found.err
        assert found.out == wanted.out
        assert len(found.out.splitlines()) == 30
    beams = command("generate", out, "--engine", "ctranslate2", "--num-beams", "4", "the red dog", "", "a cat")
    assert beams.code == 0
    assert len(beams.out.splitlines()) == 3


def test_rows_of_the_run_or_built_in_ones(
    command: Command, model_folder: Path, questions: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for file in model_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    export = ("--format", "safetensors")
    assert "(built-in texts" in command("export", copy, tmp_path / "one", *export).out
    lines = f"recipe: bart\nsource_column: question\ntest_file: gone.tsv\nvalidation_file: {questions}\n"
    (copy / "run.yaml").write_text(lines)
    done = command("export", copy, tmp_path / "two", *export, "--check-rows", "7", "--dtype", "bfloat16")
    assert done.code == 0, done.err
    assert "of 7 greedy outputs equal" in done.out
    assert str(tmp_path / "gone.tsv") not in done.out
    assert f"({questions}" in done.out
    # What it wrote is a model as any other.
    assert command("generate", tmp_path / "two", "the red dog").code == 0


BAD: dict[str, tuple[list[str], str]] = {
    "unknown format": (["--format", "onx"], "--format: unknown value 'onx'; did you mean 'onnx'?"),
    "unknown quantization": (["--quantization", "int9"], "did you mean 'int8'?"),
    "quantization that the format lacks": (["--format", "onnx", "--dtype", "int8"], "--format onnx has float32"),
    "no such file": (["--format", "safetensors", "--input-file", "none.tsv"], "none.tsv: no such file"),
    "no such column": (["--format", "safetensors", "--source-column", "questoin"], "'questoin'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_flags(command: Command, model_folder: Path, questions: Path, tmp_path: Path, name: str) -> None:
    flags, told = BAD[name]
    rows = [] if "--input-file" in flags else ["--input-file", questions]
    before = sorted(tmp_path.rglob("*"))
    done = command("export", model_folder, tmp_path / "out", *rows, *flags)
    assert done.code == 2
    assert told in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("package", ["ctranslate2", "onnxscript"])
def test_a_missing_package_names_the_extra(
    command: Command, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    kind = "ctranslate2" if package == "ctranslate2" else "onnx"
    done = command("export", model_folder, tmp_path / "out", "--format", kind)
    assert done.code == 2
    assert package in done.err
    assert "pip install 'hf-seq2seq[export]'" in done.err


def test_folders_that_cannot_be_exported(command: Command, model_folder: Path, tmp_path: Path) -> None:
    unfinished, taken = tmp_path / "unfinished", tmp_path / "taken"
    (unfinished / "checkpoint-5").mkdir(parents=True)
    taken.mkdir()
    (unfinished / "checkpoint-5" / "config.json").write_text("{}")
    (taken / "thesis.txt").write_text("mine")
    export = ("--format", "safetensors")
    done = command("export", unfinished, tmp_path / "out", *export)
    assert done.code == 2
    assert "contains no model" in done.err
    assert "checkpoint-5" in done.err
    done = command("export", model_folder, taken, *export)
    assert (done.code, "already exists" in done.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_an_adapter_without_its_base(command: Command, model_folder: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / name).write_bytes((model_folder / name).read_bytes())
    (adapter / "base_config.json").write_bytes((model_folder / "config.json").read_bytes())
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": str(tmp_path / "gone"),
        "r": 2,
        "target_modules": ["q_proj"],
    }
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    done = command("export", adapter, tmp_path / "out", "--format", "safetensors")
    assert done.code == 2, done.err
    assert str(tmp_path / "gone") in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_an_export_is_not_the_model(command: Command, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "export_report.json").write_text('{"format": "ctranslate2"}')
    done = command("generate", folder, "a")
    assert done.code == 2
    assert "--engine ctranslate2" in done.err
    done = command("generate", model_folder, "a", "--engine", "ctranslate2")
    assert done.code == 2
    assert "contains no CTranslate2 model" in done.err
    begun = ("--input-file", tmp_path / "none.jsonl", "--target-prefix-column", "begin")
    done = command("generate", folder, *begun, "--engine", "ctranslate2")
    assert (done.code, "--target-prefix-column: not supported by --engine ctranslate2" in done.err) == (2, True)
