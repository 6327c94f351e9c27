"""Spans and their F1 by hand, and against seqeval on random tags, well-formed or not."""

import random
import warnings

import pytest

from hf_seq2seq.metrics.tagging import seqeval, spans


def test_spans_of_each_scheme():
    assert spans(["B-PER", "I-PER", "O", "B-LOC"]) == {("PER", 0, 1), ("LOC", 3, 3)}
    assert spans(["I-PER", "I-PER", "O", "I-LOC", "B-LOC"]) == {("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 4)}
    assert spans(["S-PER", "B-LOC", "I-LOC", "E-LOC"]) == {("PER", 0, 0), ("LOC", 1, 3)}
    assert spans(["O", "I-PER", "I-LOC"]) == {("PER", 1, 1), ("LOC", 2, 2)}
    assert spans([]) == set()


def test_the_corpus_is_counted_as_one():
    predictions = ["B-PER I-PER O B-LOC", "B-ORG O O"]
    references = [["B-PER I-PER O B-ORG"], ["O O O", "B-ORG O B-LOC"]]  # right 1 of 2, right 1 of 1 and 2 true
    assert seqeval(predictions, references) == pytest.approx(
        {"seqeval_precision": 200 / 3, "seqeval_recall": 50, "seqeval_f1": 400 / 7}
    )
    assert set(seqeval(["O"], [["O"]]).values()) == {0}


def test_equals_seqeval():
    reference = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    generator = random.Random(0)
    tags = ["O", "B-P", "I-P", "E-P", "S-P", "B-L", "I-L", "E-L", "S-L", "B", "I", "O-x", "word"]
    true = [generator.choices(tags, k=generator.randint(1, 12)) for _ in range(500)]
    said = [[t if generator.random() < 0.8 else generator.choice(tags) for t in row] for row in true]
    found = seqeval([" ".join(row) for row in said], [[" ".join(row)] for row in true])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, function in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
            assert found[f"seqeval_{key}"] / 100 == pytest.approx(getattr(reference, function)(true, said), abs=1e-12)


def test_rows_with_another_number_of_tags_are_reported():
    from hf_seq2seq.metrics.corpus import Corpus
    from hf_seq2seq.metrics.tagging import SEQEVAL

    corpus = Corpus({"seqeval": SEQEVAL})
    corpus.add(["B-x O", "O O O"], [["B-x O O"], ["O O", "O B-x O"]])
    assert corpus.doubts() == [
        "seqeval: in 1 of 2 rows the prediction differs from the reference in its number of tags, so that its spans "
        "are misaligned"
    ]
