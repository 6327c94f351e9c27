"""The model's input from the rows given to a command: a text of one or several columns, or messages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.annotated_text import annotated
from hf_seq2seq.data.rows import Row, names_of, source_cell
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from hf_seq2seq.decoding.pipeline import Spoken
    from hf_seq2seq.saved.run_settings import RunSettings


class SourceOptions(Protocol):
    """The flags that select the columns of sources."""

    @property
    def input_file(self) -> str | None: ...  # noqa: D102
    @property
    def source_column(self) -> str | None: ...  # noqa: D102
    @property
    def context_column(self) -> str | None: ...  # noqa: D102
    @property
    def source_template(self) -> str | None: ...  # noqa: D102


class Sourced(NamedTuple):
    """The model's input from a row, a text or messages, and the row's other columns."""

    source: Any
    others: Row


def named_columns(options: SourceOptions) -> list[str | None]:
    """The columns named by flags, by number for a file without a header."""
    from hf_seq2seq.data.columns.templates import template_columns

    filled = template_columns(options.source_template) if options.source_template else []
    return [options.source_column, options.context_column, *filled]


def read_sources(
    rows: Iterator[Row],
    sample: list[Row],
    options: SourceOptions,
    settings: "RunSettings",
    place: str,
    spoken: Mapping[str, str] | None = None,
) -> Iterator[Sourced]:
    """The source text of each row: from the columns given by flags, the training run, or usual names.

    Args:
        rows: all rows.
        sample: the first rows of a file; empty for texts given one by one.
        options: the flags.
        settings: settings of the training run.
        place: the file, for messages.
        spoken: the columns that name languages, as `language_columns` finds them.

    Raises:
        InputError: columns cannot be found; during iteration, a cell is not text.
    """
    from hf_seq2seq.data.tabbed_text import split_stream_at_tabs

    if spoken:
        left = [{name: value for name, value in row.items() if name not in spoken.values()} for row in sample]
        found = read_sources(rows, left, options, settings, place)
        return (Sourced(_in_language(*row, spoken), row.others) for row in found)
    if sample and not options.source_column:
        rows, sample = split_stream_at_tabs(rows, sample, place, settings.numbered)
    if template := _template(sample, options, settings):
        return _filled(rows, template, place)
    return _texts(rows, (_column(sample, options, settings), _context_column(sample, options, settings)), place)


def read_inputs(
    found: Iterator[Row],
    sample: list[Row],
    options: SourceOptions,
    settings: "RunSettings",
    place: str,
    network: Any,
    spoken: Mapping[str, str],
) -> Iterator[Sourced]:
    """As `read_sources`, and for a model of feature matrices or with features beside texts, what it reads."""
    from hf_seq2seq.data.columns.finding import named_column
    from hf_seq2seq.data.features import FeatureSpace

    if getattr(network.config, "input_width", None) is not None:
        trained, names = settings.run.get("frames_column"), names_of(sample)
        column = options.source_column or (trained if trained in names or len(names) > 1 else next(iter(names), "text"))
        return _matrices(found, str(column), place)
    space = FeatureSpace.of_config(network.config)
    if space is None:
        return read_sources(found, sample, options, settings, place, spoken)
    names = names_of(sample)
    if len(names) > 1 and (lacking := next((name for name in space.columns if name not in names), None)):
        named_column(names, sample, "feature_columns", lacking, place)
    left = [{name: value for name, value in row.items() if name not in space.columns} for row in sample]
    read = read_sources(found, left, options, settings, place, spoken)
    return (Sourced(_featured(*row, space.columns, place, number), row.others) for number, row in enumerate(read, 1))


def _matrices(rows: Iterator[Row], column: str, place: str) -> Iterator[Sourced]:
    """The feature matrix in a column of each row."""
    from hf_seq2seq.data.frames import matrix_row

    for number, row in enumerate(rows, start=1):
        others = {name: value for name, value in row.items() if name != column}
        yield Sourced(matrix_row(row.get(column), f"{place}: row {number}", Path(place).parent), others)


def _featured(source: Any, others: Row, columns: Sequence[str], place: str, number: int) -> Any:
    from hf_seq2seq.data.features import featured, split_features

    found = {name: split_features(others.get(name), f"{place}: row {number}, column {name!r}") for name in columns}
    return featured([source], [found])[0] if isinstance(source, str) else source


def language_columns(sample: list[Row], given: "Spoken", settings: "RunSettings") -> dict[str, str]:
    """The columns that name the languages of sources and outputs, by side, unless a flag names one for all rows."""
    from hf_seq2seq.data.row_languages import language_columns as columns

    names = names_of(sample)
    trained = {f"{side}_lang_column": settings.run.get(f"{side}_lang_column") for side in ("source", "target")}
    known = {option: column for option, column in trained.items() if column in names}
    found = columns(names, PairData(source_lang=given.source_lang, target_lang=given.target_lang, **known))
    return {side: column for side, column in found.items() if getattr(given, f"{side}_lang") is None}


def _in_language(source: Any, others: Row, columns: Mapping[str, str]) -> Any:
    """A text with the languages that its row names."""
    if not isinstance(source, str):
        return source
    codes = {side: others.get(column) for side, column in columns.items()}
    source_lang, target_lang = (str(codes[side]) if codes.get(side) else None for side in ("source", "target"))
    return annotated(source).in_language(source_lang, target_lang)


def _template(sample: list[Row], options: SourceOptions, settings: "RunSettings") -> str | None:
    """How a source is composed of several columns: from the flag, the training run, or well-known names."""
    from hf_seq2seq.data.columns.finding import named_column
    from hf_seq2seq.data.columns.templates import template_columns, usual_template

    names, trained = names_of(sample), settings.run.get("source_template")
    if options.source_template:
        if options.source_column or options.context_column:
            other = "--source-column" if options.source_column else "--context-column"
            raise InputError(f"--source-template and {other}: give only one of them")
        for column in template_columns(options.source_template):
            named_column(names, sample, "source_template", column, str(options.input_file))
        return options.source_template
    if options.source_column or options.context_column:
        return None
    if trained and {column.split(".")[0] for column in template_columns(trained)} <= set(names):
        return str(trained)
    return usual_template(names)


def _column(sample: list[Row], options: SourceOptions, settings: "RunSettings") -> str:
    """The column of the source: from the flag, the training run, or detected."""
    if not sample:
        return "text"
    from hf_seq2seq.data.columns.pairs import find_source_column, source_as_trained

    run, names, place = settings.run, names_of(sample), str(options.input_file)
    trained, target = run.get("source_column"), getattr(options, "target_column", None)
    column = options.source_column or (trained if trained in names else None)
    data = PairData(source_column=column, source_lang=run.get("source_lang"))
    if column or "source_column" not in run:
        return find_source_column(names, sample, data, place)
    return source_as_trained(names, sample, data, place, target or run.get("target_column"))


def _context_column(sample: list[Row], options: SourceOptions, settings: "RunSettings") -> str | None:
    """The column of a question's context: from the flag or the training run."""
    trained = settings.run.get("context_column")
    return options.context_column or (trained if trained in names_of(sample) else None)


