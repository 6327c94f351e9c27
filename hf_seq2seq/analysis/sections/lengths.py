"""Quality by length of the source, the lengths of outputs, and where outputs first go wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.svg import columns, lines
from hf_seq2seq.metrics.resampling import Sample, bootstrap, interval

PARTS = 6
FEWEST = 5  # rows of a part
RATIOS = (0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
PLACES = 20
FEW_WORDS = 2


def lengths(record: Record) -> Section | None:
    """The score of short and long sources, length ratios, and the chance of the first error at each word."""
    if record.facts["task"] != "text" or not record.supervised:
        return None
    unit = unit_of(record.figures["source_words"])
    parts, ratios, errors = by_source_length(record, unit), length_ratios(record), first_errors(record)
    key = record.facts["key"]
    names = [f"{part['from']}-{part['to']}" if part["from"] < part["to"] else f"{part['from']}" for part in parts]
    pictures = {"source-lengths": columns(names, [part["score"] for part in parts], key, f"{unit} of the source")}
    shares = [each["share"] for each in ratios]
    pictures["length-ratios"] = columns(
        [f"{each['from']:g}" for each in ratios], shares, "% of rows", "output / reference"
    )
    points = {"first error": [(each["word"], each["chance"]) for each in errors]}
    pictures["first-errors"] = lines(points, "% that go wrong here", "word of the output")
    tables = (
        Table(
            f"{key} by {unit} of the source",
            ("from", "to", "rows", key, "interval from", "to ", "length ratio"),
            [list(part.values()) for part in parts],
        ),
    )
    text = (
        "Sources are divided into parts of about as many rows. The last picture shows how many of the outputs that "
        "were right so far go wrong at each word: a rising line means that errors become more likely further on.",
    )
    return Section(
        "Lengths", text, {"unit": unit, "parts": parts, "ratios": ratios, "first_errors": errors}, tables, pictures
    )


def unit_of(words: np.ndarray | Sequence[int]) -> str:
    """What lengths of texts with so many words are counted in: "words", or "characters" where most are single words."""
    return "characters" if np.median(words) <= FEW_WORDS else "words"


def by_source_length(record: Record, unit: str) -> list[dict[str, Any]]:
    """Scores with intervals of parts of the rows, from short to long sources, counted in `unit`."""
    sizes = record.figures[f"source_{unit}"]
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, PARTS + 1)).astype(int))
    starts = edges[:-1] if len(edges) > 1 else edges
    found = []
    for low, end in zip(starts, [*(starts[1:] - 1), edges[-1]], strict=True):
        rows = (sizes >= low) & (sizes <= end)
        if rows.sum() < FEWEST:
            continue
        sample = Sample(record.metric, record.statistics[rows])
        draws = bootstrap(sample, min(200, record.facts["resamples"]), record.facts["resampling_seed"])
        below, above = interval(draws, record.facts["confidence"])
        ratio = record.figures["output_words"][rows].sum() / max(1, record.figures["reference_words"][rows].sum())
        part = {"from": int(low), "to": int(end), "rows": int(rows.sum()), "score": float(sample.score()[0])}
        found.append(part | {"low": float(below[0]), "high": float(above[0]), "length_ratio": float(ratio)})
    return found


def length_ratios(record: Record) -> list[dict[str, float]]:
    """Share in percent of the rows by the ratio of output to reference, in words."""
    ratios = record.figures["output_words"] / np.maximum(1, record.figures["reference_words"])
    counts, _ = np.histogram(ratios, bins=[*RATIOS, np.inf])
    return [
        {"from": float(low), "share": 100 * float(count) / len(record)}
        for low, count in zip(RATIOS, counts, strict=True)
    ]


def first_errors(record: Record) -> list[dict[str, float]]:
    """Chance in percent that an output which was right up to a word, from 1, goes wrong at it."""
    places, words = record.figures["first_error"], record.figures["output_words"]
    found = []
    for place in range(PLACES):
        reached = np.isnan(places) & (words > place) | (places >= place)
        if reached.sum() >= FEWEST:
            chance = 100 * float((places == place).sum() / reached.sum())
            found.append({"word": place + 1, "rows": int(reached.sum()), "chance": chance})
    return found
