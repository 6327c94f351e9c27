"""Pyramid scores against the tiers of the paper's figure and against its formula."""

import random
from itertools import combinations

import pytest

from hf_seq2seq.metrics.pyramid import ideal, modified_score, original_score


def maximum(weights: list[int], units: int) -> int:
    """Section 3 of the paper, tier by tier: whole tiers from the top, and the rest of the units from the next."""
    tiers = {weight: weights.count(weight) for weight in range(max(weights), 0, -1)}
    whole = [weight for weight in tiers if sum(n for w, n in tiers.items() if w >= weight) <= units]
    taken = sum(tiers[weight] for weight in whole)
    following = max((weight for weight in tiers if weight not in whole), default=0)
    return sum(weight * tiers[weight] for weight in whole) + following * (units - taken)


def test_a_pyramid_of_four_has_six_optimal_summaries_of_four_units() -> None:
    weights = [4, 4, 3, 3, 3, 3, 2, 2, 1]
    optimal = [units for units in combinations(range(9), 4) if sum(weights[unit] for unit in units) == 14]
    assert (ideal(weights, 4), len(optimal)) == (14, 6)
    assert original_score(weights, [4, 4, 3, 3]) == 1
    assert original_score(weights, [4, 3, 1, 0]) == pytest.approx(8 / 14)
    assert modified_score(weights, [4, 3, 1, 0], 4) == pytest.approx(8 / 20)  # 25 units in 4 references: 6 on average
    assert original_score(weights, []) == modified_score(weights, [], 4) == 0


def test_the_ideal_is_the_papers() -> None:
    draw = random.Random(1)
    for _ in range(200):
        weights = [draw.randint(1, 5) for _ in range(draw.randint(1, 12))]
        units = draw.randint(1, len(weights))
        assert ideal(weights, units) == maximum(weights, units)
