"""`hf-seq2seq export MODEL OUTPUT`: export a model for another engine."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.generate import ModelPath
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.rows import Row, text_cell
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.hub.export_check import Subject

HALVES = ("bfloat16", "float16")
QUANTIZATIONS = {
    "ctranslate2": ("float32", "int8", "int16", *HALVES),
    "onnx": ("float32",),
    "safetensors": ("float32", *HALVES),
    "space": ("float32", *HALVES),
}
PACKAGES = {"ctranslate2": ("ctranslate2",), "onnx": ("onnx", "onnxscript", "onnxruntime")}
"""Packages beyond those of this toolkit, by format."""
TEXTS = (
    "A man is reading a book.",
    "Two children are playing in the park near the old house.",
    "Ein kleiner Hund läuft über die Straße.",
    "The committee will meet again on Monday, 14 May, to discuss the results of the first round.",
    "good morning",
    "example",
    "translation",
    "Why?",
)
"""Texts for comparing outputs if no file is available."""


@dataclass(frozen=True, kw_only=True)
class Target(Section):
    """Export: format and precision."""

    format: str = option("ctranslate2", "Format to write.", choices=tuple(QUANTIZATIONS))
    quantization: str = option(
        "float32", "Number format of the weights.", choices=QUANTIZATIONS["ctranslate2"], aliases=("dtype",)
    )
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")


@dataclass(frozen=True, kw_only=True)
class Check(Section):
    """Check: the rows on which to compare the export with the model; by default the run's test rows."""

    input_file: str | None = option(None, "txt, csv, tsv, json, jsonl (each also .gz, .xz, .zst), parquet or arrow.")
    source_column: str | None = option(None, "Column of the text.", aliases=("text_column",))
    text_pair_column: str | None = option(None, "Column of a second text, for classifiers of pairs.")
    encoding: str = option("utf-8", "Encoding of the input.")
    check_rows: int = option(20, "Rows to compare.", at_least=1)


@dataclass(frozen=True)
class ExportConfig:
    """The flags of `export`."""

    target: Target = field(default_factory=Target)
    check: Check = field(default_factory=Check)


Output = Annotated[str, Argument(metavar="OUTPUT", help="Folder to write to; new or empty.")]


def export(model: ModelPath, output: Output, *, values: Values) -> None:
    """Exports a model to another format, and reports how its outputs compare with the model's."""
    config = build(ExportConfig, values, origin="export")
    kind, quantization = config.target.format, config.target.quantization
    check_target(kind, quantization)
    from hf_seq2seq.hub.export import check_output, export_model, summary
    from hf_seq2seq.saved.model_paths import local_copy

    folder = Path(output).expanduser()
    check_output(folder)
    place = local_copy(model)
    subject, origin = _subject(place, config)
    report = export_model(place, subject, folder, kind, quantization)
    print(summary(report, folder, origin))


def check_target(kind: str, quantization: str) -> None:
    """Rejects quantizations that a format does not support, and formats whose packages are not installed.

    Raises:
        InputError: names the quantizations, or the extra to install.
    """
    if quantization not in QUANTIZATIONS[kind]:
        known = ", ".join(QUANTIZATIONS[kind])
        raise InputError(f"--quantization {quantization}: --format {kind} has {known}")
    missing = [name for name in PACKAGES.get(kind, ()) if find_spec(name) is None]
    if missing:
        raise InputError(f"--format {kind}: {', '.join(missing)} not installed; pip install 'hf-seq2seq[export]'")


def _subject(place: str, config: ExportConfig) -> tuple["Subject", str]:
    """The model with the rows to compare on, and the origin of these."""
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
    from hf_seq2seq.hub.export import check_model
    from hf_seq2seq.hub.export_check import Subject
    from hf_seq2seq.saved.loading import is_classifier, load_classifier, load_config, load_seq2seq
    from hf_seq2seq.saved.run_settings import RUN_FILE, read_run

    trust = config.target.trust_remote_code
    architecture = load_config(place, trust)
    labelled = is_classifier(architecture)
    check_model(architecture, labelled, config.target.format, config.target.quantization)
    run = read_run(Path(place) / RUN_FILE)
    if run.get("load_in_4bit"):
        raise InputError(
            f"{place}: an adapter of 4-bit weights, into which it cannot be merged, and no format supports both"
        )
    texts, pairs, origin = _rows(config.check, run, labelled)
    if labelled:
        model, tokenizer, settings = load_classifier(place, trust)
        return Subject(model, Tokenizers(tokenizer, tokenizer), settings, texts, pairs, is_classifier=True), origin
    model, tokenizers, settings = load_seq2seq(place, trust)
    return Subject(model, tokenizers, settings, texts), origin


def _rows(check: Check, run: dict[str, Any], labelled: bool) -> tuple[list[str], list[str] | None, str]:
    """Texts, second texts, and their origin: the given file, the run's own, or a few built-in ones."""
    from hf_seq2seq.data.columns.headers import Header
    from hf_seq2seq.data.files.readers import iterate_rows

    file = check.input_file or _file_of(run)
    if file is None:
        return list(TEXTS), None, "built-in texts; use --input-file for better ones"
    names = ("text_column", "text_pair_column", "label_column") if labelled else ("source_column", "target_column")
    # The run's column names apply to its own files; elsewhere they may apply.
    trained = {name: run.get(name) for name in names if check.input_file is None}
    given = {"text_column" if labelled else "source_column": check.source_column}
    given |= {"text_pair_column": check.text_pair_column} if labelled else {}
    columns = trained | {name: value for name, value in given.items() if value}
    encoding = check.encoding if check.input_file else run.get("encoding") or check.encoding
    rows = list(islice(iterate_rows(file, encoding, Header.of(*columns.values())), check.check_rows))
    if not rows:
        raise InputError(f"{file}: has no rows")
    first, second = _columns(rows, columns, run, file, labelled)
    found = [
        [text_cell(row, column, number, file) for number, row in enumerate(rows, 1)]
        for column in (first, second)
        if column
    ]
    return found[0], found[1] if second else None, file


def _file_of(run: dict[str, Any]) -> str | None:
    """The run's test file, or else its validation file, if it still exists and has texts."""
    from hf_seq2seq.data.files.patterns import existing
    from hf_seq2seq.data.messages import is_dialogue

    if is_dialogue(run):
        return None
    for name in ("test_file", "validation_file"):
        file = run.get(name)
        if file and existing(file):
            return str(file)
    return None


def _columns(
    rows: list[Row], columns: dict[str, Any], run: dict[str, Any], file: str, labelled: bool
) -> tuple[str, str | None]:
    from hf_seq2seq.data.columns.labels import find_text_columns
    from hf_seq2seq.data.columns.pairs import find_source_column

    names = list(rows[0])
    if labelled:
        first, second = find_text_columns(names, rows, LabelledData(**columns), file)
        return str(first), second
    data = PairData(source_column=columns.get("source_column"), source_lang=run.get("source_lang"))
    return find_source_column(names, rows, data, file), None


COMMAND = FlagCommand(export, ExportConfig)
build_command = COMMAND.build
