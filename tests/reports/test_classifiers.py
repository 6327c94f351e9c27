"""`analyze` on classifiers of one label, several labels and a number: figures, what moves decisions, overlap."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hf_seq2seq
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.classification import macro_f1, micro_f1

TEXTS = ["ab ba", "abc cba", "bca acb", "ca ac", "bb aac", "cab cab"]
LABELS: dict[str, list[Any]] = {
    "single_label": ["x", "y", "x", "y", "z", "x"],
    "multi_label": [["x"], ["x", "y"], ["z"], ["y", "z"], ["x", "z"], ["y"]],
    "regression": [0.5, 2.0, -1.0, 3.0, 0.0, 1.0],
}


def classifier(folder: Path, problem: str) -> Path:
    """A tiny encoder of random weights, with a tokenizer of the texts' characters."""
    from transformers import BertConfig, BertForSequenceClassification

    from hf_seq2seq.configs import NewTokenizer
    from hf_seq2seq.data.tokenizers.special_tokens import BERT
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

    tokenizer = train_tokenizers(TEXTS, [], NewTokenizer(tokenizer_type="char"), specials=BERT).source
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    names = {0: "number"} if problem == "regression" else dict(enumerate("xyz"))
    kind = problem if problem == "regression" else f"{problem}_classification"
    config = BertConfig(vocab_size=len(tokenizer), **sizes, pad_token_id=tokenizer.pad_token_id, id2label=names,
                        label2id={name: number for number, name in names.items()}, problem_type=kind)  # fmt: skip
    torch.manual_seed(1)
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def analyzed(tmp_path: Path, problem: str, **flags: Any) -> tuple[Any, Any, np.ndarray]:
    """The analysis, the model and its logits."""
    model = hf_seq2seq.load(classifier(tmp_path / "model", problem))
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS[problem], strict=True)]
    found = model.analyze(test_file=rows, output_dir=tmp_path / "report", resamples=100, **flags)
    ids = [model.tokenizers([text], return_tensors="pt") for text in TEXTS]
    with torch.no_grad():
        logits = torch.cat([model.network(**each).logits for each in ids]).numpy()
    return found, model, logits


def test_several_labels(tmp_path: Path) -> None:
    found, _, logits = analyzed(tmp_path, "multi_label")
    assert list(found.sections) == ["label_sets", "saliency", "confidence", "overlap", "rows"]
    truth = np.array([[name in row for name in "xyz"] for row in LABELS["multi_label"]], dtype=np.float32)
    numbers = found.sections["label_sets"].numbers
    assert numbers["micro_f1"] == pytest.approx(micro_f1(logits, truth)["micro_f1"])
    assert numbers["macro_f1"] == pytest.approx(macro_f1(logits, truth)["macro_f1"])
    assert numbers["labels_per_row"] == pytest.approx(9 / 6)
    sure = 1 / (1 + np.exp(-np.abs(logits)))
    wrong = (logits > 0) != (truth > 0.5)
    errors = found.sections["label_sets"].tables[2].rows
    assert len(errors) == wrong.sum() > 0
    assert max(errors[0][2], 1 - errors[0][2]) == pytest.approx(sure[wrong].max(), abs=1e-5)
    assert sum(each["rows"] for each in found.sections["confidence"].numbers["bins"]) == 18
    assert found.summary()[0] == found.sections["label_sets"].text[0]
    assert found.sections["overlap"].left_out


def test_numbers(tmp_path: Path) -> None:
    found, _, logits = analyzed(tmp_path, "regression")
    assert list(found.sections) == ["numbers", "saliency", "overlap", "rows"]
    error = logits[:, 0] - np.array(LABELS["regression"])
    numbers = found.sections["numbers"].numbers
    assert numbers["mean_absolute_error"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert numbers["bias"] == pytest.approx(error.mean(), rel=1e-5)
    assert sum(each["rows"] for each in numbers["parts"]) == 6
    worst = int(np.abs(error).argmax())
    assert found.sections["numbers"].tables[1].rows[0][:2] == [worst + 1, pytest.approx(error[worst], rel=1e-5)]
    assert found.sections["rows"].numbers["rows"][0]["row"] == worst + 1
    json.loads((tmp_path / "report/analysis.json").read_text(), parse_constant=pytest.fail)


def test_tokens_that_move_a_decision(tmp_path: Path) -> None:
    found, model, logits = analyzed(tmp_path, "single_label", show="2")
    (mark,) = (each for each in found.sections["saliency"].marked if each.row == 1)
    first, second = np.argsort(-logits[1])[:2]
    assert mark.why == "chosen"
    assert mark.decision == f"{'xyz'[first]} rather than {'xyz'[second]} (true: y)"
    inputs = model.tokenizers([TEXTS[1]], return_tensors="pt")
    embedded = model.network.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_()
    score = model.network(inputs_embeds=embedded, attention_mask=inputs["attention_mask"]).logits[0]
    (score[first] - score[second]).backward()
    np.testing.assert_allclose(mark.shares, (embedded.grad * embedded).sum(-1)[0].detach().numpy(), atol=1e-6)
    assert len(mark.tokens) == inputs["input_ids"].shape[1]
    assert found.page.read_text().count('class="marked"') == len(found.sections["saliency"].marked)


def test_test_rows_that_were_trained_on(tmp_path: Path) -> None:
    training = [("ca ac", "y"), ("AB  ba!", "y"), ("ca ac", "x"), ("xyz", "z"), ("abc cba", "y")]
    lines = "".join(f"{text}\t{label}\n" for text, label in training)
    (tmp_path / "train.tsv").write_text(f"text\tlabel\n{lines}")
    found, _, logits = analyzed(tmp_path, "single_label", train_file=str(tmp_path / "train.tsv"))
    section = found.sections["overlap"]
    right = 100 * (logits.argmax(1) == ["xyz".index(label) for label in LABELS["single_label"]])
    assert section.numbers["exact"] == {"rows": 2, "share": pytest.approx(100 / 3), "other_label": 0}
    assert section.numbers["near"] == {"rows": 1, "share": pytest.approx(100 / 6), "other_label": 1}
    assert section.numbers["score"]["others"] == pytest.approx(right[[2, 4, 5]].mean())
    assert [row[:4] for row in section.tables[0].rows] == [[1, 2, 1.0, "no"], [2, 5, 1.0, "yes"], [4, 1, 1.0, "yes"]]
    with pytest.raises(InputError, match=r"gone\.tsv"):
        analyzed(tmp_path, "single_label", train_file=str(tmp_path / "gone.tsv"))
