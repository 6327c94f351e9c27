"""Exports a model to another format, and compares the export's outputs with the model's."""

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
from hf_seq2seq.hub.space import MODEL, check_space, write_page, write_space_model
from hf_seq2seq.saved.adapters import is_adapted, merge_adapter
from hf_seq2seq.saved.model_paths import REPORT_FILE
from hf_seq2seq.saved.run_settings import RUN_FILE


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        check: rejects unsupported models, by configuration and whether they are classifiers.
        write: writes a model to a folder, with a quantization.
        outputs: outputs of the exported model on the subject's rows.
        reference: outputs of the original model on them.
        inside: folder of the model in the export's folder.
        finish: writes what lies beside the model, with a title.
    """

    check: Callable[[Any, bool], None]
    write: Callable[[Path, Subject, str], None]
    outputs: Callable[[Path, Subject], Outputs]
    reference: Callable[[Subject], Outputs] = own_outputs
    inside: str = "."
    finish: Callable[[Path, Subject, str], None] | None = None


FORMATS = {
    "ctranslate2": Format(check_convertible, write_ctranslate2, ctranslate2_outputs),
    "onnx": Format(check_traceable, write_onnx, onnx_outputs, model_outputs),
    "safetensors": Format(lambda config, is_classifier: None, write_safetensors, safetensors_outputs),
    "space": Format(check_space, write_space_model, safetensors_outputs, inside=MODEL, finish=write_page),
}

OVERFLOWS = ("t5", "mt5", "umt5", "longt5")
"""Model types trained in bfloat16, whose activations overflow float16."""


def export_model(place: str, subject: Subject, output: Path, kind: str, quantization: str) -> dict[str, Any]:
    """Writes an export to a temporary folder, compares its outputs with the model's, and then renames it.

    Args:
        place: the folder that the model was loaded from.
        subject: a model that passes `check_model`, and the rows to compare on; an adapter is merged into it.
        output: the folder to write, absent or empty.
        kind: a key of `FORMATS`.
        quantization: quantization of the weights; in float32 all outputs must be equal.

    Returns:
        The report, also saved as `export_report.json`: rows, number of equal outputs, difference of the others.

    Raises:
        InputError: an exporter fails, or the outputs of an export in float32 differ; nothing is left behind.
    """
    config = subject.model.config
    if kind != "safetensors" and (getattr(config, "input_width", None) or getattr(config, "feature_names", None)):
        raise InputError(f"--format {kind}: supports token ids alone, and this model reads features; use safetensors")
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
    with fill_folder(output) as whole:
        folder = whole / form.inside
        folder.mkdir(exist_ok=True)
        form.write(folder, subject, quantization)
        subject.tokenizers.save(folder)
        found = form.outputs(folder, subject)
        report |= compare(wanted, found)
        if quantization == "float32":
            check_equal(report, wanted, found)
        if (run := Path(place) / RUN_FILE).is_file():
            shutil.copy(run, folder)
        (folder / REPORT_FILE).write_text(strict_json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if form.finish:
            form.finish(whole, subject, Path(place).resolve().name)
    return report


def check_model(config: Any, is_classifier: bool, kind: str, quantization: str) -> None:
    """Rejects a model that a format does not support, before it is loaded.

    Args:
        config: the model's configuration.
        is_classifier: whether it predicts labels instead of text.
        kind: a key of `FORMATS`.
        quantization: of the weights.

    Raises: InputError: the model is not supported; gives the reason.
    """
    FORMATS[kind].check(config, is_classifier)
    if quantization == "float16" and config.model_type in OVERFLOWS:
        raise InputError(f"--quantization float16: {config.model_type} overflows in it; use bfloat16")


def check_output(output: Path) -> None:
    """Rejects a non-empty target.

    Raises:
        InputError: the target is not empty.
    """
    check_is_folder(output, "OUTPUT")
    if not is_free(output):
        raise InputError(f"{output}: already exists and is not empty; give another folder")


def summary(report: dict[str, Any], output: Path, origin: str) -> str:
    """Two lines: what was written, and the result of the comparison."""
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / 1e6
    return f"{output}: {report['format']}, {report['quantization']}, {size:.1f} MB\n{as_sentence(report, origin)}"
