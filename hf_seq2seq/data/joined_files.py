"""The rows of several files as one data set, which knows what file each row is from."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetInfo
from datasets.fingerprint import generate_random_fingerprint

from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.files.patterns import check_same_columns
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)

SHOWN = 8
"""Files that are named when reading them; of more, the first and the last ones are."""


def read_joined(
    shards: Sequence[tuple[Path, ...]], place: str, read: Callable[[tuple[Path, ...], Header], Dataset], header: Header
) -> Dataset:
    """Reads files whose rows follow each other, and says which.

    Args:
        shards: the files in their order, each one or parallel ones.
        place: the value of the option, for messages.
        read: reads the rows of one, given what is known of its header.
        header: what is known before.

    Raises:
        InputError: a file cannot be read, or the columns of two do not agree.
    """
    parts: list[Dataset] = []
    for paths in shards:
        parts.append(read(paths, header))
        check_same_columns(paths, parts[-1].column_names, parts[0].column_names)
        header = header.after(parts[-1].column_names)
    if len(parts) == 1:
        return parts[0]
    names = [",".join(map(str, paths)) for paths in shards]
    logger.warning("%s: %d files, in this order: %s", place, len(names), _shortened(names))
    try:
        table = pa.concat_tables([part.data.table for part in parts], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{place}: a column has cells of different kinds: {str(error).splitlines()[0]}") from error
    counts = json.dumps([(name, len(part)) for name, part in zip(names, parts, strict=True)])
    return Dataset(table, DatasetInfo(description=counts), fingerprint=generate_random_fingerprint())


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= SHOWN else [*names[: SHOWN - 2], "…", names[-1]])


def numbered_in_file(rows: Dataset, number: int) -> str:
    """The number of a row, counted from 1, as in messages: "12", or "12 of data/b.tsv" where it is from several."""
    try:
        files = json.loads(rows.info.description or "")
    except ValueError:  # rows of one file, or a data set with a description
        return str(number)
    left = number
    for name, count, *before in files if isinstance(files, list) else []:
        if left <= count:
            left += sum(before)
            return f"{left} of {name}" if name else str(left)
        left -= count
    return str(number)


def described(runs: Sequence[tuple[str, int, int]]) -> DatasetInfo:
    """What `numbered_in_file` needs of rows that are parts of files.

    Args:
        runs: for rows that follow each other in a file: its name, their number, and how many rows are before them. The
            name is empty where rows are from only one file.
    """
    return DatasetInfo(description=json.dumps(runs))
