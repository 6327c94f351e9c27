"""`hf-seq2seq clean`: drop pairs that are not worth training on, and count them by rule."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hf_seq2seq import strict_json
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Values
from hf_seq2seq.cli.output_paths import check_outputs
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import open_output, write_json
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cleaning.options import Cleaning
from hf_seq2seq.sections import Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.data.cleaning.cleaner import Cleaner
    from hf_seq2seq.data.cleaning.pair_rows import PairRows

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(
        None,
        "csv, tsv, json, jsonl (each also .gz, .xz, .zst), parquet, arrow, txt; several by a pattern, 'data/*.tsv', or "
        "their folder; or two line-aligned files: train.de,train.en.",
        aliases=("train_file",),
    )
    dataset_name: str | None = option(None, "Data set on the Hub, or a folder written by `save_to_disk`.")
    dataset_config_name: str | None = option(None, "Configuration of the data set on the Hub.")
    train_split: str = option("train", "Split of the data set.")
    output_file: str | None = option(
        None, "Rows that are kept, in the input's format or that of the suffix; without it, rows are only counted."
    )
    dropped_file: str | None = option(None, "JSON lines of the dropped rows: number, rule, reason, source, target.")
    json: bool = option(False, "Print the counts as JSON.")
    encoding: str = option("utf-8", "Encoding of the input; output is UTF-8.")
    source_column: str | None = option(None, "Column of the source text.", aliases=("text_column",))
    target_column: str | None = option(None, "Column of the target text.", aliases=("summary_column",))
    context_column: str | None = option(None, "Column of a question's context.")
    source_template: str | None = option(None, "Source text composed of several columns.")
    source_lang: str | None = option(None, "Source language: key in `translation` columns, and file suffix.")
    target_lang: str | None = option(None, "Target language; the same.")


@dataclass(frozen=True)
class CleanConfig:
    """The flags of `clean`."""

    rows: Rows = field(default_factory=Rows)
    rules: Cleaning = field(default_factory=Cleaning)


SHARED = (
    *("dataset_name", "dataset_config_name", "train_split", "encoding", "source_column", "target_column"),
    *("context_column", "source_template", "source_lang", "target_lang"),
)


def clean(*, values: Values) -> None:
    """Drops pairs that are not worth training on: broken, repeated, misaligned, or in the test set."""
    config = build(CleanConfig, values, origin="clean")
    rows = config.rows
    from hf_seq2seq.data.cleaning.cleaner import OF_LABELS, Cleaner, describe
    from hf_seq2seq.data.cleaning.pair_rows import read_pair_rows, sides_of_files

    data = PairData(train_file=rows.input_file, **{name: getattr(rows, name) for name in SHARED})
    languages = {"source": rows.source_lang, "target": rows.target_lang}
    read = read_pair_rows(data)
    columns = (read.source, read.target)
    seen = sides_of_files(config.rules.against, data, columns) if config.rules.against else None
    cleaner = Cleaner(config.rules, languages, seen, read.labels, read.spaced)
    if read.labels:
        detail = f"{', '.join(OF_LABELS)} see them, all other rules the texts alone"
        logger.warning("%s: the %ss are few different texts, as labels are; %s", read.place, read.labels, detail)
    _write(read, cleaner, rows, config.rules.against)
    if rows.json:
        print(strict_json.dumps(cleaner.counts))
    else:
        print(describe(cleaner.counts, read.place))


def _write(read: "PairRows", cleaner: "Cleaner", options: Rows, against: tuple[str, ...]) -> None:
    """Writes the kept and the dropped rows to their files."""
    from hf_seq2seq.data.cleaning.pair_rows import decisions, output_paths
    from hf_seq2seq.data.files.writers import open_rows

    outputs = output_paths(options.output_file, read)
    written = [("output_file", path) for path in outputs]
    written += [("dropped_file", Path(options.dropped_file))] if options.dropped_file else []
    read_by = {"input_file": options.input_file, "against": against}
    check_outputs(written, read_by, (options.source_lang, options.target_lang))
    with ExitStack() as stack:
        advance = stack.enter_context(counted("rows"))
        keep = stack.enter_context(open_rows(outputs, read.shape, read.form)) if outputs else None
        dropped = open_output(options.dropped_file, None, flag="--dropped-file") if options.dropped_file else None
        drop = stack.enter_context(dropped) if dropped else None
        for each in decisions(read, cleaner):
            advance(1)
            if each.rule is None and keep:
                keep(each.row)
            elif each.rule is not None and drop:
                told = {"row": each.number, "rule": each.rule, "reason": each.reason}
                write_json(drop, told | (each.pair._asdict() if each.pair else {"cells": each.row}))


COMMAND = FlagCommand(clean, CleanConfig)
build_command = COMMAND.build
