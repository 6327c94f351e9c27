"""Training rows whose targets are replaced by a teacher's outputs; all other cells are kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, tee
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_seq2seq.cli.source_rows import read_sources, source_columns
from hf_seq2seq.data.rows import Row, cell_place, names_of, read_rows, shown
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option

if TYPE_CHECKING:
    from hf_seq2seq.decoding.minimum_bayes_risk import Utility
    from hf_seq2seq.saved.run_settings import RunSettings

REFERENCE = "reference"
"""Column of the targets that were replaced."""
NEW_TARGET = "target"
"""Column of the outputs for rows without a target."""


@dataclass(frozen=True, kw_only=True)
class DistillRows(Section):
    """Input and output."""

    train_file: str | None = option(None, "Training rows, as for `train`; also two line-aligned files: a.de,a.en.")
    source_column: str | None = option(None, "Column of the source text.", aliases=("text_column",))
    target_column: str | None = option(None, "Column of the target, for the outputs.", aliases=("summary_column",))
    context_column: str | None = option(None, "Column of a question's context.")
    source_template: str | None = option(None, "Source text composed of several columns, such as '{lemma} {features}'.")
    source_lang: str | None = option(None, "Source language: key in `translation` columns, and file suffix.")
    target_lang: str | None = option(None, "Target language, likewise.")
    encoding: str = option("utf-8", "Encoding of the input.")
    max_train_samples: int | None = option(None, "Read at most this many rows, the first ones.", at_least=1)
    output_file: str | None = option(
        None, "File of JSON lines to write: the rows with the teacher's outputs as targets."
    )
    keep_reference: bool = option(False, "Keep the file's own target beside, in the column 'reference'.")
    nearest_to_reference: str | None = option(
        None, "Of the n best outputs, write the one most similar to the file's own target by this metric."
    )

    @property
    def input_file(self) -> str:
        """The training rows, by the name that `generate` gives them."""
        return str(self.train_file)


class Item(NamedTuple):
    """A training row, and the source that the teacher reads."""

    row: Row
    source: str


def read_training_rows(
    options: DistillRows, names: Sequence[str | None], numbered: bool = False
) -> tuple[Iterator[Row], list[Row]]:
    """The rows of the file that `--train-file` names, read lazily, and its first ones.

    Raises:
        InputError: the file cannot be read, has no rows, or contains conversations.
    """
    from hf_seq2seq.data.columns.conventions import messages_column
    from hf_seq2seq.data.samples import resolve_sample
    from hf_seq2seq.data.tabbed_text import split_stream_at_tabs

    place = options.input_file
    path = resolve_sample(place)
    languages = (options.source_lang, options.target_lang)
    rows, sample = read_rows(None, path, options.encoding, names, numbered, languages)
    if messages_column(sample) is not None:
        raise InputError(f"--train-file {place}: contains conversations; only pairs of source and target are distilled")
    return (rows, sample) if options.source_column else split_stream_at_tabs(rows, sample, place, numbered)


def with_languages(options: DistillRows, sample: list[Row]) -> DistillRows:
    """The options with the columns that `--source-lang` and `--target-lang` name, where none is given.

    Raises:
        InputError: a column of translations lacks a language.
    """
    from hf_seq2seq.configs import PairData
    from hf_seq2seq.data.columns.pairs import given_columns

    source_lang = None if options.source_template else options.source_lang
    data = PairData(source_lang=source_lang, target_lang=options.target_lang)
    source, target = given_columns(names_of(sample), sample, data, options.input_file)
    source, target = options.source_column or source, options.target_column or target
    return replace(options, source_column=source, target_column=target)


def read_items(rows: Iterator[Row], sample: list[Row], options: DistillRows, settings: "RunSettings") -> Iterator[Item]:
    """Each row with its source.

    Raises:
        InputError: columns cannot be found; during iteration, a cell is not text.
    """
    rows, again = tee(islice(rows, options.max_train_samples))
    sources = read_sources(again, sample, options, settings, options.input_file)
    return (Item(row, sourced.source) for row, sourced in zip(rows, sources, strict=True))


def find_target(sample: list[Row], options: DistillRows, settings: "RunSettings") -> str:
    """The column of the target: from the flag, the training run, or detected; a new one for rows of sources only.

    Raises:
        InputError: several columns could be the target.
    """
    from hf_seq2seq.configs import PairData
    from hf_seq2seq.data.columns.finding import candidates, cell
    from hf_seq2seq.data.columns.pairs import find_pair_columns

    names, trained = names_of(sample), settings.run.get("target_column")
    if options.target_column or trained in names:
        return options.target_column or str(trained)
    sources = source_columns(sample, options, settings)
    left = [name for name in names if name == sources[0] or name not in sources]
    outer, _, inner = sources[0].rpartition(".")
    texts = cell(sample[0], outer) if outer and sources[0] not in names else None
    if isinstance(texts, Mapping) and len(texts) == 2:  # languages, one of which is the source
        return f"{outer}.{next(name for name in texts if name != inner)}"
    if not candidates([name for name in left if name != sources[0]]):
        return NEW_TARGET
    data = PairData(source_column=sources[0], target_lang=settings.run.get("target_lang"))
    return find_pair_columns(left, sample, data, options.input_file)[1]


@dataclass(frozen=True)
class Distilled:
    """Makes rows to train on from a row and the teacher's outputs for it.

    Attributes:
        target: the column of the target; a dotted name is a cell of an object.
        keep: whether to keep the row's own target.
        metric: of several outputs, choose the nearest to the row's own target by it.
        place: the file, for errors.
    """

    target: str
    keep: bool = False
    metric: str | None = None
    place: str = ""

    def of(self, row: Row, outputs: Sequence[str], number: int) -> list[Row]:
        """One row per output, or one with the nearest; none of empty outputs.

        Args:
            row: the row.
            outputs: the teacher's, best first.
            number: of the row, from 1, for errors.

        Raises:
            InputError: the row's own target is needed, and is not text.
        """
        written = [text for text in dict.fromkeys(outputs) if text.strip()]
        own = self._references(row, number) if self.metric or self.keep else []
        if self.metric and written:
            written = [max(written, key=lambda text: max(self._utility(text, each) for each in own))]
        found = [replaced(row, self.target, text) for text in written]
        return [{**each, self._free(row): own[0] if len(own) == 1 else own} for each in found] if self.keep else found

    @cached_property
    def _utility(self) -> "Utility":
        from hf_seq2seq.decoding.minimum_bayes_risk import utility_of

        return utility_of(str(self.metric))

    def _references(self, row: Row, number: int) -> list[str]:
        """The row's own targets."""
        from hf_seq2seq.data.columns.finding import cell

        value = cell(row, self.target)
        value = value.get("text") if isinstance(value, Mapping) else value
        found: list[Any] = value if isinstance(value, list) else [value]
        if not found or not all(isinstance(text, str) for text in found):
            needed = "--nearest-to-reference" if self.metric else "--keep-reference"
            raise InputError(f"{cell_place(self.place, number, self.target)}: {shown(value)} is no text ({needed})")
        return found

    @staticmethod
    def _free(row: Row) -> str:
        name = REFERENCE
        while name in row:
            name = f"own_{name}"
        return name


def replaced(row: Row, column: str, text: str) -> dict[str, Any]:
    """The row with a text as the cell of a column; the outer cells of a dotted name are copied."""
    if column in row or "." not in column:
        return {**row, column: text}
    outer, inner = column.rsplit(".", 1)
    from hf_seq2seq.data.columns.finding import cell

    holder = cell(row, outer)
    inside = {**holder, inner: text} if isinstance(holder, Mapping) else {inner: text}
    return replaced(row, outer, inside)  # type: ignore[arg-type]
