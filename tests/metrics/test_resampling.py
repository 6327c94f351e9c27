"""Intervals and tests against sacreBLEU's own, and against plain loops over the metrics."""

import gzip
import itertools
import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS
from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.metrics.metric import Metric, averaged
from hf_seq2seq.metrics.resampling import (
    Sample,
    approximate_randomisation,
    bootstrap,
    interval,
    paired_bootstrap,
)

WORDS = ["a", "the", "man", "woman", "dog", "runs", "sits", "in", "on", "with", "red", "blue", "park", "street"]


def perturbed(texts: list[str], rate: float, seed: int) -> list[str]:
    """Texts whose words are dropped, doubled, exchanged or left as they are."""
    generator = random.Random(seed)
    changed = []
    for text in texts:
        words = []
        for word in text.split():
            kind = generator.random()
            words += [] if kind < rate / 3 else [word] * 2 if kind < rate / 2 else [word]
            words[-1:] = [generator.choice(WORDS)] if words and generator.random() < rate / 2 else words[-1:]
        changed.append(" ".join(words))
    return changed


def sentences(rows: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(5, 12))) + " ." for _ in range(rows)]


def sample(name: str, predictions: list[str], references: list[list[str]]) -> Sample:
    corpus = Corpus({name: TEXT_METRICS[name]}, keep=True)
    corpus.add(predictions, references)
    return corpus.sample(name)


@pytest.mark.parametrize(("name", "scorer"), [("bleu", BLEU), ("chrf", CHRF), ("ter", TER)])
def test_the_interval_is_sacrebleu_s(name, scorer):
    texts = sentences(61)
    predictions = perturbed(texts, 0.4, 1)
    expected = scorer().corpus_score(predictions, [texts], n_bootstrap=150)
    scores = bootstrap(sample(name, predictions, [[text] for text in texts]), 150)
    low, high = interval(scores)
    assert scores.mean() == pytest.approx(expected._mean, rel=1e-5)  # sacreBLEU sums in float32
    assert (high - low) / 2 == pytest.approx(expected._ci, rel=1e-4)


@pytest.mark.parametrize(("kind", "ours"), [("bs", paired_bootstrap), ("ar", approximate_randomisation)])
@pytest.mark.parametrize(("name", "scorer"), [("bleu", BLEU), ("chrf", CHRF), ("ter", TER)])
def test_the_paired_tests_are_sacrebleu_s(kind, ours, name, scorer):
    texts = sentences(53)
    first, second = perturbed(texts, 0.5, 1), perturbed(texts, 0.4, 3)
    systems = [("first", first), ("second", second)]
    expected = PairedTest(systems, {name: scorer()}, [texts], kind, n_samples=101)()[1]
    expected = list(expected.values())[-1][1].p_value
    references = [[text] for text in texts]
    found = ours(sample(name, first, references), sample(name, second, references), 101)
    if (name, kind) == ("ter", "ar"):  # whole edits make ties, which sacreBLEU does not count
        assert expected < found[0] < 1
    else:
        assert found[0] == pytest.approx(expected, abs=1e-12)
    assert 0.01 < expected < 0.99


def test_on_real_data(shared_data):
    with gzip.open(shared_data / "multi30k" / "test_2016_flickr.en.gz", "rt") as file:
        texts = file.read().splitlines()
    first, second = perturbed(texts, 0.3, 1), perturbed(texts, 0.28, 2)
    expected = PairedTest([("first", first), ("second", second)], {"bleu": BLEU()}, [texts], "bs", n_samples=1000)()[1]
    references = [[text] for text in texts]
    one, two = sample("bleu", first, references), sample("bleu", second, references)
    baseline, system = expected["BLEU"]
    assert one.score()[0] == pytest.approx(baseline.score, abs=1e-9)
    assert paired_bootstrap(one, two)[0] == pytest.approx(system.p_value, abs=1e-12)
    low, high = interval(bootstrap(two))
    assert (high - low) / 2 == pytest.approx(system.ci, rel=1e-4)


