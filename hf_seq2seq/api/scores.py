"""Scores of texts or files against references."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_seq2seq.api.texts import listed
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.evaluation.scored_files import Texts
from hf_seq2seq.evaluation.scoring import Truth, score_files
from hf_seq2seq.evaluation.significance import Significance

Column = str | Path | Sequence[str]
"""A file, or a list of texts."""
References = str | Path | Sequence[str] | Sequence[Sequence[str]] | None


def evaluate(
    predictions: Column,
    references: References,
    metrics: Sequence[str] | str = (),
    *,
    compare: Mapping[str, Column] | None = None,
    confusion_matrix: bool = False,
    sources: Column | None = None,
    encoding: str = "utf-8",
    **flags: Any,
) -> dict[str, Any]:
    """Scores predictions against references, like `hf-seq2seq evaluate --predictions`.

    Args:
        predictions: texts in the order of the references, or a file of them.
        references: a text, or a list of texts, per prediction; or a file, or several: a list of `Path`s;
            None if the metrics need none.
        metrics: names such as "bleu", "chrf", "accuracy"; by default BLEU, chrF and exact match.
        compare: other systems' predictions by name; every score then gets a p-value.
        confusion_matrix: also count the rows of each true and predicted label.
        sources: texts, or a file of them, for metrics that read them, such as "comet:MODEL".
        encoding: of text files.
        **flags: `confidence`, `paired_ar` and the other flags of significance.

    Returns:
        Scores by name, the number of `samples`, the metrics' `signatures` and, for other systems, `compared`.

    Raises:
        InputError: the counts differ, a metric or flag is unknown, or files cannot be read.
    """
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    unknown = set(flags) - set(Significance.__dataclass_fields__)
    if unknown:
        raise InputError(
            f"evaluate: unknown flag {min(unknown)!r}{nearest(min(unknown), Significance.__dataclass_fields__)}"
        )
    if not isinstance(compare, Mapping | None):
        raise InputError("compare: give a dict of systems' names and their predictions")
    others = tuple(_column(value, name) for name, value in (compare or {}).items())
    significance = Significance(**flags, compare=tuple(map(str, others)))
    return score_files(
        _column(predictions, "predictions"),
        Truth(_references(references), None if sources is None else _column(sources, "sources")),
        names,
        significance,
        encoding,
        others,
        confusion_matrix,
    )


def _column(value: Column, name: str) -> str:
    if isinstance(value, str | Path):
        return str(value)
    texts = list(listed(value, name))
    if not texts:
        raise InputError(f"{name}: has no rows")
    return Texts(name, texts)


def _references(value: References) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str | Path):
        return (str(value),)
    rows = list(listed(value, "references"))
    if rows and all(isinstance(item, Path) for item in rows):
        return tuple(str(item) for item in rows)
    return (Texts("references", [_accepted(item) for item in rows]),)


def _accepted(item: Any) -> Any:
    return list(item) if isinstance(item, tuple) else item
