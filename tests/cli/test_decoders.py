"""The commands on a decoder of raw text, and on one of pairs: previewed, trained, evaluated, used."""

import json
from pathlib import Path

import pytest

LINES = ["the dog runs", "a cat sees the dog", "the green house", "a big old house"] * 5


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("".join(line + "\n\n" for line in LINES))
    shape = ["--from-scratch", "--tokenizer-type", "word", "--block-size", "8", "--dropout", "0"]
    return ["gpt", "--objective", "causal", "--train-file", "text.txt", *shape]


def lines_of(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_blocks_are_shown_as_the_model_sees_them(command, flags: list[str]) -> None:
    result = command("preview", *flags)
    assert (result.code, result.err) == (0, "")
    lines = lines_of(result.out)
    assert "columns text: text" in lines
    example = lines[lines.index("example 1") :]
    assert example[2] == "pieces <s> the dog runs </s> <s> a cat"
    assert example[4] == "place 0 1 2 3 4 0 1 2"
    assert example[5] == "learned the dog runs </s> · a cat sees"


def test_joined_pairs_are_shown_as_the_model_sees_them(command, flags: list[str]) -> None:
    Path("pairs.tsv").write_text("source\ttarget\nthe dog\tdog the\na cat\tcat a\n")
    result = command("preview", "gpt", "--train-file", "pairs.tsv", "--from-scratch", "--tokenizer-type", "word")
    assert (result.code, result.err) == (0, "")
    lines = lines_of(result.out)
    example = lines[lines.index("example 1") :]
    assert example[1] == "text the dog"
    assert example[3] == "pieces <s> the dog <sep> dog the"
    assert example[5:7] == ["target dog the", "learned · · · dog the </s>"]


def test_a_model_of_raw_text_is_evaluated_and_continues(command, flags: list[str]) -> None:
    steps = ["--max-steps", "60", "--learning-rate", "3e-3", "--test-file", "text.txt"]
    assert command("train", *flags, *steps, "--output-dir", "out").code == 0
    trained = json.loads(Path("out/all_results.json").read_text())
    found = json.loads(command("evaluate", "out", "--json").out)
    assert found["samples"] == 20
    for name in ("loss", "perplexity", "bits_per_byte"):
        assert found[name] == pytest.approx(trained[f"predict_{name}"], rel=1e-5)
    assert "this model of raw text has loss" in command("evaluate", "out", "--metrics", "bleu").err
    assert command("generate", "out", "the green", "a big").out.split() == ["house", "old", "house"]
    refused = command("generate", "out", "the green", "--max-new-tokens", "7")
    assert (refused.code, refused.out) == (2, "")
    assert "--max-source-length 4 and --max-new-tokens 7: they share one sequence; this model has 8" in refused.err
