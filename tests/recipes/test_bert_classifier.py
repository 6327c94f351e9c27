import contextlib
import io
import json
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
)

from hf_seq2seq.cli.app import main
from hf_seq2seq.decoding.classification import TextClassifier
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bert_classifier
from hf_seq2seq.saved.loading import load_classifier
from hf_seq2seq.sections import build

WORDS = ["good", "bad", "film", "plot", "the", "was"]


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    """A tiny BERT with random weights and no head."""
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=11, **sizes)).save_pretrained(tmp_path / "encoder")
    BertTokenizer(str(vocabulary)).save_pretrained(tmp_path / "encoder")
    return str(tmp_path / "encoder")


def texts(rows: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    first = [draw.choice(["good", "bad"]) for _ in range(rows)]
    return [" ".join([word, *draw.choices(WORDS[2:], k=draw.randint(1, 5))]) for word in first]


def configured(encoder: str, tmp_path: Path, label: Callable[[str], object], **values: object) -> Any:
    files = {}
    for split, rows, seed in (("train", 200, 1), ("validation", 40, 2), ("test", 30, 3)):
        path = tmp_path / f"{split}.jsonl"
        path.write_text("".join(json.dumps({"text": t, "label": label(t)}) + "\n" for t in texts(rows, seed)))
        files[f"{split}_file"] = str(path)
    defaults = {"model_name_or_path": encoder, "learning_rate": 3e-3, "num_train_epochs": 6, "logging_steps": 5}
    return build(bert_classifier.Config, files | defaults | {"output_dir": str(tmp_path / "out")} | values)


def train(encoder: str, tmp_path: Path, label: Callable[[str], object], **values: object) -> dict[str, float]:
    bert_classifier.main(configured(encoder, tmp_path, label, **values))
    return json.loads((tmp_path / "out" / "all_results.json").read_text())


def test_single_label(encoder: str, tmp_path: Path, fresh_process: Callable[[str], str], capsys) -> None:
    results = train(encoder, tmp_path, lambda t: "positive" if "good" in t else "negative", class_weights="balanced")
    assert results["predict_accuracy"] > 95
    lines = [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] * 0.5
    assert {"predict_macro_f1", "predict_matthews"} <= results.keys()
    assert (tmp_path / "out" / "confusion.png").stat().st_size > 1000
    card = (tmp_path / "out" / "README.md").read_text()
    assert not any(
        "target" in told for told in (*results, card.split("Resolved configuration")[0], capsys.readouterr().err)
    )
    assert json.loads((tmp_path / "out" / "config.json").read_text())["id2label"] == {"0": "negative", "1": "positive"}
    program = f"""
from transformers import pipeline
print(pipeline("text-classification", {str(tmp_path / "out")!r})("good film")[0]["label"])
"""
    assert fresh_process(program).strip() == "positive"


def test_lengths_beyond_the_positions_are_refused(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--max-source-length: 600 is too large; the model has 512 positions"):
        train(encoder, tmp_path, len, max_seq_length=600)


def test_numbers_as_labels_keep_their_order(encoder: str, tmp_path: Path) -> None:
    train(encoder, tmp_path, lambda t: [2, 10, 30][len(t.split()) % 3], num_train_epochs=1)
    names = json.loads((tmp_path / "out" / "config.json").read_text())["id2label"]
    assert names == {"0": "2", "1": "10", "2": "30"}


def test_several_labels(encoder: str, tmp_path: Path) -> None:
    found = train(
        encoder, tmp_path, lambda t: [w for w in ("good", "film", "plot") if w in t.split()],
        problem_type="multi_label", num_train_epochs=30, eval_steps=500, save_steps=500,
    )  # fmt: skip
    assert found["predict_micro_f1"] > 80


def test_regression(encoder: str, tmp_path: Path) -> None:
    found = train(encoder, tmp_path, lambda t: float(t.count("good") - t.count("bad")), problem_type="regression")
    assert found["predict_pearson"] > 0.7


def test_every_set_has_its_own_figures(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of each set are those of a run that is tested on it alone; the mean weighs sets, not rows."""

    def label(text: str) -> str:
        return "positive" if "good" in text else "negative"

    monkeypatch.chdir(tmp_path)
    for name, rows, seed in (("de", 12, 7), ("de_AT", 30, 8)):
        found = [json.dumps({"text": t, "label": label(t)}) + "\n" for t in texts(rows, seed)]
        Path(f"{name}.jsonl").write_text("".join(found))
    steps = {"num_train_epochs": 4, "metrics": "accuracy"}
    sets = {"de": "de.jsonl", "de_AT": "de_AT.jsonl"}
    chosen = {"validation_file": sets, "test_file": sets, "metric_for_best_model": "de_AT_accuracy"}
    together = train(encoder, tmp_path, label, **(steps | chosen))
    out = tmp_path / "out"
    best = json.loads((out / "trainer_state.json").read_text())
    assert best["best_metric"] == max(line["eval_de_AT_accuracy"] for line in best["log_history"])
    card = (out / "README.md").read_text()
    assert "| Score | validation de | validation de_AT | validation, mean | test de | test de_AT | test, mean |" in card
    figures = (f"{together[f'predict_{name}_accuracy']:.2f}" for name in sets)
    assert re.search(r" \| ".join(rf"{figure} \([\d.]+–[\d.]+\)" for figure in figures), card)
    entries = {(entry.dataset_config, entry.dataset_name) for entry in ModelCard(card).data.eval_results}
    assert entries == {("de", "de.jsonl"), ("de_AT", "de_AT.jsonl")}
    for key in ("loss", "accuracy"):
        mean = (together[f"predict_de_{key}"] + together[f"predict_de_AT_{key}"]) / 2
        assert together[f"predict_{key}"] == pytest.approx(mean)
    assert together["predict_samples"] == 42
    command = ["hf-seq2seq", "evaluate", str(out), "--metrics", "accuracy", "--json"]
    for name, rows in (("de", 12), ("de_AT", 30)):
        assert len((out / f"predictions_{name}.jsonl").read_text().splitlines()) == rows
        assert (out / f"confusion_{name}.png").exists()
        monkeypatch.setattr(sys, "argv", [*command, "--test-file", f"{name}.jsonl"])
        alone = json.loads(printed(main))
        assert alone["accuracy"] == pytest.approx(together[f"predict_{name}_accuracy"])
    monkeypatch.setattr(sys, "argv", command)
    assert json.loads(printed(main))["de_AT_accuracy"] == pytest.approx(together["predict_de_AT_accuracy"])


def printed(function: Callable[[], object]) -> str:
    """What a command writes to standard output."""
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        function()
    return text.getvalue()


def rating(text: str) -> float:
    """Numbers around 60 that the words tell."""
    return 60 + 20 * text.count("good") - 15 * text.count("bad")


@pytest.mark.parametrize(
    ("options", "least"),
    [({}, 0.9), ({"lora_r": 4, "lora_target_modules": "query,value"}, -1)],  # random weights are little use to adapters
    ids=["whole", "adapter"],
)
def test_numbers_of_any_size_are_learned(
    encoder: str, tmp_path: Path, options: dict[str, object], least: float
) -> None:
    """The figures of the run, of the saved model and of a checkpoint are in the data's units."""
    found = train(encoder, tmp_path, rating, problem_type="regression", **options)
    assert found["predict_pearson"] > least
    assert found["predict_mse"] < (150 if least > 0 else 1000)
    out = tmp_path / "out"
    said = [json.loads(line)["prediction"] for line in (out / "predictions.jsonl").read_text().splitlines()]
    for folder in (out, out / json.loads((out / "trainer_state.json").read_text())["best_model_checkpoint"]):
        model, tokenizer, _ = load_classifier(str(folder))
        again = TextClassifier(model, tokenizer, 8).logits(texts(30, 3))[:, 0]
        assert again.tolist() == pytest.approx(said, abs=1e-3)


def test_a_saved_regression_needs_nothing_but_transformers(encoder: str, tmp_path: Path) -> None:
    train(encoder, tmp_path, lambda text: 1990 + text.count("film"), problem_type="regression", num_train_epochs=1)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokenizer = BertTokenizer.from_pretrained(tmp_path / "out")
    with torch.inference_mode():
        number = float(model(**tokenizer("the good film", return_tensors="pt")).logits)
    assert number == pytest.approx(1990.5, abs=1.5)


def test_a_resumed_regression_ends_with_the_same_bits(encoder: str, tmp_path: Path) -> None:
    options = {"problem_type": "regression", "save_steps": 4, "eval_steps": 4, "save_total_limit": 9, "max_steps": 12}
    whole = train(encoder, tmp_path, rating, **options)
    out = tmp_path / "out"
    weights = load_file(out / "checkpoint-12" / "model.safetensors")
    for left in (*out.glob("checkpoint-8"), *out.glob("checkpoint-12")):
        shutil.rmtree(left)
    again = train(encoder, tmp_path, rating, **options, resume_from_checkpoint="last")
    found = load_file(out / "checkpoint-12" / "model.safetensors")
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert again["predict_mse"] == whole["predict_mse"]


def test_a_trained_regression_continues_where_it_was(encoder: str, tmp_path: Path) -> None:
    before = train(encoder, tmp_path, rating, problem_type="regression")
    (tmp_path / "out").rename(tmp_path / "first")
    options = {"problem_type": "regression", "learning_rate": 1e-9, "max_steps": 1}
    after = train(str(tmp_path / "first"), tmp_path, rating, **options)
    assert after["predict_mse"] == pytest.approx(before["predict_mse"], rel=1e-3)


NAMES = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}


@pytest.fixture
def entailment(encoder: str, tmp_path: Path) -> str:
    """A classifier whose classes do not stand in the alphabet's order."""
    model = BertForSequenceClassification.from_pretrained(encoder, id2label=NAMES)
    model.save_pretrained(tmp_path / "nli")
    BertTokenizer.from_pretrained(encoder).save_pretrained(tmp_path / "nli")
    return str(tmp_path / "nli")


def named(spelled: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: spelled(NAMES[len(text) % 3])


@pytest.mark.parametrize("spelled", [str, str.lower], ids=["as they are", "in lower case"])
def test_the_same_classes_keep_the_checkpoints_order(entailment: str, tmp_path: Path, spelled, caplog) -> None:
    options = {"learning_rate": 1e-12, "max_steps": 1}
    train(entailment, tmp_path, named(spelled), **options)
    found = json.loads((tmp_path / "out" / "config.json").read_text())["id2label"]
    assert found == {str(number): spelled(name) for number, name in NAMES.items()}
    weights, kept = (load_file(f"{place}/model.safetensors") for place in (entailment, tmp_path / "out"))
    assert torch.allclose(weights["classifier.weight"], kept["classifier.weight"], atol=1e-6)
    assert "is reinitialized" not in caplog.text


def test_other_classes_do_not_take_a_head_over_in_silence(entailment: str, tmp_path: Path, caplog) -> None:
    options = {"learning_rate": 1e-12, "max_steps": 1}
    train(entailment, tmp_path, lambda text: "abc"[len(text) % 3], **options)
    weights, kept = (load_file(f"{place}/model.safetensors") for place in (entailment, tmp_path / "out"))
    assert not torch.allclose(weights["classifier.weight"], kept["classifier.weight"], atol=1e-3)
    assert torch.allclose(weights["bert.pooler.dense.weight"], kept["bert.pooler.dense.weight"], atol=1e-6)
    told = "the checkpoint has other classes (CONTRADICTION, NEUTRAL, ENTAILMENT): its last layer is reinitialized"
    assert told in caplog.text


def test_classes_without_names_are_numbers(encoder: str, tmp_path: Path, caplog) -> None:
    BertForSequenceClassification.from_pretrained(encoder, num_labels=3).save_pretrained(encoder)
    train(encoder, tmp_path, lambda text: len(text) % 3, learning_rate=1e-12, max_steps=1)
    weights, kept = (load_file(f"{place}/model.safetensors") for place in (encoder, tmp_path / "out"))
    assert torch.allclose(weights["classifier.weight"], kept["classifier.weight"], atol=1e-6)
    assert "is reinitialized" not in caplog.text


def said(folder: Path, *texts: str) -> list[list[float]]:
    model, tokenizer, _ = load_classifier(str(folder))
    return TextClassifier(model, tokenizer, 2).logits(texts).tolist()


def test_what_the_head_sees_is_kept(encoder: str, tmp_path: Path) -> None:
    """A run with mean pooling scores like its saved model, and one that starts from it pools in the same way."""
    found = train(encoder, tmp_path, lambda text: "ab"["good" in text], pooling="mean")
    assert found["predict_accuracy"] > 95
    out = tmp_path / "out"
    assert json.loads((out / "config.json").read_text())["pooling"] == "mean"
    model, tokenizer, _ = load_classifier(str(out))
    right = [int(line) for line in TextClassifier(model, tokenizer, 8).logits(texts(30, 3)).argmax(1)]
    predictions = [json.loads(line)["prediction"] for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert ["ab"[number] for number in right] == predictions
    out.rename(tmp_path / "first")
    options = {"learning_rate": 1e-12, "max_steps": 1}
    again = train(str(tmp_path / "first"), tmp_path, lambda text: "ab"["good" in text], **options)
    assert again["predict_loss"] == pytest.approx(found["predict_loss"], rel=1e-3)


def test_a_decoder_classifies_by_its_last_token(
    tiny_checkpoint: Callable[[str, list[str]], str], tmp_path: Path, caplog, fresh_process: Callable[[str], str]
) -> None:
    place = tiny_checkpoint("gpt2", WORDS)
    found = train(place, tmp_path, lambda text: "ab"["good" in text], num_train_epochs=5, learning_rate=1e-2)
    assert found["predict_accuracy"] > 80
    assert "a 'gpt2' model reads left to right: its label comes from the last token" in caplog.text
    out = tmp_path / "out"
    program = f"""
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(out)!r})
model = AutoModelForSequenceClassification.from_pretrained({str(out)!r}).eval()
print(model(**tokenizer(["good film", "bad"], return_tensors="pt", padding=True)).logits.tolist())
"""
    assert json.loads(fresh_process(program)) == [pytest.approx(row, abs=1e-4) for row in said(out, "good film", "bad")]
    train(place, tmp_path, rating, problem_type="regression", max_steps=1, overwrite_output_dir=True)
    assert "the last layer of this model has no bias: numbers around 62." in caplog.text
    with pytest.raises(InputError, match="--pooling cls: a 'gpt2' model reads left to right, so its first token"):
        train(place, tmp_path, lambda text: "ab"["good" in text], pooling="cls", overwrite_output_dir=True)
