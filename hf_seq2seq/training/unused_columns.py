"""Columns of training rows that a task reads without having been told to, and those that it does not read."""

from pathlib import Path
from typing import TYPE_CHECKING

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.columns.conventions import OF_SIDES
from hf_seq2seq.sections import flag, section_of

if TYPE_CHECKING:
    from hf_seq2seq.task import Task

SHOWN = 10
"""Maximum number of columns in a line."""


def describe_unused(task: "Task") -> list[str]:
    """A line that lists the columns of the training file that pairs do not read, and says how to read languages."""
    data = section_of(task.config, PairData)
    if data is None or not {"source", "target"} <= set(task.columns) or not Path(data.train_file or "").is_file():
        return []
    if not (unused := _unused(task, data)):
        return []
    listed = ", ".join(unused[:SHOWN]) + " …" * (len(unused) > SHOWN)
    flags = [f"{flag(_language_option(name))} {name}" for name in unused if "lang" in name.lower()]
    return [f"{listed}; if they name languages, give {' '.join(flags[:2])}" if flags else listed]


def describe_found(task: "Task", unused: list[str]) -> list[str]:
    """A line that names the columns of source and target, where no flag named any and the file has others, too.

    Args:
        task: the task.
        unused: what `describe_unused` says of it.
    """
    data = section_of(task.config, PairData)
    if data is None or not unused or any(getattr(data, name) for name in OF_SIDES):
        return []
    return [", ".join(f"{role}: {column}" for role, column in task.columns.items())]


def _unused(task: "Task", data: PairData) -> list[str]:
    from hf_seq2seq.data.columns.headers import Header
    from hf_seq2seq.data.files.readers import iterate_rows
    from hf_seq2seq.data.row_languages import language_columns

    read = [part for found in task.columns.values() for part in found.split(", ")]
    header = Header.of(*(part for part in read if "{" not in part))
    names = list(next(iterate_rows(str(data.train_file), data.encoding, header), {}))
    options = [value for option, value in vars(data).items() if option.endswith("_column") and value]
    whole = {
        *(part.split(".")[0] for part in [*read, *options]),
        *getattr(data, "feature_columns", ()),
        "chosen",
        "rejected",
    }
    whole |= set(language_columns(names, data).values())
    if names == ["text"]:  # lines, which are read as a whole
        return []
    return [name for name in names if name not in whole and not any(f"{{{name}" in part for part in read)]


def _language_option(name: str) -> str:
    return f"{'target' if name.lower().startswith('t') else 'source'}_lang_column"
