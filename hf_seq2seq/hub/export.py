"""Exports a model to another format, and compares what the export says with what the model says, at once."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_is_folder, fill_folder, is_free
from hf_seq2seq.hub.ctranslate2_export import check_convertible, ctranslate2_outputs, write_ctranslate2
from hf_seq2seq.hub.export_check import Outputs, Subject, as_sentence, check_equal, compare, own_outputs, text_shape
from hf_seq2seq.hub.onnx_export import check_traceable, model_outputs, onnx_outputs, write_onnx
from hf_seq2seq.hub.safetensors_export import safetensors_outputs, write_safetensors
from hf_seq2seq.saved.adapters import is_adapted, merge_adapter
from hf_seq2seq.saved.model_paths import REPORT_FILE
from hf_seq2seq.saved.run_settings import RUN_FILE


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        check: refuses a model that it cannot hold, by its configuration and whether it classifies.
        write: writes a model into a folder, in a quantization.
        outputs: what the model in such a folder says on the subject's rows.
        reference: what the model itself says on them.
    """

    check: Callable[[Any, bool], None]
    write: Callable[[Path, Subject, str], None]
    outputs: Callable[[Path, Subject], Outputs]
    reference: Callable[[Subject], Outputs] = own_outputs


FORMATS = {
    "ctranslate2": Format(check_convertible, write_ctranslate2, ctranslate2_outputs),
    "onnx": Format(check_traceable, write_onnx, onnx_outputs, model_outputs),
    "safetensors": Format(lambda config, is_classifier: None, write_safetensors, safetensors_outputs),
}

OVERFLOWS = ("t5", "mt5", "umt5", "longt5")
"""Model types that were trained in bfloat16, and whose activations are too large for float16."""


def export_model(place: str, subject: Subject, output: Path, kind: str, quantization: str) -> dict[str, Any]:
    """Writes an export beside its place, compares its outputs with the model's, and then renames it.

    Args:
        place: the folder that the model was loaded from.
        subject: a model that `check_model` lets through and the rows to compare on; an adapter is merged into it.
        output: the folder to write, absent or empty.
        kind: a key of `FORMATS`.
        quantization: of the weights; in float32 all outputs must be equal.

    Returns:
        The report, which `export_report.json` holds too: rows, how many outputs were equal, how far they lie apart.

    Raises:
        InputError: an exporter gives up, or the outputs of an export in float32 differ; nothing is left.
    """
    form = FORMATS[kind]
    subject.model.to("cpu")  # type: ignore[arg-type]  # where exports are written, and compared
    wanted = form.reference(subject)
    if is_adapted(subject.model):
        merge_adapter(subject.model)
    report: dict[str, Any] = {
        "format": kind,
        "quantization": quantization,
        "model_type": subject.model.config.model_type,
    }
    if not subject.is_classifier:
        report |= text_shape(subject)
    with fill_folder(output) as folder:
        form.write(folder, subject, quantization)
        subject.tokenizers.save(folder)
        found = form.outputs(folder, subject)
        report |= compare(wanted, found)
        if quantization == "float32":
            check_equal(report, wanted, found)
        if (run := Path(place) / RUN_FILE).is_file():
            shutil.copy(run, folder)
        (folder / REPORT_FILE).write_text(strict_json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def check_model(config: Any, is_classifier: bool, kind: str, quantization: str) -> None:
    """Refuses, before it is loaded, a model that a format cannot hold.

    Args:
        config: of the model.
        is_classifier: whether it gives labels and no texts.
        kind: a key of `FORMATS`.
        quantization: of the weights.

    Raises:
        InputError: with the reason.
    """
    FORMATS[kind].check(config, is_classifier)
    if quantization == "float16" and config.model_type in OVERFLOWS:
        raise InputError(f"--quantization float16: {config.model_type} overflows in it; use bfloat16")


def check_output(output: Path) -> None:
    """Refuses a place that is taken.

    Raises:
        InputError: something lies there.
    """
    check_is_folder(output, "OUTPUT")
    if not is_free(output):
        raise InputError(f"{output}: exists already, and holds something; name a folder that does not")


def summary(report: dict[str, Any], output: Path, origin: str) -> str:
    """Two lines: what was written, and what the comparison gave."""
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / 1e6
    return f"{output}: {report['format']}, {report['quantization']}, {size:.1f} MB\n{as_sentence(report, origin)}"
