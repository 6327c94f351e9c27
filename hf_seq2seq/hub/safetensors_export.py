"""Export to Hugging Face's own format: adapters merged, optionally in half precision."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from hf_seq2seq.hub.export_check import Outputs, Subject, own_outputs
from hf_seq2seq.saved.loading import load_classifier, load_seq2seq


def write_safetensors(folder: Path, subject: Subject, quantization: str) -> None:
    """Writes weights, configuration, generation settings and, for a hand-built model, its code.

    Args:
        folder: the target folder.
        subject: its model is left in the new precision.
        quantization: "float32", "bfloat16" or "float16".
    """
    disable_progress_bar()
    dtype: torch.dtype = getattr(torch, quantization)
    subject.model.to(dtype).save_pretrained(folder)  # type: ignore[arg-type]


def safetensors_outputs(folder: Path, subject: Subject) -> Outputs:
    """The outputs of the saved model, with its stored weights and float32 arithmetic."""
    load = load_classifier if subject.is_classifier else load_seq2seq
    model = load(str(folder))[0]
    return own_outputs(replace(subject, model=model))
