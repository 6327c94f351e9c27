"""What the model writes too often and too rarely: n-grams of outputs against those of references."""

from collections import Counter
from collections.abc import Sequence

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.text_faults import words

LONGEST = 4
SHOWN = 25
MOST = 100_000
"""Sequences counted at once: with more, those whose counts differ least are forgotten."""


def ngrams(record: Record) -> Section | None:
    """Sequences of up to four words that outputs have more often than references, and less."""
    if record.facts["task"] != "text" or not record.supervised:
        return None
    if record.hidden:
        return Section(
            "Words", left_out="Sequences of words that are written too often or rarely: left out by --no-texts."
        )
    found = differences(record)
    ordered = sorted(found.items(), key=lambda each: (-abs(each[1][0] - each[1][1]), len(each[0]), each[0]))
    over = [[" ".join(gram), *counts] for gram, counts in ordered if counts[0] > counts[1]][:SHOWN]
    under = [[" ".join(gram), *counts] for gram, counts in ordered if counts[0] < counts[1]][:SHOWN]
    names = ("words", "in outputs", "in references")
    tables = (Table("Written too often", names, over), Table("Written too rarely", names, under))
    text = (
        "Sequences of up to four words, against the first reference of each row, by the difference of their counts.",
    )
    return Section("Words", text, {"over": over, "under": under}, tables)


def differences(record: Record) -> dict[tuple[str, ...], tuple[int, int]]:
    """Counts in outputs and in first references of the sequences whose counts differ."""
    written, right = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for row in record.rows():
        written.update(_grams(words(row["output"])))
        right.update(_grams(words(row["references"][0])))
        if len(written) + len(right) > 2 * MOST:
            _forget(written, right)
    return {gram: (written[gram], right[gram]) for gram in {*written, *right} if written[gram] != right[gram]}


def _grams(found: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        tuple(found[place : place + size]) for size in range(1, LONGEST + 1) for place in range(len(found) - size + 1)
    ]


def _forget(written: Counter[tuple[str, ...]], right: Counter[tuple[str, ...]]) -> None:
    every = sorted({*written, *right}, key=lambda gram: -abs(written[gram] - right[gram]))
    for gram in every[MOST // 2 :]:
        written.pop(gram, None)
        right.pop(gram, None)
