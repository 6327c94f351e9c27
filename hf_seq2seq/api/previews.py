"""Previews of a recipe's data and cost, without training or writing anything."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_seq2seq.api.recipe_files import Recipe
from hf_seq2seq.configs import RunConfig, Sources
from hf_seq2seq.sections import section_of
from hf_seq2seq.training.processes import show_only
from hf_seq2seq.training.unused_columns import describe_unused

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

    from hf_seq2seq.data.examples import Examples
    from hf_seq2seq.task import Task

EXAMPLES = 3
TOKENS_SHOWN = 32
CHARACTERS_SHOWN = 500


@dataclass(frozen=True)
class Preview:
    """A preview of a run; `print` shows it like the command line.

    Attributes:
        recipe: its name.
        columns: the detected columns, by role: `{"source": "de", "target": "en"}`.
        rows: number of rows of each split.
        labels: the labels in the order of their ids; empty for texts.
        examples: the first training rows as the model sees them, a list of lines each.
        parameters: number of parameters of the model.
        text: the whole preview as text.
    """

    recipe: str
    columns: dict[str, str]
    rows: dict[str, int]
    labels: tuple[str, ...]
    examples: list[list[str]]
    parameters: int
    text: str

    def __str__(self) -> str:
        """The whole preview."""
        return self.text


def preview_run(recipe: Recipe, config: RunConfig) -> Preview:
    """Prepares a run and describes its rows, columns, lengths, a few examples, parameters and memory.

    Args:
        recipe: the recipe's module.
        config: the recipe's configuration; its GPUs are selected if torch is not imported yet.

    Raises:
        InputError: as the run would raise.
    """
    show_only(config.run)
    # A finished run's configuration can also be previewed: nothing is written, so nothing is overwritten.
    run = replace(config.run, overwrite_output_dir=True, resume_from_checkpoint=None)
    if "output_dir" not in (
        getattr(config, "given", None) or ()
    ):  # the usual one is below the current folder, which may be read-only
        run = replace(run, output_dir=str(Path(tempfile.gettempdir()) / "hf-seq2seq-preview"))
    task = recipe.prepare(replace(config, run=run))
    examples = [describe_example(task, row) for row in range(min(EXAMPLES, len(task.splits["train"])))]
    rows = {split: len(found) for split, found in task.splits.items()}
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    text = "\n".join(_page(task, examples))
    return Preview(task.recipe, dict(task.columns), rows, tuple(task.label_names), examples, parameters, text)


def _page(task: "Task", examples: list[list[str]]) -> Iterator[str]:
    from hf_seq2seq.data.shared_rows import describe_shared, hint_on_shared
    from hf_seq2seq.data.statistics import remarks
    from hf_seq2seq.defaults.choosing import describe
    from hf_seq2seq.hub.reading import describe_reading

    yield f"recipe      {task.recipe}"
    yield f"columns     {', '.join(f'{role}: {column}' for role, column in task.columns.items())}"
    for line in describe_unused(task):
        yield f"unused      {line}"
    for line in _layouts(task):
        yield f"files       {line}"
    if task.label_names:
        yield f"labels      {', '.join(task.label_names)}"
    for line in describe(task.config.derived):
        yield f"chosen      {line}"
    for line in task.training_rows.describe():
        yield f"order       {line}"
    yield f"vocabulary  {_vocabulary(task)}"
    yield f"\n{_lengths(task)}\n"
    for line in [
        *remarks(task.splits["train"], task.tokenizers),
        *describe_reading(task),
        *describe_shared(task.splits, hint_on_shared(task.config)),
    ]:
        yield f"{line}\n"
    for number, lines in enumerate(examples, start=1):
        yield f"example {number}"
        for line in lines:
            yield f"  {line}"
    yield f"\n{_size(task)}"


def _layouts(task: "Task") -> list[str]:
    """One line per csv or tsv file: its separator, and whether it has a header."""
    from hf_seq2seq.data.files.readers import layout_of
    from hf_seq2seq.data.sources import paths_of

    data = section_of(task.config, Sources)
    if data is None:
        return []
    columns = [name for found in task.columns.values() for name in found.split(", ")]
    lines = []
    for path in paths_of(data):
        if layout := layout_of(path, data.encoding, columns):
            lines.append(f"{path}: {layout}")
    return lines


def _vocabulary(task: "Task") -> str:
    source, target = task.tokenizers.source, task.tokenizers.target
    if source is target:
        return f"{len(source):,} pieces"
    return f"{len(source):,} source pieces, {len(target):,} target pieces"


def _lengths(task: "Task") -> str:
    """One line per split and side: percentiles of lengths in tokens, shares of truncated rows and of unknown tokens."""
    from hf_seq2seq.data.evaluation_sets import title_of
    from hf_seq2seq.data.statistics import PERCENTILES, describe_lengths
    from hf_seq2seq.data.tokenizers.unknown import percent

    header = ["split", "rows", "side", *(f"{p}%" for p in PERCENTILES), "tokens", "truncated", "unknown"]
    lines = []
    for split, examples in task.splits.items():
        for side, found in describe_lengths(examples, task.tokenizers).items():
            percentiles = [f"{found.percentiles[p]:,}" for p in PERCENTILES]
            lines.append(
                [
                    title_of(split),
                    f"{len(examples):,}",
                    side,
                    *percentiles,
                    f"{found.tokens:,}",
                    f"{found.truncated:.1f}%",
                    percent(found.unknown),
                ]
            )
    return _table([header, *lines])


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = {0, 2}
    lines = [
        "  ".join(c.ljust(w) if i in texts else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def describe_example(task: "Task", row: int) -> list[str]:
    """A training row as the model sees it: text, ids, pieces and mask, and those of the target."""
    import numpy as np

    train = task.splits["train"]
    batch = {name: tensor[0].numpy() for name, tensor in task.collate(train, np.array([row])).items()}
    lines = [f"text     {_shortened(train.texts[row])}"] if train.positions is None else []
    if "input_ids" in batch:
        lines += _tokens("source", batch["input_ids"], task.tokenizers.source)
    if "feature_ids" in batch:
        lines.append(f"features {_cut(batch['feature_ids'].reshape(-1))}")
    lines.append(f"mask     {_cut(batch['attention_mask'])}")
    if "token_type_ids" in batch:
        lines.append(f"segment  {_cut(batch['token_type_ids'])}")
    if "position_ids" in batch:
        lines.append(f"place    {_cut(batch['position_ids'])}")
    if "next_sentence_label" in batch:
        lines.append(f"label    {'another' if batch['next_sentence_label'] else 'next'}")
    if train.joined or train.positions is not None or task.problem.predicts_in_place:
        return lines + _next_tokens(train, row, batch["labels"], task.tokenizers.target)
    if "source_labels" in batch:
        lines += _next_tokens(train, row, batch["source_labels"], task.tokenizers.source)
    if train.target is not None:
        return lines + _target(train, row, batch["labels"], task.tokenizers.target)
    return [*lines, f"label    {task.problem.shown_label(task.label_names, batch['labels'])}"]


def _shortened(text: str) -> str:
    if len(text) <= CHARACTERS_SHOWN:
        return text
    return f"{text[:CHARACTERS_SHOWN]}… and {len(text) - CHARACTERS_SHOWN:,} more characters"


def _target(train: "Examples", row: int, labels: "np.ndarray", tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    return [*_reference(train, row), *_tokens("target", labels, tokenizer)]


def _reference(train: "Examples", row: int) -> list[str]:
    return [f"target   {_shortened(text)}" for text in (train.references[row] if train.references else [])[:1]]


def _next_tokens(train: "Examples", row: int, labels: "np.ndarray", tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The token to predict at each input, or that was masked there; a dot where nothing is predicted."""
    from hf_seq2seq.data.tokenizers.shown import readable_pieces

    shown = labels[:TOKENS_SHOWN]
    pieces = [readable_pieces(tokenizer, [int(i)])[0] if i >= 0 else "·" for i in shown]
    return [*_reference(train, row), f"learned  {' '.join(pieces)}{_more(labels)}"]


