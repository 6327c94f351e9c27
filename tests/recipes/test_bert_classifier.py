import contextlib
import io
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from transformers import BertConfig, BertModel, BertTokenizer

from hf_seq2seq.cli.app import main
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bert_classifier
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


def train(encoder: str, tmp_path: Path, label: Callable[[str], object], **values: object) -> dict[str, float]:
    files = {}
    for split, rows, seed in (("train", 200, 1), ("validation", 40, 2), ("test", 30, 3)):
        path = tmp_path / f"{split}.jsonl"
        path.write_text("".join(json.dumps({"text": t, "label": label(t)}) + "\n" for t in texts(rows, seed)))
        files[f"{split}_file"] = str(path)
    defaults = {"model_name_or_path": encoder, "learning_rate": 3e-3, "num_train_epochs": 6, "logging_steps": 5}
    config = build(bert_classifier.Config, files | defaults | {"output_dir": str(tmp_path / "out")} | values)
    bert_classifier.main(config)
    return json.loads((tmp_path / "out" / "all_results.json").read_text())


def test_single_label(encoder: str, tmp_path: Path, fresh_process: Callable[[str], str]) -> None:
    results = train(encoder, tmp_path, lambda t: "positive" if "good" in t else "negative", class_weights="balanced")
    assert results["predict_accuracy"] > 95
    lines = [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] * 0.5
    assert {"predict_macro_f1", "predict_matthews"} <= results.keys()
    assert (tmp_path / "out" / "confusion.png").stat().st_size > 1000
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
        problem_type="multi_label", num_train_epochs=30,
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