def source_flags(sample: list[Row], options: SourceOptions, settings: "RunSettings") -> dict[str, str]:
    """The flags that make another command read the same sources, by name.

    Raises:
        InputError: columns cannot be found.
    """
    if template := _template(sample, options, settings):
        return {"source_template": template}
    found = {"source_column": _column(sample, options, settings)}
    context = _context_column(sample, options, settings)
    return found | ({"context_column": context} if context else {})


def source_columns(sample: list[Row], options: SourceOptions, settings: "RunSettings") -> list[str]:
    """The columns that sources are read from.

    Raises:
        InputError: columns cannot be found.
    """
    from hf_seq2seq.data.columns.templates import template_columns

    found = source_flags(sample, options, settings)
    return template_columns(found["source_template"]) if "source_template" in found else list(found.values())


def _filled(rows: Iterator[Row], template: str, place: str) -> Iterator[Sourced]:
    """The sources composed of several columns by a template."""
    from hf_seq2seq.data.columns.templates import fill, template_columns

    columns = template_columns(template)
    for number, row in enumerate(rows, start=1):
        others = {name: value for name, value in row.items() if name not in columns}
        yield Sourced(fill(template, row, f"{place}: row {number}"), others)


def _texts(rows: Iterator[Row], columns: tuple[str, str | None], place: str) -> Iterator[Sourced]:
    """The text of a column, or a question with its context."""
    from hf_seq2seq.data.columns.templates import about

    for number, row in enumerate(rows, start=1):
        others = {name: value for name, value in row.items() if name not in columns}
        found = [source_cell(row, column, number, place) for column in columns if column]
        yield Sourced(about(*found) if len(found) > 1 else found[0], others)


def read_histories(
    rows: Iterator[Row], sample: list[Row], options: SourceOptions, settings: "RunSettings", place: str
) -> Iterator[Sourced]:
    """The messages of each row; a source text is a single user message, and a blank one gets no reply.

    Raises:
        InputError: as for `read_sources`; during iteration, a cell is not a list of messages to reply to.
    """
    from hf_seq2seq.data.columns.conventions import messages_column
    from hf_seq2seq.data.columns.finding import cell

    trained, names = settings.run.get("source_column"), names_of(sample)
    column = options.source_column or (trained if trained in names else None) or messages_column(sample)
    if column is None or any(isinstance(cell(row, column), str) for row in sample):
        if _are_turns(sample):
            raise InputError(
                f"{place}: numbered lines are the turns of dialogues, and here each row is a text to reply to; write "
                f"what came before as a column of messages, or score all replies by evaluate --test-file {place}"
            )
        for text, others in read_sources(rows, sample, options, settings, place):
            yield Sourced([{"role": "user", "content": text}] if text.strip() else "", others)
        return
    yield from _messages(rows, column, place)


def _are_turns(sample: list[Row]) -> bool:
    """Whether rows are lines of the bAbI dialogues: `1 hi TAB hello`, then `2 a table for two TAB ok`."""
    texts = [text for row in sample if (text := str(next(iter(row.values()), "")).strip())]
    numbers = [int(found[1]) if (found := re.match(r"(\d{1,4}) ", text)) else 0 for text in texts]
    return len(numbers) > 1 and numbers[0] == 1 and all(b in (1, a + 1) for a, b in pairwise(numbers))


def _messages(rows: Iterator[Row], column: str, place: str) -> Iterator[Sourced]:
    from hf_seq2seq.data.columns.finding import cell
    from hf_seq2seq.data.messages import check_messages

    for number, row in enumerate(rows, start=1):
        others = {name: value for name, value in row.items() if name != column}
        messages = check_messages(cell(row, column), f"{place}: row {number}, column {column!r}", reply=False)
        yield Sourced(messages, others)
