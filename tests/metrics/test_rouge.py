"""ROUGE against rouge_score called by hand."""

import sys

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.rouge import rouge

PREDICTIONS = ["police killed the gunman\nhe was running away", "cats sleep", ""]
REFERENCES = [["the gunman was shot by police\nhe ran"], ["dogs bark at night", "a cat sleeps"], ["nothing happened"]]


def test_equals_rouge_score_with_the_best_reference():
    scorer_module = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = scorer_module.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    scores = rouge(PREDICTIONS, REFERENCES)
    for key in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        best = [
            max((scorer.score(reference, text)[key] for reference in row), key=lambda found: found.fmeasure)
            for text, row in zip(PREDICTIONS, REFERENCES, strict=True)
        ]
        for name, side in ((key, "fmeasure"), (f"{key}_precision", "precision"), (f"{key}_recall", "recall")):
            assert scores[name] == pytest.approx(100 * sum(getattr(found, side) for found in best) / 3, abs=1e-9)
    assert scores["rouge1_precision"] != scores["rouge1_recall"]
    assert set(scores) == set(TEXT_METRICS["rouge"].keys)
    assert scores["rougeLsum"] != scores["rougeL"]
    assert "stemmer:porter" in TEXT_METRICS["rouge"].signature(REFERENCES)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(InputError, match=r"pip install 'hf-seq2seq\[rouge\]'"):
        rouge(PREDICTIONS, REFERENCES)
