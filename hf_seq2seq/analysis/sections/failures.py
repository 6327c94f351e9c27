"""Failure modes: rows that fit a stated rule, counted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Figures, Record, Section, Table
from hf_seq2seq.analysis.svg import bars

LISTED = 20  # rows of each rule
LONGEST = 300  # characters of each text in the list of rows
SHORT, LONG = 0.5, 2.0
FEW = 5
SAME = "identical outputs"


@dataclass(frozen=True)
class Rule:
    """A failure mode.

    Attributes:
        statement: the rule, as the page states it.
        holds: `(rows,)` bool, from the figures; a figure that is NaN fits no rule.
        alone: the rule where the rows have no references; empty if it needs one.
    """

    statement: str
    holds: Callable[[Figures], np.ndarray]
    alone: str = ""


CUT_OFF = "the output reached the maximum length without ending"
COLLAPSE = f"one source position takes 75% of all attention, of outputs and sources of {FEW} tokens or more"
UNTRANSLATED = f"under half of the source's tokens, of {FEW} or more, get a quarter of an equal share of the attention"
RULES = {
    "empty output": Rule(
        "the output has no words, and the reference has",
        lambda f: _and(f["empty"] == 1, f["reference_words"] != 0),  # NaN without references
        "the output has no words",
    ),
    "under-generation": Rule(
        f"the output has words, but under {SHORT:g} of the reference's and at least 2 fewer",
        lambda f: _and(
            f["output_words"] > 0,
            f["output_words"] < SHORT * f["reference_words"],
            f["reference_words"] - f["output_words"] >= 2,
        ),
    ),
    "over-generation": Rule(
        f"the output has over {LONG:g} times the reference's words and at least 2 more",
        lambda f: _and(f["output_words"] > LONG * f["reference_words"], f["output_words"] - f["reference_words"] >= 2),
    ),
    "cut off": Rule(CUT_OFF, lambda f: f["ended"] == 0, CUT_OFF),
    "loop": Rule(
        "a group of up to 8 words stands at least three times in a row, and in no reference",
        lambda f: _and(f["looped_words"] > 0, f["reference_looped_words"] == 0),
        "a group of up to 8 words stands at least three times in a row",
    ),
    "repetition": Rule(
        "a sequence of 4 words occurs more often than in any reference",
        lambda f: f["repeated_ngrams"] > f["reference_repeated_ngrams"],
        "a sequence of 4 words occurs more than once",
    ),
    "copy failure": Rule(
        "a number, name or address that source and reference share is missing", lambda f: f["copies_missing"] > 0
    ),
    "wrong script": Rule("most letters are of a script that no reference has", lambda f: f["strange_script"] == 1),
    "source copied": Rule(
        "the output is the source, and no reference is", lambda f: f["copies_source"] == 1, "the output is the source"
    ),
    "attention collapse": Rule(
        COLLAPSE,
        lambda f: _and(f["attention_peak"] >= 0.75, f["output_tokens"] >= FEW, f["source_tokens"] >= FEW),
        COLLAPSE,
    ),
    "untranslated source": Rule(
        UNTRANSLATED,
        lambda f: _and(f["attention_covered"] < 0.5, f["source_tokens"] >= FEW),
        UNTRANSLATED,
    ),
    "hallucination": Rule(
        "under 30% of the attention is on the source's text rather than its special tokens, and the row's score is "
        "among the lowest tenth",
        lambda f: _and(f["attention_on_text"] < 0.3, f["low_score"] == 1),
    ),
}


def _and(*conditions: np.ndarray) -> np.ndarray:
    return np.logical_and.reduce(conditions)


def failures(record: Record) -> Section | None:
    """How many rows fit each rule, and which."""
    if record.facts["task"] != "text":
        return None
    rules = {name: rule for name, rule in RULES.items() if record.facts["attends"] or "attention" not in rule.statement}
    if not record.supervised:
        rules = {name: replace(rule, statement=rule.alone) for name, rule in rules.items() if rule.alone}
    statements = {name: rule.statement for name, rule in rules.items()} | {SAME: "the output is also another source's"}
    same, most = _identical(record)
    held = {name: np.flatnonzero(rule.holds(figures_of(record))) for name, rule in rules.items()} | {SAME: same}
    names = sorted(statements, key=lambda name: -len(held[name]))
    key, score = record.facts["key"], record.figures["score"]
    counted = [[name, len(held[name]), 100 * len(held[name]) / len(record), statements[name]] for name in names]
    numbers = {
        "total": len(record),
        "rules": {name: {"rows": len(held[name]), "rule": statements[name]} for name in names},
        "rows": {name: [int(row) + 1 for row in held[name][:LISTED]] for name in names},
        "score": {
            name: float(np.nanmean(score[held[name]])) for name in names if record.supervised and len(held[name])
        },
        "most_common_output": most,
    }
    columns = ("failure", "row", key or "confidence", "source", "output", "references")
    tables = (
        Table(f"Rows of {len(record):,} that fit a rule", ("failure", "rows", "% of rows", "rule"), counted),
        Table(f"The first {LISTED} rows of each", columns, _listed(record, held)),
    )
    found = [name for name in names if len(held[name])]
    picture = bars(found, [len(held[name]) for name in found], "rows")
    return Section("Failure modes", (), numbers, tables, {"failures": picture} if found else {})


def figures_of(record: Record) -> Figures:
    """The record's figures, and `low_score`: 1 in the lowest tenth of the rows by their score."""
    low = np.zeros(len(record))
    low[record.worst_first()[: max(1, len(record) // 10)]] = 1
    return record.figures | {"low_score": low}


def _identical(record: Record) -> tuple[np.ndarray, dict[str, Any]]:
    """Rows whose output, not empty, is that of another source too; and the most frequent output."""
    seen: dict[int, tuple[int, int]] = {}
    outputs = np.zeros(len(record), dtype=np.int64)
    several: set[int] = set()
    for number, row in enumerate(record.whole_rows()):
        key, source = hash(row["output"]), hash(str(row["source"]))
        outputs[number] = key
        times, first = seen.get(key, (0, source))
        seen[key] = (times + 1, first)
        if source != first and row["output"].strip():
            several.add(key)
    most = max(seen, key=lambda key: seen[key][0])
    common: dict[str, Any] = {"rows": seen[most][0]}
    if not record.hidden:
        common["output"] = next(row["output"][:200] for row in record.rows() if hash(row["output"]) == most)
    return np.flatnonzero(np.isin(outputs, list(several))), common


def _listed(record: Record, held: dict[str, np.ndarray]) -> list[list[Any]]:
    wanted: dict[int, list[str]] = {}
    for name, found in held.items():
        for number in found[:LISTED]:
            wanted.setdefault(int(number), []).append(name)
    listed = []
    for number, row in enumerate(record.rows()) if wanted else ():
        for name in wanted.get(number, ()):
            score = float(record.figures["score" if record.supervised else "confidence"][number])
            texts = [str(row["source"]), row["output"], "\n".join(row["references"])]
            listed.append(
                [name, number + 1, score, *(text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in texts)]
            )
    return sorted(listed, key=lambda row: (row[0], row[1]))
