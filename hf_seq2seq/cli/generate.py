"""`hf-seq2seq generate MODEL [TEXT]...`: write the target of every source."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from hf_seq2seq.cli.commands import make_command
from hf_seq2seq.cli.options import Values, with_flags
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import open_output, report_cut, write_json, write_text
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.rows import Row, read_rows, text_cell
from hf_seq2seq.decoding.options import AVERAGES, Search
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, flag, option

if TYPE_CHECKING:
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
    from hf_seq2seq.decoding.streaming import TextGenerator
    from hf_seq2seq.saved.run_settings import RunSettings

ENGINES = ("transformers", "ctranslate2")


DETAILS = ("score", "tokens", "log_probs", "alignment")
MESSAGES = "messages"


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


@dataclass(frozen=True, kw_only=True)
class Model(Section):
    """Model: lengths and prefix; by default those of its training."""

    source_prefix: str | None = option(None, "Text put before every source.")
    max_source_length: int | None = option(None, "Longer sources are cut to so many tokens.", at_least=2)
    max_new_tokens: int | None = option(
        None, "Longest output in tokens.", at_least=1, aliases=("max_target_length", "max_length")
    )
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")
    engine: str = option("transformers", "What runs the model; `export` writes ctranslate2's.", choices=ENGINES)


@dataclass(frozen=True, kw_only=True)
class Ensemble(Section):
    """Ensemble: several models that write together."""

    ensemble: tuple[str, ...] = option((), "Other models with the same vocabulary.")
    ensemble_average: str = option("probability", "What is averaged.", choices=AVERAGES)


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
    from hf_seq2seq.data.columns.finding import has_header
    from hf_seq2seq.data.conversations import is_dialogue

    options = config.rows
    check_search(config.decoding, values)
    if options.output_details and not options.json_lines:
        raise InputError("--output-details: text has no place for them; add --json-lines")
    if config.model.engine == "ctranslate2":
        check_exported(config)
    rows, sample = read_rows(texts, options.input_file, options.encoding, has_header(options.source_column))
    with open_output(options.output_file, options.input_file) as stream:
        network, tokenizers, settings = _load(model, config.model)
        place = options.input_file or "standard input"
        replies = is_dialogue(settings.run) or any(isinstance(r.get(MESSAGES), list) for r in sample)
        if replies:
            sources = _histories(rows, options.source_column or settings.run.get("source_column") or MESSAGES, place)
        else:
            columns = (_column(sample, options, settings), _context_column(sample, options, settings))
            sources = _sources(rows, columns, place)
        generator = make_generator(config, values, network, tokenizers, settings, replies)
        generator.others = load_others(model, network, tokenizers, config)
        generator.average = config.ensemble.ensemble_average
        generator.details, generator.replacing = options.output_details, options.replace_unknown
        with counted("texts") as generator.advance:
            count = _write(stream, sources, generator, options)
    report_cut(generator.truncated, generator.max_source_length, count)


def _load(path: str, model: Model) -> tuple[Any, "Tokenizers", "RunSettings"]:
    if model.engine == "ctranslate2":
        from hf_seq2seq.decoding.ctranslate2_loading import load_ctranslate2

        return load_ctranslate2(path)
    from hf_seq2seq.saved.loading import load_seq2seq

    return load_seq2seq(path, model.trust_remote_code)


def make_generator(
    config: Any, values: Values, network: Any, tokenizers: Any, settings: "RunSettings", replies: bool = False
) -> "TextGenerator":
    """The model as the flags want it, and as its training had it where they say nothing.

    Args:
        config: has the sections `model` (lengths and prefix) and `decoding`.
        values: the flags that were given.
        network: the model.
        tokenizers: its `Tokenizers`.
        settings: of its training.
        replies: whether it answers conversations rather than texts.

    Raises:
        InputError: lengths are over the model's table of positions, or conversations cannot be read.
    """
    check_lengths(config.model, settings)
    longest_source = config.model.max_source_length or settings.max_source_length
    longest_output = config.model.max_new_tokens or settings.max_target_length
    if settings.joined and settings.positions and (longest_source or 0) + longest_output > settings.positions:
        raise InputError(
            f"--max-source-length {longest_source} and --max-new-tokens {longest_output}: "
            f"one sequence holds both; this model has {settings.positions} positions"
        )
    search = merged_search(config.decoding, values, settings)
    if (search.min_new_tokens or 0) > longest_output:
        raise InputError(
            f"--min-new-tokens: {search.min_new_tokens} is more than the longest output, {longest_output} tokens "
            "(--max-new-tokens)"
        )
    prefix = config.model.source_prefix
    return _generator_class(getattr(config.model, "engine", ENGINES[0]), replies)(
        network,
        tokenizers,
        search,
        max_new_tokens=longest_output,
        max_source_length=longest_source,
        prefix=settings.prefix if prefix is None else prefix,
    )


def _generator_class(engine: str, replies: bool) -> Any:
    """What generates; of the modules of the others none is imported."""
    if engine == "ctranslate2":
        from hf_seq2seq.decoding.ctranslate2_engine import CTranslate2TextGenerator

        if replies:
            raise InputError("--engine ctranslate2: answers no conversations")
        return CTranslate2TextGenerator
    if replies:
        from hf_seq2seq.decoding.dialogue import ReplyGenerator

        return ReplyGenerator
    from hf_seq2seq.decoding.streaming import TextGenerator

    return TextGenerator


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


def check_search(search: Search, values: Values) -> None:
    """Refuses flags that do not go together, as far as they do not depend on the model.

    Raises:
        InputError: naming the flag that is in the way.
    """
    if "num_beams" in values or search.do_sample:
        search.check()
    if search.mbr_metric:
        from hf_seq2seq.metrics import check_metrics, metrics_for

        check_metrics((search.mbr_metric,), metrics_for("seq2seq"))


def merged_search(search: Search, values: Values, settings: "RunSettings") -> Search:
    """The flags that were given, and what the model's training had; its beams do not count where outputs are drawn.

    Raises:
        InputError: they do not go together.
    """
    trained = {} if search.do_sample else settings.decoding
    given = {name: getattr(search, name) for name in values if hasattr(search, name)}
    merged = Search(**trained | given)
    merged.check()
    return merged


def load_others(name: str, network: Any, tokenizers: Any, config: GenerateConfig) -> tuple[Any, ...]:
    """The rest of an ensemble.

    Raises:
        InputError: one of the models has another vocabulary, or cannot be loaded.
    """
    if not config.ensemble.ensemble:
        return ()
    from hf_seq2seq.decoding.ensemble import check_alike
    from hf_seq2seq.saved.loading import load_seq2seq

    found = [(place, *load_seq2seq(place, config.model.trust_remote_code)[:2]) for place in config.ensemble.ensemble]
    check_alike((name, network, tokenizers), found)
    return tuple(each for _, each, _ in found)


def check_lengths(model: Any, settings: "RunSettings") -> None:
    """Refuses lengths that a flag gives and the model has no positions for.

    Raises:
        InputError: naming the flag and the most that it can be.
    """
    for name in ("max_source_length", "max_new_tokens"):
        length = getattr(model, name, None)
        if length and settings.positions and length > settings.positions:
            raise InputError(f"{flag(name)}: {length} is too large; this model has {settings.positions} positions")


def _column(sample: list[Row], options: Rows, settings: "RunSettings") -> str:
    """The column of the source: as the flag says, as in the run's training, or by looking."""
    if not sample:
        return "text"
    from hf_seq2seq.data.columns.pairs import find_source_column

    trained = settings.run.get("source_column")
    column = options.source_column or (trained if trained in sample[0] else None)
    data = PairData(source_column=column, source_lang=settings.run.get("source_lang"))
    return find_source_column(list(sample[0]), sample, data, str(options.input_file))


