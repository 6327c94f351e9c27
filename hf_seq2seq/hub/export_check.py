"""Whether an export says what its model says: the same greedy outputs, or the same labels, on the same rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hf_seq2seq.configs import Decoding, Inference
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.classification import TextClassifier
from hf_seq2seq.decoding.streaming import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.bleu import chrf
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.run_settings import RunSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Outputs: TypeAlias = list[str] | np.ndarray
"""Texts, or a classifier's logits `(rows, classes)`."""
TOLERANCE = 1e-3
"""Logits of one model in two float32 libraries differ by less."""


@dataclass(frozen=True)
class Subject:
    """A model to export, and the rows that its outputs are compared on.

    Attributes:
        model: in evaluation mode, in float32.
        tokenizers: its tokenizers.
        settings: how its run used it.
        texts: the rows, without a prefix.
        pairs: second texts of a classifier of pairs.
        is_classifier: whether it gives labels and no texts.
    """

    model: "PreTrainedModel"
    tokenizers: Tokenizers
    settings: RunSettings
    texts: list[str]
    pairs: list[str] | None = None
    is_classifier: bool = False

    def prefixed(self) -> list[str]:
        """The texts as the model reads them."""
        return [self.settings.prefix + text for text in self.texts]


def greedy(subject: Subject) -> Decoding:
    """The search that outputs are compared by: the run's own, but greedy."""
    return Decoding(**subject.settings.decoding | {"num_beams": 1})


def text_shape(subject: Subject) -> dict[str, Any]:
    """What generation must know of a model whose configuration an export has no room for."""
    config = subject.model.config
    positions = longest_sequence(subject.model)
    return {"is_encoder_decoder": bool(config.is_encoder_decoder), "max_position_embeddings": positions}


def own_outputs(subject: Subject) -> Outputs:
    """What the model itself says."""
    settings, tokenizers = subject.settings, subject.tokenizers
    if subject.is_classifier:
        rows = Inference().per_device_eval_batch_size
        classifier = TextClassifier(subject.model, tokenizers.source, rows, settings.max_source_length)
        return classifier.logits(subject.texts, subject.pairs)
    generator = TextGenerator(
        subject.model,
        tokenizers,
        greedy(subject),
        max_new_tokens=settings.max_target_length,
        max_source_length=settings.max_source_length,
        prefix=settings.prefix,
    )
    return generator(subject.texts)


def compare(wanted: Outputs, found: Outputs) -> dict[str, Any]:
    """How many outputs are equal, and how far apart all of them are: chrF, or the largest difference of logits."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray)
        equal = int((_labels(wanted) == _labels(found)).all(-1).sum())
        return {"rows": len(wanted), "equal": equal, "largest_logit_difference": float(np.abs(wanted - found).max())}
    assert isinstance(found, list)
    equal = sum(one == other for one, other in zip(wanted, found, strict=True))
    score = 100.0 if equal == len(wanted) else chrf(found, [[text] for text in wanted])["chrf"]
    return {"rows": len(wanted), "equal": equal, "chrf": round(score, 2)}


def _labels(logits: np.ndarray) -> np.ndarray:
    """What is decided, `(rows, 1 or classes)`: the greatest class, and of every class whether it is above zero."""
    return np.concatenate([logits.argmax(1)[:, None], logits > 0], axis=1)


def check_equal(report: dict[str, Any], wanted: Outputs, found: Outputs) -> None:
    """Refuses an export in float32 that says anything else than its model.

    Raises:
        InputError: with the first row that differs.
    """
    if report["equal"] == report["rows"] and report.get("largest_logit_difference", 0) < TOLERANCE:
        return
    if isinstance(wanted, np.ndarray):
        told = f"logits differ by up to {report['largest_logit_difference']:.3g}"
    else:
        first = next(row for row, text in enumerate(wanted) if text != found[row])
        told = f"row {first + 1} gives {_short(found[first])} in place of {_short(wanted[first])}"
    count = report["rows"] - report["equal"]
    raise InputError(f"the export differs from its model in {count} of {report['rows']} outputs: {told}; none is left")


def _short(text: Any, length: int = 60) -> str:
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def as_sentence(report: dict[str, Any], origin: str) -> str:
    """The comparison in a line for the user."""
    outputs = "labels" if "largest_logit_difference" in report else "greedy outputs"
    line = f"{report['equal']} of {report['rows']} {outputs} equal the model's ({origin})"
    if "largest_logit_difference" in report:
        return f"{line}; logits differ by up to {report['largest_logit_difference']:.2g}"
    return line if report["equal"] == report["rows"] else f"{line}; chrF between them {report['chrf']:.1f}"
