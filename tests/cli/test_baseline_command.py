"""`hf-seq2seq baseline`: rows as `train` reads them, scores as `evaluate` prints them, files that it compares with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hf_seq2seq
from hf_seq2seq.baselines import BASELINES
from hf_seq2seq.cli.root import app
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError
from hf_seq2seq.settings_files import read_yaml_object

pytestmark = pytest.mark.usefixtures("forked")

PAIRS = [("walk", "walked"), ("talk", "talked"), ("jump", "jumped"), ("go", "went"), ("run", "ran"), ("sing", "sang")]
LABELS = [("good film", "pos"), ("bad film", "neg"), ("so good", "pos"), ("so bad", "neg"), ("good", "pos")]


def run(*words: str) -> None:
    app(list(words), prog_name="hf-seq2seq", standalone_mode=False)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    text = "source\ttarget\n" + "".join(f"{s}\t{t}\n" for s, t in PAIRS)
    Path("train.tsv").write_text(text)
    Path("test.tsv").write_text("source\ttarget\nstalk\ttalked\nbump\tbumped\n")
    return tmp_path


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    text = "text\tlabel\n" + "".join(f"{s}\t{t}\n" for s, t in LABELS)
    Path("train.tsv").write_text(text)
    Path("test.tsv").write_text("text\tlabel\na good one\tpos\nbad\tneg\n")
    return tmp_path


DATA = ("--train-file", "train.tsv", "--test-file", "test.tsv")


def test_the_files_are_those_of_another_system(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("baseline", "nearest", *DATA, "--output-dir", "near", "--metrics", "exact_match")
    assert capsys.readouterr().out.startswith("exact_match  50.0000  [0.0000, 100.0000]\nsamples      2\n")
    assert Path("near/generated_predictions.txt").read_text() == "talked\njumped\n"
    results = json.loads(Path("near/all_results.json").read_text())
    assert (results["predict_exact_match"], results["predict_samples"], results["train_samples"]) == (50, 2, 6)
    Path("spoken.tsv").write_text("source\ttarget\nab\tAE B IY\ncd\tS IY D IY\n")
    run("baseline", "nearest", "--train-file", "spoken.tsv", "--test-file", "spoken.tsv", "--output-dir", "spoken")
    assert "phoneme_error_rate" in read_yaml_object(Path("spoken/baseline.yaml"))["metrics"]
    assert "--test-file: is the --train-file, too" in capsys.readouterr().err
    assert "baseline: nearest" in Path("near/baseline.yaml").read_text()
    Path("mine.txt").write_text("talked\nbumped\n")
    Path("right.txt").write_text("talked\nbumped\n")
    files = ("--predictions", "mine.txt", "--references", "right.txt", "--metrics", "exact_match", "--json")
    run("evaluate", *files, "--compare", "near/generated_predictions.txt")
    file = json.loads(capsys.readouterr().out)["compared"]["near/generated_predictions.txt"]
    run("evaluate", *files, "--compare", "near")  # the folder stands for its predictions
    assert json.loads(capsys.readouterr().out)["compared"] == {"near": file}
    Path("near/baseline.yaml").rename("near/run.yaml")  # the folder of a trained model does, too
    run("baseline", "copy", *DATA, "--compare", "near", "--metrics", "exact_match", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["exact_match"], found["compared"]["near"]["exact_match"]) == (0, 50)


def test_the_folder_is_kept_unless_told(pairs: Path) -> None:
    flags = ("baseline", "copy", *DATA, "--output-dir", "mine")
    run(*flags)
    with pytest.raises(InputError, match=r"mine is not empty; give --overwrite-output-dir"):
        run(*flags)
    run(*flags, "--overwrite-output-dir")
    Path("mine/predictions_x.jsonl").write_text('{"source": "a", "target": "b"}\n')
    with pytest.raises(InputError, match=r"mine contains the input mine/predictions_x\.jsonl"):
        run(*flags, "--overwrite-output-dir", "--validation-file", "mine/predictions_x.jsonl")


def test_labels(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("baseline", "naive-bayes", *DATA, "--output-dir", "bayes", "--metrics", "accuracy", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["accuracy"], found["samples"]) == (100, 2)
    Path("said.txt").write_text("pos\npos\n")
    Path("right.txt").write_text("pos\nneg\n")
    files = ("--predictions", "said.txt", "--references", "right.txt", "--metrics", "accuracy", "--json")
    run("evaluate", *files, "--compare", "bayes")
    assert json.loads(capsys.readouterr().out)["compared"]["bayes"]["accuracy"] == 100


def test_raw_text_is_compared_by_its_likelihoods(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.txt").write_text("the dog runs\nthe cat runs\na dog sleeps\n" * 3)
    Path("test.txt").write_text("a cat runs\nthe yak sleeps\n")
    data = ("--train-file", "train.txt", "--test-file", "test.txt", "--json")
    run("baseline", "ngram_lm", *data, "--output-dir", "words")
    words = json.loads(capsys.readouterr().out)
    assert words["bits_per_byte_low"] <= words["bits_per_byte"] <= words["bits_per_byte_high"]
    run("baseline", "ngram_lm", *data, "--units", "characters", "--compare", "words", "--metrics", "bits_per_byte")
    found = json.loads(capsys.readouterr().out)
    assert found["compared"]["words"]["bits_per_byte"] == pytest.approx(words["bits_per_byte"])
    run("baseline", "ngram_lm", *data, "--one-document")
    assert "bits_per_byte_low" not in json.loads(capsys.readouterr().out)  # one document cannot be drawn again
    Path("near").mkdir()
    with pytest.raises(InputError, match="near: files of likelihoods: none"):
        run("baseline", "ngram_lm", *data, "--compare", "near")


def test_a_share_is_held_out_as_in_training(pairs: Path) -> None:
    found = hf_seq2seq.baseline("copy", train_file="train.tsv", validation_split_percentage=34)
    assert found.results["eval_samples"] == 2
    assert found.results["train_samples"] == 4
    held = load_splits(PairData(train_file="train.tsv", validation_split_percentage=34))["validation"]
    assert found.predictions["validation"] == held["source"][:]
    assert found.folder is None


def test_rows_are_held_out_where_there_is_nothing_else_to_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.tsv").write_text("source\ttarget\n" + "".join(f"a{n}\tb{n}\n" for n in range(200)))
    place = str(tmp_path / "train.tsv")
    found = hf_seq2seq.baseline("nearest", train_file=place, output_dir=str(tmp_path / "near"))
    held = load_splits(PairData(train_file=place, validation_split_percentage=10))["validation"]
    assert len(found.predictions["validation"]) == len(held) == found.results["eval_samples"] == 20
    assert "validation_split_percentage 10: no validation set is given" in capsys.readouterr().err
    assert "validation_split_percentage: 10.0" in (tmp_path / "near" / "baseline.yaml").read_text()


def test_rows_of_python_and_named_sets(pairs: Path) -> None:
    rows: list[dict[str, Any]] = [{"source": s, "target": t} for s, t in PAIRS]
    found = hf_seq2seq.baseline("nearest", train_file=rows, test_file={"one": "test.tsv", "two": "test.tsv"})
    assert found.results["predict_one_exact_match"] == found.results["predict_two_exact_match"] == 50
    assert found.predict(["walking"]) == ["walked"]


def test_a_recipe_s_file_names_the_rows(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.yaml").write_text("recipe: rnn\ntrain_file: train.tsv\ntest_file: test.tsv\nlearning_rate: 0.1\n")
    run("baseline", "copy", "-c", "run.yaml", "--metrics", "exact_match")
    told = capsys.readouterr()
    assert told.out.startswith("exact_match")
    assert "run.yaml: of a recipe, and not used here: learning_rate" in told.err
    Path("run.yaml").write_text("train_file: train.tsv\nlearning_rate: 0.1\n")
    with pytest.raises(InputError, match=r"run\.yaml:2: unknown option 'learning_rate'"):
        run("baseline", "copy", "-c", "run.yaml")


REFUSED = [
    (("nearset", *DATA), "unknown baseline 'nearset'; did you mean 'nearest'"),
    ((), "name a baseline first: copy, "),
    (("--train-file", "train.csv"), "name a baseline first: copy, "),
    (("copy", "--train-file", "train.tsv"), "no rows to score: give --test-file"),
    (("copy", "--test-file", "test.tsv"), "no training rows"),
    (("copy", *DATA, "--metrics", "accuracy"), "'accuracy' does not score what is predicted"),
    (("copy", *DATA, "--compare", "train.tsv"), "columns source, target, but none named 'prediction'"),
    (("copy", *DATA, "--confidence", "100"), "--confidence: 100 must be below 100"),
    (("nearest", *DATA, "--similarity", "edit"), "unknown value 'edit'; choose from edit_distance, tf_idf"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_refuses(pairs: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as refused:
        run("baseline", *words)
    assert message in str(refused.value)


def test_refuses_a_task_that_it_cannot_do(pairs: Path) -> None:
    Path("many.tsv").write_text("text\tlabel\n" + "".join(f"word{i}\tform{i}\n" for i in range(50)))
    with pytest.raises(InputError, match="has 50 different texts in 50 rows, which are no classes; for pairs of texts"):
        run("baseline", "majority", "--train-file", "many.tsv", "--test-file", "many.tsv")
    with pytest.raises(InputError, match="not for --problem-type regression; for it there are majority, logistic_reg"):
        run("baseline", "naive_bayes", *DATA, "--problem-type", "regression")


def test_one_line_and_code_2(pairs: Path) -> None:
    command = [sys.executable, "-m", "hf_seq2seq", "baseline", "naive_bayes", *DATA, "--problem-type", "regression"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_the_help_names_every_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    run("baseline", "--help")
    told = capsys.readouterr().out
    assert all(name in told for name in BASELINES)
    assert "baseline [OPTIONS] NAME [FLAGS]..." in told
    run("baseline", "joint_ngram", "--help")
    told = capsys.readouterr().out
    assert "--ngram-order" in told
    assert "--train-file" in told


def test_code_that_a_folder_names_is_not_run(pairs: Path) -> None:
    Path("evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nfrom hf_seq2seq.recipes.rnn import *\n")
    Path("run.yaml").write_text("train_file: train.tsv\nrecipe: ./evil.py\n")
    with pytest.raises(InputError, match=r"run.yaml:2: recipe ./evil.py: is a file of code, which a baseline does not"):
        run("baseline", "nearest", "-c", "run.yaml", "--test-file", "test.tsv")
    assert not Path("ran").exists()
