"""Scores of lists are those of files, and those of the command."""

import json
import sys
from pathlib import Path

import pytest

from hf_seq2seq import InputError, evaluate
from hf_seq2seq.cli.app import main

SAID, TRUE = ["the dog runs", "a cat"], ["the dog ran", "a cat"]


def test_lists_and_files_score_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"{name}.txt" for name in ("said", "true", "other")}
    other = ["dog", "a cat"]
    for name, texts in {"said": SAID, "true": TRUE, "other": other}.items():
        files[name].write_text("".join(f"{text}\n" for text in texts))
    words = ["--predictions", files["said"], "--references", files["true"], "--compare", files["other"], "--json"]
    monkeypatch.setattr(sys, "argv", ["hf-seq2seq", "evaluate", *map(str, words)])
    with pytest.raises(SystemExit):
        main()
    wanted = json.loads(capsys.readouterr().out)
    wanted["compared"] = {"other": wanted["compared"][str(files["other"])]}
    assert evaluate(SAID, TRUE, compare={"other": other}) == wanted
    assert evaluate(files["said"], [files["true"]], compare={"other": other}) == wanted
    assert evaluate(str(files["said"]), TRUE)["bleu"] == wanted["bleu"]


def test_several_references_and_labels() -> None:
    assert evaluate(["a b c d"], [["x", "a b c d"]], "bleu")["bleu"] == pytest.approx(100)
    found = evaluate(["a", "b"], ["a", "a"], ["accuracy"], confusion_matrix=True)
    assert found["accuracy"] == 50
    assert found["confusion_matrix"] == {"labels": ["a", "b"], "matrix": [[1, 1], [0, 0]]}


@pytest.mark.parametrize(
    ("predictions", "references", "flags", "message"),
    [
        (["a"], ["a", "b"], {}, "references: 2 references for 1 predictions in predictions"),
        (["a"], ["a"], {"metrics": ["blue"]}, "--metrics: unknown metric 'blue'; did you mean 'bleu'"),
        (["a"], ["a"], {"confidnce": 95}, "unknown flag 'confidnce'; did you mean 'confidence'"),
        (["a"], ["a"], {"confidence": 100}, "--confidence: 100 must be below 100"),
        ([1], ["a"], {}, "predictions: row 1: 1 is not text"),
        (["a"], [None], {}, "references: row 1: None is not text"),
    ],
)
def test_errors(predictions: list, references: list, flags: dict, message: str) -> None:
    with pytest.raises(InputError) as refused:
        evaluate(predictions, references, **flags)
    assert message in str(refused.value)


def test_iterators_are_read_once() -> None:
    found = evaluate(iter(["a", "b"]), iter(["a", "x"]), metrics=["exact_match"])
    assert (found["exact_match"], found["samples"]) == (50.0, 2)


@pytest.mark.parametrize(
    ("arguments", "flags", "message"),
    [
        (([], []), {}, "predictions: has no rows"),
        ((["a"], ["a"]), {"compare": ["b"]}, "compare: give a dict"),
        ((None, ["a"]), {}, "predictions: None is no list"),
    ],
)
def test_odd_arguments_are_named(arguments: tuple, flags: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(*arguments, metrics=["exact_match"], **flags)
