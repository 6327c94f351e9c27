"""A run tells what its vocabulary lacks: beside the likelihoods that do not count it, in the log and in the card."""

import json
from pathlib import Path

import pytest

from hf_seq2seq.recipes import gpt, rnn
from hf_seq2seq.sections import build

QUICK = {"max_steps": 1, "use_cpu": True, "tokenizer_type": "word", "min_frequency": 1, "metrics": ()}
SMALL = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "from_scratch": True, "block_size": 16}


def run(recipe: object, folder: Path, options: dict) -> tuple[dict[str, float], str]:
    recipe.main(build(recipe.Config, {"output_dir": str(folder)} | QUICK | options, origin="test"))  # type: ignore[attr-defined]
    return json.loads((folder / "all_results.json").read_text()), (folder / "README.md").read_text()


@pytest.mark.parametrize(("text", "share"), [("the dog runs\n\na cat\n", None), ("the wolf\n\na cat\n", 25.0)])
def test_likelihoods_of_raw_text(tmp_path: Path, text: str, share: float | None) -> None:
    tmp_path.joinpath("train.txt").write_text("the dog runs\n\na cat sees the dog\n" * 3)
    tmp_path.joinpath("dev.txt").write_text(text)
    files = {"train_file": str(tmp_path / "train.txt"), "validation_file": str(tmp_path / "dev.txt")}
    results, card = run(gpt, tmp_path / "run", SMALL | files | {"objective": "causal"})
    assert results.get("eval_unknown_tokens") == share
    assert ("do not count what they stand for" in card) == (share is not None)
    assert "eval_unknown_tokens" not in card  # the Hub has no such score


def test_pairs_of_which_the_vocabulary_lacks_every_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.joinpath("train.tsv").write_text("source\ttarget\n" + "a cat\tein hund\n" * 4)
    tmp_path.joinpath("dev.tsv").write_text("source\ttarget\na cat\tzwei katzen\n")
    files = {"train_file": str(tmp_path / "train.tsv"), "validation_file": str(tmp_path / "dev.tsv")}
    card = run(rnn, tmp_path / "run", files | {"hidden_size": 8, "embedding_size": 8})[1]
    assert "unknown tokens: validation target 100.0%\n" in capsys.readouterr().err
    assert "Up to 100.0 % of a split's target tokens are unknown: it cannot write what they stand for." in card
    assert card.count("| 100.0 % |") == 1
