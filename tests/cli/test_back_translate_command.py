"""`back-translate`: real targets with synthetic sources, filtered, tagged, the same after any kill, and trained on."""

import json
import os
import shlex
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from hf_seq2seq.cli import back_translate as module
from hf_seq2seq.data.back_translation import check_direction
from hf_seq2seq.data.resumable import ResumableFile

TEXTS = [
    "the small dog",
    "a big house runs",
    "",
    "The small DOG!",
    "new cat likes the old dog",
    "red cÃ¼at",
    "green dog",
]
ASKED = [TEXTS[0], TEXTS[1], TEXTS[4], TEXTS[6]]
NUMBERS = [1, 2, 5, 7]


@pytest.fixture
def mono(tmp_path: Path) -> Path:
    path = tmp_path / "mono.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("flags", "search"),
    [
        (["--num-beams", "3"], "num_beams=3"),
        (["--do-sample", "--top-k", "5"], "do_sample top_k=5 seed=42"),
        ([], "greedy"),
    ],
)
def test_sources_are_the_outputs_of_generate(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path, flags: list[str], search: str
) -> None:
    out = tmp_path / "out.jsonl"
    result = command("back-translate", model_folder, "--input-file", mono, "--output-file", out, *flags)
    assert result.code == 0, result.err
    expected = command("generate", model_folder, *ASKED, *flags).out.splitlines()
    rows = read(out)
    assert [row["source"] for row in rows] == [f"<BT> {text}" for text in expected]
    assert [row["target"] for row in rows] == ASKED
    assert [row["line"] for row in rows] == NUMBERS
    assert all(row["score"] < 0 and row["model"] == str(model_folder) for row in rows)
    assert {row["search"] for row in rows} == {search}
    assert "4 of 7 rows are kept (57.1 %), 3 dropped" in result.out
    assert [line.split()[:2] for line in result.out.splitlines() if "(--" in line] == [
        ["empty", "1"],
        ["broken_encoding", "1"],
        ["duplicate", "1"],
    ]


def test_no_command_is_printed_for_no_pairs(command: Any, model_folder: Path, mono: Path, tmp_path: Path) -> None:
    flags = ["--input-file", mono, "--output-file", tmp_path / "out.jsonl", "--min-words", "50"]
    result = command("back-translate", model_folder, *flags)
    assert (result.code, (tmp_path / "out.jsonl").read_text()) == (2, "")
    assert "out.jsonl: no pair is kept, so that there is nothing to train on; see above what dropped them" in result.err
    assert "to train on them" not in result.out


def test_tsv_and_the_printed_command_are_read_by_train(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path
) -> None:
    (tmp_path / "real.tsv").write_text("source\ttarget\nein Hund\tone dog\nein Haus\ta house\n")
    out, mixed = tmp_path / "out.tsv", tmp_path / "mixed.jsonl"
    flags = ["--input-file", mono, "--output-file", out, "--train-file", tmp_path / "real.tsv", "--upsample", "3"]
    result = command("back-translate", model_folder, *flags, "--mixed-file", mixed, "--noise")
    assert result.code == 0, result.err
    lines = out.read_text().splitlines()
    assert lines[0] == "source\ttarget\tline\tscore\tmodel\tsearch"
    assert [line.split("\t")[1] for line in lines[1:]] == ASKED
    rows = read(mixed)
    assert [row["source"] for row in rows[:6]] == ["ein Hund"] * 3 + ["ein Haus"] * 3
    assert [list(row.values()) for row in rows[6:]] == [line.split("\t")[:2] for line in lines[1:]]
    assert f"{mixed}: 6 rows of real pairs (3 x) and 4 synthetic ones" in result.out
    line = shlex.split(result.out.splitlines()[-1])
    assert line[:3] == ["hf-seq2seq", "train", "transformer"]
    assert line[line.index("--added-tokens") + 1] == "<BT>,<blank>"
    assert command("preview", *line[2:]).code == 0


def test_the_file_of_stages_has_the_stated_shares(command: Any, model_folder: Path, mono: Path, tmp_path: Path) -> None:
    real, out, stages = tmp_path / "real.tsv", tmp_path / "out.jsonl", tmp_path / "stages.yaml"
    real.write_text("de\ten\nein Hund\tone dog\nein Haus\ta house\n")
    flags = ["--input-file", mono, "--output-file", out, "--train-file", real, "--upsample", "3"]
    languages = ["--source-lang", "de", "--target-lang", "en"]
    result = command("back-translate", model_folder, *flags, *languages, "--stages-file", stages)
    assert result.code == 0, result.err
    assert stages.read_text() in result.out
    written = yaml.safe_load(stages.read_text())
    assert written["datasets"] == {"real": str(real), "synthetic": str(out)}
    assert written["mixed"] == ["real 0.6", "synthetic 0.4", "until synthetic 10"]
    assert "train transformer --stages" in result.out.splitlines()[-1]


