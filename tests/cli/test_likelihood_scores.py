"""`evaluate` with perplexity and bits per byte: a model on its test rows, compared with other models."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

ROWS = [("the small dog", "a big house"), ("green", "the cat sees the dog"), ("a big red house", "old"), ("new", "cat")]
LIKELY = ["--metrics", "perplexity,bits_per_byte"]


@pytest.fixture
def test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("test.tsv").write_text("question\tanswer\n" + "".join(f"{s}\t{t}\n" for s, t in ROWS))
    return "test.tsv"


@pytest.fixture
def other_model(model_folder: Path, tmp_path: Path) -> Path:
    """The same model with other weights."""
    from transformers import BartForConditionalGeneration

    folder = Path(shutil.copytree(model_folder, tmp_path / "other"))
    model = BartForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.weight.mul_(0.7)
    model.save_pretrained(folder)
    return folder


def sums(folder: Path) -> np.ndarray:
    """Loss, tokens and bytes of every row by the model's own loss, `(rows, 3)`."""
    from transformers import AutoTokenizer, BartForConditionalGeneration

    model = BartForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for source, target in ROWS:
        labels = tokenizer(text_target=target, return_tensors="pt")["input_ids"]
        ids = tokenizer(source, return_tensors="pt")["input_ids"]
        # BART's own shift of the labels begins with the configuration's start token, as its training does.
        loss = model(input_ids=ids, labels=labels).loss.item()
        found.append((loss * labels.shape[1], labels.shape[1], len(target.encode())))
    return np.array(found)


def test_the_scores_are_those_of_the_model_s_loss(command, test_file: str, model_folder: Path) -> None:
    total, tokens, size = sums(model_folder).sum(0)
    for rows in ("1", "3"):
        flags = ["--test-file", test_file, *LIKELY, "--per-device-eval-batch-size", rows, "--json"]
        found = json.loads(command("evaluate", model_folder, *flags).out)
        assert found == {
            "loss": pytest.approx(total / tokens, rel=1e-5),
            "perplexity": pytest.approx(math.exp(total / tokens), rel=1e-4),
            "bits_per_byte": pytest.approx(total / math.log(2) / size, rel=1e-5),
            "samples": 4,
        }


def test_two_models_are_compared_by_everything_at_once(
    command, test_file: str, model_folder: Path, other_model: Path
) -> None:
    flags = ["--test-file", test_file, "--metrics", "perplexity,chrf", "--confidence", "90", "--confidence-n", "50"]
    flags += ["--compare", str(other_model), "--paired-bs-n", "50", "--json"]
    found = json.loads(command("evaluate", model_folder, *flags).out)
    other = found["compared"][str(other_model)]
    mine, its = sums(model_folder), sums(other_model)
    draws = np.random.default_rng(12345).integers(4, size=(50, 4))
    drawn = [[math.exp(rows[draw, 0].sum() / rows[draw, 1].sum()) for draw in draws] for rows in (mine, its)]
    assert found["perplexity_low"] == pytest.approx(sorted(drawn[0])[2], rel=1e-4)
    assert found["perplexity_high"] == pytest.approx(sorted(drawn[0])[-3], rel=1e-4)
    assert other["perplexity_high"] == pytest.approx(sorted(drawn[1])[-3], rel=1e-4)
    differences = np.abs(np.subtract(*drawn))
    real = abs(other["perplexity"] - found["perplexity"])
    assert other["perplexity_p"] == pytest.approx((1 + (differences - differences.mean() > real).sum()) / 51)
    ends = ("", "_low", "_high", "_p")
    assert set(other) == {f"{key}{end}" for key in ("chrf", "loss", "perplexity") for end in ends}
    alone = json.loads(command("evaluate", other_model, "--test-file", test_file, "--metrics", "chrf", "--json").out)
    assert other["chrf"] == alone["chrf"]
    assert found["signatures"] == alone["signatures"]


def test_models_of_raw_text_have_intervals_and_are_compared(
    command, tiny_checkpoint: Callable[[str, list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the dog\na cat runs\nthe tree\n")
    run = "objective: causal\nblock_size: 8\ntest_file: text.txt\n"
    folder = Path(tiny_checkpoint("gpt2", ["the dog runs", "a cat", "tree"]))
    other = Path(shutil.copytree(folder, "other"))
    for each in (folder, other):
        (each / "run.yaml").write_text(run)
    plain = json.loads(command("evaluate", folder, "--json").out)
    assert set(plain) == {"loss", "perplexity", "bits_per_byte", "samples"}
    assert plain["perplexity"] == pytest.approx(math.exp(plain["loss"]))
    flags = ["--confidence", "95", "--compare", str(other), "--json"]
    found = json.loads(command("evaluate", folder, *flags).out)
    assert found["bits_per_byte_low"] <= plain["bits_per_byte"] <= found["bits_per_byte_high"]
    assert found["compared"]["other"]["perplexity_p"] == 1
    assert json.loads(command("evaluate", folder, "--metrics", "bits_per_byte", "--json").out)["samples"] == 3
    Path("text.txt").write_text("the dog\n")
    result = command("evaluate", folder, "--confidence", "95")
    assert (result.code, "the test rows are one document" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics", "perplexity", "--compare", "texts.txt"], "texts.txt: not a model's folder, which"),
        (["--metrics", "bleu", "--compare", "{other},{other}"], "a model is given twice"),
        (["--metrics", "perplexity", "--compare", "{text}"], "was trained on raw text, the model on pairs"),
        (["--metrics", "perplexitty"], "did you mean 'perplexity'"),
    ],
)
def test_bad_input(
    command, test_file: str, model_folder: Path, other_model: Path, flags: list[str], message: str
) -> None:
    Path("texts.txt").write_text("a\n" * 4)
    text = Path(shutil.copytree(model_folder, "text"))
    (text / "run.yaml").write_text("objective: causal\nblock_size: 8\n")
    places = {"model": model_folder, "other": other_model, "text": text}
    result = command("evaluate", model_folder, "--test-file", test_file, *(flag.format(**places) for flag in flags))
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) <= 2


def test_files_have_no_probabilities(command, test_file: str) -> None:
    Path("a.txt").write_text("a\n")
    result = command("evaluate", "--predictions", "a.txt", "--references", "a.txt", "--metrics", "perplexity")
    assert (result.code, "needs a model's probabilities" in result.err) == (2, True)


def test_unknown_tokens_are_reported_with_likelihoods(command, test_file: str, model_folder: Path) -> None:
    flags = ["--test-file", test_file, *LIKELY, "--json"]
    assert "unknown_tokens" not in json.loads(command("evaluate", model_folder, *flags).out)
    Path(test_file).write_text("question\tanswer\nthe ☃ dog\ta ☃ house\n")
    result = command("evaluate", model_folder, *flags)
    assert 0 < json.loads(result.out)["unknown_tokens"] < 100
    assert "the model: " in result.err
    assert "tokens are unknown" in result.err
