import math

import evaluate
import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import LIKELIHOOD_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.language_modelling import BITS_PER_BYTE, PERPLEXITY, bits_per_byte, perplexity
from hf_seq2seq.metrics.modules import load
from hf_seq2seq.metrics.resampling import Sample, bootstrap, paired_bootstrap


def test_a_uniform_model_of_eight_tokens() -> None:
    total = 10 * math.log(8)
    assert perplexity(total, 10) == pytest.approx(8)
    # Ten tokens of three bits each, over "aé" and "b": four bytes.
    assert bits_per_byte(total, ["aé", "b"]) == pytest.approx(30 / 4)


def test_a_hopeless_model() -> None:
    assert perplexity(1e6, 1) == math.inf


LIKELIHOODS = np.array([[-3.0, 4], [-0.5, 1], [-6.0, 5], [-1.0, 2]])
REFERENCES = [["a dog"], ["é", "e"], ["a cat"], [""]]


def test_scores_of_a_corpus_weigh_every_token_and_byte_alike() -> None:
    assert PERPLEXITY.compute(LIKELIHOODS, REFERENCES) == pytest.approx(
        {"loss": 10.5 / 12, "perplexity": math.exp(10.5 / 12)}
    )
    assert BITS_PER_BYTE.compute(LIKELIHOODS, REFERENCES) == pytest.approx(
        {"bits_per_byte": 10.5 / math.log(2) / (5 + 3 + 5)}
    )
    assert BITS_PER_BYTE.compute(LIKELIHOODS[3:], REFERENCES[3:]) == {"bits_per_byte": math.inf}
    with pytest.raises(InputError, match="4 likelihoods, but references for 3 rows"):
        PERPLEXITY.compute(LIKELIHOODS, REFERENCES[:3])


@pytest.mark.parametrize("name", LIKELIHOOD_METRICS)
def test_intervals_and_p_values_are_those_of_a_plain_loop(name: str) -> None:
    metric = LIKELIHOOD_METRICS[name]
    other = LIKELIHOODS - [[1.0, 0], [0.2, 0], [2.0, 0], [-0.9, 0]]
    references = [*REFERENCES[:3], ["z"]]
    samples = [Sample(metric, metric.statistics(rows, references)) for rows in (LIKELIHOODS, other)]
    key, generator = metric.keys[-1], np.random.default_rng(12345)
    draws = generator.integers(4, size=(200, 4))
    scores = [
        [metric.compute(rows[draw], [references[row] for row in draw])[key] for draw in draws]
        for rows in (LIKELIHOODS, other)
    ]
    assert bootstrap(samples[0], 200)[:, -1] == pytest.approx(np.array(scores[0]))
    differences = np.abs(np.subtract(*scores))
    real = abs(metric.compute(LIKELIHOODS, references)[key] - metric.compute(other, references)[key])
    expected = (1 + (differences - differences.mean() > real).sum()) / 201
    assert paired_bootstrap(*samples, 200)[-1] == pytest.approx(expected)


def test_as_a_module_of_evaluate() -> None:
    module = load("perplexity")
    assert isinstance(module, evaluate.Metric)
    found = module.compute(predictions=[[-1.0, -2.0], [-3.0]], references=["a b", "c"])
    assert found == pytest.approx({"loss": 2, "perplexity": math.exp(2)})
    found = load("bits_per_byte").compute(predictions=[[-1.0, -2.0], [-3.0]], references=[["a b"], ["c"]])
    assert found == pytest.approx({"bits_per_byte": 6 / math.log(2) / 4})


def test_texts_have_no_perplexity() -> None:
    with pytest.raises(InputError, match="perplexity: needs a model's probabilities: hf-seq2seq evaluate"):
        check_metrics(("perplexity",), TEXT_METRICS)
