"""`generate`: every input, every output, in order."""

import gzip
import json
import os
import re
import select
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_seq2seq.cli.rows import report_languages
from hf_seq2seq.decoding import text_generator
from hf_seq2seq.decoding.languages import Languages

pytestmark = pytest.mark.usefixtures("forked")

TEXTS = ["the small dog", "a big house runs", "new cat likes the old dog", "green"]


CUT_OFF = "4 of 4 outputs are cut off at 10 tokens (--max-new-tokens)\n"
"""What is said of a random model, which ends no output."""


@pytest.fixture
def expected(command, model_folder: Path) -> list[str]:
    result = command("generate", model_folder, *TEXTS)
    assert result.code == 0, result.err
    assert result.err == CUT_OFF
    lines = result.out.splitlines()
    assert len(set(lines)) == len(TEXTS)  # the random model tells texts apart
    return lines


def test_arguments_files_and_standard_input_give_the_same(
    command, model_folder: Path, expected: list[str], tmp_path: Path
) -> None:
    lines = "".join(f"{text}\n" for text in TEXTS)
    (tmp_path / "in.txt").write_text(lines)
    (tmp_path / "in.csv").write_text("id,source,target\n" + "".join(f"{i},{t},x\n" for i, t in enumerate(TEXTS)))
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    with gzip.open(tmp_path / "in.json.gz", "wt") as stream:
        json.dump([{"question": text, "source": "other"} for text in TEXTS], stream)  # the run's own column wins
    pq.write_table(pa.table({"translation": [{"de": t, "en": "x"} for t in TEXTS]}), tmp_path / "in.parquet")
    assert command("generate", model_folder, stdin=lines.encode()).out.splitlines() == expected
    for name in ("in.txt", "in.csv", "in.jsonl", "in.json.gz"):
        assert command("generate", model_folder, "--input-file", tmp_path / name).out.splitlines() == expected, name
    flags = ["--input-file", tmp_path / "in.parquet", "--source-column", "translation.de"]
    assert command("generate", model_folder, *flags).out.splitlines() == expected