def _tokens(side: str, ids: "np.ndarray", tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    from hf_seq2seq.data.tokenizers.shown import readable_pieces

    pieces = readable_pieces(tokenizer, ids[:TOKENS_SHOWN].tolist())
    return [f"ids      {_cut(ids)}", f"pieces   {' '.join(pieces)}{_more(ids)}"]


def _cut(values: "np.ndarray") -> str:
    return " ".join(str(value) for value in values[:TOKENS_SHOWN]) + _more(values)


def _more(values: "np.ndarray") -> str:
    return f" … and {len(values) - TOKENS_SHOWN} more" if len(values) > TOKENS_SHOWN else ""


def _size(task: "Task") -> str:
    from hf_seq2seq.analysis.memory import estimate_memory

    memory = estimate_memory(task)
    evaluation = "" if task.problem.longest_output is None else " evaluation by beam search,"
    parts = "\n".join(f"  {name:12}{size / 2**20:10,.1f} MiB  {what}" for name, size, what in memory.parts)
    return (
        f"parameters  {memory.parameters:,}, of which {memory.trained:,} are trained\n"
        f"memory      {memory.total / 2**20:,.1f} MiB per process, estimated:\n{parts}\n"
        f"  not counted: the libraries themselves (about 500 MiB),{evaluation} the data"
    )
