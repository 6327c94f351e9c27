"""A record of planted rows: sources, outputs and references, and figures of a model that never was."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_seq2seq.analysis.records import FIGURES, Mended, Record
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.reports.text_figures import Candidates, mended_texts, text_figures

Plant = Callable[..., Record]


def planted(file: Path, rows: list[dict[str, Any]], attends: bool = True, **facts: Any) -> Record:
    """Each row has `source`, `outputs`, `references`, and the figures that its texts do not give."""
    metric = TEXT_METRICS["chrf"]
    figures = {name: np.full(len(rows), np.nan) for name in FIGURES}
    statistics, mended = [], dict[str, list[tuple[int, np.ndarray]]]()
    for number, row in enumerate(rows):
        texts = Candidates(
            row["source"], row["outputs"], row["references"], row.get("missed", False), row.get("forced")
        )
        tables = np.array(metric.statistics(texts.outputs, [texts.references] * len(texts.outputs)))
        scores = [metric.score(table)["chrf"] for table in tables]
        values = {"source_tokens": 9, "output_tokens": 9, "unknown_source": 0, "unknown_reference": 0, "truncated": 0}
        values |= {"ended": 1, "score": scores[0], "best_score": max(scores)} | text_figures(texts)
        values |= {name: value for name, value in row.items() if name in FIGURES}
        for name, value in values.items():
            figures[name][number] = value
        statistics.append(tables[0])
        found = {
            name: np.array(metric.statistics([text], [texts.references])[0])
            for name, text in mended_texts(texts).items()
        }
        if (best := int(np.argmax(scores))) > 0:
            found["nbest"] = tables[best]
        for name, table in found.items():
            mended.setdefault(name, []).append((number, table))
    lines = [{"source": r["source"], "output": r["outputs"][0], "references": r["references"]} for r in rows]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    every = {"model": "planted", "task": "text", "rows": len(rows), "metric": "chrf", "key": "chrf", "beams": 2}
    every |= {"confidence": 95.0, "resamples": 100, "resampling_seed": 1, "attends": attends}
    done = {
        name: Mended(np.array([n for n, _ in each]), partial(np.stack, [t for _, t in each]))
        for name, each in mended.items()
    }
    shown = {number: line | {"why": "worst"} for number, line in enumerate(lines)}
    return Record(every | facts, figures, metric, np.array(statistics), done, file, shown=shown)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return lambda rows, **more: planted(tmp_path / "rows.jsonl", rows, **more)