def test_json_lines_keep_the_row(command, model_folder: Path, expected: list[str], tmp_path: Path) -> None:
    rows = [{"id": i, "question": text, "note": None} for i, text in enumerate(TEXTS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = command("generate", model_folder, "--input-file", tmp_path / "in.jsonl", "--json-lines")
    found = [json.loads(line) for line in result.out.splitlines()]
    assert found == [
        {"source": text, "id": i, "note": None, "prediction": prediction}
        for i, (text, prediction) in enumerate(zip(TEXTS, expected, strict=True))
    ]


def test_empty_lines_stay(command, model_folder: Path, expected: list[str]) -> None:
    result = command("generate", model_folder, stdin=f"\n{TEXTS[0]}\r\n\n{TEXTS[1]}".encode())
    assert result.out.split("\n") == ["", expected[0], "", expected[1], ""]


def test_more_rows_than_a_window(
    command, model_folder: Path, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(text_generator.in_windows, "__defaults__", (3,))
    result = command("generate", model_folder, *TEXTS * 3, "--per-device-eval-batch-size", "2")
    assert result.out.splitlines() == expected * 3


def test_an_output_file_appears_when_it_is_whole(
    command, model_folder: Path, expected: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"
    result = command("generate", model_folder, *TEXTS, "--output-file", target)
    assert (result.code, result.out) == (0, "")
    assert target.read_text().splitlines() == expected
    (tmp_path / "bad.jsonl").write_text('{"text": "dog"}\n{"text": null}\n')
    result = command("generate", model_folder, "--input-file", tmp_path / "bad.jsonl", "--output-file", target)
    assert result.code == 2
    assert "bad.jsonl: row 2, column 'text': None is not text" in result.err
    assert target.read_text().splitlines() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "out.txt"]


def test_the_run_s_settings_are_used_and_flags_win(command, model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "run"))

    def output(*flags: str) -> list[str]:
        return command("generate", folder, *TEXTS, *flags).out.splitlines()

    assert max(len(line.split()) for line in output()) == 10  # max_target_length of run.yaml
    assert max(len(line.split()) for line in output("--max-new-tokens", "3")) == 3
    greedy, beams = output(), output("--num-beams", "3")
    prefixed = output("--source-prefix", "old new ")
    assert greedy != beams
    assert greedy != prefixed
    (folder / "run.yaml").write_text("max_target_length: 10\nnum_beams: 3\n")
    assert output() == beams
    assert output("--num-beams", "1") == greedy
    (folder / "run.yaml").write_text("max_target_length: 10\nsource_prefix: 'old new '\n")
    assert output() == prefixed
    assert output("--source-prefix", "") == greedy


def test_cut_sources_are_reported(command, model_folder: Path) -> None:
    result = command("generate", model_folder, *TEXTS, "--max-source-length", "4")
    assert result.err == f"2 of 4 texts were truncated to 4 tokens (--max-source-length)\n{CUT_OFF}"
    assert len(result.out.splitlines()) == 4


def test_outputs_are_cut_off_at_the_greatest_length_alone(command, model_folder: Path, tmp_path: Path) -> None:
    """One that ends by itself, or is empty as its source is, is none of them."""
    flags = ["--num-beams", "3", "--num-return-sequences", "3", "--max-new-tokens", "4"]
    lines = command("generate", model_folder, *TEXTS, "", *flags, "--json-lines", "--output-details", "tokens").out
    best = [json.loads(line)["predictions"][0] for line in lines.splitlines()]
    assert [len(found.get("tokens", [])) for found in best] == [4, 4, 4, 4, 0]
    result = command("generate", model_folder, *TEXTS, "", *flags)
    assert result.err == "4 of 5 outputs are cut off at 4 tokens (--max-new-tokens)\n"
    run = Path(shutil.copytree(model_folder, tmp_path / "run"))
    settings = json.loads((run / "generation_config.json").read_text())
    (run / "generation_config.json").write_text(
        json.dumps(settings | {"forced_eos_token_id": settings["eos_token_id"]})
    )
    assert command("generate", run, *TEXTS, *flags).err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL/nothing", "dog"], "no such folder"),
        (["MODEL", "dog", "--input-file", "in.csv"], "give only one of them"),
        (["MODEL", "--input-file", "none.csv"], "none.csv: no such file"),
        (["MODEL", "--input-file", "in.csv", "--source-column", "scr"], "no column 'scr' (--source-column)"),
        (["MODEL", "--input-file", "three.csv"], "--source-column; its columns are one, two, other"),
        (["MODEL", "--input-file", "empty.txt"], "empty.txt"),
        (["MODEL", "--input-file", "in.csv", "--output-file", "in.csv"], "is the input file"),
        (["MODEL", "a", "--output-file", "MODEL/config.json"], "is in the folder of a model, which may read it"),
        (["MODEL", "a", "--stop-strings", ",e"], "--stop-strings: an empty text would end every output at once"),
        (["MODEL", "dog", "--output-file", "."], "is a folder"),
        (["MODEL", "dog", "--output-file", "no/out.txt"], "cannot be written: No such file or directory"),
        (["MODEL", "dog", "--num-beams", "0"], "--num-beams: 0 is too small"),
        (["MODEL", "dog", "--max-source-length", "65"], "--max-source-length: 65 is too large; this model has 64"),
        (["MODEL", "dog", "--max-length", "65"], "--max-new-tokens: 65 is too large; this model has 64 positions"),
        (["MODEL", "dog", "--max-source-length", "1"], "--max-source-length: 1 is too small"),
        (["MODEL", "--input-file", "in.csv", "--encoding", "utf-88"], "unknown encoding 'utf-88'"),
    ],
)
def test_bad_input(
    command, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("source,target\nthe dog,x\n")
    Path("three.csv").write_text("one,two,other\nthe dog,a cat,a cow\n")
    Path("empty.txt").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    result = command("generate", *(re.sub("^MODEL", str(model_folder), a) for a in arguments))
    assert result.code == 2
    assert message in result.err
    assert 1 <= len(result.err.splitlines()) <= 2
    assert result.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert Path("in.csv").read_text() == "source,target\nthe dog,x\n"


def test_standard_input_that_does_not_decode(command, model_folder: Path) -> None:
    result = command("generate", model_folder, stdin=b"the dog\nM\xe4dchen\n")
    assert result.code == 2
    assert "standard input" in result.err
    assert "--encoding" in result.err
    assert command("generate", model_folder, "--encoding", "latin-1", stdin=b"the dog\nM\xe4dchen\n").code == 0


def test_a_pipe_shows_neither_progress_nor_reports(model_folder: Path, expected: list[str]) -> None:
    run = [sys.executable, "-m", "hf_seq2seq", "generate", str(model_folder)]
    found = subprocess.run(run, input="\n".join(TEXTS), capture_output=True, text=True, check=True)
    assert found.stderr == CUT_OFF
    assert found.stdout.splitlines() == expected


def test_languages_without_effect_are_told(command, model_folder: Path, expected: list[str]) -> None:
    result = command("generate", model_folder, *TEXTS, "--target-lang", "fr")
    assert result.out.splitlines() == expected
    assert "--target-lang fr: no effect, as this model knows no languages\n" in result.err


CODES, TAGS, PAIR = Languages({"de_DE": 4}, ()), Languages({}, ("de", "en")), {"source_lang": "de", "target_lang": "en"}


@pytest.mark.parametrize(
    ("known", "source", "run", "told"),
    [
        (None, "xx", {}, "--source-lang xx and --target-lang en: no effect, as this model knows no languages"),
        (TAGS, "xx", {}, "--source-lang xx: no effect, as this model is told only the language to write"),
        (TAGS, None, {}, ""),
        (CODES, "xx", PAIR, ""),
        (None, "fr", PAIR, "--source-lang fr: this model has learned to read only de"),
        (None, "de_AT", PAIR, ""),
    ],
)
def test_source_languages_that_are_not_read_are_told(
    known: Languages | None, source: str | None, run: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report_languages(known, (source, "en"), run)
    assert capsys.readouterr().err.strip() == told


def test_pipes_are_read_from_their_start(command, model_folder: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "texts"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("".join(f"{text}\n" for text in TEXTS * 2000),))
    writer.start()
    result = command("generate", model_folder, "--input-file", pipe, "--max-new-tokens", "1")
    writer.join(10)
    assert len(result.out.splitlines()) == 2000 * len(TEXTS)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"source": 123, "target": "a dog"}, "column 'source': 123 is not text"),
        ({"source": None, "target": "a dog"}, "column 'source': None is not text"),
        ({"source": [1], "target": "a dog"}, "column 'source': [1] is not text"),
        ({"document": {"body": "a"}, "summary": "a dog"}, "column 'document': {'body': 'a'} is not text"),
    ],
)
def test_a_target_is_never_read_in_place_of_a_source(command, model_folder: Path, tmp_path: Path, row, told) -> None:
    for number, rows in enumerate(([row], [dict.fromkeys(row, "a cat"), row]), 1):
        path = tmp_path / "in.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
        result = command("generate", model_folder, "--input-file", path)
        assert (result.code, result.out) == (2, "")
        assert f"in.jsonl: row {number}, {told}" in result.err


