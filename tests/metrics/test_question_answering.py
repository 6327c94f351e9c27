"""SQuAD's scores: worked by hand, and against a plain transcription of what its paper describes."""

import random
import re
import string
from collections import Counter

import pytest

from hf_seq2seq.metrics import TEXT_METRICS, best_metric
from hf_seq2seq.metrics.question_answering import normalized_words, squad


def test_normalization() -> None:
    assert normalized_words("The  U.S.' Army—an\tArmy") == ["us", "army—", "army"]
    assert normalized_words("Another theatre, a-an") == ["another", "theatre", "aan"]
    assert normalized_words("The, a!") == []


def test_the_best_of_several_references_counts() -> None:
    found = squad(
        ["Saint Bernadette Soubirous.", "a copper statue of Christ", "in the year 1858", "", "unknown"],
        [
            ["saint bernadette soubirous"],
            ["the Main Building", "a golden statue of Christ"],
            ["1858", "1859"],
            ["the"],
            [""],
        ],
    )
    # Shared words: 3 of 3 and 3; 3 of 4 and 4; 1 of 3 and 1; both empty; one empty.
    assert found["squad_exact_match"] == pytest.approx(100 * 2 / 5, abs=1e-9)
    assert found["squad_f1"] == pytest.approx(100 * (1 + 3 / 4 + 2 * (1 / 3) / (4 / 3) + 1 + 0) / 5, abs=1e-9)


def reference_f1(prediction: str, truth: str) -> float:
    def tokens(text: str) -> list[str]:
        text = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split()).split()

    left, right = tokens(prediction), tokens(truth)
    same = sum((Counter(left) & Counter(right)).values())
    if not left or not right:
        return float(left == right)
    if same == 0:
        return 0.0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


def test_random_answers_score_as_the_formula_says() -> None:
    draw = random.Random(0)
    words = ["the", "A", "an", "cat", "Cat", "cat's", "(dog)", "-", "42", "été", "dog.", "theme"]

    def text() -> str:
        return " ".join(draw.choices(words, k=draw.randint(0, 5)))

    predictions = [text() for _ in range(500)]
    references = [[text() for _ in range(draw.randint(1, 3))] for _ in predictions]
    expected = [max(reference_f1(p, r) for r in rs) for p, rs in zip(predictions, references, strict=True)]
    found = squad(predictions, references)
    assert found["squad_f1"] == pytest.approx(100 * sum(expected) / 500, abs=1e-6)


def test_a_run_chooses_its_best_by_f1() -> None:
    assert best_metric("squad_f1", ("squad",))
    assert TEXT_METRICS["squad"].keys == ("squad_exact_match", "squad_f1")
