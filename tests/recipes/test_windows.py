"""Classification of texts that are longer than the encoder's limit, in windows."""

import json
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

import hf_seq2seq
from hf_seq2seq.api.models import load
from hf_seq2seq.cli.app import main
from hf_seq2seq.configs import Tokenization
from hf_seq2seq.data.encoding import encode_labelled
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.windows import Windows, make_windows
from hf_seq2seq.decoding.classification import TextClassifier, windows_of
from hf_seq2seq.decoding.saliency import recorded
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.recipes import bert_classifier
from hf_seq2seq.saved.run_settings import UNBOUNDED
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


@pytest.mark.parametrize("name", ["windows", "mean"])
def test_decisions_on_texts_past_the_positions_are_those_of_the_pooled_logits(
    trained, name, tmp_path, monkeypatch
) -> None:
    model = load(trained[name])
    words = [*("the film was " * 7).split(), "good", "plot"]
    assert len(words) > model.network.config.max_position_embeddings
    reading = windows_of(model.tokenizers, LIMIT, {}, 2, {"windows": "max"}.get(name, "mean"))
    classifier = TextClassifier(model.network, model.tokenizers, 2, LIMIT, windows=reading)
    ids, shares = classifier.saliency(" ".join(words), None, lambda logits: logits[1] - logits[0])
    assert len(ids) == len(shares) == len(words) + 2
    right = np.zeros(len(ids))
    with recorded(model.network) as leaves:
        places = reading.places(ids)
        logits = torch.stack([model.network(input_ids=torch.tensor(ids[each][None])).logits[0] for each in places])
        pooled = logits.amax(0) if name == "windows" else logits.mean(0)
        for each, leaf, slope in zip(places, leaves, torch.autograd.grad(pooled[1] - pooled[0], leaves), strict=True):
            right[each] += (leaf * slope).sum(-1)[0].detach().numpy()
    np.testing.assert_allclose(shares, right, rtol=1e-3, atol=1e-6)
    assert np.abs(shares[1:-1]).min() > 0
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": " ".join(words), "label": "good"}) + "\n")
    monkeypatch.setattr("sys.argv", ["hf-seq2seq", "analyze", str(trained[name]), "--test-file", str(rows)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "good" in (trained[name] / "analysis" / "analysis.html").read_text()


def test_the_card_reads_windows_and_computes_the_scores_of_classify(trained, monkeypatch) -> None:
    text = "the film was " * 7 + "good"
    for name in ("windows", "mean"):
        card = (trained[name] / "README.md").read_text()
        assert "Sources are truncated" not in card
        assert f"Longer sources are read in windows of {LIMIT} tokens" in card
        program = card.split("```python\n")[1].split("```")[0].split("\n")
        found: dict[str, Any] = {}
        lines = [f"texts = [{text!r}, 'bad plot']" if line.startswith("texts = ") else line for line in program]
        exec("\n".join(lines), found)
        scores = load(trained[name]).classify([text, "bad plot"])
        right = [[row.scores[name] for name in found["model"].config.label2id] for row in scores]
        np.testing.assert_allclose(found["logits"].softmax(-1).numpy(), right, atol=1e-5)
    assert "Sources are truncated" in (trained["cut"] / "README.md").read_text()


def test_previews_say_what_windows_read(trained) -> None:
    folder = trained["cut"].parent
    flags = {"model_name_or_path": str(folder / "encoder"), "max_source_length": LIMIT}
    flags |= {"train_file": str(folder / "train.jsonl"), "test_file": str(folder / "test.jsonl")}
    cut = str(hf_seq2seq.preview("bert_classifier", **flags))
    assert re.search(r"\n\d+ training texts have their end cut off; --stride \d+ reads long texts whole", cut)
    read = str(hf_seq2seq.preview("bert_classifier", **flags, stride=2))
    assert "rows of more than one window of 10 tokens: train 216 of 216, validation 24 of 24, test 60 of 60" in read


def test_rows_of_one_label_are_told(trained, tmp_path, monkeypatch, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        json.dumps({"text": "good plot", "label": "good"}) + "\n" + json.dumps({"text": "good", "label": "good"})
    )
    told = "all 2 test rows have the label 'good', which a constant answer would get right"
    for command in ("evaluate", "analyze"):
        monkeypatch.setattr("sys.argv", ["hf-seq2seq", command, str(trained["mean"]), "--test-file", str(rows)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code, told.lower() in (said.out + said.err).lower()) == (0, True)


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


def test_windows_of_pairs_have_the_shorter_text_and_every_token_of_the_longer(trained) -> None:
    tokenizer = load(trained["cut"]).tokenizers
    windows = make_windows(tokenizer, LIMIT, 1, "mean", pairs=True)
    pad, special = tokenizer.convert_tokens_to_ids("the"), set(tokenizer.all_special_ids)
    for one, other in ((20, 2), (2, 20), (0, 20), (20, 0), (12, 12), (3, 4)):
        first, second = ["the"] * one, ["film"] * other
        pair = Labelled([" ".join(first)], [" ".join(second)], np.zeros(1), {})
        encoded = encode_labelled(pair, tokenizer, Tokenization(max_source_length=UNBOUNDED))
        ids = encoded.source[0]
        found, segments, owners = windows.of(encoded.source, [0], encoded.token_types)
        assert all(len(window) <= LIMIT for window in found)
        assert owners.tolist() == [0] * len(found)
        for window, kinds in zip(found, segments, strict=True):
            content = [token for token in window.tolist() if token not in special]
            assert len(window) - len(content) == 3
            assert sum(token != pad for token in content) == int((kinds == 1).sum()) - 1
        places = [place for row in windows.places(ids) for place in row]
        lost = max(0, min(one, other) - 3)  # of 7 places beside the special tokens, 3 are for the shorter text
        assert len(ids) - len(set(places)) == (lost if one + other + 3 > LIMIT else 0)
        assert windows.shortened(Ragged.of([ids])) == (lost > 0)
    with pytest.raises(InputError, match=r"of which 3 are special tokens and half of the rest .*; choose at most 3"):
        make_windows(tokenizer, LIMIT, 4, "mean", pairs=True)


def test_pairs_are_trained_and_classified_in_windows(trained, tmp_path) -> None:
    folder = trained["cut"].parent
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    lines = [{"text": "film", "second": row["text"], "label": row["label"]} for row in rows]
    (file := tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    values = {
        "model_name_or_path": str(folder / "encoder"),
        "train_file": str(file),
        "output_dir": str(tmp_path / "run"),
    }
    values |= {"text_column": "text", "text_pair_column": "second", "stride": 2, "window_pooling": "max"}
    values |= {"max_source_length": LIMIT, "max_steps": 2, "validation_split_percentage": 0}
    values |= {"output_dir": str(tmp_path / "run")}
    bert_classifier.main(build(bert_classifier.Config, values))
    model = load(tmp_path / "run")
    text, long = "film", "the film was " * 7 + "good"
    (found,) = model.classify([text], pairs=[long])
    words, logits = long.split(), []
    for start in range(0, len(words) - 2, 4):  # 6 words, 2 of them shared
        part = model.tokenizers(text, " ".join(words[start : start + 6]), return_tensors="pt")
        with torch.no_grad():
            logits.append(model.network(**part).logits[0])
    assert found.score == pytest.approx(float(torch.stack(logits).amax(0).softmax(0).max()), abs=1e-5)


def test_refuses_windows_that_share_all_tokens(trained) -> None:
    with pytest.raises(InputError, match="of which 2 are special tokens; choose at most 7"):
        make_windows(load(trained["cut"]).tokenizers, LIMIT, 8, "mean")
    with pytest.raises(InputError, match="--max-source-length 2: the 2 special tokens leave no room for text"):
        make_windows(load(trained["cut"]).tokenizers, 2, 0, "mean")
