"""Metrics as modules of the `evaluate` library."""

import evaluate
import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS
from hf_seq2seq.metrics.modules import load

PREDICTIONS = ["a small dog runs", "two men sit", "a cat"]
REFERENCES = [["the small dog runs", "a dog runs"], ["two men sit down"], ["a dog"]]


@pytest.mark.parametrize("name", sorted(TEXT_METRICS))
def test_texts(name):
    module = load(name)
    assert isinstance(module, evaluate.Metric)
    found = module.compute(predictions=PREDICTIONS, references=REFERENCES)
    assert found == TEXT_METRICS[name].compute(PREDICTIONS, REFERENCES)
    first = [row[0] for row in REFERENCES]
    assert module.compute(predictions=PREDICTIONS, references=first) == TEXT_METRICS[name].compute(
        PREDICTIONS, [[text] for text in first]
    )


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "matthews"])
def test_labels(name):
    predictions, labels = [0, 1, 2, 1, 0], [0, 2, 2, 1, 1]
    found = load(name).compute(predictions=predictions, references=labels)
    assert found == LABEL_METRICS[name].compute(np.eye(3)[predictions], np.array(labels))


def test_numbers_and_pieces():
    module = load("mse")
    for said, true in ((1.0, 2.0), (2.0, 2.0)):
        module.add(predictions=said, references=true)
    assert module.compute() == {"mse": 0.5}


def test_made_metrics_and_refusals():
    assert load("aer:0-1").compute(predictions=["0-0 1-1"], references=["1-1 2p2"]) == {"aer": 0}
    with pytest.raises(InputError, match="'blue'; did you mean 'bleu'"):
        load("blue")
    with pytest.raises(InputError, match="several labels"):
        load("micro_f1")
