"""Stratified sampling of labelled rows."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np


def draw_stratified(labels: Sequence[Sequence[str]], count: int, seed: int, leave_one: bool = False) -> np.ndarray:
    """Samples rows stratified by class; for a row with several classes, the rarest one counts.

    Args:
        labels: the classes of every row: none, one or several.
        count: number of rows to draw; if large enough, every class is represented.
        seed: seed of the draw.
        leave_one: leave at least one row of every class; fewer than `count` may then be drawn.

    Returns:
        `(rows,)` indices of the drawn rows, in order.
    """
    rows_of = Counter(name for names in labels for name in set(names))
    strata: dict[str, list[int]] = {}
    for row in np.random.default_rng(seed).permutation(len(labels)).tolist():
        rarest = min(labels[row], key=lambda name: (rows_of[name], name), default="")
        strata.setdefault(rarest, []).append(row)
    sizes = {name: len(rows) for name, rows in strata.items()}
    shares = _apportion(sizes, count, leave_one)
    drawn = {row for name, rows in strata.items() for row in rows[: shares[name]]}
    if leave_one:
        _give_back(drawn, labels, rows_of)
    return np.array(sorted(drawn), dtype=np.int64)


def _apportion(sizes: Mapping[str, int], count: int, leave_one: bool) -> dict[str, int]:
    """The number of rows to draw of each class: its share, rounded by the largest remainder method."""
    total = sum(sizes.values())
    exact = {name: size * count / total for name, size in sizes.items()}
    least = 0 if leave_one or count < len(sizes) else 1
    most = {name: size - leave_one for name, size in sizes.items()}
    shares = {name: min(max(int(exact[name]), least), most[name]) for name in sizes}
    while (missing := count - sum(shares.values())) != 0:
        step = 1 if missing > 0 else -1
        open_ = [name for name in sizes if (shares[name] < most[name] if step > 0 else shares[name] > least)]
        if not open_:
            break
        shares[max(open_, key=lambda name: step * (exact[name] - shares[name]))] += step
    return shares


def _give_back(drawn: set[int], labels: Sequence[Sequence[str]], rows_of: Mapping[str, int]) -> None:
    """Removes rows from the draw if it contains all rows of a class."""
    taken = Counter(name for row in drawn for name in set(labels[row]))
    for row in sorted(drawn):
        if any(taken[name] == rows_of[name] for name in labels[row]):
            drawn.remove(row)
            taken.subtract(set(labels[row]))
