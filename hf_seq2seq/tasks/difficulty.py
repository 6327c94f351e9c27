"""How difficult a row is: one number per row, larger for harder."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hf_seq2seq.data.cells import column_cells
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.frames import Frames
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.data.rows import shown
from hf_seq2seq.data.sources import row_number
from hf_seq2seq.decoding.pipeline import Model, make_generator
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.metrics.error_rate import edit_distance
from hf_seq2seq.presentation import DIFFICULTIES
from hf_seq2seq.saved.loading import is_classifier, load_config, load_seq2seq
from hf_seq2seq.saved.model_paths import local_copy
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Task

if TYPE_CHECKING:
    from datasets import Dataset

COMMON_PATTERNS = 50
COMMON_WORDS = 100
SLOT = "\0"
"""What stands for every word of a pattern that is not among the most frequent."""


def length(examples: Examples) -> np.ndarray:
    """Tokens of each source, `(rows,)`."""
    return examples.source.lengths.astype(np.float64)


def rarity(examples: Examples) -> np.ndarray:
    """The negative log-likelihood of each source under the relative frequencies of its tokens, `(rows,)`.

    d(s) = -sum over k of log p(w_k), in nats. Longer sources and rarer tokens are more difficult.

    Paper: Platanios et al., 2019, equation 2, https://aclanthology.org/N19-1119
    """
    ids, offsets = examples.source.values, examples.source.offsets
    counts = np.bincount(ids)
    surprise = -np.log(np.maximum(counts, 1) / len(ids))
    sums = np.concatenate([[0.0], np.cumsum(surprise[ids])])
    return sums[offsets[1:]] - sums[offsets[:-1]]


def source_to_target(examples: Examples) -> np.ndarray:
    """The edit distance in characters between each source and its first reference, `(rows,)`.

    Raises:
        InputError: there are no targets.
    """
    if examples.references is None:
        raise InputError("--difficulty edit_distance needs pairs of texts, which this task lacks")
    pairs = zip(examples.texts, examples.references, strict=True)
    return np.array([edit_distance(source, references[0]) for source, references in pairs], dtype=np.float64)


def to_patterns(examples: Examples) -> np.ndarray:
    """The edit distance of each source to the nearest of the 50 commonest patterns, `(rows,)`.

    A pattern is a source whose words are replaced by one slot, unless they are among the 100 most frequent; distances
    count words. Sources of single words are compared by characters instead.
    """
    texts = [re.findall(r"\w+|[^\w\s]", text) for text in examples.texts]
    if sum(map(len, texts)) < 2 * len(texts):
        texts = [list(text) for text in examples.texts]
    frequent = _frequent(texts)
    patterns = [_pattern(words, frequent) for words in texts]
    counts = Counter(patterns)
    common = [pattern for pattern, _ in counts.most_common(COMMON_PATTERNS)]
    distances = {pattern: _to_nearest(pattern, common) for pattern in counts}
    return np.array([distances[pattern] for pattern in patterns], dtype=np.float64)


def _frequent(texts: Sequence[Sequence[str]]) -> set[str]:
    counts = Counter(word.lower() for words in texts for word in words)
    return {word for word, _ in counts.most_common(COMMON_WORDS)}


def _pattern(words: Sequence[str], frequent: set[str]) -> tuple[str, ...]:
    return tuple(word if word in frequent else SLOT for word in map(str.lower, words))


def _to_nearest(pattern: tuple[str, ...], common: Sequence[tuple[str, ...]]) -> int:
    best = len(pattern) + max(map(len, common))
    for other in sorted(common, key=lambda other: abs(len(other) - len(pattern))):
        if abs(len(other) - len(pattern)) >= best:
            break
        best = min(best, edit_distance(pattern, other))
    return best


MEASURES = {
    "length": length,
    "rarity": rarity,
    "edit_distance": source_to_target,
    "pattern_distance": to_patterns,
}
"""The measures that need the rows alone."""


def difficulty_of(examples: Examples, measure: str) -> np.ndarray | None:
    """The difficulty of every row, `(rows,)`; None where the measure is the name of a column.

    Raises:
        InputError: it reads texts, and sources are feature matrices.
    """
    if measure in MEASURES and measure != "length" and isinstance(examples.source, Frames):
        raise InputError(f"--difficulty {measure}: reads texts, and sources are feature matrices; length counts frames")
    return MEASURES[measure](examples) if measure in MEASURES else None


@dataclass(frozen=True)
class _Scoring:
    """The sections that a generator is made from."""

    model: Model
    decoding: Search


def loss_under(path: str, task: Task) -> np.ndarray:
    """The mean loss per target token of each training row under a trained model, on the CPU, `(rows,)`, in nats.

    Raises:
        InputError: there is no such model, it is a classifier, or the rows are not pairs of texts.
    """
    examples = task.splits["train"]
    if is_dialogue(flatten(task.config)):
        raise InputError("--difficulty loss: scores pairs, not the replies of conversations; choose another measure")
    if examples.references is None:
        raise InputError("--difficulty loss needs pairs of texts, which this task lacks")
    place = local_copy(path)
    if is_classifier(load_config(place)):
        raise InputError(f"--difficulty-model: {path} is a classifier; it needs a model of pairs")
    model, tokenizers, settings = load_seq2seq(place)
    search = Search(per_device_eval_batch_size=task.config.decoding.per_device_eval_batch_size)
    sections = _Scoring(Model(), search)
    values = {"per_device_eval_batch_size": search.per_device_eval_batch_size}
    generator = make_generator(sections, values, model, tokenizers, settings)
    found, _ = generator.likelihoods([*examples.texts], [references[:1] for references in examples.references])
    return -found[:, 0] / found[:, 1]


def column_of_numbers(table: "Dataset | None", column: str) -> np.ndarray:
    """The numbers in a column of the training rows, `(rows,)`.

    Raises:
        InputError: there is no such column, or a cell is not a finite number.
    """
    names = [] if table is None else table.column_names
    if table is None or column not in names:
        raise InputError(
            f"--difficulty: {column!r} is neither a measure nor a column of the training rows"
            f"{nearest(column, [*DIFFICULTIES, *names])}"
        )
    cells = column_cells(table, column).to_pylist()
    numbers = np.empty(len(cells))
    for index, cell in enumerate(cells):
        try:
            numbers[index] = math.nan if isinstance(cell, bool) else float(cell)
        except (TypeError, ValueError):
            numbers[index] = math.nan
        if not math.isfinite(numbers[index]):
            raise InputError(
                f"--difficulty {column}: row {row_number(table, index)}: {shown(cell)} is not a number; "
                "every training row needs one"
            )
    return numbers
