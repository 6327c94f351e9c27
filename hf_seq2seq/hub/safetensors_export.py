"""Writes a model as Hugging Face's own folder: adapters merged, in half precision where that is asked for."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from hf_seq2seq.hub.export_check import Outputs, Subject, own_outputs
from hf_seq2seq.saved.loading import load_classifier, load_seq2seq


def write_safetensors(folder: Path, subject: Subject, quantization: str) -> None:
    """Writes weights, configuration, generation settings and, of a hand-built model, its code.

    Args:
        folder: where to.
        subject: its model is left in the new precision.
        quantization: "float32", "bfloat16" or "float16".
    """
    disable_progress_bar()
    dtype: torch.dtype = getattr(torch, quantization)
    subject.model.to(dtype).save_pretrained(folder)  # type: ignore[arg-type]


def safetensors_outputs(folder: Path, subject: Subject) -> Outputs:
    """What the saved model says, its weights as they are and the arithmetic in float32."""
    load = load_classifier if subject.is_classifier else load_seq2seq
    model = load(str(folder))[0]
    return own_outputs(replace(subject, model=model))
