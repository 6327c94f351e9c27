"""Interpolated modified Kneser-Ney smoothing of n-grams, over whole arrays of counts at once.

A token is predicted from the longest context that was seen, mixed with what shorter contexts say:

    p(w | c) = max(a(c w) - D, 0) / sum over v of a(c v) + gamma(c) p(w | c without its first token)

where `a` counts the highest order as it occurs and a lower one by how many different tokens stand before it, D is one
of three discounts for counts of 1, 2 and 3 or more, and gamma is the mass that they free. The shortest context is mixed
with the uniform distribution over the vocabulary, so that a token that was never seen has a probability, too.

Papers: Chen and Goodman, 1999, section 3, https://doi.org/10.1006/csla.1999.0128; Heafield et al., 2013, sections 3.2
and 3.3, https://aclanthology.org/P13-2121, whose counts of n-grams that begin a document, and whose uniform
distribution, are kept here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

START, END, UNKNOWN = 0, 1, 2
"""Ids of the start and the end of a document, and of a token that is not in the vocabulary."""
FIRST = 3
"""Id of the vocabulary's first token."""
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the counts are too few to estimate them; KenLM's."""
NONE = -1


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, sorted by the row of their first tokens and then by their last one.

    Attributes:
        keys: `context row * size + last token`, `(ngrams,)` int64, sorted; the context row is of the order below.
        probabilities: of the last token after the others, interpolated with the orders below, `(ngrams,)`.
        backoffs: gamma of each n-gram as a context of the order above, `(ngrams,)`; 1 where none was seen.
        suffixes: row of the n-gram without its first token, in the order below, `(ngrams,)`.
    """

    keys: np.ndarray
    probabilities: np.ndarray
    backoffs: np.ndarray
    suffixes: np.ndarray


@dataclass(frozen=True)
class KneserNey:
    """An n-gram model of documents of token ids.

    Attributes:
        size: of the vocabulary, START, END and UNKNOWN among it.
        orders: the n-grams of each length, the single tokens (a row each) first.
        discounts: for counts of 1, 2, and 3 or more, by order.
        estimated: whether an order's discounts come from its counts; else they are `FALLBACK`.
    """

    size: int
    orders: tuple[_Order, ...]
    discounts: tuple[tuple[float, float, float], ...]
    estimated: tuple[bool, ...]

    def probabilities(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Of every token and, last, of the end of every document, given what stands before in the document.

        Args:
            documents: ids from UNKNOWN on; none is START or END.
        """
        tokens, begins = _joined(documents)
        found = self.orders[0].probabilities[tokens]
        rows, known = tokens.copy(), np.ones(len(tokens), dtype=bool)
        places = np.arange(len(tokens))
        for length, order in enumerate(self.orders[1:], start=2):
            if not len(order.keys):  # no document was so long
                break
            fits = places - length + 1 >= begins
            contexts = np.where(fits & np.roll(known, 1), np.roll(rows, 1), NONE)
            seen, there = _find(order.keys, contexts * self.size + tokens, contexts != NONE)
            backoff = self.orders[length - 2].backoffs[np.maximum(contexts, 0)]
            found = np.where(contexts == NONE, found, np.where(there, order.probabilities[seen], found * backoff))
            rows, known = seen, there
        kept = np.split(found, np.flatnonzero(tokens == START)[1:])
        return [piece[1:] for piece in kept]

    def next_token(self, context: Sequence[int]) -> np.ndarray:
        """The distribution of the token behind a context that begins with START, or stands anywhere, `(size,)`."""
        found = self.orders[0].probabilities.copy()
        for length in range(1, min(len(context), len(self.orders) - 1) + 1):
            row = self._row(context[len(context) - length :])
            if row == NONE:
                break
            order = self.orders[length]
            first, last = np.searchsorted(order.keys, [row * self.size, (row + 1) * self.size])
            found *= self.orders[length - 1].backoffs[row]
            found[order.keys[first:last] - row * self.size] = order.probabilities[first:last]
        return found

    def of_tokens(self, context: Sequence[int], tokens: np.ndarray) -> np.ndarray:
        """The probabilities of some tokens behind a context, as `next_token` has them, `(tokens,)`."""
        found = self.orders[0].probabilities[tokens]
        for length in range(1, min(len(context), len(self.orders) - 1) + 1):
            row = self._row(context[len(context) - length :])
            if row == NONE:
                break
            order = self.orders[length]
            places, there = _find(order.keys, row * self.size + tokens, np.ones(len(tokens), dtype=bool))
            found = np.where(there, order.probabilities[places], found * self.orders[length - 1].backoffs[row])
        return found

    def seen(self, context: Sequence[int]) -> tuple[int, ...]:
        """The longest end of a context that was seen: what stands before it changes no probability."""
        for start in range(max(len(context) - len(self.orders) + 1, 0), len(context)):
            if self._row(context[start:]) != NONE:
                return tuple(context[start:])
        return ()

    def _row(self, ngram: Sequence[int]) -> int:
        """Where an n-gram is among those of its length; `NONE` where it was not seen."""
        row = int(ngram[0])
        for order, token in zip(self.orders[1:], ngram[1:], strict=False):
            key = row * self.size + int(token)
            place = int(np.searchsorted(order.keys, key))
            if place == len(order.keys) or order.keys[place] != key:
                return NONE
            row = place
        return row


