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
        (
            ["--predictions", "found.txt", "--references", "short.txt"],
            "short.txt: 1 references for 2 predictions in found.txt",
        ),
        (["--predictions", "found.txt", "--references", "none.txt"], "none.txt: no such file"),
        (["--predictions", "found.txt", "--references", "two.csv"], "none named 'reference'"),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "blue"], "did you mean 'bleu'"),
        (
            ["--predictions", "found.txt", "--references", "right.txt", "--metrics", "micro_f1"],
            "multiple labels per row",
        ),
        (
            ["--predictions", "found.txt", "--references", "right.txt", "--metrics", "bleu,accuracy"],
            "one kind at a time",
        ),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "mse"], "row 1: 'the cat sat on"),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "spice"], "scene-graph parser"),
        (
            ["--predictions", "found.txt", "--references", "right.txt", "--metrics", "bertscore:./no"],
            "no folder './no'",
        ),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "aer"], "'the' is not a link"),
        (["--predictions", "found.txt", "--references", "right.txt", "--metrics", "aer:2"], "write aer:0-1"),
        (["--predictions", "found.txt", "--references", "gap.txt"], "gap.txt: the reference of row 2 is empty"),
        (
            ["--predictions", "found.txt", "--references", "right.txt", "--compare", "short.txt"],
            "short.txt: 1 predictions",
        ),
        (["--predictions", "found.txt", "--references", "right.txt", "--compare", "found.txt"], "is given twice"),
        (["--predictions", "found.txt", "--references", "right.txt", "--paired-ar"], "--paired-ar need --compare"),
        (["--predictions", "found.txt", "--references", "right.txt", "--confidence", "100"], "must be below 100"),
        (["--predictions", "found.txt", "--references", "right.txt", "--confidence", "many"], "'many' is not a number"),
        (["--predictions", "found.txt", "--references", "right.txt", "--confusion-matrix"], "counts labels"),
        (["nomodel/at/all"], "nomodel/at/all: no such folder"),
    ],
)
def test_bad_input(command, folder: Path, arguments: list[str], message: str) -> None:
    Path("short.txt").write_text("one\n")
    Path("gap.txt").write_text("one\n \n")
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


def test_a_run_s_own_test_rows_are_the_default(command, folder: Path, model_folder: Path, caplog) -> None:
    result = command("evaluate", model_folder)
    assert (result.code, "has no test rows; give --test-file" in result.err) == (2, True)
    run = Path(shutil.copytree(model_folder, folder / "run"))
    Path("test.csv").write_text("question,answer\nthe dog,a cat\n")
    (run / "run.yaml").unlink(missing_ok=True)
    result = command("evaluate", run, "--test-file", "test.csv", "--json")
    assert f"{run}: has no run.yaml with the metrics of its training; scores bleu" in caplog.text
    (run / "run.yaml").write_text("test_file: test.csv\nmetrics: [chrf]\ntarget_column: answer\n")
    assert list(json.loads(command("evaluate", run, "--json").out)) == ["chrf", "samples", "signatures"]
    Path("test.csv").write_text("question,answer\n" + "the dog,a cat\n" * 3)
    (run / "run.yaml").write_text(
        "train_file: ./test.csv\ntest_file: test.csv\nmetrics: [chrf]\ntarget_column: answer\nmax_predict_samples: 2\n"
    )
    assert json.loads(command("evaluate", run, "--json").out)["samples"] == 2
    assert "at most 2 test rows are read, those that the training run scored" in caplog.text
    assert "--test-file: is the --train-file, too; scores on it say nothing of new rows" in caplog.text
    assert json.loads(command("evaluate", run, "--json", "--test-file", "test.csv").out)["samples"] == 3
    assert json.loads(command("evaluate", run, "--json", "--max-predict-samples", "9").out)["samples"] == 3
    (run / "run.yaml").write_text("source_column: de\ntarget_column: en\nmetrics: [chrf]\n")
    result = command("evaluate", run, "--test-file", "test.csv", "--json")
    assert list(json.loads(result.out)) == ["chrf", "samples", "signatures"], result.err


