"""Where the test rows of a model are: as the flags say, and otherwise as in its training run."""

import logging
from collections.abc import Mapping
from typing import Any

from hf_seq2seq.data.columns.conventions import OF_LABELS, OF_PAIRS
from hf_seq2seq.data.evaluation_sets import learned_by_heart
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.options import Rows

logger = logging.getLogger(__name__)
ONE_SOURCE = ("source_column", "context_column", "source_template")
COLUMNS = {"seq2seq": OF_PAIRS, "classifier": OF_LABELS}
ROWS = ("dataset_name", "dataset_config_name", "dataset_revision", "test_file", "test_split", "encoding")
RICH_SOURCES = ("frames_column", "feature_columns")
"""Columns of sources that are more than text, which are those of training."""


def data_options(kind: str, rows: Rows, run: Mapping[str, Any], command: str = "evaluate") -> dict[str, Any]:
    """Options of the test rows: from the flags, and otherwise from the run.

    Args:
        kind: "seq2seq" or "classifier".
        rows: the flags.
        run: the configuration of the training run, by flat name.
        command: named in errors; `evaluate` also warns if the rows are those of training.

    Raises:
        InputError: neither names test rows.
    """
    elsewhere = rows.test_file is not None or rows.dataset_name is not None
    trained = ("encoding", *COLUMNS[kind]) if elsewhere else (*ROWS, *COLUMNS[kind])
    found = {name: run[name] for name in trained if run.get(name) is not None}
    if kind == "seq2seq" and (rows.source_column or rows.context_column or rows.source_template):
        found = {name: value for name, value in found.items() if name not in ONE_SOURCE}
    if kind == "seq2seq":
        found |= {name: run[name] for name in RICH_SOURCES if run.get(name)}
    found |= {name: getattr(rows, name) for name in (*ROWS, *COLUMNS[kind]) if getattr(rows, name) is not None}
    if not found.get("test_file") and not found.get("dataset_name"):
        if mixture := run.get("mixture"):
            raise InputError(
                f"{command}: the training run had several tasks, of {mixture}; give --test-file, and --source-prefix "
                "where the task has one"
            )
        raise InputError(f"{command}: the training run has no test rows; give --test-file or --dataset-name")
    if command == "evaluate":
        for line in learned_by_heart({"train_file": run.get("train_file"), "test_file": found.get("test_file")}):
            logger.warning(line)
    return found | {"max_predict_samples": _most(rows, run)}


def _most(rows: Rows, run: Mapping[str, Any]) -> int | None:
    """How many rows to read at most: as asked for; of the run's own test rows as many as it scored."""
    most = run.get("max_predict_samples")
    others = any(getattr(rows, name) is not None for name in ROWS if name != "encoding")
    if rows.max_predict_samples is not None or others or most is None:
        return rows.max_predict_samples
    logger.warning("at most %d test rows are read, those that the training run scored (--max-predict-samples)", most)
    return int(most)
