"""The summary at the end of a run: every score with its interval, file locations, and the next command."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.hub.intervals import Intervals
from hf_seq2seq.hub.metadata import scores
from hf_seq2seq.hub.results_section import score_cells, score_title
from hf_seq2seq.task import Task

Results = dict[str, float]
MANY_SETS = 3


def closing_summary(
    folder: Path, task: Task, results: Results, intervals: Intervals, notes: Sequence[str] = ()
) -> list[str]:
    """Lines for people.

    Args:
        folder: the run's folder.
        task: the trained task.
        results: all results, by name.
        intervals: lower and upper bounds of scores, by the same names, where estimated.
        notes: what is to be said of the scores.
    """
    return [
        *(score_lines(task, results, intervals) or ["no scores: the run had neither validation nor test rows"]),
        *notes,
        f"folder  {folder}",
        f"card    {folder / 'README.md'}",
        f"next    {next_command(folder, task)}",
    ]


def score_lines(task: Task, results: Results, intervals: Intervals) -> list[str]:
    """A table: one row per score and one column per set; with more than three sets, one row per set."""
    measured = scores(results, task)
    keys = list(dict.fromkeys(key for found in measured.values() for key in found))
    if not keys:
        return []
    titles = [title_of(split) if split in task.splits else f"{split}, mean" for split in measured]
    lines = [[score_title(task, key), *score_cells(key, list(measured), results, intervals)] for key in keys]
    table = [["", *titles], *lines]
    if len(measured) > MANY_SETS:
        table = [list(column) for column in zip(*table, strict=True)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def next_command(folder: Path, task: Task) -> str:
    """The command that uses the trained model."""
    return task.problem.next_command(task, shlex.quote(str(folder)))
