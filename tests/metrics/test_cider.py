"""CIDEr and CIDEr-D against their formulas on an example worked out by hand, and against the authors' code."""

import gzip
import json
import math

import pytest

from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.cider import cider, cider_d
from hf_seq2seq.metrics.words import words

# Three images; n-grams of one word are enough for a sum by hand, because all texts are of one word or two.
PREDICTIONS = ["dog dog", "cat", "bird"]
REFERENCES = [["dog cat", "dog"], ["cat"], ["fish"]]


def test_an_example_by_hand():
    dog, cat = math.log(3 / 1), math.log(3 / 2)  # of three rows, one has dog, two have cat
    # Row 1: dog dog against dog cat, then against dog; bigrams "dog dog" and "dog cat" share nothing.
    first = 2 * dog * dog / (2 * dog * math.hypot(dog, cat))
    row_1 = 10 * (first + 1) / 2 / 4  # over two references, then over the four orders
    row_2 = 10 * 1 / 4
    assert cider(PREDICTIONS, REFERENCES)["cider"] == pytest.approx((row_1 + row_2) / 3)
    clipped = dog * dog / (2 * dog * math.hypot(dog, cat))  # min(2, 1) of dog
    shorter = dog * dog / (2 * dog * dog) * math.exp(-1 / 72)  # a bigram less: exp(-1 / (2 * 6 ** 2))
    row_1 = 10 * (clipped + shorter) / 2 / 4
    assert cider_d(PREDICTIONS, REFERENCES)["cider_d"] == pytest.approx((row_1 + row_2) / 3)


def test_the_best_and_the_worst():
    texts = ["a red dog runs over the field", "two men are sitting in a boat", "children play football here"]
    references = [[text] for text in texts]
    assert cider(texts, references)["cider"] == pytest.approx(10)
    assert cider_d(texts, references)["cider_d"] == pytest.approx(10)
    assert cider(["", "x", "y"], references)["cider"] == 0
    assert cider(texts[:1], references[:1])["cider"] == 0  # one row: no word is rare


def test_signatures_say_what_is_not_in_the_name():
    assert "stem:no" in TEXT_METRICS["cider"].signature(REFERENCES)
    assert TEXT_METRICS["cider_d"].signature(REFERENCES).startswith("n:4|sigma:6|clip:yes|case:lc|tok:13a+script|")


def test_equals_the_authors_code_on_real_data(shared_data):
    scorers = pytest.importorskip("pycocoevalcap.cider.cider_scorer", reason="pycocoevalcap is not installed")
    with gzip.open(shared_data / "scitldr" / "test.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][:100]
    predictions, references = [row["source"][0] for row in rows], [row["target"] for row in rows]
    predictions[3] = ""
    scorer = scorers.CiderScorer(n=4, sigma=6.0)
    for text, row in zip(predictions, references, strict=True):
        scorer += " ".join(words(text, False)), [" ".join(words(each, False)) for each in row]
    mean, each = scorer.compute_score()
    found = [row[0] for row in TEXT_METRICS["cider_d"].statistics(predictions, references)]
    assert found == pytest.approx(each, abs=1e-9)
    assert cider_d(predictions, references)["cider_d"] == pytest.approx(mean, abs=1e-9)
