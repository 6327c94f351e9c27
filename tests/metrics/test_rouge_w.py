"""ROUGE-W against the paper's example and against a plain two-table version of its algorithm."""

import random

import pytest

from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.rouge import rouge_w, weighted_common_subsequence, weighted_f1


def plain_table(left, right, weight):
    """Lin 2004, section 4, as printed: c holds the totals, w the lengths of the runs that end in a cell."""
    c = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    w = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(1, len(left) + 1):
        for j in range(1, len(right) + 1):
            if left[i - 1] == right[j - 1]:
                k = w[i - 1][j - 1]
                c[i][j] = c[i - 1][j - 1] + (k + 1) ** weight - k**weight
                w[i][j] = k + 1
            else:
                c[i][j] = max(c[i - 1][j], c[i][j - 1])
    return c[-1][-1]


def test_the_example_of_the_paper():
    reference, first, second = "A B C D E F G", "A B C D H I K", "A H B K C I D"
    assert weighted_f1(first.split(), reference.split(), weight=2) == pytest.approx(0.571, abs=5e-4)
    assert weighted_f1(second.split(), reference.split(), weight=2) == pytest.approx(0.286, abs=5e-4)


@pytest.mark.parametrize("weight", [1.0, 1.2, 2.0])
def test_equals_the_plain_table(weight):
    generator = random.Random(3)
    for _ in range(300):
        left, right = (generator.choices("abcd", k=generator.randint(1, 12)) for _ in range(2))
        assert weighted_common_subsequence(left, right, weight) == pytest.approx(plain_table(left, right, weight))


def test_rows_are_averaged_with_the_best_reference():
    predictions = ["The dogs ran home.", "nothing"]
    found = rouge_w(predictions, [["something else", "the dog ran home"], ["all"]])
    assert found == pytest.approx({"rougeW": 50.0, "rougeW_precision": 50.0, "rougeW_recall": 50.0})
    longer = rouge_w(["a b c d e f"], [["c"]])
    assert longer == pytest.approx({"rougeW": 200 / 7, "rougeW_precision": 100 / 6, "rougeW_recall": 100})
    assert "weight:1.2" in TEXT_METRICS["rouge_w"].signature([["a"]])


def test_with_weight_one_it_is_rouge_l():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    said, wanted = "a man sits on a red bench in the park", "the man is sitting on a bench in a green park"
    assert weighted_f1(said.split(), wanted.split(), 1.0) == pytest.approx(
        scorer.score(wanted, said)["rougeL"].fmeasure
    )
