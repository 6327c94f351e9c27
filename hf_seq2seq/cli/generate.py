"""`hf-seq2seq generate MODEL [TEXT]...`: write the target of every source."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TextIO

import typer

from hf_seq2seq.cli.commands import make_command
from hf_seq2seq.cli.options import Values, with_flags
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import beside, open_output, report_cut, report_outputs, report_unknown, write_json, write_text
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.arriving import Arriving
from hf_seq2seq.data.rows import Row, is_live, names_of, read_rows, text_cell
from hf_seq2seq.decoding.options import Search
from hf_seq2seq.decoding.pipeline import (
    Ensemble,
    Model,
    check_attention,
    check_search,
    load_model,
    load_others,
    make_generator,
)
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.decoding.streaming import TextGenerator
    from hf_seq2seq.saved.run_settings import RunSettings

DETAILS = ("score", "tokens", "log_probs", "alignment")
MESSAGES = "messages"


class Sourced(NamedTuple):
    """What the model reads of a row, a text or messages, and the row's other columns."""

    source: Any
    others: Row


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(None, "txt, csv, tsv, json, jsonl (each also .gz), parquet or arrow.")
    source_column: str | None = option(None, "Column of the source text.", aliases=("text_column",))
    context_column: str | None = option(None, "Column of the text that a question is about.")
    encoding: str = option("utf-8", "Encoding of the input.")
    output_file: str | None = option(None, "Where to write, in place of standard output.")
    json_lines: bool = option(False, "Write objects with source, prediction and the row's other columns.")
    output_details: tuple[str, ...] = option((), "More about each output in JSON lines.", choices=DETAILS)
    replace_unknown: bool = option(False, "Write the source word that an unknown word attends to.")
    target_column: str | None = option(None, "Write nothing, but score the text of this column.")


@dataclass(frozen=True)
class GenerateConfig:
    """The flags of `generate`."""

    rows: Rows = field(default_factory=Rows)
    model: Model = field(default_factory=Model)
    ensemble: Ensemble = field(default_factory=Ensemble)
    decoding: Search = field(default_factory=Search)


ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")]
Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEXT", help="Texts; without any, those of --input-file or of standard input."),
]


def build_command(name: str, help: str) -> Any:
    """The command."""
    return make_command(name, with_flags(generate, GenerateConfig), help)


def generate(model: ModelPath, texts: Texts = None, *, values: Values) -> None:
    """Writes the target of every source, in the input's order."""
    config = build(GenerateConfig, values, origin="generate")
    from hf_seq2seq.data.conversations import is_dialogue
    from hf_seq2seq.data.tabbed_text import split_stream_at_tabs
    from hf_seq2seq.saved.run_settings import trained_names

    options = config.rows
    check_search(config.decoding, values)
    if options.output_details and not options.json_lines:
        raise InputError("--output-details: text has no place for them; add --json-lines")
    if config.model.engine == "ctranslate2":
        check_exported(config)
    names = (options.source_column, options.context_column, options.target_column, *trained_names(model))
    rows, sample = read_rows(texts, options.input_file, options.encoding, names)
    live = is_live(texts, options.input_file)
    with open_output(options.output_file, options.input_file, live) as stream:
        network, tokenizers, settings = load_model(model, config.model)
        place = options.input_file or "standard input"
        replies = is_dialogue(settings.run) or any(isinstance(r.get(MESSAGES), list) for r in sample)
        if replies:
            sources = _histories(rows, options.source_column or settings.run.get("source_column") or MESSAGES, place)
        else:
            if sample and not options.source_column:
                rows, sample = split_stream_at_tabs(rows, sample, place)
            columns = (_column(sample, options, settings), _context_column(sample, options, settings))
            sources = _sources(rows, columns, place)
        for name in attention_flags(options):
            check_attention(network, name)
        others, settings = load_others(model, network, tokenizers, settings, config)
        generator = make_generator(config, values, network, tokenizers, settings, replies)
        generator.others = others
        generator.average = config.ensemble.ensemble_average
        generator.details, generator.replacing = options.output_details, options.replace_unknown
        with counted("texts") as generator.advance:
            count = _write(stream, Arriving(sources) if live else sources, generator, options)
    report_cut(generator.truncated, generator.max_source_length, count)
    report_outputs(generator.impossible, generator.conflicting, count)
    report_unknown(generator.unknown)
    report_unknown(generator.unknown_targets, "target")


