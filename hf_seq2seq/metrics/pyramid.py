"""The pyramid score: how much of what several references say a text says, weighted by how many of them say it.

Paper: Nenkova and Passonneau 2004, Evaluating Content Selection in Summarization: The Pyramid Method, section 3,
    https://aclanthology.org/N04-1019 (original)
Paper: Passonneau et al. 2005, Applying the Pyramid Method in DUC 2005, section 3 (modified)

Tests compare both scores with their definitions by trying every choice of units, and the greatest sum also with the
paper's formula over tiers.
"""

from collections.abc import Sequence


def ideal(weights: Sequence[int], units: int) -> int:
    """The greatest sum of weights that so many content units can have.

    Args:
        weights: of every unit of the pyramid: how many references hold it.
        units: how many are chosen.
    """
    return sum(sorted(weights, reverse=True)[:units])


def original_score(weights: Sequence[int], held: Sequence[int]) -> float:
    """The weight of a text's units over the best possible for as many units, 0-1.

    Args:
        weights: of every unit of the pyramid.
        held: the weight of every unit of the text; 0 for one that is in no reference.
    """
    return sum(held) / ideal(weights, len(held)) if held else 0.0


def modified_score(weights: Sequence[int], held: Sequence[int], references: int) -> float:
    """The weight of a text's units over the best possible for as many units as a reference has on average.

    The average is rounded. A text that says little is penalized; units in no reference cost nothing.

    Args:
        weights: of every unit of the pyramid, whose sum is the number of units in all references.
        held: as for `original_score`.
        references: how many there are.
    """
    return sum(held) / ideal(weights, max(1, int(sum(weights) / references + 0.5)))