def fit(documents: Sequence[np.ndarray], order: int, size: int) -> KneserNey:
    """Estimates a model.

    Args:
        documents: ids from UNKNOWN on, `(tokens,)` each; starts and ends are added. An UNKNOWN among them is counted
            like any token.
        order: length of the longest n-grams.
        size: of the vocabulary, START, END and UNKNOWN among it.
    """
    tables = _count(documents, order, size)
    backoffs: list[np.ndarray] = []
    probabilities: list[np.ndarray] = []
    discounts, estimated = [], []
    lower = np.full(1, 1 / (size - 1))  # START is never predicted
    for table in tables:
        amounts, is_estimated = _discounts(table.counts)
        discounts.append(amounts)
        estimated.append(is_estimated)
        direct, gamma = _discounted(table, amounts)
        probabilities.append(direct + gamma[table.contexts] * lower[table.suffixes])
        backoffs.append(gamma)
        lower = probabilities[-1]
    probabilities[0][START] = 0.0
    backoffs = [*backoffs[1:], np.ones(len(tables[-1].keys))]
    orders = [
        _Order(table.keys, p, b, table.suffixes) for table, p, b in zip(tables, probabilities, backoffs, strict=True)
    ]
    return KneserNey(size, tuple(orders), tuple(discounts), tuple(estimated))


@dataclass(frozen=True)
class _Table:
    """What is counted of one length of n-grams.

    Attributes:
        keys: as in `_Order`.
        contexts: row of the n-gram without its last token, in the order below.
        suffixes: row of the n-gram without its first token, likewise.
        counts: a(n-gram).
        parents: number of rows of the order below.
    """

    keys: np.ndarray
    contexts: np.ndarray
    suffixes: np.ndarray
    counts: np.ndarray
    parents: int


def _count(documents: Sequence[np.ndarray], order: int, size: int) -> list[_Table]:
    """Counts every length: the longest as it occurs, shorter ones by the tokens that stand before them."""
    tokens, begins = _joined(documents)
    places = np.arange(len(tokens))
    singles = np.bincount(tokens, minlength=size)
    singles[START] = 0
    nothing = np.zeros(size, dtype=np.int64)
    tables = [_Table(np.arange(size), nothing, nothing, singles, 1)]
    rows = tokens
    for length in range(2, order + 1):
        fits = places - length + 1 >= begins
        contexts, last = np.roll(rows, 1)[fits], tokens[fits]
        keys, first, inverse, counts = np.unique(
            contexts * size + last, return_index=True, return_inverse=True, return_counts=True
        )
        below = tables[-1]
        suffixes = rows[fits][first]
        lower = _lower_counts(below, suffixes, length)
        tables[-1] = _Table(below.keys, below.contexts, below.suffixes, lower, below.parents)
        tables.append(_Table(keys, contexts[first], suffixes, counts, len(below.keys)))
        rows = np.full(len(tokens), NONE)
        rows[fits] = inverse
    return tables


def _lower_counts(table: _Table, suffixes: np.ndarray, length: int) -> np.ndarray:
    """How many different tokens stand before each n-gram; one that begins a document keeps its own count."""
    different = np.bincount(suffixes, minlength=len(table.keys))
    return different if length == 2 else np.where(different, different, table.counts)


def _joined(documents: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All documents with their starts and ends, one behind the other, and where each token's document begins."""
    lengths = np.array([len(document) + 2 for document in documents], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    tokens = np.empty(int(lengths.sum()), dtype=np.int64)
    begins = np.repeat(starts, lengths)
    inner = np.ones(len(tokens), dtype=bool)
    inner[starts] = inner[starts + lengths - 1] = False
    tokens[starts], tokens[starts + lengths - 1] = START, END
    if len(documents):
        tokens[inner] = np.concatenate(documents)
    return tokens, begins


def _discounts(counts: np.ndarray) -> tuple[tuple[float, float, float], bool]:
    """D1, D2 and D3+ of an order, and whether its counts allow an estimate.

    Paper: Chen and Goodman, 1999, equation 26.
    """
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return FALLBACK, False
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    fits = all(0 < amount <= most for most, amount in enumerate(found, start=1))
    return (found, True) if fits else (FALLBACK, False)


def _discounted(table: _Table, amounts: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """What each n-gram keeps of its context's mass, and gamma: what each context frees, 1 where it was not seen."""
    taken = np.array([0.0, *amounts])[np.minimum(table.counts, 3)]
    totals = np.bincount(table.contexts, weights=table.counts, minlength=table.parents)
    freed = np.bincount(table.contexts, weights=taken, minlength=table.parents)
    gamma = np.divide(freed, totals, out=np.ones(table.parents), where=totals > 0)
    kept = np.maximum(table.counts - taken, 0)
    return np.divide(kept, totals[table.contexts], out=np.zeros(len(kept)), where=totals[table.contexts] > 0), gamma


def _find(keys: np.ndarray, wanted: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of wanted keys, and whether each is there."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return rows, allowed & (keys[rows] == wanted)
