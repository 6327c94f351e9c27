"""Word alignments against a gold standard of sure and possible links: alignment error rate, precision, recall, F1.

A row is a sentence pair in Pharaoh format: whitespace-separated links such as `3-4`, source word first. In the gold
standard `3p4` is a possible link; all others are sure.

Paper: Och and Ney 2003, A systematic comparison of various statistical alignment models, section 5.1,
    https://aclanthology.org/J03-1002
"""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, check_rows, summed

F1_KEYS = ("alignment_precision", "alignment_recall", "alignment_f1")
Links = set[tuple[int, int]]
_LINK = re.compile(r"(\d+)([-p])(\d+)")


def read_links(line: str) -> tuple[Links, Links]:
    """The sure links of a row, and all of them.

    Raises:
        InputError: a word is not a link.
    """
    sure: Links = set()
    every: Links = set()
    for word in line.split():
        link = _LINK.fullmatch(word)
        if link is None:
            raise InputError(f"metric 'aer': {word!r} is not a link; write 3-4, or 3p4 for a possible one")
        pair = int(link[1]), int(link[3])
        every.add(pair)
        if link[2] == "-":
            sure.add(pair)
    return sure, every


def _least(rows: Sequence[Links]) -> int | None:
    return min((index for links in rows for pair in links for index in pair), default=None)


def _check_base(base: int, least: int | None, whose: str) -> None:
    if least is not None and least < base:
        raise InputError(f"metric 'aer': {whose} should count words from {base}, but a link has a {least}")


def _shift(said: Sequence[Links], gold: Sequence[Links], bases: tuple[int, int] | None) -> int:
    """The offset added to the predictions' indices so that both sides count from the same base."""
    least_said, least_gold = _least(said), _least(gold)
    if bases is not None:
        _check_base(bases[0], least_said, "the predictions")
        _check_base(bases[1], least_gold, "the gold standard")
        return bases[1] - bases[0]
    if None not in (least_said, least_gold) and (least_said == 0) != (least_gold == 0):
        zero, one = ("predictions", "gold standard") if least_said == 0 else ("gold standard", "predictions")
        bases_seen = "0-1" if least_said == 0 else "1-0"
        raise InputError(
            f"metric 'aer': the {zero} have links from 0, the {one} only from {max(least_said or 0, least_gold or 0)}; "
            f"say how both count: aer:{bases_seen}, or aer:0-0"
        )
    return 0


def _counts(bases: tuple[int, int] | None, predictions: Sequence[str], references: TextRows) -> np.ndarray:
    """Counts of predicted links, those in the gold links, those in the sure links, and sure links, `(rows, 4)`."""
    check_rows(predictions, references)
    said = [read_links(line)[1] for line in predictions]
    gold = []
    for row in references:
        if len(row) > 1:
            raise InputError(f"metric 'aer': a row has one gold alignment, not {len(row)}")
        gold.append(read_links(row[0]))
    shift = _shift(said, [every for _, every in gold], bases)
    found = []
    for links, (sure, every) in zip(said, gold, strict=True):
        moved = {(source + shift, target + shift) for source, target in links}
        found.append((len(moved), len(moved & every), len(moved & sure), len(sure)))
    return np.array(found, dtype=np.float64)


def _error_rate(sums: np.ndarray) -> Scores:
    links, right, found, sure = sums.tolist()
    return {"aer": 100 * (1 - (found + right) / (links + sure)) if links + sure else 0.0}


def _f1(sums: np.ndarray) -> Scores:
    links, right, found, sure = sums.tolist()
    precision = 100 * right / links if links else 0.0
    recall = 100 * found / sure if sure else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return dict(zip(F1_KEYS, (precision, recall, f1), strict=True))


def _bases(name: str, argument: str) -> tuple[int, int] | None:
    if argument not in ("", "0-0", "0-1", "1-0", "1-1"):
        raise InputError(f"--metrics {name}:{argument}: write {name}:0-1 where links count from 0 and the gold from 1")
    return (int(argument[0]), int(argument[2])) if argument else None


def make_aer(argument: str = "") -> Metric:
    """Alignment error rate of a corpus, in percent.

    With links A, sure links S and all gold links P it is 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|).

    Args:
        argument: "0-1" where predictions count words from 0 and the gold standard from 1, and so on; "" where both use
            the same base, which is checked.

    Raises:
        InputError: any other argument; when computed, a word that is not a link, or indices with another base.
    """
    counts = partial(_counts, _bases("aer", argument))
    return summed(counts, _error_rate, False, ("aer",), streams=False, empty_rows=True)


def make_alignment_f1(argument: str = "") -> Metric:
    """Precision |A ∩ P| / |A|, recall |A ∩ S| / |S| and F1 of a corpus, in percent; all as for `make_aer`."""
    counts = partial(_counts, _bases("alignment_f1", argument))
    return summed(counts, _f1, True, F1_KEYS, streams=False, empty_rows=True)
