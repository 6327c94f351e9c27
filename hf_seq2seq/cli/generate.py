"""`hf-seq2seq generate MODEL [TEXT]...`: generate the target of every source."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, TextIO

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import (
    open_output,
    report_cut,
    report_joined,
    report_languages,
    report_outputs,
    report_split,
    report_unknown,
    with_columns,
    write_json,
    write_text,
)
from hf_seq2seq.cli.source_rows import (
    Sourced,
    language_columns,
    named_columns,
    read_histories,
    read_inputs,
)
from hf_seq2seq.data.arriving import Arriving
from hf_seq2seq.data.rows import Row, is_live, read_document, read_rows, text_cell
from hf_seq2seq.decoding.pipeline import (
    Ensemble,
    Model,
    Spoken,
    check_attention,
    load_model,
    load_others,
    make_generator,
    set_splitting,
)
from hf_seq2seq.decoding.search_options import Search, check_search
from hf_seq2seq.decoding.splitting_options import AGAIN, Splitting
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.sections import Section, build, flag, option

if TYPE_CHECKING:
    from hf_seq2seq.decoding.counts import Counted, Counts
    from hf_seq2seq.decoding.outputs import Output
    from hf_seq2seq.decoding.text_generator import TextGenerator

DETAILS = ("score", "tokens", "log_probs", "alignment")


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(None, "txt, csv, tsv, json, jsonl (each also .gz, .xz, .zst), parquet or arrow.")
    source_column: str | None = option(None, "Column of the source text.", aliases=("text_column",))
    context_column: str | None = option(None, "Column of a question's context.")
    source_template: str | None = option(None, "Source text composed of several columns, such as '{lemma} {features}'.")
    encoding: str = option("utf-8", "Encoding of the input.")
    one_document: bool = option(False, "The whole input file is one text, and so is the output, with line breaks.")
    interactive: bool = option(False, "Answer each line that is typed; /help lists commands such as /set and /show.")
    output_file: str | None = option(None, "Output file, instead of standard output.")
    json_lines: bool = option(False, "Write objects with source, prediction and the row's other columns.")
    output_details: tuple[str, ...] = option((), "More details of each output in JSON lines.", choices=DETAILS)
    replace_unknown: bool = option(False, "Replace unknown words by the source words they attend to.")
    target_prefix_column: str | None = option(None, "Column of a text that the row's output has to begin with.")
    target_column: str | None = option(None, "Instead of generating, score the texts of this column.")


@dataclass(frozen=True)
class GenerateConfig:
    """The flags of `generate`."""

    rows: Rows = field(default_factory=Rows)
    model: Model = field(default_factory=Model)
    languages: Spoken = field(default_factory=Spoken)
    splitting: Splitting = field(default_factory=Splitting)
    ensemble: Ensemble = field(default_factory=Ensemble)
    decoding: Search = field(default_factory=Search)


ModelPath = Annotated[str, Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")]
Texts = Annotated[
    list[str] | None,
    Argument(metavar="TEXT", help="Texts; if none are given, those of --input-file or standard input."),
]


def generate(model: ModelPath, texts: Texts = None, *, values: Values) -> None:
    """Generates the target of every source, in the input's order."""
    config = build(GenerateConfig, values, origin="generate")
    from hf_seq2seq.data.columns.conventions import messages_column
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.saved.run_settings import numbered_columns, trained_names

    options = config.rows
    check_search(config.decoding, values)
    _check(config)
    if options.interactive:
        answer_lines(model, texts, config, values)
        return
    names = (*named_columns(options), options.target_column, options.target_prefix_column, *trained_names(model))
    if options.one_document:
        rows, sample = read_document(texts, options.input_file, options.encoding), list[Row]()
    else:
        rows, sample = read_rows(texts, options.input_file, options.encoding, names, numbered_columns(model))
    live = is_live(texts, options.input_file) and not options.one_document
    with open_output(options.output_file, options.input_file, live) as stream:
        network, tokenizers, settings = load_model(model, config.model)
        place = options.input_file or "standard input"
        replies = is_dialogue(settings.run) or messages_column(sample) is not None
        if replies:
            sources = read_histories(rows, sample, options, settings, place)
        else:
            spoken = language_columns(sample, config.languages, settings)
            sources = read_inputs(rows, sample, options, settings, place, network, spoken)
        for name in attention_flags(options):
            check_attention(network, name)
        others, settings = load_others(model, network, tokenizers, settings, config)
        languages = config.languages.source_lang, config.languages.target_lang
        generator = make_generator(config, values, network, tokenizers, settings, replies, languages)
        report_languages(generator.languages, languages, settings.run)
        set_splitting(generator, config.splitting, replies)
        generator.others = others
        generator.average = config.ensemble.ensemble_average
        generator.details, generator.replacing = options.output_details, options.replace_unknown
        with counted("texts") as generator.advance:
            counts = _write(stream, Arriving(sources) if live else sources, generator, options)
    report_split(counts, config.splitting.combine == AGAIN)
    report_cut(counts.truncated, generator.max_source_length, counts.read)
    report_outputs(counts, generator.max_new_tokens)
    report_unknown(counts.unknown)
    report_unknown(counts.unknown_targets, "target")


