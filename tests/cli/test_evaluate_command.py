"""`evaluate`: files against files, and a model on its test rows."""

import json
import shutil
from pathlib import Path

import pytest
import sacrebleu


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("found.txt").write_text("the cat sat on the mat\na dog runs\n")
    Path("right.txt").write_text("the cat sat on a mat\nthe dog runs\n")
    Path("also.txt").write_text("a cat is on the mat\na dog runs\n")
    return tmp_path


def test_files_are_scored_as_sacrebleu_does(command, folder: Path) -> None:
    flags = ["--predictions", "found.txt", "--references", "right.txt", "--metrics", "bleu,chrf"]
    predictions, right, also = (Path(f).read_text().splitlines() for f in ("found.txt", "right.txt", "also.txt"))
    scores = json.loads(command("evaluate", *flags, "--json").out)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(predictions, [right]).score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(predictions, [right]).score)
    assert scores["samples"] == 2
    several = json.loads(command("evaluate", *flags, "--references", "also.txt", "--json").out)
    assert several["bleu"] == pytest.approx(sacrebleu.corpus_bleu(predictions, [right, also]).score)
    assert several["bleu"] > scores["bleu"]
    table = dict(line.split() for line in command("evaluate", *flags).out.splitlines())
    assert float(table["bleu"]) == pytest.approx(scores["bleu"], abs=1e-3)


def test_predictions_of_generate_can_be_scored(command, folder: Path) -> None:
    rows = [{"source": "x", "prediction": line} for line in Path("found.txt").read_text().splitlines()]
    Path("found.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--references", "right.txt", "--json"]
    from_lines = command("evaluate", "--predictions", "found.txt", *flags)
    assert command("evaluate", "--predictions", "found.jsonl", *flags) == from_lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a MODEL, or --predictions FILE"),
        (["model", "--predictions", "found.txt"], "give a MODEL, or --predictions FILE"),
        (["--predictions", "found.txt"], "--predictions needs --references"),
        (["--predictions", "found.txt", "--references", "short.txt"], "short.txt: 1 references for 2 in found.txt"),
        (["--predictions", "found.txt", "--references", "none.txt"], "none.txt: no such file"),
        (["--predictions", "found.txt", "--references", "two.csv"], "none is called 'reference'"),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "blue"], "did you mean 'bleu'"),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "accuracy"], "unknown metric"),
        (["nomodel/at/all"], "nomodel/at/all: no such folder"),
    ],
)
def test_bad_input(command, folder: Path, arguments: list[str], message: str) -> None:
    Path("short.txt").write_text("one\n")
    Path("two.csv").write_text("a,b\nc,d\ne,f\n")
    result = command("evaluate", *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) <= 2


def test_a_model_on_a_test_file(command, folder: Path, model_folder: Path) -> None:
    sources = ["the small dog", "a big house", "green"]
    predictions = command("generate", model_folder, *sources).out.splitlines()
    targets = [predictions[0], "nothing of it", predictions[2]]
    Path("test.tsv").write_text(
        "question\tanswer\n" + "".join(f"{s}\t{t}\n" for s, t in zip(sources, targets, strict=True))
    )
    flags = ["--metrics", "exact_match", "--json"]
    result = command("evaluate", model_folder, "--test-file", "test.tsv", *flags)
    scores = json.loads(result.out)
    assert scores["exact_match"] == pytest.approx(200 / 3)
    assert scores["samples"] == 3
    result = command("evaluate", model_folder, "--test-file", "test.tsv", *flags, "--max-predict-samples", "1")
    assert json.loads(result.out) == {"exact_match": 100.0, "samples": 1}
    other = json.loads(
        command("evaluate", model_folder, "--test-file", "test.tsv", *flags, "--max-new-tokens", "1").out
    )
    assert other["exact_match"] < scores["exact_match"]


def test_a_run_s_own_test_rows_are_the_default(command, folder: Path, model_folder: Path) -> None:
    result = command("evaluate", model_folder)
    assert (result.code, "names no test rows; give --test-file" in result.err) == (2, True)
    run = Path(shutil.copytree(model_folder, folder / "run"))
    Path("test.csv").write_text("question,answer\nthe dog,a cat\n")
    (run / "run.yaml").write_text("test_file: test.csv\nmetrics: [chrf]\ntarget_column: answer\n")
    assert list(json.loads(command("evaluate", run, "--json").out)) == ["chrf", "samples"]