def test_a_comparison_of_two_systems(command, folder: Path) -> None:
    texts = [
        f"the {a} {b} sees a {c} dog" for a in ("red", "old") for b in ("cat", "man") for c in ("big", "new", "bad")
    ]
    Path("right.txt").write_text("\n".join(texts) + "\n")
    Path("good.txt").write_text("\n".join(texts).replace("new", "big") + "\n")
    Path("bad.txt").write_text("\n".join(texts).replace("a", "the").replace("cat", "cow") + "\n")
    flags = ["--predictions", "bad.txt", "--references", "right.txt", "--metrics", "bleu,exact_match,cider"]
    flags += ["--confidence", "90", "--confidence-n", "100"]
    alone = json.loads(command("evaluate", *flags, "--json").out)
    assert alone["bleu_low"] < alone["bleu"] < alone["bleu_high"]
    both = json.loads(command("evaluate", *flags, "--compare", "good.txt", "--json").out)
    other = both["compared"]["good.txt"]
    assert {key: both[key] for key in ("bleu", "bleu_low", "bleu_high")} == {
        key: alone[key] for key in ("bleu", "bleu_low", "bleu_high")
    }
    assert other["bleu"] > both["bleu"]
    assert other["bleu_p"] < 0.05
    assert set(other) == {key + end for key in ("bleu", "exact_match", "cider") for end in ("", "_low", "_high", "_p")}
    assert both["resampling"] == {"confidence": 90, "bs": 100, "paired_bs": 1000, "seed": 12345}
    assert both["signatures"]["bleu"].startswith("nrefs:1|case:mixed")
    random = ["--compare", "good.txt", "--paired-ar", "--paired-ar-n", "200"]
    table = command("evaluate", *flags, *random).out
    assert "bad.txt" not in table
    assert "p = 0.00" in table.split("good.txt")[1]


def test_empty_predictions_are_wrong_counted_and_said(command, folder: Path) -> None:
    Path("found.txt").write_text("the cat sat on a mat\n\n")
    result = command("evaluate", "--predictions", "found.txt", "--references", "right.txt", "--json")
    found = json.loads(result.out)
    assert (found["exact_match"], found["empty_predictions"], found["samples"]) == (50, 1, 2)
    assert result.err == "found.txt: 1 of 2 predictions are empty and count as wrong\n"