def test_a_text_column_and_names_of_columns(command: Any, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": 1, "de": "x", "en": "the dog runs"}) + "\n")
    flags = ["--input-file", tmp_path / "in.jsonl", "--output-file", tmp_path / "out.jsonl"]
    found = command("back-translate", model_folder, *flags)
    assert found.code == 2
    assert "name the columns by --text-column; its columns are id, de, en" in found.err
    names = ["--source-lang", "de", "--target-lang", "en", "--tag", ""]
    assert command("back-translate", model_folder, *flags, "--text-column", "en", *names).code == 0
    (row,) = read(tmp_path / "out.jsonl")
    assert (row["en"], row["line"]) == ("the dog runs", 1)
    assert not row["de"].startswith("<BT>")
    found = command("back-translate", model_folder, *flags, "--text-column", "en", *names, "--source-column", "x")
    assert "--source-column x --target-lang en --output-dir" in found.out


def test_filters_of_pairs(command: Any, model_folder: Path, mono: Path, tmp_path: Path) -> None:
    flags = ["--input-file", mono, "--tag", "", "--output-file"]
    command("back-translate", model_folder, *flags, tmp_path / "all.jsonl")
    rows = read(tmp_path / "all.jsonl")
    least = sorted(row["score"] for row in rows)[2] - 1e-6
    result = command("back-translate", model_folder, *flags, tmp_path / "best.jsonl", "--min-score", least)
    assert read(tmp_path / "best.jsonl") == [row for row in rows if row["score"] >= least]
    assert "score                   2  (--min-score)" in result.out
    (tmp_path / "test.txt").write_text(f"{rows[0]['source']}\n{rows[1]['target']}\n")
    command("back-translate", model_folder, *flags, tmp_path / "kept.jsonl", "--against", tmp_path / "test.txt")
    assert read(tmp_path / "kept.jsonl") == [row for row in rows[2:] if row["source"] != rows[0]["source"]]


@pytest.mark.parametrize("suffix", ["jsonl", "tsv"])
def test_killed_runs_continue_to_the_same_file(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    flags = ["back-translate", model_folder, "--input-file", mono, "--do-sample", "--noise", "--output-file"]
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    told = command(*flags, whole).out  # in one block
    monkeypatch.setattr(module, "BLOCK", 2)
    commit = ResumableFile.commit

    def dying(self: Any, lines: Any, state: Any = None) -> None:
        commit(self, lines, state)
        raise SystemExit(1)

    for _ in range(3):  # of four blocks
        monkeypatch.setattr(ResumableFile, "commit", dying)
        assert command(*flags, out).code == 1
        assert not out.exists()
    monkeypatch.setattr(ResumableFile, "commit", commit)
    assert command(*flags, out, "--seed", "7").code == 2
    result = command(*flags, out)
    assert result.code == 0, result.err
    assert out.read_bytes() == whole.read_bytes()
    assert result.out.replace("out.", "whole.").replace("outputs/out", "outputs/whole") == told
    assert not list(tmp_path.glob("out.*.*"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output-file", "out.txt"], "--output-file out.txt: is written as JSON lines or tsv"),
        (["--output-file", "out.tsv", "--tag", "a b"], "--tag: 'a b' is more than one word; give one word"),
        (["--output-file", "out.tsv", "--source-column", "line"], "must differ, also from line, score, model, search"),
        (["--output-file", "out.tsv", "--upsample", "2"], "--upsample 2: add --mixed-file or --stages-file"),
        (["--output-file", "out.tsv", "--mixed-file", "m.jsonl"], "--mixed-file m.jsonl: add --train-file"),
        (
            ["--output-file", "out.tsv", "--num-return-sequences", "2", "--do-sample"],
            "one source is written per target",
        ),
        (["--output-file", "out.tsv", "--unique", "source"], "--unique source: synthetic sources are not compared"),
        ([], "--output-file: is missing; name the file of pairs to write"),
        (["--output-file", "o.jsonl", "--train-file", "no.csv", "--mixed-file", "m.jsonl"], "no.csv: no such file"),
    ],
)
def test_bad_input(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path, monkeypatch: Any, flags: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = command("back-translate", model_folder, "--input-file", mono, *flags)
    assert found.code == 2
    assert message in found.err
    assert [path.name for path in tmp_path.iterdir()] == ["mono.txt"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--output-file real.jsonl --train-file real.jsonl", "--output-file real.jsonl: is read by --train-file"),
        ("--output-file test.tsv --against test.tsv", "--output-file test.tsv: is read by --against"),
        (
            "--output-file out.jsonl --train-file real.jsonl --mixed-file link.jsonl",
            "--mixed-file link.jsonl: is read by --train-file",
        ),
    ],
)
def test_files_that_are_read_are_not_written(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path, monkeypatch: Any, flags: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("real.jsonl", "test.tsv"):
        Path(name).write_text("mine")
    Path("link.jsonl").symlink_to("real.jsonl")
    found = command("back-translate", model_folder, "--input-file", mono, *flags.split())
    assert found.code == 2
    assert message in found.err
    assert Path("real.jsonl").read_text() == Path("test.tsv").read_text() == "mine"


def test_real_pairs_may_come_from_a_pipe(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pairs")
    writer = Thread(target=lambda: Path("pairs").write_text("ein Hund\ta dog\neine Katze\ta cat\n"))
    writer.start()
    flags = ["--output-file", "out.jsonl", "--train-file", "pairs", "--mixed-file", "mixed.jsonl"]
    result = command("back-translate", model_folder, "--input-file", mono, *flags)
    writer.join()
    assert result.code == 0, result.err
    assert read(Path("mixed.jsonl"))[:2] == [
        {"source": "ein Hund", "target": "a dog"},
        {"source": "eine Katze", "target": "a cat"},
    ]


def test_real_pairs_have_the_names_of_the_synthetic_columns(
    command: Any, model_folder: Path, mono: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real.csv").write_text("german,english,note\nein Hund,a dog,some words of mine\n")
    flags = [model_folder, "--input-file", mono, "--output-file", "out.jsonl", "--train-file", "real.csv"]
    refused = command("back-translate", *flags, "--stages-file", "stages.yaml")
    assert refused.code == 2
    assert "--stages-file stages.yaml: real.csv: no column 'source'" in refused.err
    assert "give those of the real pairs" in refused.err
    assert not Path("out.jsonl").exists()
    names = ["--source-column", "german", "--target-column", "english"]
    result = command("back-translate", *flags, "--mixed-file", "mixed.jsonl", *names)
    assert result.code == 0, result.err
    assert read(Path("mixed.jsonl"))[0] == {"german": "ein Hund", "english": "a dog"}


@pytest.mark.parametrize(
    ("run", "file", "flags", "message"),
    [
        ("source_lang: de\ntarget_lang: en\n", "mono.en", [], "mono.en: seems to be en, but"),
        (
            "source_lang: de\ntarget_lang: en\n",
            "mono.txt",
            ["--source-lang", "de", "--target-lang", "en"],
            "translates de to en; pairs of de and en need a reverse model from en to de",
        ),
        ("source_lang: en_XX\ntarget_lang: fr\n", "mono.txt", ["--source-lang", "de"], "translates en to fr"),
        ("", "mono.txt", ["--target-lang", "fr"], "--target-lang fr:"),
    ],
)
def test_a_reverse_model_of_other_languages_is_refused(
    command: Any, tmp_path: Path, monkeypatch: Any, run: str, file: str, flags: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text("a dog\n")
    Path("model").mkdir()
    Path("model/run.yaml").write_text(f"recipe: bart\n{run}")
    Path("model/README.md").write_text("---\nlanguage:\n- de\n- en\n---\n# A model\n")
    found = command("back-translate", "model", "--input-file", file, "--output-file", "out.jsonl", *flags)
    assert found.code == 2
    assert message in found.err


def test_matching_languages_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    run = {"source_lang": "en_XX", "target_lang": "de_DE"}
    for languages in ({"source": "de", "target": "en"}, {"source": None, "target": None}):
        check_direction("model", run, languages, "mono.en.gz")
    check_direction("model", run, {"source": None, "target": "en"}, "mono.de")
    check_direction("model", {}, {"source": None, "target": None}, "mono.de")
    assert not caplog.records
    check_direction("model", {}, {"source": "de", "target": "en"}, "mono.de")
    assert "model: its languages are not known; it must translate en to de, so check the first pairs" in caplog.text
