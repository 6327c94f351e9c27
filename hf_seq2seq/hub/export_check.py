"""Comparison of an export with its model: greedy outputs, or labels, on the same rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hf_seq2seq.configs import Decoding, Inference
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.classification import TextClassifier, windows_of
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.bleu import chrf
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.run_settings import RunSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Outputs: TypeAlias = list[str] | np.ndarray
"""Texts, or a classifier's logits `(rows, classes)`."""
TOLERANCE = 1e-3
"""Logits of one model in two float32 libraries differ by less than this."""


@dataclass(frozen=True)
class Subject:
    """A model to export, and the rows on which to compare outputs.

    Attributes:
        model: in evaluation mode, in float32.
        tokenizers: its tokenizers.
        settings: the settings of its run.
        texts: the rows, without a prefix.
        pairs: second texts of a classifier of pairs.
        is_classifier: whether it predicts labels instead of text.
    """

    model: "PreTrainedModel"
    tokenizers: Tokenizers
    settings: RunSettings
    texts: list[str]
    pairs: list[str] | None = None
    is_classifier: bool = False

    def prefixed(self) -> list[str]:
        """The texts with the model's prefix."""
        return [self.settings.prefix + text for text in self.texts]


def greedy(subject: Subject) -> Decoding:
    """The search used for the comparison: the run's own, but greedy."""
    return Decoding(**subject.settings.decoding | {"num_beams": 1})


def text_shape(subject: Subject) -> dict[str, Any]:
    """The parts of a model's configuration that generation needs and an export does not store."""
    config = subject.model.config
    positions = longest_sequence(subject.model)
    return {"is_encoder_decoder": bool(config.is_encoder_decoder), "max_position_embeddings": positions}


def own_outputs(subject: Subject) -> Outputs:
    """The outputs of the original model."""
    settings, tokenizers = subject.settings, subject.tokenizers
    if subject.is_classifier:
        rows = Inference().per_device_eval_batch_size
        limit = settings.max_source_length
        windows = windows_of(tokenizers.source, limit, settings.run)
        classifier = TextClassifier(subject.model, tokenizers.source, rows, limit, windows=windows)
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
    """The number of equal outputs, and the overall difference: chrF, or the largest difference of logits."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray)
        equal = int((_labels(wanted) == _labels(found)).all(-1).sum())
        return {"rows": len(wanted), "equal": equal, "largest_logit_difference": float(np.abs(wanted - found).max())}
    assert isinstance(found, list)
    equal = sum(one == other for one, other in zip(wanted, found, strict=True))
    score = 100.0 if equal == len(wanted) else chrf(found, [[text] for text in wanted])["chrf"]
    return {"rows": len(wanted), "equal": equal, "chrf": round(score, 2)}


def _labels(logits: np.ndarray) -> np.ndarray:
    """The decisions, `(rows, 1 or classes)`: the top class, or for every class whether its logit is above zero."""
    return np.concatenate([logits.argmax(1)[:, None], logits > 0], axis=1)


def check_equal(report: dict[str, Any], wanted: Outputs, found: Outputs) -> None:
    """Rejects an export in float32 whose outputs differ from its model's.

    Raises:
        InputError: an output differs; gives the first such row.
    """
    if report["equal"] == report["rows"] and report.get("largest_logit_difference", 0) < TOLERANCE:
        return
    if isinstance(wanted, np.ndarray):
        detail = f"logits differ by up to {report['largest_logit_difference']:.3g}"
    else:
        first = next(row for row, text in enumerate(wanted) if text != found[row])
        detail = f"row {first + 1} gives {_short(found[first])} instead of {_short(wanted[first])}"
    count = report["rows"] - report["equal"]
    raise InputError(
        f"the export differs from its model in {count} of {report['rows']} outputs: {detail}; it was removed"
    )


def _short(text: Any, length: int = 60) -> str:
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def as_sentence(report: dict[str, Any], origin: str) -> str:
    """The comparison in one line for the user."""
    outputs = "labels" if "largest_logit_difference" in report else "greedy outputs"
    line = f"{report['equal']} of {report['rows']} {outputs} equal the model's ({origin})"
    if "largest_logit_difference" in report:
        return f"{line}; logits differ by up to {report['largest_logit_difference']:.2g}"
    return line if report["equal"] == report["rows"] else f"{line}; chrF between them {report['chrf']:.1f}"