def answer_lines(model: str, texts: list[str] | None, config: GenerateConfig, values: Values) -> None:
    """Answers lines as they are typed.

    Raises:
        InputError: there are other inputs or outputs.
    """
    from hf_seq2seq.cli.talking import Talking, load_talker
    from hf_seq2seq.serving.talk import Talk

    beside = [name for name in options_of_rows() if name in values and name not in ("interactive", "replace_unknown")]
    if texts or beside:
        what = flag(beside[0]) if beside else repr(shorten((texts or [""])[0]))
        raise InputError(f"--interactive: answers what is typed; leave out {what}")
    loaded = load_talker(model, config.model)
    if config.rows.replace_unknown:
        check_attention(loaded.network, "--replace-unknown")
    own = {name: value for name, value in values.items() if name not in options_of_rows()}
    Talking(Talk(loaded, own, replacing=config.rows.replace_unknown)).run()


def options_of_rows() -> list[str]:
    """The names of the options of input and output."""
    return [item.name for item in fields(Rows)]


def _check(config: GenerateConfig) -> None:
    """Rejects flags that do not fit each other.

    Raises:
        InputError: names the flag.
    """
    options = config.rows
    if options.output_details and not options.json_lines:
        raise InputError("--output-details: plain text cannot contain them; add --json-lines")
    if options.target_prefix_column and (options.target_column or config.splitting.kind):
        other = "--target-column" if options.target_column else "--split"
        raise InputError(f"{other} and --target-prefix-column: give only one of them")
    if options.target_prefix_column and not options.input_file:
        raise InputError("--target-prefix-column needs --input-file")
    if options.target_column and config.splitting.kind:
        raise InputError("--target-column: scores whole texts; leave out --split and --on-too-long split")
    if config.model.engine == "ctranslate2":
        check_exported(config)


def attention_flags(options: Rows) -> list[str]:
    """The flags that need attention on the source."""
    found = ["--output-details alignment"] if "alignment" in options.output_details else []
    return found + (["--replace-unknown"] if options.replace_unknown else [])


def check_exported(config: GenerateConfig) -> None:
    """Rejects flags that an engine other than PyTorch does not support.

    Raises:
        InputError: a flag is not supported; names it.
    """
    rows = config.rows
    details = [f"--output-details {name}" for name in rows.output_details if name != "score"]
    asked = {"--ensemble": config.ensemble.ensemble, "--replace-unknown": rows.replace_unknown}
    asked |= {"--target-column": rows.target_column, "--target-prefix-column": rows.target_prefix_column}
    for name in [*details, *(name for name, value in asked.items() if value)]:
        raise InputError(f"{name}: not supported by --engine ctranslate2")


def _write(stream: TextIO, sources: Iterable[Sourced], generator: "TextGenerator", options: Rows) -> "Counts":
    from hf_seq2seq.decoding.counts import Counts
    from hf_seq2seq.decoding.text_generator import in_windows

    if options.target_column:
        return _write_scores(stream, sources, generator, options)
    counts, joined = Counts(), 0

    def work(rows: list[Sourced]) -> "Counted[list[Output]]":
        nonlocal counts
        column, place, prefixes = options.target_prefix_column, str(options.input_file), None
        if column:
            prefixes = [text_cell(row.others, column, n, place) for n, row in enumerate(rows, counts.texts + 1)]
        found = generator.outputs([row.source for row in rows], counts.texts, prefixes)
        counts += found.counts
        return found

    for row, outputs in in_windows(sources, work):
        found = [{"prediction": output.text} | output.details for output in outputs]
        if options.one_document and not options.json_lines:
            stream.write(outputs[0].text + "\n" * (not outputs[0].text.endswith("\n")))
        elif not options.json_lines:
            for text in [*(output.text for output in outputs), *[""] * (generator.asked - len(outputs))]:
                joined += write_text(stream, text)
        elif not generator.several:
            write_json(stream, with_columns({"source": row.source} | found[0], row.others))
        else:
            write_json(stream, with_columns({"source": row.source, "predictions": found}, row.others))
    report_joined(joined)
    return counts


def _write_scores(stream: TextIO, sources: Iterable[Sourced], generator: "TextGenerator", options: Rows) -> "Counts":
    from hf_seq2seq.decoding.counts import Counts
    from hf_seq2seq.decoding.text_generator import in_windows

    column, place, counts = str(options.target_column), options.input_file or "standard input", Counts()

    def score(rows: list[Sourced]) -> "Counted[Row]":
        nonlocal counts
        first = counts.texts
        targets = [text_cell(row.others, column, number, place) for number, row in enumerate(rows, first + 1)]
        found = generator.score([row.source for row in rows], targets, first)
        counts += found.counts
        return found

    for row, scores in in_windows(sources, score):
        if options.json_lines:
            write_json(stream, with_columns({"source": row.source} | scores, row.others))
        else:
            write_text(stream, f"{scores['log_prob']:.4f}", f"{scores['perplexity']:.4f}")
    return counts


COMMAND = FlagCommand(generate, GenerateConfig)
build_command = COMMAND.build
