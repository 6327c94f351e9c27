"""Pyramid scores against the definitions by brute force: the best sum of so many units over every choice of units.

The pyramid of four references below has the form of the paper's figure, two units in all four references and four in
three, of which six summaries of four units are optimal; its other tiers and the scored text are made up.
"""

import math
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


def best(weights: list[int], units: int) -> int:
    """The best sum over every choice of so many units."""
    return max(sum(choice) for choice in combinations(weights, min(units, len(weights))))


def test_scores_are_those_of_trying_every_choice() -> None:
    draw = random.Random(2)
    for _ in range(100):
        references = draw.randint(1, 5)
        holders = [set(draw.sample(range(references), draw.randint(1, references))) for _ in range(draw.randint(1, 9))]
        weights = [len(own) for own in holders]
        said = [draw.choice([0, *weights]) for _ in range(draw.randint(1, 9))]
        assert ideal(weights, len(said)) == best(weights, len(said))
        assert original_score(weights, said) == pytest.approx(sum(said) / best(weights, len(said)))
        sizes = [sum(number in own for own in holders) for number in range(references)]  # units of each reference
        average = max(1, math.floor(sum(sizes) / references + 0.5))
        assert modified_score(weights, said, references) == pytest.approx(sum(said) / best(weights, average))


def test_unheld_units_cost_the_original_score_alone() -> None:
    weights = [3, 2, 1]
    assert original_score(weights, [3]) == 1
    assert original_score(weights, [3, 0]) == pytest.approx(3 / 5)
    assert modified_score(weights, [3], 3) == modified_score(weights, [3, 0], 3) == pytest.approx(3 / 5)


def test_the_ideal_is_the_papers() -> None:
    draw = random.Random(1)
    for _ in range(200):
        weights = [draw.randint(1, 5) for _ in range(draw.randint(1, 12))]
        units = draw.randint(1, len(weights))
        assert ideal(weights, units) == maximum(weights, units)
