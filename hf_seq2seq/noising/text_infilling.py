"""BART's text infilling."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.noise import Noised, check_share, noise_counts, pair_bound
from hf_seq2seq.noising.rows import counts_within, offsets_of, ranks
from hf_seq2seq.noising.subsets import choose
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class TextInfilling:
    """Replaces random spans by one mask token each; an empty span inserts one.

    The target is the whole row.

    Span lengths are drawn from a Poisson distribution until they reach the number of tokens to noise, truncating the
    last; then the spans are placed among the kept tokens uniformly at random.

    Paper: Lewis et al. 2020, section 2.2, https://aclanthology.org/2020.acl-main.703
    Three things differ from the released code: spans consist of tokens, not words; they never overlap, so the rate is
    exact; and there are at most as many spans as noised tokens (surplus empty spans are dropped), so a source is never
    longer than its row.

    Attributes:
        mask: id of the mask token.
        rate: share of tokens that are noised.
        mean_span_length: mean of the Poisson distribution, in tokens.

    Raises:
        InputError: a value is out of range.
    """

    mask: int
    rate: float = 0.3
    mean_span_length: float = 3.0
    reads = ""

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)
        if not self.mean_span_length > 0:
            raise InputError(f"mean span length: {self.mean_span_length} is not greater than 0")

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row."""
        noised = noise_counts(tokens.lengths, self.rate)
        row, lengths = span_lengths(noised, self.mean_span_length, rng)
        spans = counts_within(row, np.arange(len(noised) + 1))
        sizes = tokens.lengths - noised + spans
        masked = choose(sizes, spans, rng)
        # Every source position covers some tokens of the row: a kept token itself, a mask those of its span.
        taken = np.ones(len(masked), dtype=np.int64)
        taken[masked] = lengths
        begins = np.cumsum(taken) - taken
        values = np.full(len(masked), self.mask, dtype=np.int32)
        values[~masked] = tokens.values[begins[~masked]]
        return Noised(Ragged(values, offsets_of(sizes)), tokens)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The most tokens of source and target, `(rows, 2)`."""
        return pair_bound(lengths, lengths)


def span_lengths(budgets: np.ndarray, mean: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws span lengths for every row until they sum to its budget.

    Args:
        budgets: tokens to noise in each row, `(rows,)`.
        mean: mean of the Poisson distribution.
        rng: source of randomness.

    Returns:
        The row of each span, sorted, and its length; both `(spans,)`. A row's last draw is truncated to fit and put at
        a random position among the others.
    """
    left = budgets.copy()
    rows, lengths = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    while left.any():
        draws = np.ceil(left / mean).astype(np.int64)
        row = np.repeat(np.arange(len(left)), draws)
        drawn = rng.poisson(mean, len(row))
        before = _sums_before(drawn, draws)
        wanted = before < left[row]
        row, drawn = row[wanted], np.minimum(drawn, left[row] - before)[wanted]
        left = left - np.bincount(row, drawn, len(left)).astype(np.int64)
        rows.append(row)
        lengths.append(drawn)
    row, length = np.concatenate(rows), np.concatenate(lengths)
    order = np.argsort(row, kind="stable")
    return _without_surplus(row[order], _last_anywhere(row[order], length[order], len(budgets), rng), budgets)


def _sums_before(lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sum of the items before each item in its row of `counts` items."""
    total = np.append(0, np.cumsum(lengths))
    return total[:-1] - np.repeat(total[offsets_of(counts)[:-1]], counts)


def _last_anywhere(row: np.ndarray, lengths: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Swaps each row's last span, the only truncated one, with a random span of the row, itself included."""
    offsets = np.searchsorted(row, np.arange(rows + 1))
    begins, counts = offsets[:-1][np.diff(offsets) > 0], np.diff(offsets)[np.diff(offsets) > 0]
    last, other = begins + counts - 1, begins + (rng.random(len(begins)) * counts).astype(np.int64)
    swapped = lengths.copy()
    swapped[last], swapped[other] = lengths[other], lengths[last]
    return swapped


def _without_surplus(row: np.ndarray, lengths: np.ndarray, budgets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drops empty spans where a row has more spans than its budget has tokens."""
    surplus = counts_within(row, np.arange(len(budgets) + 1)) - budgets
    empty = np.flatnonzero(lengths == 0)
    rank = ranks(counts_within(row[empty], np.arange(len(budgets) + 1)))
    kept = np.ones(len(row), dtype=bool)
    kept[empty[rank < surplus[row[empty]]]] = False
    return row[kept], lengths[kept]
