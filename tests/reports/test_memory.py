"""A test set of any size fits: of a row, only figures stay in memory."""

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hf_seq2seq
from hf_seq2seq.reports.reading import RowReader
from hf_seq2seq.reports.tables import Tables

LARGEST = 150
"""Bytes that reading a row may leave, beside the figures and statistics whose arrays are there from the start."""


def test_tables_of_candidates_lie_in_a_file(tmp_path: Path) -> None:
    generator, tables = np.random.default_rng(1), Tables(tmp_path)
    right = [(row, generator.random((1 + row % 3, 18))) for row in range(0, 6000, 2)]
    tracemalloc.start()
    for row, table in right:
        tables.add(row, table)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 40 * len(right) + 9000, held / len(right)  # the file has a buffer of 8 KiB
    assert len(tables) == len(right)
    assert all(a == b and np.array_equal(x, y) for (a, x), (b, y) in zip(tables, right, strict=True))
    np.testing.assert_array_equal(tables.read(), np.concatenate([table for _, table in right]))
    assert tables.numbers.tolist() == [row for row, _ in right]
    assert not list(tmp_path.iterdir())  # the file has no name, so that nothing of a broken run is left
    assert not len(Tables(tmp_path)) + len(list(Tables(tmp_path)))


def test_of_a_row_only_figures_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are so long that a text or a list of tokens that is kept would show."""
    held, read, own = list[int](), RowReader.read, tracemalloc.Filter(True, "*/hf_seq2seq/*")

    def measured(*arguments: Any) -> None:
        read(*arguments)
        gc.collect()
        held.append(sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([own]).traces))

    monkeypatch.setattr("hf_seq2seq.reports.reading.CHUNK", 16)
    rows = [{"source": "abc " * 60 + "ab"[n % 2], "target": "cab " * 9 + "abc"[n % 3]} for n in range(48)]
    sizes: dict[str, Any] = {"hidden_size": 8, "embedding_size": 8, "tokenizer_type": "char", "max_steps": 1}
    model = hf_seq2seq.train("rnn", train_file=rows[:8], output_dir=tmp_path / "run", use_cpu=True, **sizes).model
    monkeypatch.setattr(RowReader, "read", measured)
    tracemalloc.start()
    try:
        flags: dict[str, Any] = {"max_new_tokens": 9, "num_beams": 2, "beam_rows": 0, "show_worst": 0}
        model.analyze(test_file=rows, output_dir=tmp_path, show_typical=0, resamples=100, metric="chrf", **flags)
    finally:
        tracemalloc.stop()
    assert held[2] - held[1] < LARGEST * 16, np.diff(held) / 16
