"""`distill`: rows that `train` reads, with a teacher's outputs as targets, the same after any kill."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.cli import distill as module
from hf_seq2seq.data.resumable import ResumableFile
from hf_seq2seq.decoding.minimum_bayes_risk import utility_of

TEXTS = ["the small dog", "a big house runs", "", "new cat likes the old dog", "green", "red cat sees a dog", "old"]
ROWS = [{"id": i, "question": text, "answer": f"the dog {i}", "note": None} for i, text in enumerate(TEXTS)]
BEAMS = ["--num-beams", "3"]


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def outputs(command: Any, model_folder: Path, rows_file: Path) -> list[list[str]]:
    """What `generate` writes for each row, best first."""
    flags = ["--input-file", rows_file, "--json-lines", "--num-return-sequences", "3", *BEAMS]
    lines = command("generate", model_folder, *flags).out.splitlines()
    return [[each["prediction"] for each in json.loads(line)["predictions"]] for line in lines]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_best_outputs_of_generate_become_the_targets(
    command: Any, model_folder: Path, rows_file: Path, outputs: list[list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    result = command("distill", model_folder, "--train-file", rows_file, "--output-file", out, *BEAMS)
    assert result.code == 0, result.err
    expected = [row | {"answer": found[0]} for row, found in zip(ROWS, outputs, strict=True) if row["question"]]
    assert read(out) == expected
    assert "1 of 7 rows have no output and are left out" in result.err
    line = result.out.splitlines()[1]
    flags = f"--train-file {out} --source-column question --target-column answer --output-dir outputs/out-student"
    assert shlex.split(line) == ["hf-seq2seq", "train", "transformer", *flags.split()]
    assert command("preview", *shlex.split(line)[2:]).code == 0


def test_real_targets_are_asked_for_only_where_the_teacher_had_none(
    command: Any, model_folder: Path, rows_file: Path, tmp_path: Path
) -> None:
    flags = ["--train-file", rows_file, *BEAMS, "--max-train-samples", "2", "--output-file"]
    told = command("distill", model_folder, *flags, tmp_path / "a.jsonl").out.splitlines()
    assert told[0].endswith("to train a student on them (add --validation-file with real targets):")
    teacher = shutil.copytree(model_folder, tmp_path / "teacher")
    (teacher / "run.yaml").write_text("validation_file: dev.tsv\n")
    told = command("distill", teacher, *flags, tmp_path / "b.jsonl").out.splitlines()
    assert told[0].endswith("to train a student on them:")
    assert " --validation-file dev.tsv " in told[1]


def test_no_command_is_printed_for_no_rows(command: Any, model_folder: Path, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.tsv", tmp_path / "out.jsonl"
    rows.write_text("source\ttarget\n\tdog\n\tcat\n")
    result = command("distill", model_folder, "--train-file", rows, "--output-file", out)
    assert (result.code, out.read_text()) == (0, ""), result.err
    assert result.out == f"{out}: 0 rows; there is nothing to train a student on\n"


def test_several_outputs_are_several_rows_and_beams_are_five_by_default(
    command: Any, model_folder: Path, rows_file: Path, outputs: list[list[str]], tmp_path: Path
) -> None:
    out, flags = tmp_path / "out.jsonl", ["--train-file", rows_file, "--keep-reference"]
    command("distill", model_folder, *flags, "--output-file", out, *BEAMS, "--num-return-sequences", "3")
    expected = [
        row | {"answer": text, "reference": row["answer"]}
        for row, found in zip(ROWS, outputs, strict=True)
        for text in dict.fromkeys(found)
        if text
    ]
    assert read(out) == expected
    command("distill", model_folder, *flags, "--output-file", tmp_path / "a.jsonl")
    command("distill", model_folder, *flags, "--output-file", tmp_path / "b.jsonl", "--num-beams", "5")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_nearest_output_to_the_reference(
    command: Any, model_folder: Path, rows_file: Path, outputs: list[list[str]], tmp_path: Path
) -> None:
    rows = [row | {"answer": found[-1] or "x"} for row, found in zip(ROWS, outputs, strict=True)]
    rows_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, flags = tmp_path / "out.jsonl", ["--train-file", rows_file, *BEAMS, "--nearest-to-reference", "chrf"]
    result = command("distill", model_folder, *flags, "--output-file", out)
    assert result.code == 0, result.err
    chosen = [row["answer"] for row in read(out)]
    assert chosen == [found[-1] for found in outputs if found[0]]
    assert chosen != [found[0] for found in outputs if found[0]]
    assert utility_of("chrf")(chosen[0], chosen[0]) == pytest.approx(100)


def test_only_the_first_rows(command: Any, model_folder: Path, rows_file: Path, tmp_path: Path) -> None:
    flags = ["distill", model_folder, "--train-file", rows_file, *BEAMS, "--output-file"]
    assert command(*flags, tmp_path / "all.jsonl").code == 0
    assert command(*flags, tmp_path / "two.jsonl", "--max-train-samples", "2").code == 0
    assert read(tmp_path / "two.jsonl") == read(tmp_path / "all.jsonl")[:2]


def test_killed_runs_continue_to_the_same_file(
    command: Any, model_folder: Path, rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 2)
    flags = ["distill", model_folder, "--train-file", rows_file, *BEAMS, "--output-file"]
    whole = command(*flags, tmp_path / "whole.jsonl")
    commit, seen = ResumableFile.commit, []

    def fail_at_third(self: Any, lines: Any, state: Any) -> None:
        seen.append(self.done)
        if len(seen) == 3:
            raise KeyboardInterrupt
        commit(self, lines, state)

    monkeypatch.setattr(ResumableFile, "commit", fail_at_third)
    out = tmp_path / "out.jsonl"
    assert command(*flags, out).code == 130
    assert not out.exists()
    refused = command(*flags, out, "--length-penalty", "0.5")
    assert refused.code == 2
    assert "was begun with length penalty 1.0, not 0.5" in refused.err
    again = command(*flags, out, "--per-device-eval-batch-size", "1")
    assert seen == [0, 2, 4, 4, 6]
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert again.out.replace("out", "whole") == whole.out.replace("out", "whole")
    assert whole.err.splitlines() == [line for line in again.err.splitlines() if "continuing" not in line]


@pytest.mark.parametrize(
    ("name", "content", "flags", "expected"),
    [
        ("in.txt", "the dog\nold cat\n", [], {"text": "the dog"}),
        ("in.tsv", "source\ttarget\nthe dog\told\n", ["--keep-reference"], {"source": "the dog", "reference": "old"}),
        ("in.tsv", "the dog\told cat\nred\tgreen\n", ["--source-column", "1"], {"1": "the dog"}),
        ("in.ndjson", '{"source": ["the", "dog"], "target": "old"}\n', [], {"source": ["the", "dog"]}),
        ("in.jsonl", '{"translation": {"de": "the dog", "en": "cat"}}\n', ["--source-column", "translation.de"], {}),
        (
            "in.jsonl",
            '{"translation": {"en": "x", "fr": "y", "de": "the dog"}}\n',
            ["--source-lang", "de", "--target-lang", "en"],
            {"fr": "y"},
        ),
    ],
)
def test_forms_of_training_files(
    command: Any, model_folder: Path, tmp_path: Path, name: str, content: str, flags: list[str], expected: Any
) -> None:
    (tmp_path / name).write_text(content)
    out = tmp_path / "out.jsonl"
    result = command("distill", model_folder, "--train-file", tmp_path / name, "--output-file", out, *flags)
    assert result.code == 0, result.err
    text = command("generate", model_folder, "the dog", "--num-beams", "5").out.strip()
    row = read(out)[0]
    if name == "in.jsonl":
        assert row == {"translation": {"de": "the dog", "en": text} | expected}
        assert "--target-column translation.en" in result.out
    else:
        assert row == expected | {"2" if "1" in flags else "target": text}


def test_two_aligned_files(command: Any, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("the dog\nold cat\n")
    (tmp_path / "a.en").write_text("x\ny\n")
    files, out = f"{tmp_path}/a.de,{tmp_path}/a.en", tmp_path / "out.jsonl"
    flags = ["--train-file", files, "--output-file", out, "--source-column", "de"]
    result = command("distill", model_folder, *flags)
    languages = ["--source-lang", "de", "--target-lang", "en", "--output-file", tmp_path / "by_name.jsonl"]
    by_name = command("distill", model_folder, "--train-file", tmp_path / "a", *languages)
    assert by_name.code == 0, by_name.err
    assert (tmp_path / "by_name.jsonl").read_bytes() == out.read_bytes()
    assert "--source-column de --target-column en" in by_name.out
    assert result.code == 0, result.err
    assert [list(row) for row in read(out)] == [["de", "en"]] * 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output-file", "out.jsonl"], "--train-file: is missing"),
        (["--train-file", "rows.jsonl"], "--output-file: is missing"),
        (["--output-file", "out.tsv"], "--output-file out.tsv: is written as JSON lines"),
        (["--output-file", "rows.jsonl"], "--output-file rows.jsonl: is read by --train-file"),
        (["--nearest-to-reference", "chrf", "--num-beams", "1"], "there is nothing to choose from"),
        (["--nearest-to-reference", "chfr"], "did you mean 'chrf'?"),
        (["--keep-reference", "--target-column", "new"], "row 1, column 'new': None is no text (--keep-reference)"),
    ],
)
def test_bad_flags(
    command: Any, model_folder: Path, rows_file: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    monkeypatch.chdir(rows_file.parent)
    given = [] if "is missing" in message else ["--train-file", "rows.jsonl"]
    given += ["--output-file", "out.jsonl"] if "--output-file" not in flags and "is missing" not in message else []
    result = command("distill", model_folder, *given, *flags)
    assert result.code == 2
    assert message in result.err
    assert [path.name for path in Path().iterdir()] == ["rows.jsonl"]
