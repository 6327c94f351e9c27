"""`hf-seq2seq classify MODEL [TEXT]...`: name the label of every text."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from hf_seq2seq.cli.generate import ModelPath, Texts
from hf_seq2seq.cli.options import Values
from hf_seq2seq.configs import Section, build, option


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(None, "txt, csv, tsv, json, jsonl (each also .gz), parquet or arrow.")
    text_column: str | None = option(None, "Column of the text.", aliases=("text_column_name",))
    text_pair_column: str | None = option(None, "Column of a second text, for pairs such as entailment.")
    encoding: str = option("utf-8", "Encoding of the input.")
    output_file: str | None = option(None, "Where to write, in place of standard output.")
    json_lines: bool = option(False, "Write objects with text, label, score, scores and the row's other columns.")


@dataclass(frozen=True, kw_only=True)
class Model(Section):
    """Model: lengths and batches."""

    max_source_length: int | None = option(None, "Longer texts are cut to so many tokens.", at_least=2)
    per_device_eval_batch_size: int = option(64, "Texts a batch.", at_least=1)
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")


@dataclass(frozen=True)
class ClassifyConfig:
    """The flags of `classify`."""

    rows: Rows = field(default_factory=Rows)
    model: Model = field(default_factory=Model)


def classify(model: ModelPath, texts: Texts = None, *, values: Values) -> None:
    """Name the label of every text, with its score."""