def _context_column(sample: list[Row], options: Rows, settings: "RunSettings") -> str | None:
    """The column of what a question is about: as the flag says, or as in the run's training."""
    trained = settings.run.get("context_column")
    return options.context_column or (trained if sample and trained in sample[0] else None)


def _sources(rows: Iterator[Row], columns: tuple[str, str | None], place: str) -> Iterator[Row]:
    """The rows with their source text, that of a question with its context, under "source"."""
    from hf_seq2seq.data.pairs import about

    for number, row in enumerate(rows, start=1):
        others = {name: value for name, value in row.items() if name not in (*columns, "source")}
        found = [text_cell(row, column, number, place) for column in columns if column]
        yield {"source": about(*found) if len(found) > 1 else found[0]} | others


def _histories(rows: Iterator[Row], column: str, place: str) -> Iterator[Row]:
    """The rows with their messages under "source"; a plain text is a user's only message, a blank one gets no reply."""
    from hf_seq2seq.data.conversations import check_messages

    for number, row in enumerate(rows, start=1):
        text = row.get("text") if column not in row else None
        others = {name: value for name, value in row.items() if name not in (column, "text", "source")}
        if isinstance(text, str) and not text.strip():
            yield {"source": ""} | others
            continue
        messages = [{"role": "user", "content": text}] if isinstance(text, str) else row.get(column)
        checked = check_messages(messages, f"{place}: row {number}, column {column!r}", reply=False)
        yield {"source": checked} | others


def _write(stream: TextIO, sources: Iterator[Row], generator: "TextGenerator", options: Rows) -> int:
    from hf_seq2seq.decoding.streaming import in_windows

    if options.target_column:
        return _write_scores(stream, sources, generator, options)
    count = 0
    for row, outputs in in_windows(sources, lambda rows: generator.outputs([row["source"] for row in rows])):
        count += 1
        found = [{"prediction": output.text} | output.details for output in outputs]
        if not options.json_lines:
            for output in outputs:
                write_text(stream, output.text)
        elif not generator.several:
            write_json(stream, row | found[0])
        else:
            write_json(stream, row | {"predictions": found})
    return count


def _write_scores(stream: TextIO, sources: Iterator[Row], generator: "TextGenerator", options: Rows) -> int:
    from hf_seq2seq.decoding.streaming import in_windows

    column, place, count = str(options.target_column), options.input_file or "standard input", 0

    def score(rows: list[Row]) -> list[Row]:
        targets = [text_cell(row, column, count + n, place) for n, row in enumerate(rows, start=1)]
        return generator.score([row["source"] for row in rows], targets)

    for row, scores in in_windows(sources, score):
        count += 1
        if options.json_lines:
            write_json(stream, row | scores)
        else:
            write_text(stream, f"{scores['log_prob']:.4f}", f"{scores['perplexity']:.4f}")
    return count
