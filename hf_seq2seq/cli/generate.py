"""`hf-seq2seq generate MODEL [TEXT]...`: write the target of every source."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_seq2seq.cli.options import Values
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import STDIN, Row, cell, choose_column, open_output, read_rows, write_json, write_text
from hf_seq2seq.configs import Decoding, Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.decoding.settings import RunSettings
    from hf_seq2seq.decoding.streaming import TextGenerator


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(None, "txt, csv, tsv, json, jsonl (each also .gz), parquet or arrow.")
    source_column: str | None = option(None, "Column of the source text.", aliases=("text_column",))
    encoding: str = option("utf-8", "Encoding of the input.")
    output_file: str | None = option(None, "Where to write, in place of standard output.")
    json_lines: bool = option(False, "Write objects with source, prediction and the row's other columns.")


@dataclass(frozen=True, kw_only=True)
class Model(Section):
    """Model: lengths and prefix; by default those of its training."""

    source_prefix: str | None = option(None, "Text put before every source.")
    max_source_length: int | None = option(None, "Longer sources are cut to so many tokens.", at_least=2)
    max_new_tokens: int | None = option(
        None, "Longest output in tokens.", at_least=1, aliases=("max_target_length", "max_length")
    )
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")


@dataclass(frozen=True)
class GenerateConfig:
    """The flags of `generate`."""

    rows: Rows = field(default_factory=Rows)
    model: Model = field(default_factory=Model)
    decoding: Decoding = field(default_factory=Decoding)


ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")]
Texts = Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, those of a file or of standard input.")]


def generate(model: ModelPath, texts: Texts = None, *, values: Values) -> None:
    """Write the target of every source: translate, summarise, pronounce, whatever the model was trained for."""
    config = build(GenerateConfig, values, origin="generate")
    rows = read_rows(texts, config.rows.input_file, config.rows.encoding)
    with open_output(config.rows.output_file, [config.rows.input_file]) as stream, counted("texts") as advance:
        from hf_seq2seq.decoding.loading import load_seq2seq
        from hf_seq2seq.decoding.streaming import TextGenerator

        network, tokenizers, settings = load_seq2seq(model, config.model.trust_remote_code)
        generator = TextGenerator(
            network,
            tokenizers,
            Decoding(**settings.decoding | _given(config.decoding, values)),
            config.model.max_new_tokens or settings.max_target_length,
            config.model.max_source_length or settings.max_source_length,
            settings.prefix if config.model.source_prefix is None else config.model.source_prefix,
            advance,
        )
        count = _write(stream, rows, generator, config.rows, settings)
    _report_cut(generator, count)


def _given(decoding: Decoding, values: Values) -> dict[str, Any]:
    return {name: value for name, value in asdict(decoding).items() if name in values}


def _write(
    stream: Any, rows: Iterator[Row], generator: "TextGenerator", options: Rows, settings: "RunSettings"
) -> int:
    from hf_seq2seq.decoding.streaming import in_windows

    count = 0
    for row, prediction in in_windows(_sources(rows, options, settings), lambda block: generator([r["source"] for r in block])):
        count += 1
        if options.json_lines:
            write_json(stream, {"source": row["source"], "prediction": prediction} | row | {"prediction": prediction})
        else:
            write_text(stream, prediction)
    return count


def _sources(rows: Iterator[Row], options: Rows, settings: "RunSettings") -> Iterator[Row]:
    """The rows with their source text under "source"."""
    from hf_seq2seq.data.conventions import PAIRS

    place = options.input_file or STDIN
    first = next(rows, None)
    if first is None:
        return
    trained_on = [settings.run.get("source_column"), settings.run.get("source_lang")]
    usual = [name.lower() for name in trained_on if name] + [source for source, _ in PAIRS]
    column = choose_column(first, options.source_column, usual, place, "--source-column")
    for number, row in enumerate(chain([first], rows), start=1):
        source = cell(row, column, number, place)
        yield {"source": source} | {name: value for name, value in row.items() if name not in (column, "source")}


def _report_cut(generator: "TextGenerator", count: int) -> None:
    if generator.truncated:
        limit = generator.max_source_length
        print(f"{generator.truncated} of {count} sources were cut to {limit} tokens (--max-source-length)", file=sys.stderr)
