"""How long rows are in tokens, and how many the limits cut."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.data.examples import Examples

PERCENTILES = (50, 90, 95, 99, 100)


@dataclass(frozen=True)
class Lengths:
    """The lengths of one side of a split.

    Attributes:
        percentiles: tokens by percent: `{50: 12, …, 100: 80}`; half of the rows have at most 12 tokens. Rows that were
            cut count as long as the limit.
        tokens: of all rows together.
        truncated: share of the rows that the limit cut, in percent.
    """

    percentiles: dict[int, int]
    tokens: int
    truncated: float


def describe_lengths(examples: Examples) -> dict[str, Lengths]:
    """Measures a split.

    Args:
        examples: an encoded split; one without rows has lengths of 0.

    Returns:
        The lengths of "source" and, where there is one, of "target".
    """
    sides = {"source": examples.source, "target": examples.target}
    described = {}
    for (side, ids), cut in zip(sides.items(), examples.truncated, strict=True):
        if ids is None:
            continue
        lengths = ids.lengths if len(ids) else np.zeros(1, dtype=np.int64)
        # The length of a row that is there, not a mean of two.
        percentiles = np.percentile(lengths, PERCENTILES, method="inverted_cdf")
        whole = {percent: int(length) for percent, length in zip(PERCENTILES, percentiles, strict=True)}
        described[side] = Lengths(whole, int(lengths.sum()), 100 * cut / len(lengths))
    return described