@pytest.mark.parametrize("name", sorted(set(TEXT_METRICS) - {"bleu", "chrf", "ter"}))
def test_statistics_give_what_computing_again_gives(name):
    texts = sentences(9)
    predictions, references = perturbed(texts, 0.5, 1), [[text, text[::-1]] for text in texts]
    metric, quick = TEXT_METRICS[name], sample(name, predictions, references)
    slow = Sample(Metric(metric.compute, True, metric.keys), None, predictions, references)
    if metric.streams:
        assert bootstrap(quick, 35) == pytest.approx(bootstrap(slow, 35), abs=1e-9)
    other = perturbed(texts, 0.6, 2)
    quick_pair = quick, sample(name, other, references)
    slow_pair = slow, Sample(slow.metric, None, other, references)
    assert approximate_randomisation(*quick_pair, 40) == pytest.approx(approximate_randomisation(*slow_pair, 40))


@pytest.mark.parametrize("name", sorted(LABEL_METRICS))
def test_labels_and_numbers_are_resampled_too(name):
    metric = LABEL_METRICS[name]
    generator = np.random.default_rng(0)
    if "regression" in metric.problems:
        labels = generator.normal(size=30)
        logits, other = (labels[:, None] + generator.normal(mean, size=(30, 1)) for mean in (0, 4))
    else:
        shape = (30, 4) if "multi_label" in metric.problems else (30,)
        labels = generator.integers(0, 2 if len(shape) == 2 else 4, size=shape)
        logits, other = (generator.normal(size=(30, 4)) for _ in range(2))
    pair = []
    for found in (logits, other):
        corpus = Corpus({name: metric}, keep=True)
        corpus.add(found, labels)
        assert corpus.scores() == pytest.approx(metric.compute(found, labels))
        pair.append(corpus.sample(name))
    slow = [Sample(Metric(metric.compute, True, metric.keys), None, found, labels) for found in (logits, other)]
    assert bootstrap(pair[0], 40) == pytest.approx(bootstrap(slow[0], 40), abs=1e-9)
    for test in (paired_bootstrap, approximate_randomisation):
        assert test(*pair, 64) == pytest.approx(test(*slow, 64))


def test_a_system_against_itself_and_against_a_much_better_one():
    texts = sentences(60)
    references = [[text] for text in texts]
    bad, good = sample("bleu", perturbed(texts, 0.9, 1), references), sample("bleu", texts, references)
    for test in (paired_bootstrap, approximate_randomisation):
        assert test(bad, good, 99)[0] <= 0.02
        assert test(bad, bad, 99)[0] == 1


def test_randomisation_is_the_share_of_all_exchanges_that_differ_as_much():
    references = [[text] for text in "abcdefgh"]
    first, second = list("abcdefxx"), list("abxxxxxh")
    right = np.array(
        [[said == row[0] for said, row in zip(system, references, strict=True)] for system in (first, second)]
    )
    gains = right[0].astype(int) - right[1]
    expected = np.mean([abs(gains @ signs) >= abs(gains.sum()) for signs in itertools.product((-1, 1), repeat=8)])
    assert 0.1 < expected < 0.9
    samples = [sample("exact_match", system, references) for system in (first, second)]
    assert approximate_randomisation(*samples, 4000)[0] == pytest.approx(expected, abs=0.03)


def test_systems_that_differ_in_one_row_may_be_equal():
    texts = sentences(40)
    references = [[text] for text in texts]
    samples = [sample("exact_match", system, references) for system in (texts, ["", *texts[1:]])]
    assert approximate_randomisation(*samples, 99)[0] == 1
    assert paired_bootstrap(*samples, 200)[0] > 0.1


def test_a_wider_interval_for_more_confidence():
    scores = np.arange(1000.0)[:, None]
    assert [bound.item() for bound in interval(scores, 95)] == [25, 974]
    assert [bound.item() for bound in interval(scores, 90)] == [50, 949]
    assert [bound.item() for bound in interval(scores, 99.9)] == [0, 999]


def test_ties_count() -> None:
    """One system is better by one in each of three rows: 2 of the 8 exchanges make just the same difference."""
    mean = averaged(lambda rows, _: rows, True, ("mean",))
    first, second = (Sample(mean, mean.statistics(np.full(3, value), range(3))) for value in (2.0, 1.0))
    assert approximate_randomisation(first, second, 4000)[0] == pytest.approx(0.25, abs=0.03)