def test_a_row_may_have_fewer_references(command, folder: Path) -> None:
    predictions, right, also = (Path(f).read_text().splitlines() for f in ("found.txt", "right.txt", "also.txt"))
    Path("also.txt").write_text(also[0] + "\n\n")
    flags = ["--predictions", "found.txt", "--metrics", "bleu", "--json", "--references"]
    found = json.loads(command("evaluate", *flags, "right.txt,also.txt").out)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(predictions, [right, [also[0], None]]).score)
    assert "nrefs:var" in found["signatures"]["bleu"]
    rows = [{"reference": [right[0], also[0]]}, {"reference": right[1]}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert json.loads(command("evaluate", *flags, "rows.jsonl").out) == found


def test_files_of_labels_and_of_numbers(command, folder: Path) -> None:
    Path("said.txt").write_text("good\nbad\ngood\nmixed\n")
    Path("true.txt").write_text("good\nbad\nbad\nbad\n")
    flags = ["--predictions", "said.txt", "--references", "true.txt", "--metrics", "accuracy,macro_f1,matthews"]
    result = command("evaluate", *flags, "--confusion-matrix", "--confidence", "95", "--json")
    found = json.loads(result.out)
    assert found["accuracy"] == 50
    assert found["accuracy_low"] == 0
    assert found["accuracy_high"] == 100
    assert found["confusion_matrix"] == {
        "labels": ["bad", "good", "mixed"],
        "matrix": [[1, 1, 1], [0, 1, 0], [0, 0, 0]],
    }
    assert command("evaluate", *flags, "--confusion-matrix").out.splitlines()[-3].split() == ["bad", "1", "1", "1"]
    Path("said.txt").write_text("1\n2\n4\n")
    Path("true.txt").write_text("1\n2\n3.5\n")
    flags = ["--predictions", "said.txt", "--references", "true.txt", "--metrics", "mse,pearson", "--json"]
    assert json.loads(command("evaluate", *flags).out)["mse"] == pytest.approx(0.25 / 3)


def test_a_model_is_compared_with_a_file(command, folder: Path, model_folder: Path) -> None:
    predictions = command("generate", model_folder, "the small dog", "a big house").out.splitlines()
    Path("test.tsv").write_text(f"question\tanswer\nthe small dog\t{predictions[0]}\na big house\tnothing\n")
    Path("other.txt").write_text("\nnothing\n")
    flags = ["--test-file", "test.tsv", "--metrics", "exact_match", "--confidence", "95", "--compare", "other.txt"]
    result = command("evaluate", model_folder, *flags, "--json")
    found = json.loads(result.out)
    assert found["exact_match_low"] == 0
    assert found["compared"]["other.txt"]["exact_match_p"] == 1
    assert "other.txt: 1 of 2 predictions are empty" in result.err
    Path("other.txt").write_text("nothing\n")
    result = command("evaluate", model_folder, *flags)
    assert (result.code, "other.txt: 1 predictions for 2 test rows" in result.err) == (2, True)


def test_an_empty_answer_says_that_there_is_none(command, folder: Path) -> None:
    Path("found.txt").write_text("the cat\n\n")
    Path("right.txt").write_text("Cat.\n\n")
    flags = ["--predictions", "found.txt", "--references", "right.txt", "--json", "--metrics"]
    result = command("evaluate", *flags, "squad", "--confidence", "95")
    assert json.loads(result.out)["squad_exact_match_low"] == 100
    assert result.err == ""
    assert command("evaluate", *flags, "squad,bleu").code == 0
    assert "right.txt: the reference of row 2 is empty" in command("evaluate", *flags, "bleu").err


def test_several_test_sets_have_intervals_each(command, folder: Path, model_folder: Path) -> None:
    for name, text in (("near", "the small dog"), ("far", "a big house")):
        Path(f"{name}.tsv").write_text(f"question\tanswer\n{text}\t{text}\n")
    flags = ["--test-file", "near=near.tsv,far=far.tsv", "--metrics", "bleu", "--confidence", "95"]
    found = json.loads(command("evaluate", model_folder, *flags, "--json").out)
    assert {"near_bleu_low", "far_bleu_high", "near_signatures", "far_samples"} <= set(found)
    table = command("evaluate", model_folder, *flags).out
    assert "near_bleu " in table
    assert "far_bleu_signature  nrefs:1" in table
    result = command("evaluate", model_folder, *flags, "--compare", "found.txt")
    assert (result.code, "there are 2 test sets" in result.err) == (2, True)


@pytest.mark.parametrize("metric", ["spice:evil.py", "evil.py", "bertscore:evil"])
def test_a_model_s_folder_does_not_choose_code_to_run(command, model_folder: Path, folder: Path, metric: str) -> None:
    shutil.copytree(model_folder, "m", dirs_exist_ok=True)
    Path("evil.py").write_text("open('ran', 'w').close()\ndef parse(text): return set()\n")
    Path("m/run.yaml").write_text(f"recipe: t5\nmetrics: ['{metric}']\n")
    Path("rows.csv").write_text("source,target\na b,b a\n")
    result = command("evaluate", "m", "--test-file", "rows.csv")
    assert result.code == 2
    assert metric in result.err
    assert "m/run.yaml" in result.err
    assert not Path("ran").exists()


def test_tags_in_another_number_than_the_words_are_refused(command, tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text("B-x O O\nB-x O\n")
    (tmp_path / "true.txt").write_text("B-x O O\nB-x O O\n")
    files = ["--predictions", tmp_path / "said.txt", "--references", tmp_path / "true.txt", "--metrics", "seqeval"]
    result = command("evaluate", *files)
    assert result.code == 2
    assert "said.txt: row 2 has 2 tags, its reference 3" in result.err
    (tmp_path / "said.txt").write_text("B-x O O\nB-x O O\n")
    assert "100.0000" in command("evaluate", *files).out


def test_text_without_spaces_is_reported_and_has_tokenizers(command, tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text("我们今天去北京。\n")
    (tmp_path / "true.txt").write_text("我们明天去北京。\n")
    files = ["--predictions", tmp_path / "said.txt", "--references", tmp_path / "true.txt", "--metrics"]
    result = command("evaluate", *files, "bleu,bleu:zh,rouge:char", "--json")
    scores = json.loads(result.out)
    assert scores["bleu"] < 1 < scores["bleu_zh"]
    assert scores["rouge1_char"] == pytest.approx(100 * 6 / 7)
    assert "tok:zh" in scores["signatures"]["bleu:zh"]
    assert [line.partition(":")[2][:22] for line in result.err.splitlines()] == [
        " in 1 of 1 rows text i",
        " no output has 4 words",
    ]
    assert command("evaluate", *files, "bleu:zh").err == ""


def test_commas_in_the_names_of_files(command, folder: Path) -> None:
    flags = ["--references", "right.txt", "--compare", "also.txt", "--metrics", "chrf", "--json"]
    plain = command("evaluate", "--predictions", "found.txt", *flags)
    for name in ("found", "right", "also"):
        Path(f"{name},1.txt").write_text(Path(f"{name}.txt").read_text())
    flags = ["--references", "right,1.txt", "--compare", "also,1.txt", "--metrics", "chrf", "--json"]
    comma = command("evaluate", "--predictions", "found,1.txt", *flags)
    assert (comma.code, comma.err) == (0, "")
    assert comma.out.replace(",1.txt", ".txt") == plain.out


@pytest.mark.parametrize("metrics", ["bleu,perplexity", "bleu", "perplexity"])
def test_cut_sources_are_reported(command, folder: Path, model_folder: Path, metrics: str) -> None:
    texts = ["the small dog", "a big house runs", "new cat likes the old dog", "green"]
    Path("test.jsonl").write_text("".join(json.dumps({"question": text, "target": "dog"}) + "\n" for text in texts))
    flags = ["--test-file", "test.jsonl", "--metrics", metrics, "--max-source-length", "4"]
    told = "2 of 4 texts were truncated to 4 tokens (--max-source-length)"
    assert told in command("evaluate", model_folder, *flags).err.splitlines()
    other = shutil.copytree(model_folder, folder / "other")
    result = command("evaluate", model_folder, *flags, "--compare", other)
    assert {f"the model: {told}", f"{other}: {told}"} <= set(result.err.splitlines())


LABELS = ["--predictions", "said.txt", "--references", "true.txt", "--json", "--metrics"]


def test_lines_of_classify_are_scored_by_their_labels(command, folder: Path) -> None:
    Path("said.txt").write_text("pos\t0.9812\nneg\t0.7000\npos\t0.6100\n")
    Path("true.txt").write_text("pos\nneg\nneg\n")
    result = command("evaluate", *LABELS, "accuracy", "--confusion-matrix")
    assert json.loads(result.out)["accuracy"] == pytest.approx(200 / 3)
    assert json.loads(result.out)["confusion_matrix"] == {"labels": ["neg", "pos"], "matrix": [[1, 1], [0, 1]]}
    assert "said.txt: each line is read as a label and its score" in result.err


@pytest.mark.parametrize(("said", "true"), [("True\nFalse\n", "true\nfalse\n"), ("1.0\n0.0\n", "1\n0\n")])
def test_one_label_in_several_spellings_is_one_class(command, folder: Path, said: str, true: str) -> None:
    Path("said.txt").write_text(said)
    Path("true.txt").write_text(true)
    result = command("evaluate", *LABELS, "accuracy", "--confusion-matrix")
    assert json.loads(result.out)["accuracy"] == 100
    assert len(json.loads(result.out)["confusion_matrix"]["labels"]) == 2
    assert result.err == ""


def test_predictions_that_no_reference_has_are_reported(command, folder: Path) -> None:
    Path("said.txt").write_text("Pos\nneg\npos\n")
    Path("true.txt").write_text("pos\nneg\npos\n")
    result = command("evaluate", *LABELS, "accuracy")
    assert "said.txt: 1 of 3 predictions are labels that no reference has, such as 'Pos'" in result.err


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "five"])
def test_what_is_no_finite_number_is_refused(command, folder: Path, number: str) -> None:
    Path("said.txt").write_text(f"1\n{number}\n3\n")
    Path("true.txt").write_text("1\n2\n3\n")
    result = command("evaluate", *LABELS, "pearson,mse")
    assert (result.code, result.out) == (2, "")
    assert f"said.txt: row 2: '{number}' is not a number" in result.err


def test_columns_of_references_and_sources_are_named_by_flags(command, folder: Path) -> None:
    lines = Path("right.txt").read_text().splitlines()
    Path("table.tsv").write_text("".join(f"a source {n}\t{line}\n" for n, line in enumerate(lines)))
    flags = ["evaluate", "--predictions", "found.txt", "--metrics", "bleu", "--json", "--references"]
    expected = command(*flags, "right.txt").out
    assert command(*flags, "table.tsv", "--target-column", "2").out == expected
    found = command(*flags, "table.tsv")
    assert "has columns 1, 2, but none named 'reference'; name one by --target-column" in found.err
    assert "no column '3' (--target-column)" in command(*flags, "table.tsv", "--target-column", "3").err
