"""Power laws fitted to curves of known law."""

import math

import numpy as np
import pytest

from hf_seq2seq.analysis.learning_curves import fit_curve
from hf_seq2seq.metrics.metric import perfect_score

SIZES = 10_000 * 2.0 ** -np.arange(4, -1, -1)
LAWS = [(60.0, 30.0, 0.3, True), (1.5, 2.0, 0.4, False)]


def scores(law: tuple[float, float, float, bool], rows: float | np.ndarray) -> np.ndarray:
    asymptote, factor, exponent, greater = law
    return asymptote - (1 if greater else -1) * factor * (np.asarray(rows) / 10_000) ** -exponent


@pytest.mark.parametrize("law", LAWS)
def test_an_exact_law_is_recovered(law: tuple[float, float, float, bool]) -> None:
    curve = fit_curve(SIZES, scores(law, SIZES), law[3])
    assert curve.law()["exponent"] == pytest.approx(law[2], rel=0.03)
    assert curve.law()["asymptote"] == pytest.approx(law[0], rel=0.05)
    assert curve.at(40_000)[0] == pytest.approx(scores(law, 40_000), rel=0.01)
    gain = 0.05 * law[1]
    rows = 10_000 + curve.more_rows(gain)[0]
    assert scores(law, rows) == pytest.approx(scores(law, 10_000) + (gain if law[3] else -gain), rel=0.01)


@pytest.mark.parametrize("law", LAWS)
def test_intervals_hold_the_truth_about_as_often_as_they_say(law: tuple[float, float, float, bool]) -> None:
    generator = np.random.default_rng(0)
    truth, change = scores(law, 20_000), scores(law, 20_000) - scores(law, 10_000)
    inside = [0, 0]
    for _ in range(60):
        noisy = scores(law, SIZES) + generator.normal(0, 0.01 * law[1], size=len(SIZES))
        curve = fit_curve(SIZES, noisy, law[3], confidence=90, draws=300)
        fitted, low, high = curve.gained(20_000)
        assert low <= high
        inside[0] += low <= change <= high
        _, low, high = curve.predicted(20_000)
        inside[1] += low <= truth <= high
        assert fitted == pytest.approx(change, abs=0.1 * law[1])
    assert min(inside) >= 46


def test_a_curve_that_ends_has_no_number_of_rows() -> None:
    flat = fit_curve(SIZES, np.array([39.9, 40.1, 40.0, 39.9, 40.1]), True)
    assert flat.more_rows(30)[0] == math.inf
    perfect = fit_curve(SIZES, scores((100, 30, 0.5, True), SIZES), True)
    assert perfect.at(1e12).max() <= 100
    correlations = fit_curve(
        SIZES, np.array([0.50, 0.60, 0.68, 0.76, 0.84]), True, perfect=perfect_score("pearson", True)
    )
    assert correlations.at(1e12).max() <= 1
    falling = fit_curve(SIZES, np.array([50.0, 45.0, 40.0, 35.0, 30.0]), True)
    assert falling.gained(20_000)[0] == 0
