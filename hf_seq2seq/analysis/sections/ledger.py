"""Where the quality is lost: the rows of each fault, and what the score would be if it alone were mended.

Paper: Stahlberg and Byrne 2019, On NMT search errors and model errors, https://aclanthology.org/D19-1331
Paper: Koehn 2004, Statistical significance tests for machine translation evaluation, https://aclanthology.org/W04-3250
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.sections.exposure import exposure_gap, sentence
from hf_seq2seq.analysis.svg import bars
from hf_seq2seq.metrics.resampling import Sample, bootstrap, interval

DRAWN = 20_000_000  # row indices of all resamples together; more rows get fewer resamples
EMPTY = 100.0
"""The error rate of empty outputs."""
FEWEST = 20
"""Rows that must remain where some are set aside."""
LEFT_OUT = (
    "The test rows have no references: scores, the ledger, lengths, exposure, beam sizes, reliability, words, and the "
    "rules that need a reference are left out."
)
SURE, GAP = 0.5, 3.0
"""A reference is suspect if the output's confidence is at least the first and the model's mean log-probability per
token lies this many nats higher for the output, whose score is under half of the median."""


NO_REMEDY = "nothing: without it the score is no better"


@dataclass(frozen=True)
class Fault:
    """A line of the ledger before it is measured.

    Attributes:
        name: what is wrong.
        rows: which rows have it, `(rows,)` bool.
        oracle: what is put in their place.
        remedy: what to try.
        mended: key of `Record.mended`; None if the rows are set aside instead.
    """

    name: str
    rows: np.ndarray
    oracle: str
    remedy: str
    mended: str | None = None


@dataclass(frozen=True)
class Line:
    """A line of the ledger.

    Attributes:
        fault: what is wrong.
        rows: how many rows have it.
        share: the same in percent.
        gain: what the score would gain if it alone were mended; positive is better. None if too few other rows remain.
        low: lower bound of the gain.
        high: upper bound.
        oracle: how the gain is computed.
        remedy: what to try.
    """

    fault: str
    rows: int
    share: float
    gain: float | None
    low: float | None
    high: float | None
    oracle: str
    remedy: str


def ledger(record: Record) -> Section | None:
    """Faults by oracle gain, the largest first."""
    if record.facts["task"] != "text":
        return None
    if not record.supervised:
        return Section("Where the quality is lost", left_out=LEFT_OUT)
    lines = sorted(measured(record, faults(record)), key=_rank)
    key, base = record.facts["key"], Sample(record.metric, record.statistics)
    score = float(base.score()[0])
    gain = f"gain in {key}" if record.sign > 0 else f"fall of {key}"
    known = [line for line in lines if line.rows]
    table = Table(
        f"What the {key} of {score:.2f} {'loses' if record.sign > 0 else 'owes'} to what",
        ("fault", "rows", "% of rows", gain, "from", "to", "how the gain is computed", "what to try"),
        [list(asdict(line).values()) for line in known],
    )
    parts = [line for line in known if line.gain is not None]
    picture = bars([line.fault for line in parts], [line.gain or 0.0 for line in parts], gain)
    numbers = {"score": score, "metric": key, "lines": [asdict(line) for line in lines]} | _search(record)
    numbers["pooled"] = _pooled(record)
    numbers["train_longer"] = _train_longer(record, score)
    tables, pictures = (table,) if known else (), {"ledger": picture} if parts else {}
    return Section("Where the quality is lost", _text(record, numbers), numbers, tables, pictures)


def _pooled(record: Record) -> str:
    """Says that rows of several translation directions are scored together; empty if there is one."""
    names = record.facts.get("directions", [])
    return f"rows of several directions are scored together: {', '.join(names)}" if len(names) > 1 else ""


def _text(record: Record, numbers: dict[str, Any]) -> tuple[str, ...]:
    lines = numbers["lines"]
    if any(line["rows"] for line in lines):
        first = (
            "Each line mends one fault and leaves everything else as it is. The gains overlap, so they do not add up; "
            f"their {record.facts['confidence']:g}% intervals are by bootstrap resampling of the rows."
        )
    else:
        first = f"No row has any of the faults that are looked for: {', '.join(line['fault'] for line in lines)}."
    found: tuple[str, ...] = (first,)
    for told in filter(None, (numbers["pooled"], numbers["train_longer"])):
        found = (f"{told[0].upper()}{told[1:]}.", *found)
    if numbers.get("compared"):
        found += (
            f"Of {numbers['compared']} wrong outputs whose references the model can score, it prefers the output in "
            f"{numbers['model_errors']} (errors of the model: no search would help) and a reference in "
            f"{numbers['search_errors']} (errors of the search).",
        )
    gap = exposure_gap(record)
    return found if gap is None else (*found, sentence(gap))


def _train_longer(record: Record, score: float) -> str | None:
    """Why a model needs more training before anything else; None if nothing says so."""
    falling = record.facts.get("falling")
    poor = score >= EMPTY if record.sign < 0 else score <= 0
    if not falling and not poor:
        return None
    why = falling or f"the {record.facts['key']} of {score:.2f} is no better than that of empty outputs"
    return f"train longer first, before what the lines suggest: {why}"


def _search(record: Record) -> dict[str, int]:
    """Errors of the search and of the model among wrong outputs whose references have a likelihood."""
    figures = record.figures
    compared = (figures["exact"] == 0) & ~np.isnan(figures["reference_value"]) & ~np.isnan(figures["value"])
    missed = compared & (figures["reference_value"] > figures["value"] + 1e-4)
    return {
        "compared": int(compared.sum()),
        "search_errors": int(missed.sum()),
        "model_errors": int((compared & ~missed).sum()),
    }


def faults(record: Record) -> list[Fault]:
    """The faults that are looked for, whether there are rows or not."""
    figures, facts = record.figures, record.facts
    suspect = _suspects(record)
    beams = f"--num-beams {max(5, 2 * facts['beams'])}"
    found = [
        _mended(record, "search error", "search", "the reference, which the model prefers, is the output", beams),
        _mended(
            record,
            "ranking of the n-best",
            "nbest",
            f"of the {facts['beams']} outputs of the search the one that the references prefer, an upper bound",
            f"train on with --loss-type minimum_risk; of a well trained model also --mbr-metric {facts['metric']} "
            "--num-return-sequences 20 --do-sample",
        ),
        _mended(
            record,
            "length",
            "length",
            "outputs over 1.25 of the reference's words are cut to them; for those under 0.8, the n-best output of "
            "the nearest length",
            "--length-penalty, --max-length-ratio, --min-length-ratio",
        ),
        _mended(record, "repetition", "repetition", "loops are cut off", "--no-repeat-ngram-size 3"),
        _mended(
            record,
            "wrong copies",
            "copies",
            "numbers, names and addresses of source and reference replace wrong ones",
            "train on subwords: --tokenizer-type unigram; or rnn with --tokenizer-type word --pointer-generator"
            " --copy-vocab-size 50",
        ),
        _mended(
            record,
            "exposure",
            "exposure",
            "where the reference loses more after the output's prefix than after its own, the model's best token after "
            "each of the reference's prefixes, an upper bound",
            "train with --loss-type scheduled_sampling --loss-args schedule=linear,minimum=0.75, or minimum_risk; "
            "a larger --num-beams",
        ),
    ]
    return [
        *found,
        _aside("unknown words", figures["unknown_source"] + figures["unknown_reference"] > 0, _UNKNOWN),
        _aside("truncated sources", figures["truncated"] > 0, "a larger --max-source-length, here and in training"),
        _aside("outputs cut off", figures["ended"] == 0, "a larger --max-new-tokens"),
        _aside("suspected label noise", suspect, "read these rows; hf-seq2seq clean"),
    ]


_UNKNOWN = "rows with these letters or words in training; --tokenizer-type byte, or for whole words unigram"


def _suspects(record: Record) -> np.ndarray:
    """Rows in which the model is sure and the reference says something else altogether."""
    figures, score = record.figures, record.figures["score"]
    poor = score < np.nanmedian(score) / 2 if record.sign > 0 else score > 1.5 * np.nanmedian(score)
    gap = figures["log_prob"] / figures["output_tokens"] - figures["reference_log_prob"] / figures["reference_tokens"]
    return np.asarray(poor & (figures["confidence"] >= SURE) & (gap >= GAP))


def _mended(record: Record, name: str, key: str, oracle: str, remedy: str) -> Fault:
    rows = np.zeros(len(record), dtype=bool)
    if key in record.mended:
        rows[record.mended[key].rows] = True
    return Fault(name, rows, oracle, remedy, key)


def _aside(name: str, rows: np.ndarray, remedy: str) -> Fault:
    return Fault(name, rows, "these rows are set aside", remedy)


def measured(record: Record, found: list[Fault]) -> list[Line]:
    """The lines of faults, with gains and intervals from the same resamples."""
    draws = int(np.clip(DRAWN // len(record), 100, record.facts["resamples"]))
    seed = record.facts["resampling_seed"]
    base = Sample(record.metric, record.statistics)
    score, drawn = base.score()[0], bootstrap(base, draws, seed)[:, :1]
    lines = []
    for fault in found:
        rows = int(fault.rows.sum())
        gain = low = high = None
        if rows and (fault.mended or len(record) - rows >= FEWEST):
            other = Sample(record.metric, _table(record, fault))
            gain = record.sign * float(other.score()[0] - score) + 0.0  # not -0
            bounds = interval(record.sign * (bootstrap(other, draws, seed)[:, :1] - drawn), record.facts["confidence"])
            low, high = (float(bound[0]) + 0.0 for bound in bounds)
        share = 100 * rows / len(record)
        remedy = fault.remedy if gain is None or gain > 0 else NO_REMEDY
        lines.append(Line(fault.name, rows, share, gain, low, high, fault.oracle, remedy))
    return lines


def _table(record: Record, fault: Fault) -> np.ndarray:
    table = record.statistics.copy()
    if fault.mended is None:
        table[fault.rows] = 0
    elif fault.rows.any():
        mended = record.mended[fault.mended]
        table[mended.rows] = mended.read()
    return table


def _rank(line: Line) -> tuple[int, float]:
    """Faults of all rows, whose gain is unknown, come first; those of none last."""
    if not line.rows:
        return 2, 0.0
    return (0, 0.0) if line.gain is None else (1, -line.gain)
