"""`hf-seq2seq classify MODEL [TEXT]...`: predict the label of every text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.generate import ModelPath, Texts
from hf_seq2seq.cli.options import Values
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import open_output, report_cut, report_unknown, with_columns, write_json, write_text
from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.arriving import Arriving
from hf_seq2seq.data.rows import Row, is_live, names_of, read_rows, text_cell
from hf_seq2seq.decoding.classifier_options import Reading
from hf_seq2seq.decoding.pipeline import check_lengths
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, option

if TYPE_CHECKING:
    import numpy as np

    from hf_seq2seq.decoding.classification import TextClassifier
    from hf_seq2seq.decoding.counts import Counts
    from hf_seq2seq.saved.run_settings import RunSettings


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(None, "txt, csv, tsv, json, jsonl (each also .gz, .xz, .zst), parquet or arrow.")
    text_column: str | None = option(None, "Column of the text.", aliases=("text_column_name",))
    text_pair_column: str | None = option(None, "Column of a second text, for pairs such as entailment.")
    encoding: str = option("utf-8", "Encoding of the input.")
    output_file: str | None = option(None, "Output file, instead of standard output.")
    json_lines: bool = option(False, "Write objects with text, label, score, scores and the row's other columns.")


@dataclass(frozen=True)
class ClassifyConfig:
    """The flags of `classify`."""

    rows: Rows = field(default_factory=Rows)
    model: Reading = field(default_factory=Reading)


def classify(model: ModelPath, texts: Texts = None, *, values: Values) -> None:
    """Writes the label and the score of every text, in the input's order."""
    config = build(ClassifyConfig, values, origin="classify")
    from hf_seq2seq.saved.run_settings import numbered_columns, trained_names

    options = config.rows
    names = (options.text_column, options.text_pair_column, *trained_names(model))
    rows, sample = read_rows(texts, options.input_file, options.encoding, names, numbered_columns(model))
    live = is_live(texts, options.input_file)
    with open_output(options.output_file, options.input_file, live) as stream:
        from hf_seq2seq.data.labelled_lines import split_stream_at_labels
        from hf_seq2seq.decoding.classification import TextClassifier, windows_of
        from hf_seq2seq.saved.loading import load_classifier

        network, tokenizer, settings = load_classifier(model, config.model.trust_remote_code)
        check_lengths(config.model, settings)
        limit = config.model.max_source_length or settings.max_source_length
        size = config.model.per_device_eval_batch_size
        told = config.model.stride, config.model.window_pooling
        windows = windows_of(tokenizer, limit, settings.run, *told)
        classifier = TextClassifier(network, tokenizer, size, limit, windows=windows)
        place = options.input_file or "standard input"
        rows, sample = split_stream_at_labels(rows, sample, place, classifier.label_names)
        found = _texts(rows, _columns(sample, options, settings), place)
        with counted("texts") as classifier.advance:
            counts = _write(stream, Arriving(found) if live else found, classifier, options.json_lines)
    report_cut(counts.truncated, limit, counts.texts)
    report_unknown(counts.unknown)


def _columns(sample: list[Row], options: Rows, settings: "RunSettings") -> tuple[str, str | None]:
    """The columns of text and second text: from the flags, from the training run, or detected."""
    if not sample:
        if options.text_pair_column:
            raise InputError("--text-pair-column needs --input-file")
        return "text", None
    from hf_seq2seq.data.columns.labels import find_text_columns

    names = names_of(sample)

    def trained(name: str) -> str | None:
        column = settings.run.get(name)
        return getattr(options, name) or (column if column in names else None)

    data = LabelledData(
        text_column=trained("text_column"),
        text_pair_column=trained("text_pair_column"),
        label_column=settings.run.get("label_column"),
    )
    text, second = find_text_columns(names, sample, data, str(options.input_file))
    return str(text), second


def _texts(rows: Iterator[Row], columns: tuple[str, str | None], place: str) -> Iterator[tuple[Row, Row]]:
    """The text of each row under "text", a second text under "text_pair", and the row's other columns."""
    text, second = columns
    for number, row in enumerate(rows, start=1):
        found = {"text": text_cell(row, text, number, place)}
        if second:
            found["text_pair"] = text_cell(row, second, number, place)
        yield found, {name: value for name, value in row.items() if name not in columns}


def _write(stream: TextIO, rows: Iterable[tuple[Row, Row]], classifier: "TextClassifier", as_json: bool) -> "Counts":
    from hf_seq2seq.decoding.classification import probabilities, verdict_of
    from hf_seq2seq.decoding.counts import Counts
    from hf_seq2seq.decoding.text_generator import in_windows

    counts = Counts()

    def scores(block: list[tuple[Row, Row]]) -> list["np.ndarray"]:
        nonlocal counts
        pairs = [row["text_pair"] for row, _ in block] if "text_pair" in block[0][0] else None
        logits, more = classifier.read([row["text"] for row, _ in block], pairs)
        counts += more
        return list(probabilities(logits, classifier.scoring))

    for (row, others), found in in_windows(rows, scores):
        verdict = verdict_of(found, classifier)
        if as_json:
            write_json(stream, with_columns(row | verdict, others))
        else:
            write_text(stream, *classifier.kind.cells(verdict["label"], verdict["score"]))
    return counts


COMMAND = FlagCommand(classify, ClassifyConfig)
build_command = COMMAND.build
