"""The best and the worst predictions of a card, chosen against values worked out by hand."""

from dataclasses import replace
from typing import Any

import numpy as np

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.hub.examples_section import examples_section
from hf_seq2seq.problems import LABEL_PROBLEMS
from hf_seq2seq.problems.causal_lm import CausalLMProblem
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.task import Problem, Task

PROBLEMS: dict[str, Problem] = {
    **LABEL_PROBLEMS,
    "seq2seq": Seq2SeqProblem(Decoding(), 128),
    "causal_lm": CausalLMProblem(128),
}


def task(problem: str, texts: list[str], names: tuple[str, ...] = (), **truth: Any) -> Task:
    source = Ragged.of([[1]] * len(texts))
    parts: Any = None  # of training, which a card's examples do not need
    splits = {"test": Examples(source, texts, **truth)}
    return Task(
        "t", parts, parts, parts, splits, {}, parts, parts, (), PROBLEMS[problem], names
    )  # fmt: skip


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(" | ")] for line in text.strip().splitlines()[2:]]


def test_texts_are_ranked_by_their_own_chrf() -> None:
    references = [[f"word{n}", "other"] for n in range(12)]
    predictions = [f"word{n}" if n in (3, 7) else "" if n == 5 else f"wo{n}" for n in range(12)]
    predictions[0] = "other"  # a second reference is as good
    found = examples_section(
        task("seq2seq", [f"s{n}" for n in range(12)], references=references), {"test": predictions}
    )
    assert found[0] == "The best 5 of 12 test rows by chrF:"
    best, worst = rows(found[1]), rows(found[3])
    assert [row[0] for row in best[:3]] == ["| `s0`", "| `s3`", "| `s7`"]
    assert best[0] == ["| `s0`", "`other`", "`word0`", "100.0 |"]
    assert worst[-1] == ["| `s5`", "(nothing)", "`word5`", "0.0 |"]
    assert len(worst) == 5
    assert not {row[0] for row in best} & {row[0] for row in worst}


def test_pronunciations_are_ranked_by_their_phonemes_and_long_ones_come_first() -> None:
    references = [["a"], ["a b c d e f"], ["t͡ʃ a o"], ["b a"]]
    predictions = ["a", "a b c d e f", "t͡s a o", "o u"]
    asked = replace(
        task("seq2seq", ["x", "xxxxxx", "ciao", "ba"], references=references),
        metrics=("word_error_rate", "phoneme_error_rate"),
    )
    found = examples_section(asked, {"test": predictions})
    assert found[0] == "The best 2 of 4 test rows by phoneme error rate:"
    assert [row[0] for row in rows(found[1])] == ["| `xxxxxx`", "| `x`"]
    assert [row[-1] for row in rows(found[3])] == ["33.3 |", "100.0 |"]


def test_texts_cannot_break_the_table() -> None:
    source = "a|b `c`\n" + "x" * 300
    found = examples_section(task("seq2seq", [source], references=[["y"]]), {"test": ["z"]})
    assert len(found) == 2  # one row has no worst
    assert len(found[1].splitlines()) == 3
    assert "a\\|b `c` xxx" in found[1]
    assert "x…" in found[1]


def test_labels_are_ranked_by_the_probability_of_the_right_one() -> None:
    logits = np.array([[0.0, 5.0], [3.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    labels = np.array([1, 1, 1, 0])
    found = examples_section(task("single_label", list("abcd"), ("no", "yes"), labels=labels), {"test": logits})
    assert [row[0] for row in rows(found[1])] == ["| `a`", "| `d`"]
    assert rows(found[3])[-1] == ["| `b`", "`no`", "`yes`", f"{1 / (1 + np.exp(3)):.3f} |"]


def test_several_labels_and_numbers() -> None:
    logits, labels = np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 1.0]], dtype=np.float32)
    found = examples_section(task("multi_label", list("ab"), ("x", "y"), labels=labels), {"test": logits})
    assert rows(found[1]) == [["| `b`", "`x, y`", "`x, y`", "1.000 |"]]
    assert rows(found[3]) == [["| `a`", "`x`", "`y`", "0.000 |"]]
    numbers = task("regression", list("ab"), labels=np.array([1.0, 2.0], dtype=np.float32))
    found = examples_section(numbers, {"test": np.array([[1.5], [-1.0]])})
    assert rows(found[1]) == [["| `a`", "`1.5`", "`1`", "0.5 |"]]
    assert rows(found[3]) == [["| `b`", "`-1`", "`2`", "3 |"]]


def test_nothing_was_predicted() -> None:
    assert examples_section(task("causal_lm", ["a"]), {}) == []