def test_json_lines_replace_no_column_of_the_input(command, model_folder: Path, tmp_path: Path) -> None:
    row = {"question": "a small dog", "source": "mine", "prediction": "yours", "score": 3, "input_score": 4}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    flags = ["--input-file", tmp_path / "in.jsonl", "--json-lines"]
    plain = json.loads(command("generate", model_folder, *flags).out)
    assert plain.pop("prediction") != "yours"
    renamed = {"input_source": "mine", "input_prediction": "yours"}
    assert plain == {"source": "a small dog", "score": 3, "input_score": 4} | renamed
    detailed = json.loads(command("generate", model_folder, *flags, "--output-details", "score").out)
    assert detailed.pop("score") < 0
    assert detailed.pop("prediction") != "yours"
    assert detailed == {"source": "a small dog", "input_input_score": 3, "input_score": 4} | renamed
    scored = json.loads(command("generate", model_folder, *flags, "--target-column", "prediction").out)
    assert (scored["prediction"], scored["input_source"]) == ("yours", "mine")


def test_half_a_character(command, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"question": "a dog", "note": "\\ud800"}\n{"question": "\\udc00", "note": ""}\n'
    )
    kept = command("generate", model_folder, "--input-file", tmp_path / "in.jsonl", "--json-lines")
    assert kept.code == 2
    assert "row 2, column 'question': '\\udc00' contains half a character" in kept.err
    (tmp_path / "in.jsonl").write_text('{"question": "a dog", "note": "\\ud800"}\n')
    kept = command("generate", model_folder, "--input-file", tmp_path / "in.jsonl", "--json-lines")
    assert json.loads(kept.out)["note"] == "\ud800"


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.txt", "pairs.txt", "pairs.tsv", "pairs"])
def test_outputs_line_up_with_a_file_without_a_header(
    command, model_folder: Path, expected: list[str], tmp_path: Path, name: str
) -> None:
    columns = "\tx y" if "pairs" in name else ""
    (tmp_path / name).write_text(f"{TEXTS[0]}{columns}\n\n" + "".join(f"{text}{columns}\n" for text in TEXTS[1:]))
    for flags in ([], ["--source-column", "1"])[name == "in.txt" :]:
        result = command("generate", model_folder, "--input-file", tmp_path / name, *flags)
        assert result.code == 0, result.err
        assert result.out.split("\n")[:-1] == [expected[0], "", *expected[1:]]


def test_a_trained_column_names_a_header(command, model_folder: Path, expected: list[str], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "run"))
    (folder / "run.yaml").write_text("source_column: orthography\nmax_target_length: 10\n")
    (tmp_path / "in.csv").write_text("orthography\n" + "".join(f"{text}\n" for text in TEXTS))
    assert command("generate", folder, "--input-file", tmp_path / "in.csv").out.splitlines() == expected


@pytest.mark.parametrize("source", ["standard input", "pipe"])
def test_a_line_is_answered_while_the_next_is_not_there(
    model_folder: Path, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    from hf_seq2seq.cli.app import main

    pipe, answers = tmp_path / "texts", tmp_path / "answers"
    for path in (pipe, answers):
        os.mkfifo(path)
    file = ["--input-file", str(pipe)] if source == "pipe" else []
    monkeypatch.setattr(
        sys, "argv", ["hf-seq2seq", "generate", str(model_folder), "--output-file", str(answers), *file]
    )

    def ask() -> None:
        with pipe.open("w", buffering=1) as asks:
            asks.write(f"{TEXTS[0]}\n")
            with answers.open() as reads:
                for text in [*TEXTS[1:], None]:
                    if select.select([reads], [], [], 20)[0]:  # else a window waits to be full
                        found.append(reads.readline().rstrip("\n"))
                    asks.write(f"{text}\n" if text else "")

    found: list[str] = []
    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    if not file:
        monkeypatch.setattr(sys, "stdin", pipe.open())
    with pytest.raises(SystemExit) as ended:
        main()
    asker.join(10)
    assert (ended.value.code or 0, found) == (0, expected)