def attention_flags(options: Rows) -> list[str]:
    """The flags that need attention on the source."""
    found = ["--output-details alignment"] if "alignment" in options.output_details else []
    return found + (["--replace-unknown"] if options.replace_unknown else [])


def check_exported(config: GenerateConfig) -> None:
    """Refuses what another engine than PyTorch does not do.

    Raises:
        InputError: naming the flag.
    """
    rows = config.rows
    details = [f"--output-details {name}" for name in rows.output_details if name != "score"]
    asked = {"--ensemble": config.ensemble.ensemble, "--replace-unknown": rows.replace_unknown}
    asked |= {"--target-column": rows.target_column}
    for name in [*details, *(name for name, value in asked.items() if value)]:
        raise InputError(f"{name}: --engine ctranslate2 does not have it")


def _column(sample: list[Row], options: Rows, settings: "RunSettings") -> str:
    """The column of the source: as the flag says, as in the run's training, or by looking."""
    if not sample:
        return "text"
    from hf_seq2seq.data.columns.pairs import find_source_column

    trained, names = settings.run.get("source_column"), names_of(sample)
    column = options.source_column or (trained if trained in names else None)
    data = PairData(source_column=column, source_lang=settings.run.get("source_lang"))
    return find_source_column(names, sample, data, str(options.input_file))


def _context_column(sample: list[Row], options: Rows, settings: "RunSettings") -> str | None:
    """The column of what a question is about: as the flag says, or as in the run's training."""
    trained = settings.run.get("context_column")
    return options.context_column or (trained if trained in names_of(sample) else None)


def _sources(rows: Iterator[Row], columns: tuple[str, str | None], place: str) -> Iterator[Sourced]:
    """The source text of each row, that of a question with its context."""
    from hf_seq2seq.data.pairs import about

    for number, row in enumerate(rows, start=1):
        others = {name: value for name, value in row.items() if name not in columns}
        found = [text_cell(row, column, number, place) for column in columns if column]
        yield Sourced(about(*found) if len(found) > 1 else found[0], others)


def _histories(rows: Iterator[Row], column: str, place: str) -> Iterator[Sourced]:
    """The messages of each row; a plain text is a user's only message, a blank one gets no reply."""
    from hf_seq2seq.data.conversations import check_messages

    for number, row in enumerate(rows, start=1):
        text = row.get("text") if column not in row else None
        others = {name: value for name, value in row.items() if name != (column if column in row else "text")}
        if isinstance(text, str) and not text.strip():
            yield Sourced("", others)
            continue
        messages = [{"role": "user", "content": text}] if isinstance(text, str) else row.get(column)
        checked = check_messages(messages, f"{place}: row {number}, column {column!r}", reply=False)
        yield Sourced(checked, others)


def _write(stream: TextIO, sources: Iterable[Sourced], generator: "TextGenerator", options: Rows) -> int:
    from hf_seq2seq.decoding.streaming import in_windows

    if options.target_column:
        return _write_scores(stream, sources, generator, options)
    count = 0
    for row, outputs in in_windows(sources, lambda rows: generator.outputs([row.source for row in rows])):
        count += 1
        found = [{"prediction": output.text} | output.details for output in outputs]
        if not options.json_lines:
            for text in [*(output.text for output in outputs), *[""] * (generator.asked - len(outputs))]:
                write_text(stream, text)
        elif not generator.several:
            write_json(stream, beside({"source": row.source} | found[0], row.others))
        else:
            write_json(stream, beside({"source": row.source, "predictions": found}, row.others))
    return count


def _write_scores(stream: TextIO, sources: Iterable[Sourced], generator: "TextGenerator", options: Rows) -> int:
    from hf_seq2seq.decoding.streaming import in_windows

    column, place, count = str(options.target_column), options.input_file or "standard input", 0

    def score(rows: list[Sourced]) -> list[Row]:
        targets = [text_cell(row.others, column, count + n, place) for n, row in enumerate(rows, start=1)]
        return generator.score([row.source for row in rows], targets)

    for row, scores in in_windows(sources, score):
        count += 1
        if options.json_lines:
            write_json(stream, beside({"source": row.source} | scores, row.others))
        else:
            write_text(stream, f"{scores['log_prob']:.4f}", f"{scores['perplexity']:.4f}")
    return count
