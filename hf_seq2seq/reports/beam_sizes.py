"""The outputs of some rows by beams of 1 to 50."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import BeamSize, Record
from hf_seq2seq.analysis.text_faults import words
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME, as_search, evaluating
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.outputs import Written
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.reports.options import Report

SIZES = (1, 2, 5, 10, 20, 50)
FEWEST, MOST = 20, 200
"""Rows that are searched, unless their number is given."""
SHARE = 0.6
"""Their cost, as a part of that of the outputs of all rows."""
TOGETHER = 320
"""Hypotheses searched at once, if the model's own search has no more."""


def rows_by_beam(report: Report, search: Search, sources: Sequence[Any]) -> np.ndarray:
    """Numbers of the rows that are searched with every size, in order; none for a search that is no plain beam search.

    Unless their number is given, searching them costs about `SHARE` of what the outputs of all rows do.
    """
    if search.do_sample or search.mbr_metric:
        return np.zeros(0, dtype=np.int64)
    filled = np.array([row for row, text in enumerate(sources) if not isinstance(text, str) or text.strip()])
    count = report.beam_rows
    if count is None:
        count = int(np.clip(SHARE * len(sources) * search.num_beams / sum(SIZES), FEWEST, MOST))
    drawn = np.random.default_rng(report.resampling_seed).permutation(len(filled))[:count]
    return np.sort(filled[drawn]) if len(drawn) else np.zeros(0, dtype=np.int64)


def by_beam_size(
    generator: TextGenerator, metric: Metric, rows: tuple[Sequence[Any], Sequence[Sequence[str]]]
) -> list[BeamSize]:
    """The outputs with every size that the search's other settings allow.

    Args:
        generator: its search has the other settings, and a size of its own, which is included.
        metric: has statistics per row.
        rows: sources, none of them empty, and the references of each.
    """
    search, found = as_search(generator.decoding), []
    for beams in sorted({*SIZES, search.num_beams}):
        size = max(1, min(search.per_device_eval_batch_size, _together(search) // beams))
        own = replace(search, num_beams=beams, num_return_sequences=1, per_device_eval_batch_size=size)
        try:
            own.check()
        except InputError:
            continue
        found.append(_read(replace(generator, decoding=own, advance=None, details=()), metric, rows))
    return found


def _together(search: Search) -> int:
    return max(TOGETHER, search.num_beams * search.per_device_eval_batch_size)


def _read(generator: TextGenerator, metric: Metric, rows: tuple[Sequence[Any], Sequence[Sequence[str]]]) -> BeamSize:
    sources, references = list(rows[0]), list(rows[1])
    with ONE_AT_A_TIME, evaluating(generator.model):
        written, _ = generator.write(sources, list(range(len(sources))))
        values = _values(generator, written)
    texts = [one.texts[0] if one.hypotheses else "" for one in written]
    assert metric.statistics is not None
    statistics = np.asarray(metric.statistics(texts, references), dtype=np.float64)
    counts = np.array([len(words(text)) for text in texts], dtype=np.float64)
    return BeamSize(as_search(generator.decoding).num_beams, statistics, values, counts)


def _values(generator: TextGenerator, written: Sequence[Written]) -> np.ndarray:
    """What the search maximizes, of each output; NaN where there is none."""
    search, found = as_search(generator.decoding), np.full(len(written), np.nan)
    normal = LengthNormalization(search.length_penalty, search.length_normalization)
    targets = [(row, one.hypotheses[0].whole) for row, one in enumerate(written) if one.hypotheses]
    targets = [(row, ids) for row, ids in targets if ids]
    sources = Ragged.of(written[row].ids for row, _ in targets)
    for (row, ids), each in zip(targets, generator.reader.score(sources, [ids for _, ids in targets]), strict=True):
        found[row] = float(sum(each.log_probs) / normal.divisor(len(ids)))
    return found


def with_beam_sizes(
    record: Record, generator: TextGenerator, rows: tuple[Sequence[Any], Sequence[Sequence[str]]], report: Report
) -> Record:
    """The record with the outputs of some rows by every size; as it is if none are to be searched."""
    numbers = rows_by_beam(report, as_search(generator.decoding), rows[0])
    if not len(numbers):
        return record
    chosen = [rows[0][row] for row in numbers], [rows[1][row] for row in numbers]
    return replace(record, beam_rows=numbers, beam_sizes=by_beam_size(generator, record.metric, chosen))
