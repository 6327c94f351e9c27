"""What is to be analyzed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_seq2seq.reports.options import AnalyzeConfig

if TYPE_CHECKING:
    from hf_seq2seq.decoding.generation import Advance


@dataclass(frozen=True)
class Request:
    """A model to analyze.

    Attributes:
        path: path of the model, or its id.
        config: the flags.
        values: the given flags, by name.
        advance: called with the number of rows finished since the last call.
    """

    path: str
    config: AnalyzeConfig
    values: Mapping[str, Any]
    advance: "Advance | None" = None
