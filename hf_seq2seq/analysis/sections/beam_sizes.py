"""Quality by beam size: larger beams find outputs that the model prefers, which need not be better.

Paper: Koehn and Knowles 2017, Six challenges for neural machine translation, https://aclanthology.org/W17-3204
Paper: Stahlberg and Byrne 2019, On NMT search errors and model errors, https://aclanthology.org/D19-1331
"""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.svg import lines
from hf_seq2seq.metrics.resampling import Sample, bootstrap, interval

MARGIN = 1e-4
"""Differences of the search's value below this are rounding."""


def beam_sizes(record: Record) -> Section | None:
    """Score, length ratio and search errors with beams of 1 to 50, on some of the rows."""
    if record.facts["task"] != "text" or not record.supervised:
        return None
    if len(record.beam_sizes) < 2:
        why = (
            "Beams of other sizes were not searched: they are left out by --beam-rows 0, and where outputs are sampled."
        )
        return Section("Beam size", left_out=why)
    scored = _scores(record)
    found, drop = by_size(record, *scored), fall(record, *scored)
    key, count = record.facts["key"], len(record.beam_rows)
    rows = "all" if count == len(record) else f"{count:,} of {len(record):,}, drawn at random (--beam-rows)"
    text = (
        f"Rows searched with every size: {rows}. Intervals are by bootstrap resampling of these rows. A search error "
        "is a row for which another size, or a reference, has a better value of what the search maximizes.",
        _verdict(drop, key, found),
    )
    head = (
        "beams",
        key,
        "from",
        "to",
        "against the first",
        "from ",
        "to ",
        "output / reference",
        "mean value",
        "% errors",
    )
    table = Table("By beam size", head, [list(each.values()) for each in found])
    ticks = [str(each["beams"]) for each in found]
    change = {name: list(enumerate(each[name] for each in found)) for name in ("change", "change_low", "change_high")}
    ends = {"interval, from": change["change_low"], "interval, to": change["change_high"]}
    other = {
        "output / reference, %": [(n, 100 * each["length_ratio"]) for n, each in enumerate(found)],
        "rows with a search error, %": [(n, each["search_errors"]) for n, each in enumerate(found)],
    }
    pictures = {
        "beam-sizes": lines({"difference": change["change"]} | ends, f"{key} against the first", "beams", ticks=ticks),
        "beam-lengths": lines(other, "percent", "beams", ticks=ticks),
    }
    return Section("Beam size", text, {"rows": count, "sizes": found, "fall": drop}, (table,), pictures)


def by_size(record: Record, scores: list[float], drawn: np.ndarray) -> list[dict[str, Any]]:
    """Figures of each size; `change` is the score minus that of the first size, on the same resamples.

    Args:
        record: has the outputs of every size.
        scores: of each size.
        drawn: the same of resamples, `(sizes, draws, 1)`.
    """
    values = np.stack([each.values for each in record.beam_sizes])
    best = np.fmax(np.nanmax(values, axis=0), record.figures["reference_value"][record.beam_rows])
    right = max(1.0, float(record.figures["reference_words"][record.beam_rows].sum()))
    found = []
    for number, each in enumerate(record.beam_sizes):
        low, high = _bounds(record, drawn[number])
        below, above = _bounds(record, drawn[number] - drawn[0])
        found.append(
            {
                "beams": each.beams,
                "score": scores[number],
                "low": low,
                "high": high,
                "change": scores[number] - scores[0],
                "change_low": below,
                "change_high": above,
                "length_ratio": float(each.words.sum()) / right,
                "value": float(np.nanmean(each.values)),
                "search_errors": 100 * float(np.mean(~(each.values >= best - MARGIN))),
            }
        )
    return found


def fall(record: Record, scores: list[float], drawn: np.ndarray) -> dict[str, Any]:
    """How far the score of the largest beam lies below the best one's, with an interval: `best`, `points` and so on.

    The arguments are those of `by_size`.
    """
    best = int(np.argmax(record.sign * np.array(scores)))
    low, high = _bounds(record, record.sign * (drawn[best] - drawn[-1]))
    points = record.sign * (scores[best] - scores[-1])
    ends = {"best": record.beam_sizes[best].beams, "largest": record.beam_sizes[-1].beams}
    return ends | {"points": points, "low": low, "high": high}


def _scores(record: Record) -> tuple[list[float], np.ndarray]:
    """The score of each size, and `(sizes, draws, 1)` of the same resamples."""
    samples = [Sample(record.metric, each.statistics) for each in record.beam_sizes]
    draws, seed = min(500, record.facts["resamples"]), record.facts["resampling_seed"]
    drawn = np.stack([bootstrap(each, draws, seed)[:, :1] for each in samples])
    return [float(each.score()[0]) for each in samples], drawn


def _bounds(record: Record, drawn: np.ndarray) -> tuple[float, float]:
    low, high = interval(drawn, record.facts["confidence"])
    return float(low[0]), float(high[0])


def _verdict(drop: dict[str, Any], key: str, found: list[dict[str, Any]]) -> str:
    ends = f"[{drop['low']:z.2f}, {drop['high']:z.2f}]"
    if drop["points"] > 0 and drop["low"] > 0:
        errors = f"{found[0]['search_errors']:.0f}% to {found[-1]['search_errors']:.0f}%"
        return (
            f"The beam-search curse: the best {key} is that of {drop['best']} beams, and {drop['largest']} beams are "
            f"worse by {drop['points']:.2f} {ends}, while search errors go from {errors}. What the model prefers is "
            "not better: try a higher --length-penalty, or a smaller --num-beams."
        )
    return (
        f"No beam-search curse beyond chance: the {key} of {drop['largest']} beams is worse by "
        f"{drop['points']:z.2f} {ends} than that of the best size, {drop['best']}."
    )
