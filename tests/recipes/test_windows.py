"""Classification of texts that are longer than the encoder's limit, in windows."""

import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from hf_seq2seq.api.models import load
from hf_seq2seq.cli.app import main
from hf_seq2seq.data.windows import Windows, make_windows
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.recipes import bert_classifier
from hf_seq2seq.sections import build

WORDS = ["good", "bad", "film", "plot", "the", "was"]
LIMIT = 10  # tokens, of which 2 are special; texts have 20 to 30 words


def write(path: Path, rows: int, seed: int) -> str:
    """Texts whose only telling word lies past the limit."""
    draw, lines = random.Random(seed), []
    for _ in range(rows):
        words, label = draw.choices(WORDS[2:], k=draw.randint(20, 30)), draw.choice(WORDS[:2])
        words[draw.randint(LIMIT, len(words) - 1)] = label
        lines.append(json.dumps({"text": " ".join(words), "label": label}))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, Path]:
    """Runs with windows and without."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=11, **sizes, max_position_embeddings=16)).save_pretrained(folder / "encoder")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "encoder")
    sets = (("train", 240), ("validation", 40), ("test", 60))
    files = {f"{split}_file": write(folder / f"{split}.jsonl", rows, rows) for split, rows in sets}
    common = {"model_name_or_path": str(folder / "encoder"), "learning_rate": 5e-3, "max_source_length": LIMIT}
    common |= {"num_train_epochs": 4, "logging_steps": 20, "metrics": ["accuracy"], "metric_for_best_model": "accuracy"}
    common |= {"per_device_train_batch_size": 8}
    for name, more in {
        "windows": {"stride": 2, "window_pooling": "max"},
        "mean": {"stride": 2},
        "cut": {"num_train_epochs": 1},
    }.items():
        values = files | common | more | {"output_dir": str(folder / name)}
        bert_classifier.main(build(bert_classifier.Config, values))
    return {name: folder / name for name in ("windows", "mean", "cut")}


def accuracy(folder: Path) -> float:
    return float(json.loads((folder / "all_results.json").read_text())["predict_accuracy"])


def test_evidence_past_the_limit_is_learned_in_windows_alone(trained) -> None:
    assert accuracy(trained["windows"]) > 90
    assert accuracy(trained["mean"]) > 75
    assert accuracy(trained["cut"]) < 75


@pytest.mark.parametrize(("name", "pooling"), [("windows", "max"), ("mean", "mean")])
def test_logits_are_those_of_the_windows_pooled(trained, name, pooling) -> None:
    model = load(trained[name])
    texts = ["the film was " * 7 + "good", "bad plot", "plot " * 19]
    found = model.classify(texts)
    network, tokenizer = model.network, model.tokenizers
    for text, label in zip(texts, found, strict=True):
        words, logits = text.split(), []
        for start in range(0, max(1, len(words) - 2), 6):  # 8 words, 2 of them shared
            part = tokenizer(" ".join(words[start : start + 8]), return_tensors="pt")
            with torch.no_grad():
                logits.append(network(**part).logits[0])
        whole = torch.stack(logits)
        scores = (whole.amax(0) if pooling == "max" else whole.mean(0)).softmax(0)
        assert label.score == pytest.approx(float(scores.max()), abs=1e-5)
        assert label.label == network.config.id2label[int(scores.argmax())]
    assert [each.label for each in model.classify(texts, per_device_eval_batch_size=1)] == [e.label for e in found]


def test_the_loss_is_that_of_pooled_logits(trained) -> None:
    """With windows of several texts in one batch, and in batches of one."""
    from hf_seq2seq.data.collation import LabelCollator
    from hf_seq2seq.data.examples import Examples
    from hf_seq2seq.objectives.classification import Classification

    model = load(trained["mean"])
    rows = ["the film was " * 7 + "good", "bad plot", "plot " * 19]
    source = Ragged.of(model.tokenizers(text)["input_ids"] for text in rows)
    examples = Examples(source, rows, labels=np.array([0, 1, 1]))
    collate = LabelCollator(0, make_windows(model.tokenizers, LIMIT, 2, "mean"))
    objective = Classification(model.network).eval()
    together = objective(collate(examples, np.arange(3)))
    alone = sum(objective(collate(examples, np.array([row]))) for row in range(3))
    assert float(together.detach()) == pytest.approx(float(alone.detach()), rel=1e-5)
    assert len(collate(examples, np.arange(3))["input_ids"]) > 5


def test_the_commands_read_windows_as_in_training(trained, monkeypatch, capsys) -> None:
    test = str(trained["windows"].parent / "test.jsonl")

    def run(*words: str) -> tuple[str, str]:
        monkeypatch.setattr("sys.argv", ["hf-seq2seq", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr()

    scored = json.loads(run("evaluate", str(trained["windows"]), "--test-file", test, "--json")[0])
    assert scored["accuracy"] == pytest.approx(accuracy(trained["windows"]))
    labelled = [json.loads(line) for line in Path(test).read_text().splitlines()]
    flags = ["--input-file", test, "--json-lines", "--stride", "2", "--window-pooling", "max"]
    lines = run("classify", str(trained["windows"]), *flags)[0].splitlines()
    right = sum(json.loads(line)["label"] == row["label"] for line, row in zip(lines, labelled, strict=True))
    assert 100 * right / len(lines) == pytest.approx(accuracy(trained["windows"]))
    assert "60 of 60 texts were truncated" in run("classify", str(trained["cut"]), "--input-file", test)[1]
    assert "60 of 60 texts were truncated" in run("classify", str(trained["windows"]), *flags[:-1], "first")[1]
    refused = run("classify", str(trained["cut"]), "a", "--stride", "8")[1]
    assert "--stride: 8 tokens are shared by windows of 10" in refused
    refused = run("classify", str(trained["cut"]), "a", "--window-pooling", "max")[1]
    assert "--window-pooling max: there are no windows; add --stride" in refused


def test_windows_have_every_token() -> None:
    windows = Windows(size=6, stride=1)
    for count in range(30):
        ids = np.array([101, *range(1000, 1000 + count), 102])
        found = windows.cut(ids)
        assert {int(token) for window in found for token in window} == set(ids.tolist())
        assert all(len(window) <= 6 and window[0] == 101 and window[-1] == 102 for window in found)
        assert all(one[-2] == other[1] for one, other in pairwise(found))
    assert len(Windows(size=6, stride=1, pooling="first").cut(np.arange(30))) == 1


def test_refuses_windows_that_share_all_tokens(trained) -> None:
    with pytest.raises(InputError, match="of which 2 are special tokens; choose at most 7"):
        make_windows(load(trained["cut"]).tokenizers, LIMIT, 8, "mean")
