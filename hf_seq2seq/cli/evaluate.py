"""`hf-seq2seq evaluate`: score a model on a test set, or one file of predictions against files of references."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_seq2seq.cli.options import Values
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.configs import Decoding, PairData, Section, build, option
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Scores = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class What(Section):
    """Scores: which metrics, and how they are shown."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the model's training.")
    predictions: str | None = option(None, "File of predictions, a line each, in place of a model.")
    references: tuple[str, ...] = option((), "Files of references for --predictions; several give several a row.")
    json: bool = option(False, "Print one JSON object.")
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")


@dataclass(frozen=True, kw_only=True)
class Data(PairData):
    """Data: the test rows; columns by default as in the model's training."""

    text_column: str | None = option(None, "Column of the text, for a classifier.")
    text_pair_column: str | None = option(None, "Column of a second text, for a classifier.")
    label_column: str | None = option(None, "Column of the label, for a classifier.")
    source_column: str | None = option(None, "Column of the source text.")
    source_prefix: str | None = option(None, "Text put before every source; by default that of training.")
    max_source_length: int | None = option(None, "Longer sources are cut to so many tokens.", at_least=2)
    max_new_tokens: int | None = option(None, "Longest output in tokens.", at_least=1, aliases=("max_target_length",))


@dataclass(frozen=True)
class EvaluateConfig:
    """The flags of `evaluate`."""

    scores: What = field(default_factory=What)
    data: Data = field(default_factory=Data)
    decoding: Decoding = field(default_factory=Decoding)


def evaluate(model: Annotated[str|None, typer.Argument()] = None, *, values: Values) -> None:
    """Score."""
