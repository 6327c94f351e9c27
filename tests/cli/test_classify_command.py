"""`classify`: labels, scores, pairs, and the three problems."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

TEXTS = ["the small dog", "a big house runs", "new cat likes the old dog", "green"]


@pytest.fixture(scope="session")
def make_classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    from transformers import BertConfig, BertForSequenceClassification

    from hf_seq2seq.configs import NewTokenizer
    from hf_seq2seq.data.tokenizers.special_tokens import BERT
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

    def make(**options: Any) -> Path:
        folder: Path = tmp_path_factory.mktemp("classifier")
        tokenizers = train_tokenizers(TEXTS, [], NewTokenizer(tokenizer_type="word"), specials=BERT)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
        options = {"id2label": {0: "no", 1: "maybe", 2: "yes"}} | options
        torch.manual_seed(1)
        config = BertConfig(vocab_size=len(tokenizers.source), initializer_range=0.6, **shape, **options)
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizers.save(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def classifier(make_classifier: Callable[..., Path]) -> Path:
    return make_classifier()


def test_text_and_json_agree(command, classifier: Path) -> None:
    lines = command("classify", classifier, *TEXTS).out.splitlines()
    objects = [json.loads(line) for line in command("classify", classifier, *TEXTS, "--json-lines").out.splitlines()]
    assert [row["text"] for row in objects] == TEXTS
    for line, row in zip(lines, objects, strict=True):
        assert list(row) == ["text", "label", "score", "scores"]
        assert line == f"{row['label']}\t{row['score']:.4f}"
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert max(row["scores"], key=row["scores"].get) == row["label"]
        assert row["scores"][row["label"]] == row["score"]
    assert len({row["label"] for row in objects}) > 1


def test_files_and_their_columns(command, classifier: Path, tmp_path: Path) -> None:
    expected = command("classify", classifier, *TEXTS).out
    (tmp_path / "in.csv").write_text("idx,sentence,label\n" + "".join(f"{i},{t},no\n" for i, t in enumerate(TEXTS)))
    assert command("classify", classifier, "--input-file", tmp_path / "in.csv").out == expected
    assert command("classify", classifier, stdin="\n".join(TEXTS).encode()).out == expected
    result = command("classify", classifier, "--input-file", tmp_path / "in.csv", "--json-lines")
    assert json.loads(result.out.splitlines()[1])["idx"] == "1"
    result = command("classify", classifier, "--input-file", tmp_path / "in.csv", "--text-column", "sentenc")
    assert (result.code, "no column 'sentenc'" in result.err) == (2, True)


def test_pairs(command, classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("premise,hypothesis\nthe small dog,green\nthe small dog,a big house runs\n")
    result = command("classify", classifier, "--input-file", tmp_path / "in.csv", "--json-lines")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [(row["text"], row["text_pair"]) for row in rows] == [
        ("the small dog", "green"),
        ("the small dog", "a big house runs"),
    ]
    assert rows[0]["scores"] != rows[1]["scores"]
    swapped = ["--text-column", "hypothesis", "--text-pair-column", "premise"]
    result = command("classify", classifier, "--input-file", tmp_path / "in.csv", "--json-lines", *swapped)
    assert json.loads(result.out.splitlines()[0])["text"] == "green"
    result = command("classify", classifier, "dog", "--text-pair-column", "premise")
    assert (result.code, result.err) == (2, "error: --text-pair-column needs --input-file\n")


def test_several_labels(command, make_classifier: Callable[..., Path]) -> None:
    folder = make_classifier(problem_type="multi_label_classification")
    rows = [json.loads(line) for line in command("classify", folder, *TEXTS, "--json-lines").out.splitlines()]
    for row in rows:
        assert row["label"] == [name for name, score in row["scores"].items() if score > 0.5]
    assert len({len(row["label"]) for row in rows}) > 1
    line = command("classify", folder, TEXTS[0]).out.rstrip("\n")
    assert line.split("\t")[0] == ",".join(rows[0]["label"])


def test_numbers(command, make_classifier: Callable[..., Path]) -> None:
    folder = make_classifier(problem_type="regression", id2label={0: "LABEL_0"})
    rows = [json.loads(line) for line in command("classify", folder, *TEXTS, "--json-lines").out.splitlines()]
    found = command("classify", folder, *TEXTS).out.splitlines()
    assert found == [f"{row['score']:.4f}" for row in rows]
    assert len(set(found)) == len(TEXTS)


@pytest.mark.parametrize("problem", [None, "regression", "single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("labels", [1, 3])
def test_scores_are_those_of_the_pipeline(command, make_classifier: Callable[..., Path], problem, labels: int) -> None:
    """A model of one label without a problem type, as rerankers are, gives a share, too."""
    from transformers import pipeline

    if problem == ("regression" if labels == 3 else "single_label_classification"):
        return  # which no configuration may say
    folder = make_classifier(problem_type=problem, id2label={i: f"LABEL_{i}" for i in range(labels)})
    rows = [json.loads(line) for line in command("classify", folder, *TEXTS, "--json-lines").out.splitlines()]
    for row, found in zip(rows, pipeline("text-classification", str(folder), top_k=None)(TEXTS), strict=True):
        assert row["scores"] == pytest.approx({each["label"]: each["score"] for each in found}, abs=1e-5)


def test_other_models_are_refused(command, model_folder: Path, classifier: Path) -> None:
    result = command("classify", model_folder, "dog")
    assert result.code == 2
    assert "not a classifier of texts; `hf-seq2seq generate` reads it" in result.err
    result = command("generate", classifier, "dog")
    assert "`hf-seq2seq classify` reads it" in result.err


def test_cut_texts_are_reported(command, classifier: Path) -> None:
    result = command("classify", classifier, *TEXTS, "--max-source-length", "5")
    assert result.err == "2 of 4 texts were truncated to 5 tokens (--max-source-length)\n"


def test_no_room_is_kept_for_an_output(command, make_classifier: Callable[..., Path]) -> None:
    """A text that fills all positions is read whole; a classifier writes nothing that would need any."""
    folder = make_classifier(max_position_embeddings=160)
    text = " ".join(["dog"] * 158)
    assert command("classify", folder, text).err == ""
    assert (
        command("classify", folder, f"{text} dog").err
        == "1 of 1 texts were truncated to 160 tokens (--max-source-length)\n"
    )
    (folder / "run.yaml").write_text("recipe: bert_classifier\nmax_source_length: 160\n")
    assert command("classify", folder, text).err == ""


def test_evaluation_of_a_classifier(command, classifier: Path, tmp_path: Path) -> None:
    labels = [line.split("\t")[0] for line in command("classify", classifier, *TEXTS).out.splitlines()]
    labels[0] = next(name for name in ("no", "maybe", "yes") if name != labels[0])
    (tmp_path / "test.csv").write_text(
        "text,label\n" + "".join(f"{t},{w}\n" for t, w in zip(TEXTS, labels, strict=True))
    )
    result = command("evaluate", classifier, "--test-file", tmp_path / "test.csv", "--metrics", "accuracy", "--json")
    assert json.loads(result.out) == {"accuracy": 75.0, "samples": 4}
    result = command("evaluate", classifier, "--test-file", tmp_path / "test.csv", "--max-source-length", "5")
    assert result.err == "2 of 4 texts were truncated to 5 tokens (--max-source-length)\n"
    result = command("evaluate", classifier, "--test-file", tmp_path / "test.csv", "--metrics", "bleu")
    assert (result.code, "'bleu' does not score what is predicted" in result.err) == (2, True)
    (tmp_path / "test.csv").write_text("text,label\ndog,perhaps\n")
    result = command("evaluate", classifier, "--test-file", tmp_path / "test.csv")
    assert result.code == 2
    assert "'perhaps'" in result.err


def test_evaluate_gives_intervals_and_a_confusion_matrix(command, classifier: Path, tmp_path: Path) -> None:
    labels = [line.split("\t")[0] for line in command("classify", classifier, *TEXTS).out.splitlines()]
    rows = "".join(f"{text},{label}\n" for text, label in zip(TEXTS, [labels[1], *labels[1:]], strict=True))
    (tmp_path / "test.csv").write_text("text,label\n" + rows)
    flags = ["--test-file", tmp_path / "test.csv", "--metrics", "accuracy,macro_f1"]
    found = json.loads(
        command("evaluate", classifier, *flags, "--confidence", "90", "--confusion-matrix", "--json").out
    )
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"] == 100
    assert sum(map(sum, found["confusion_matrix"]["matrix"])) == len(TEXTS)
    right = [row[place] for place, row in enumerate(found["confusion_matrix"]["matrix"])]
    assert found["accuracy"] == pytest.approx(100 * sum(right) / len(TEXTS))
    result = command("evaluate", classifier, *flags, "--compare", "other.txt")
    assert (result.code, "--compare: for labels, give files" in result.err) == (2, True)


def test_json_lines_replace_no_column_of_the_input(command, classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"review": "a text", "text": "t", "label": "old", "score": 3, "n": 1}\n')
    flags = ["--input-file", tmp_path / "in.jsonl", "--text-column", "review", "--json-lines"]
    row = json.loads(command("classify", classifier, *flags).out)
    assert row["text"] == "a text"
    assert row["label"] != "old"
    kept = {name: row[name] for name in ("input_text", "input_label", "input_score", "n")}
    assert kept == {"input_text": "t", "input_label": "old", "input_score": 3, "n": 1}


@pytest.mark.parametrize("form", ["{} {}\n", "{}\t{}\n", "__label__{} {}\n"])
def test_labels_before_the_texts_are_no_part_of_them(command, classifier: Path, tmp_path: Path, form, caplog) -> None:
    labels = ["no", "yes", "maybe", "no"]
    path = tmp_path / "in.txt"
    path.write_text("".join(form.format(*row) for row in zip(labels, TEXTS, strict=True)))
    result = command("classify", classifier, "--input-file", path, "--json-lines")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert f"{path}: each line is read as a label and a text, such as 'no': 'the small dog'" in caplog.text
    assert [row["text"] for row in rows] == TEXTS
    assert [row["input_label"] for row in rows] == labels
    caplog.clear()
    path.write_text("no dog\n" + "".join(f"{text}\n" for text in TEXTS[1:]))
    command("classify", classifier, "--input-file", path)
    assert "is read as a label" not in caplog.text
