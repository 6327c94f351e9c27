"""The rows of a run: reading, deduplication, held-out validation rows, caps."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features
from datasets.fingerprint import generate_random_fingerprint

from hf_seq2seq.configs import Sources
from hf_seq2seq.data.columns.conventions import BOOKKEEPING, MESSAGE_COLUMNS, is_known_name
from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.columns.templates import template_columns
from hf_seq2seq.data.evaluation_sets import kind_of, named_files, sets_of, split_of
from hf_seq2seq.data.files.patterns import is_saved, shards
from hf_seq2seq.data.files.readers import read_table
from hf_seq2seq.data.files.tables import Misfit, Table, kind
from hf_seq2seq.data.given_rows import find_given, is_given
from hf_seq2seq.data.given_tables import table_of
from hf_seq2seq.data.joined_files import numbered_in_file, read_joined
from hf_seq2seq.data.named_sets import load_folder, load_named
from hf_seq2seq.data.rows import is_unicode
from hf_seq2seq.data.samples import resolve_sample
from hf_seq2seq.data.splits import Arrange, Splits
from hf_seq2seq.data.stratified import draw_stratified
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)

COLUMN_OPTIONS = ("source_column", "target_column", "context_column", "text_column", "text_pair_column", "label_column")
# Held-out rows are independent of the run's seed, so that runs with different seeds are compared on the same rows.
HOLD_OUT_SEED = 0

Classes = Callable[[Dataset, str], Sequence[Sequence[str]]]
Where = Callable[[int], str]
OpenShare = Callable[[int, int], float | None]
"""Percentage of rows to hold out for validation where no option says it, None for none, by the numbers of rows that are
trained on and that there are."""


def load_splits(
    sources: Sources,
    arrange: Arrange | None = None,
    classes: Classes | None = None,
    share: OpenShare | None = None,
) -> Splits:
    """Reads every split given by the options.

    Files are read again each time. The order of the rows is preserved; a cap keeps the first rows. Duplicates are
    dropped from the training rows first, then validation rows are held out at random (the same for every seed), then
    caps apply.

    Args:
        sources: the data options.
        arrange: transforms rows after reading, before any are dropped or held out; also given their place.
        classes: returns the classes of every row; held-out rows and caps are then stratified by class.
        share: what is held out where neither validation rows nor a share are given; None for nothing.

    Returns:
        The rows by split: "train", "validation", "test", those that exist; a named set of validation or test rows is a
        split "test_NAME".

    Raises:
        InputError: options contradict each other, or rows cannot be read.
    """
    _check_options(sources)
    files = _files(sources)
    read = load_named(sources) if sources.dataset_name else {}
    read = {split: rows for split, rows in read.items() if split not in {kind_of(name) for name in files}}
    header = Header.of(*_named_columns(sources), *_languages(sources))
    for split, value in files.items():
        read[split] = _read_file(value, sources, header)
        header = header.after(read[split].column_names)
    splits = Splits(read, places_of(sources, read))
    if arrange:
        splits = splits.each(arrange)
    for split, rows in splits.items():
        if not len(rows):
            raise InputError(f"{splits.place(split)}: has no rows")
    if "train" in splits and sources.deduplicate:
        splits["train"] = _without_repeats(splits["train"], splits.place("train"))
    if "train" in splits and not sets_of(splits, "validation"):
        given, count = sources.validation_split_percentage, len(splits["train"])
        used = min(count, sources.max_train_samples or count)
        percentage = share(used, count) if share and given is None else given
        if percentage:
            splits["train"], splits["validation"] = _held_out(splits, percentage, classes)
    elif "train" in splits and sources.validation_split_percentage:
        logger.warning("--validation-split-percentage: ignored, because validation rows are given")
    return _all_capped(splits, sources, classes)


def _all_capped(splits: Splits, sources: Sources, classes: Classes | None) -> Splits:
    caps = {
        "train": sources.max_train_samples,
        "validation": sources.max_eval_samples,
        "test": sources.max_predict_samples,
    }
    seeds = {"train": sources.train_samples_seed}
    capped = {
        split: _capped(splits[split], cap, splits.place(split), classes, seeds.get(role))
        for role, cap in caps.items()
        for split in sets_of(splits, role)
    }
    return Splits(capped, places_of(sources, capped))


def paths_of(sources: Sources) -> list[Path]:
    """The local files of all splits, parallel ones separately."""
    files = [value for value in _files(sources).values() if not is_given(value)]
    found = [paths for value in files for paths in shards(value, _languages(sources))]
    return [path for paths in found for path in paths]


def places_of(sources: Sources, splits: Iterable[str]) -> dict[str, str]:
    """Where the rows of each split come from: the file, or the data set and its split."""
    files = _files(sources)
    if not sources.dataset_name:
        return {split: files.get(split, files.get("train", split)) for split in splits}
    theirs = {"train": sources.train_split, "validation": sources.validation_split, "test": sources.test_split}
    named = {split: f"{sources.dataset_name}, split {theirs.get(split) or split}" for split in splits}
    return named | {split: files[split] for split in splits if split in files}


def row_number(rows: Dataset, index: int) -> str:
    """The number of a row in its file or data set, counted from 1, regardless of dropped or held-out rows.

    It is followed by the name of its file if there are several.
    """
    # `datasets` has no public name for the indices of a selection.
    chosen = rows._indices
    return numbered_in_file(rows, (index if chosen is None else chosen.column(0)[index].as_py()) + 1)


def chosen_rows(rows: Dataset, indices: np.ndarray) -> Dataset:
    """The rows at sorted indices; unlike `select`, always keeps what `row_number` needs."""
    earlier = rows._indices
    chosen = pa.array(indices, pa.uint64())
    table = pa.table({"indices": chosen if earlier is None else earlier.column(0).take(chosen)})
    return Dataset(rows.data, rows.info, rows.split, table, generate_random_fingerprint())


def _files(sources: Sources) -> dict[str, str]:
    files: dict[str, str] = {}
    given = {"train": sources.train_file, "validation": sources.validation_file, "test": sources.test_file}
    for role, value in given.items():
        sets = named_files(f"{role}_file", value) if value else {}
        if role == "train" and any(sets):
            raise InputError(f"--train-file: {value!r} names sets; only --validation-file and --test-file support them")
        files |= {split_of(role, name): resolve_sample(paths) for name, paths in sets.items()}
    return files


def _check_options(sources: Sources) -> None:
    if sources.dataset_name and sources.train_file:
        raise InputError("--train-file and --dataset-name: give only one of them")
    if not sources.dataset_name and not _files(sources):
        raise InputError("no data: give --train-file or --dataset-name")
    if sources.streaming and not sources.dataset_name:
        raise InputError("--streaming: of files only pairs are streamed, and not the first ones alone; leave it out")
    if sources.streaming and sources.max_train_samples is None:
        raise InputError("--streaming: only pairs are streamed; set their number with --max-train-samples")
    if sources.streaming and sources.train_samples_seed is not None:
        raise InputError("--train-samples-seed: --streaming reads only the first rows; give one of them")


def _read_file(value: str, sources: Sources, header: Header) -> Dataset:
    """Reads files as of `patterns.shards`, a folder written by `save_to_disk`, or rows given from Python."""
    if (rows := find_given(value)) is not None:
        found = table_of(rows, value)
        return found if isinstance(found, Dataset) else dataset_of(found, value, sources)
    if is_saved(Path(value).expanduser()):
        saved = load_folder(Path(value).expanduser())
        if len(saved) > 1:
            raise InputError(f"{value}: contains the splits {', '.join(saved)}; use --dataset-name")
        return next(iter(saved.values()))
    files = shards(value, _languages(sources))

    def read(paths: tuple[Path, ...], header: Header) -> Dataset:
        place = value if len(files) == 1 else ",".join(map(str, paths))
        return dataset_of(read_table(paths, sources.encoding, header), place, sources)

    return read_joined(files, value, read, header)


def dataset_of(
    table: Table, place: str, sources: Sources, where: Where | None = None, tell: Callable[..., None] = logger.warning
) -> Dataset:
    """The rows of a table without the columns that cannot be stored.

    Args:
        table: the rows, and what could not be stored.
        place: their file, for messages.
        sources: the data options, which say what columns are needed.
        where: the place of a misfit's row; by default its number in the file.
        tell: called with a message and its values for every column that is left out.

    Raises:
        InputError: such a column is needed, or there is no other.
    """
    for name, misfit in table.misfits.items():
        row = f"{place}:{misfit.row}" if table.unit == "line" else f"{place}: {table.unit} {misfit.row}"
        message = f"{where(misfit.row) if where else row}, column {name!r}: {_told(misfit)}"
        if not table.arrow.num_columns or _needed(name, misfit, sources):
            raise InputError(message if _is_half(misfit.value) else f"{message}; a column needs cells of one kind")
        tell("%s; the column is skipped", message)
    arrow = table.arrow
    for field in arrow.schema:
        try:
            Features.from_arrow_schema(pa.schema([field]))
        except (ValueError, NotImplementedError):
            tell("%s: column %r is skipped: cells of type %s are not supported", place, field.name, field.type)
            arrow = arrow.drop_columns(field.name)
    # A random fingerprint: the default one hashes all rows, and nothing must be cached under it.
    return Dataset(arrow, fingerprint=generate_random_fingerprint())


def _told(misfit: Misfit) -> str:
    found, value = kind(misfit.value), repr(misfit.value)
    short = value if len(value) <= 60 else f"{value[:59]}…"
    if _is_half(misfit.value):
        return f"{short} contains half a character"
    if misfit.among == "null":
        return f"{found} {short} cannot be stored"
    if misfit.among == found:
        return f"{found} {short} with parts of another kind than those before"
    return f"{found} {short} among cells that are {misfit.among}"


def _named_columns(sources: Sources) -> list[str]:
    template = getattr(sources, "source_template", None)
    named = [c for c in (getattr(sources, option, None) for option in COLUMN_OPTIONS) if c is not None]
    return named + (template_columns(template) if template else [])


def _languages(sources: Sources) -> tuple[str | None, str | None]:
    return getattr(sources, "source_lang", None), getattr(sources, "target_lang", None)


def _needed(column: str, misfit: Misfit, sources: Sources) -> bool:
    """Whether the run will read a column, as far as known before reading its cells."""
    if getattr(sources, "objective", None) == "dialogue" and column in MESSAGE_COLUMNS:
        return True
    named = [name.split(".")[0] for name in _named_columns(sources)]
    if len(named) > 1 or column in named:
        return column in named
    has_text = "text" in (misfit.among, kind(misfit.value)) and column.lower() not in BOOKKEEPING
    return has_text or is_known_name(column)


def _capped(rows: Dataset, cap: int | None, place: str, classes: Classes | None, seed: int | None) -> Dataset:
    """So many rows in their order: of each class its share, or the first ones, or by a seed a part of a permutation."""
    if cap is None or cap >= len(rows):
        return rows
    if classes is not None:
        return chosen_rows(rows, draw_stratified(classes(rows, place), cap, HOLD_OUT_SEED if seed is None else seed))
    if seed is None:
        return rows.select(range(cap))
    return chosen_rows(rows, np.sort(np.random.default_rng(seed).permutation(len(rows))[:cap]))


def _without_repeats(rows: Dataset, place: str) -> Dataset:
    """Keeps the first of rows that are equal in every column, and reports the number of duplicates."""
    table = rows.with_format("arrow")[:]
    keys = {str(index): _comparable(column) for index, column in enumerate(table.columns)}
    numbered = pa.table({**keys, "row": np.arange(len(table))})
    first = numbered.group_by(list(keys), use_threads=False).aggregate([("row", "min")])["row_min"]
    kept = np.sort(first.to_numpy())
    logger.warning("%s: %d of %d rows repeat an earlier one and are skipped", place, len(rows) - len(kept), len(rows))
    return chosen_rows(rows, kept)


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray | list[str]:
    """A column that Arrow can group by: lists and objects are serialized."""
    flat = pa.types.is_string(column.type) or pa.types.is_primitive(column.type)
    return column if flat else [repr(value) for value in column.to_pylist()]


def _held_out(splits: Splits, percentage: float, classes: Classes | None) -> tuple[Dataset, Dataset]:
    """Training rows and held-out rows, each in the order of the file; every class keeps a training row."""
    rows, place = splits["train"], splits.place("train")
    if len(rows) < 2:
        raise InputError(f"{place}: has one row; none can be held out for validation")
    count = max(1, round(len(rows) * percentage / 100))
    if classes is None:
        drawn = np.random.default_rng(HOLD_OUT_SEED).permutation(len(rows))[:count]
    else:
        drawn = draw_stratified(classes(rows, place), count, HOLD_OUT_SEED, leave_one=True)
    if not len(drawn):
        raise InputError(
            f"{place}: no class has two rows; none can be held out for validation; numbers are learned with "
            "--problem-type regression, texts by `train rnn`; else give --validation-split-percentage 0"
        )
    held_out = np.zeros(len(rows), dtype=bool)
    held_out[drawn] = True
    return chosen_rows(rows, np.flatnonzero(~held_out)), chosen_rows(rows, np.flatnonzero(held_out))


def _is_half(value: object) -> bool:
    """Whether a cell is text with a lone surrogate, which JSON can spell."""
    return isinstance(value, str) and not is_unicode(value)
