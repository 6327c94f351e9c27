"""Data sets with a name: on the Hub, or folders written by the `datasets` library's `save_to_disk`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict, IterableDataset
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_seq2seq.configs import Sources
from hf_seq2seq.data.files.patterns import is_saved
from hf_seq2seq.data.given_rows import find_given
from hf_seq2seq.errors import InputError, nearest

VALIDATION_NAMES = ("validation", "valid", "val", "dev")
SECONDS_TO_ANSWER = 10


def load_folder(folder: Path) -> Mapping[str, Dataset]:
    """Loads a folder that `save_to_disk` wrote; a data set without splits is treated as "train".

    Raises:
        InputError: the folder is something else, or is damaged.
    """
    if not is_saved(folder):
        raise InputError(f"{folder}: not a folder written by save_to_disk; give data files with --train-file")
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise InputError(f"{folder}: cannot be loaded: {_first_lines(error)}") from error
    return found if isinstance(found, DatasetDict) else {"train": found}


def load_named(sources: Sources, without: str = "") -> dict[str, Dataset]:
    """Loads the splits of `--dataset-name`.

    Args:
        sources: the data set's name and which of its splits to use. With `streaming`, only the first rows are
            downloaded, up to the caps.
        without: one of our splits that is not read.

    Returns:
        The rows by "train", "validation" and "test"; the latter two only if the data set has them.

    Raises:
        InputError: there is no such folder, data set, configuration, revision or split; or the Hub cannot be reached.
    """
    name, found = sources.dataset_name or "", _open(sources)
    caps = {"train": sources.max_train_samples, "validation": sources.max_eval_samples}
    caps["test"] = sources.max_predict_samples
    return {
        ours: _in_memory(found[theirs], caps[ours], f"{name}, split {theirs}")
        for ours, theirs in _split_names(found, sources).items()
        if ours != without
    }


def open_stream(sources: Sources) -> IterableDataset:
    """The training rows of `--dataset-name` as a stream.

    Raises:
        InputError: as for `load_named`.
    """
    found = _open(sources)
    rows = found[_split_names(found, sources)["train"]]
    return rows if isinstance(rows, IterableDataset) else rows.to_iterable_dataset()


def _open(sources: Sources) -> Mapping[str, Any]:
    name = sources.dataset_name or ""
    folder = Path(name).expanduser()
    if (given := find_given(name)) is not None:
        return given if isinstance(given, Mapping) else {"train": given}
    if folder.is_dir():
        return load_folder(folder)
    if folder.exists():
        raise InputError(f"{name}: is a file; use --train-file")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"{name}: no such folder, and not a valid name of a data set on the Hub")
    return _load_hub(sources)


def _load_hub(sources: Sources) -> Mapping[str, Any]:
    name = sources.dataset_name
    options = {"revision": sources.dataset_revision, "streaming": sources.streaming}
    if _hub_answers(sources):
        return _load(sources, options)
    unreachable = (
        f"{name}: the Hub cannot be reached, and the data set is not in the local cache; give local files with "
        "--train-file, or a folder written by save_to_disk"
    )
    if sources.dataset_revision or sources.streaming:
        raise InputError(unreachable)
    try:
        with _cache_only():
            return _load(sources, {})
    except InputError as error:
        # A configuration is not in the cache: the message says which ones are.
        if "--dataset-config-name" in str(error):
            raise
        raise InputError(unreachable) from error


def _load(sources: Sources, options: dict[str, Any]) -> Mapping[str, Any]:
    try:
        return datasets.load_dataset(sources.dataset_name, sources.dataset_config_name, **options)
    except Exception as error:
        message = _first_lines(error)
        option = " (--dataset-config-name)" if "config" in message.lower() else ""
        raise InputError(f"{sources.dataset_name}: cannot be loaded: {message}{option}") from error


def _hub_answers(sources: Sources) -> bool:
    """Checks once whether the data set exists, because `datasets` would query an unresponsive Hub for half a minute."""
    name, revision = str(sources.dataset_name), sources.dataset_revision
    try:
        HfApi().dataset_info(name, revision=revision, timeout=SECONDS_TO_ANSWER)
    except GatedRepoError as error:
        raise InputError(f"{name}: the data set is gated; ask for access on its page and log in") from error
    except RevisionNotFoundError as error:
        raise InputError(f"{name}: the data set has no revision {revision!r} (--dataset-revision)") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(
            f"{name}: no such folder, and no such data set on the Hub (a private one needs a login)"
        ) from error
    except Exception:
        # No network, offline mode, a broken proxy, a timeout: each HTTP library has its own errors for these.
        return False
    return True


@contextmanager
def _cache_only() -> Iterator[None]:
    """Makes `datasets` use its cache immediately."""
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _split_names(found: Mapping[str, Any], sources: Sources) -> dict[str, str]:
    """The data set's names of our splits."""
    available = list(found)
    validation = next((name for name in VALIDATION_NAMES if name in available), None)
    names = {
        "train": sources.train_split,
        "validation": sources.validation_split or validation,
        "test": sources.test_split or ("test" if "test" in available else None),
    }
    for ours, theirs in names.items():
        if theirs is not None and theirs not in available:
            place = f"{sources.dataset_name}: no split {theirs!r} (--{ours}-split)"
            raise InputError(f"{place}; its splits are {', '.join(available)}{_close(theirs, available)}")
    return {ours: theirs for ours, theirs in names.items() if theirs is not None}


def _close(value: str, names: list[str]) -> str:
    hint = nearest(value, names)
    return hint if "did you mean" in hint else ""


def _in_memory(rows: Any, cap: int | None, place: str) -> Dataset:
    """Downloads the first rows of a stream, and no others."""
    if not isinstance(rows, IterableDataset):
        return rows
    try:
        return Dataset.from_list(list(rows if cap is None else rows.take(cap)), features=rows.features)
    except Exception as error:
        raise InputError(f"{place}: cannot be read further: {_first_lines(error)}") from error


def _first_lines(error: Exception) -> str:
    """The first two lines of a library's message, as one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
