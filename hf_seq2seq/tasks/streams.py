"""Runs on streams: pairs of which a buffer at a time is in memory."""

import logging
from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hf_seq2seq.configs import PairData, Sources, TextRunConfig
from hf_seq2seq.data.annotated_text import AnnotatedText
from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.files.patterns import shards
from hf_seq2seq.data.files.readers import PlacedRow, iterate_placed
from hf_seq2seq.data.named_sets import load_named, open_stream
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.data.splits import Splits
from hf_seq2seq.data.streams import LocalRows, Stream, StreamedRows, buffer_of
from hf_seq2seq.data.tabbed_text import split_at_tabs
from hf_seq2seq.errors import InputError
from hf_seq2seq.task import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamedPairs(Pairs):
    """The pairs of the first buffer of a stream.

    Attributes:
        stream: all rows.
        read: makes pairs of a buffer.
    """

    stream: Stream | None = None
    read: Callable[[list[PlacedRow]], Pairs] | None = None


def is_streamed(data: PairData) -> bool:
    """Whether training rows are read during training, and not only the first ones before."""
    return data.streaming and data.max_train_samples is None


def read_streamed(config: TextRunConfig, data: PairData) -> dict[str, Pairs]:
    """The pairs of the first buffer as training rows, and the other splits as without a stream.

    Raises:
        InputError: options do not go with a stream, or rows cannot be read.
    """
    _check(config, data)
    stream, place = _stream(data)
    first, after = stream.read(stream.start)
    if after["round"] > stream.start["round"]:
        least = "leave out --streaming, or give a smaller --shuffle-buffer-size"
        logger.warning("%s: has fewer rows than a buffer of %s, which repeats them; %s", place, len(first), least)
    rows = buffer_of(first, place, data, logger.warning)
    others = _others(data)
    places = {"train": place} | {split: others.place(split) for split in others}
    pairs = read_pairs(Splits({"train": rows, **others.each(split_at_tabs)}, places), data)
    train = pairs["train"]
    if any(isinstance(text, AnnotatedText) for text in train.sources[:1]):
        raise InputError("--streaming: rows that name their languages or have features cannot be streamed")

    if set(train.columns) <= set(rows.column_names):  # what the first rows show holds for all
        data = replace(data, source_column=train.columns[0], target_column=train.columns[1])

    def read(rows: list[PlacedRow]) -> Pairs:
        buffer = buffer_of(rows, place, data, logger.debug)  # the first one's warnings suffice
        return read_pairs(Splits({"train": buffer}, {"train": place}), data)["train"]

    logger.warning("%s: is streamed; its first %s rows stand for all in what is chosen and told", place, len(rows))
    streamed = StreamedPairs(train.sources, train.references, train.columns, stream=stream, read=read)
    return pairs | {"train": streamed}


def _stream(data: PairData) -> tuple[Stream, str]:
    size = data.shuffle_buffer_size
    if data.dataset_name:
        place = f"{data.dataset_name}, split {data.train_split}"
        return Stream(open_stream(data), place, size), place
    file, languages = str(data.train_file), (data.source_lang, data.target_lang)
    files = shards(file, languages)  # says what is missing before anything else is read
    named = (data.source_column, data.target_column, data.context_column, *languages)
    read = partial(iterate_placed, file, data.encoding, Header.of(*named), languages)
    local = LocalRows(read, tuple(path for paths in files for path in paths))
    return Stream(local.stream(), file, size, local), file


def _others(data: PairData) -> Splits:
    """Validation and test rows, which are in memory."""
    own = replace(
        data,
        streaming=False,
        shuffle_buffer_size=Sources.shuffle_buffer_size,
        train_file=None,
        validation_split_percentage=0,
    )
    if data.dataset_name:
        hub = load_named(replace(data, streaming=True), without="train")
        files = replace(own, dataset_name=None)
        read = load_splits(files) if data.validation_file or data.test_file else Splits({}, {})
        places = {split: f"{data.dataset_name}, split {split}" for split in hub}
        return Splits({**hub, **read}, places | {split: read.place(split) for split in read})
    return load_splits(own) if data.validation_file or data.test_file else Splits({}, {})


def _check(config: TextRunConfig, data: PairData) -> None:
    """Rejects what needs all rows at once."""
    if config.schedule.max_steps is None:
        first = " (or --max-train-samples, to read only the first rows)" if data.dataset_name else ""
        raise InputError(f"--streaming: a stream has no end that is known, so give --max-steps{first}")
    asked: dict[str, Any] = {
        "--deduplicate": data.deduplicate,
        "--train-samples-seed": data.train_samples_seed is not None,
        "--validation-split-percentage": data.validation_split_percentage,
        "--curriculum": config.curriculum.curriculum is not None,
        "--stages": config.staging.stages is not None,
        str(config.subwords.asked_for): config.subwords.asked_for,
    }
    for name, value in asked.items():
        if value:
            raise InputError(f"--streaming and {name}: it needs all rows at once; leave out one of them")
    if data.dataset_name and data.train_file:
        raise InputError("--train-file and --dataset-name: give only one of them")
    if not data.dataset_name and not data.train_file:
        raise InputError("no training rows: give --train-file or --dataset-name")


def with_stream(task: Task, rows: Sized, encode: Callable[[Pairs], Examples]) -> Task:
    """The task with its training rows out of the stream; `encode` makes examples of pairs.

    Raises:
        InputError: the objective looks rows up by their numbers.
    """
    if not isinstance(rows, StreamedPairs) or rows.stream is None or rows.read is None:
        return task
    if task.objective.reads_rows:
        raise InputError("--streaming: this loss looks rows up, which a stream does not keep")
    read = rows.read
    return replace(
        task,
        presented=StreamedRows(task.splits["train"], rows.stream, lambda found: encode(read(found))),
    )
