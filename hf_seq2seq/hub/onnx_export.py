"""Exports a model as one ONNX graph with transformers' exporter, and runs it."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hf_seq2seq.data.batches import ordered_batches
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.export_check import Outputs, Subject, own_outputs
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.saved.run_settings import UNBOUNDED

Forward = Callable[..., Any]
ROWS_AT_ONCE = 16


def check_traceable(config: Any, is_classifier: bool) -> None:
    """Rejects models that cannot be exported as a graph, before trying.

    Raises:
        InputError: the model is not supported; gives the reason.
    """
    if config.model_type == "rnn-seq2seq":
        raise InputError(
            "--format onnx: recurrent models branch on the values of the mask, and a graph has no branches"
        )


def write_onnx(folder: Path, subject: Subject, quantization: str) -> None:
    """Writes `model.onnx` with its weights, and the files that transformers' `ExportedModel.from_pretrained` reads.

    The graph maps `input_ids`, `attention_mask` and, for an encoder-decoder, `decoder_input_ids` of any lengths to
    logits. It has no cache.

    Args:
        folder: the target folder.
        subject: the model, in float32.
        quantization: "float32".

    Raises:
        InputError: the exporter cannot trace the model.
    """
    from transformers.exporters import OnnxConfig, OnnxExporter

    assert quantization == "float32"
    with quiet():
        try:
            exported = OnnxExporter().export(subject.model, _example(subject), OnnxConfig(dynamic=True))
        except Exception as error:  # each of its stages has its own errors
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(f"--format onnx: transformers' exporter cannot trace this model: {reason}") from error
        if subject.model.can_generate():
            exported.generation_config = subject.model.generation_config
        exported.save_pretrained(folder)


def _example(subject: Subject) -> dict[str, Any]:
    """Inputs for tracing: no size is one, and all sizes differ."""
    config: Any = subject.model.config
    size = min(config.vocab_size, getattr(config, "source_vocab_size", None) or config.vocab_size)
    ids = torch.arange(21).reshape(3, 7) % size
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if subject.is_classifier:
        return inputs | ({"token_type_ids": torch.zeros_like(ids)} if _has_parts(subject) else {})
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :5]
    return inputs | {"use_cache": False}


def _has_parts(subject: Subject) -> bool:
    return "token_type_ids" in subject.tokenizers.source.model_input_names


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the exporters' reports; their errors are sufficient."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def model_outputs(subject: Subject) -> Outputs:
    """The outputs of the original model, computed in the same way as `onnx_outputs`."""
    if subject.is_classifier:
        return own_outputs(subject)
    model: Any = subject.model
    return _greedy(lambda **inputs: model(**inputs, use_cache=False), subject)


def onnx_outputs(folder: Path, subject: Subject) -> Outputs:
    """The outputs of the graph."""
    import onnxruntime
    from transformers.exporters import ExportedModel

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with quiet():
        graph = ExportedModel.from_pretrained(folder, device="cpu", local_files_only=True, session_options=options)
    if subject.is_classifier:
        return own_outputs(replace(subject, model=_Graph(graph, subject)))  # type: ignore[arg-type]
    return _greedy(graph, subject)


class _Graph(torch.nn.Module):
    """A graph with the interface of a classifier."""

    def __init__(self, graph: Forward, subject: Subject) -> None:
        super().__init__()
        self.graph, self.config, self.device = graph, subject.model.config, torch.device("cpu")
        self.has_parts = _has_parts(subject)

    def forward(self, **inputs: Tensor) -> Any:
        if self.has_parts:
            inputs.setdefault("token_type_ids", torch.zeros_like(inputs["input_ids"]))
        return self.graph(**inputs)


@torch.inference_mode()
def _greedy(forward: Forward, subject: Subject) -> list[str]:
    """Plain greedy decoding, without any other rules of generation."""
    config: Any = subject.model.config
    limit = subject.settings.max_source_length or UNBOUNDED
    sources, _ = encode_texts(subject.prefixed(), subject.tokenizers.source, limit)
    # Without explicit positions, a decoder-only model would count padding on the left.
    size = ROWS_AT_ONCE if config.is_encoder_decoder else 1
    found = [""] * len(sources)
    for rows in ordered_batches(sources.lengths[:, None], size):
        ids = _greedy_batch(forward, subject, sources, rows)
        for row, text in zip(rows, subject.tokenizers.target.batch_decode(ids, skip_special_tokens=True), strict=True):
            found[row] = text
    return found


def _greedy_batch(forward: Forward, subject: Subject, sources: Ragged, rows: Any) -> list[list[int]]:
    config, settings = subject.model.config, subject.model.generation_config
    assert settings is not None
    batch = source_batch(sources, rows, subject.tokenizers.source.pad_token_id or 0)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    eos = torch.as_tensor(settings.eos_token_id).reshape(-1)
    key, start = "input_ids", inputs["input_ids"].shape[1]
    if config.is_encoder_decoder:
        key, start = "decoder_input_ids", 1
        first: Any = settings.decoder_start_token_id
        inputs[key] = torch.full((len(rows), 1), first)
    ended = torch.zeros(len(rows), dtype=torch.bool)
    for _ in range(subject.settings.max_target_length):
        best = forward(**inputs).logits[:, -1].argmax(-1)
        inputs[key] = torch.cat([inputs[key], best[:, None]], 1)
        if key == "input_ids":
            inputs["attention_mask"] = torch.ones_like(inputs[key])
        ended |= torch.isin(best, eos)
        if ended.all():
            break
    return [_output(row, settings.pad_token_id, eos.tolist()) for row in inputs[key][:, start:].tolist()]


def _output(row: list[int], pad: int | None, eos: list[int]) -> list[int]:
    end = next((place for place, token in enumerate(row) if token in eos), len(row))
    return [token for token in row[:end] if token != pad]
