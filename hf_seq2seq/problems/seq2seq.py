"""Pairs and conversations: a target is generated for each source."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.files.lines import one_line
from hf_seq2seq.decoding.generation import generate_texts
from hf_seq2seq.hub.markdown import cell, code
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.problems.writing import WritingProblem
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Judged, Predictions, Task

GRADED = ("phoneme_error_rate", "token_error_rate", "levenshtein", "edit_accuracy", "chrf", "chrf++", "ter")
"""Metrics by which a card orders rows: they tell nearly right rows from wrong ones, and cost little."""


class Seq2SeqProblem(WritingProblem):
    """A target is generated for each source, and compared with its references.

    Args:
        decoding: decoding options.
        longest_output: maximum output length in tokens.
    """

    units = (
        "The loss is in nats per target token; scores are on 0-100, error rates in percent, which may exceed 100, "
        "edit distances in characters."
    )
    measure = "chrF"

    def __init__(self, decoding: Decoding, longest_output: int) -> None:
        super().__init__(longest_output)
        self.decoding = decoding

    def with_beams(self, num_beams: int) -> "Seq2SeqProblem":
        """The same, decoded with so many beams."""
        return Seq2SeqProblem(replace(self.decoding, num_beams=num_beams), self.longest_output)

    def predict(self, task: Task, examples: Examples, rows: np.ndarray, accelerator: Accelerator) -> list[Any]:
        """Texts."""
        return generate_texts(
            accelerator.unwrap_model(task.model),
            task.tokenizers,
            examples.source.select(rows),
            self.decoding,
            self.longest_output,
            unknown=None if examples.unknown is None else [examples.unknown[row] for row in rows],
        )

    def write_predictions(self, task: Task, split: str, found: Predictions, files: dict[str, Path]) -> None:
        """One text per line; line breaks inside become spaces, which is reported."""
        texts = files["texts"]
        lines = [one_line(str(text)) for text in found]
        texts.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if joined := sum(line != str(text) for line, text in zip(lines, found, strict=True)):
            detail = f"{texts.name}: {joined} of {len(lines)} predictions have line breaks, written as spaces"
            print(detail, file=sys.stderr)

    def judged(self, task: Task, examples: Examples, found: Predictions) -> list[Judged]:
        """The run's own metric of each row where that grades rows, or chrF; the negative where less is better."""
        name = _row_metric(task)
        metric = TEXT_METRICS[name]
        assert metric.statistics is not None
        assert metric.score is not None
        references = (examples.references or [])[: len(found)]
        rows = []
        statistics = metric.statistics(found[: len(references)], references)
        for source, text, right, row in zip(examples.texts, found, references, statistics, strict=False):
            score = metric.score(row)[metric.keys[0]]
            cells = [cell(source), cell(text), cell(right[0]), f"{score:.1f}"]
            rows.append((score if metric.greater_is_better else -score, cells))
        return rows

    def measure_of(self, task: Task) -> str:
        """The metric's name."""
        return self.measure if (name := _row_metric(task)) == "chrf" else name.replace("_", " ")

    def purpose(self, task: Task) -> str:
        """By the columns."""
        source, target = (_called(task.columns[side]) for side in ("source", "target"))
        return f"reads {source} and generates {target}"

    def pipeline_tag(self, task: Task, languages: list[str]) -> str:
        """Translation or summarization if the languages, the columns or the prefix say so."""
        if len(languages) == 2:
            return "translation"
        prefix = flatten(task.config).get("source_prefix") or ""
        if task.columns.get("target") in ("summary", "highlights") or "summarize" in prefix:
            return "summarization"
        return "text-generation"


def _row_metric(task: Task) -> str:
    """The first of a run's metrics that grades single rows, or chrF."""
    return next((name for name in task.metrics if name in GRADED), "chrf")


def _called(column: str) -> str:
    """A column as a card names it; one of a file without a header has only a number."""
    return f"column {column}" if column.isdecimal() else code(column)
