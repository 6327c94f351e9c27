"""Evaluation of sets of rows: the exact loss, and metrics of generated texts or predicted labels, on every process."""

import time
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from hf_seq2seq.data.batches import length_order, ordered_batches
from hf_seq2seq.data.evaluation_sets import name_of, sets_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.tokenizers.unknown import count_unknown
from hf_seq2seq.decoding.generation import generate_texts
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.metrics.language_modelling import bits_per_byte, perplexity
from hf_seq2seq.task import Task
from hf_seq2seq.training.weights.sharding import unsharded
from hf_seq2seq.training.zero import unhooked

Predictions = list[str] | np.ndarray
SUMMED = ("samples", "runtime")


@torch.no_grad()
def evaluate(task: Task, kind: str, accelerator: Accelerator, prefix: str) -> dict[str, float]:
    """Measures every set of a kind, and leaves the model in the mode in which it was.

    Args:
        task: its model is on the accelerator's device.
        kind: "validation" or "test".
        accelerator: the processes that share the rows.
        prefix: put before every result's name: "eval" or "predict".

    Returns:
        `eval_loss` (nats a target token, or a row), the metrics, for raw text `eval_perplexity` (a token) and
        `eval_bits_per_byte` or what else the objective measures, `eval_unknown_tokens` (percent, where there
        are any and a perplexity does not count them), `eval_samples` and `eval_runtime` (seconds). A named
        set has its name in between, `eval_english_loss`; without it stands the mean over the sets, each of which weighs
        the same, or for samples and runtime the sum.
    """
    return evaluate_and_predict(task, kind, accelerator, prefix)[0]


@torch.no_grad()
def evaluate_and_predict(
    task: Task, kind: str, accelerator: Accelerator, prefix: str
) -> tuple[dict[str, float], dict[str, Predictions]]:
    """`evaluate`, with the predictions of every split that has any, in row order: texts or `(rows, classes)` logits."""
    measured, predictions = {}, {}
    with unsharded(task.objective), unhooked(task.objective):
        for split in sets_of(task.splits, kind):
            measured[split], predicted = _measure(task, split, accelerator)
            if len(predicted):
                predictions[split] = predicted
    results = {
        f"{prefix}_{name_of(split)}_{key}": value
        for split, found in measured.items()
        if name_of(split)
        for key, value in found.items()
    }
    return results | {f"{prefix}_{key}": value for key, value in _mean(list(measured.values())).items()}, predictions


def _mean(measured: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every score over the sets that have it; of samples and runtime, the sum."""
    found = {}
    for key in dict.fromkeys(key for results in measured for key in results):
        values = [results[key] for results in measured if key in results]
        found[key] = sum(values) if key in SUMMED else sum(values) / len(values)
    return found


def _measure(task: Task, split: str, accelerator: Accelerator) -> tuple[dict[str, float], Predictions]:
    """The results of one split by their own names, and its predictions."""
    started = time.perf_counter()
    examples = task.splits[split]
    training = task.model.training
    task.objective.eval()
    measured = _sums(task, examples, accelerator)
    results = {name: total / weight for name, (total, weight) in measured.items()}
    if task.problem in ("causal_lm", "masked_lm"):
        results["perplexity"] = perplexity(*measured.get("masked_loss", measured["loss"]))
    if task.problem == "causal_lm":
        results["bits_per_byte"] = bits_per_byte(measured["loss"][0], examples.texts)
    if "perplexity" in results and (unknown := count_unknown(examples.source.values, task.tokenizers.source)).tokens:
        results["unknown_tokens"] = unknown.share
    metrics = task.metrics_of(split)
    predictions = predict(task, examples, accelerator) if metrics else []
    if metrics:
        truth: Any = examples.labels if examples.references is None else examples.references
        corpus = Corpus(check_metrics(metrics, TEXT_METRICS | LABEL_METRICS))
        corpus.add(predictions, truth)
        results |= corpus.scores()
        if accelerator.is_main_process:
            corpus.tell_doubts()
    task.objective.train(training)
    results |= {"samples": len(examples), "runtime": time.perf_counter() - started}
    return results, predictions


def predict(task: Task, examples: Examples, accelerator: Accelerator) -> Predictions:
    """Texts or logits of every row, in order; each process does a share of rows of like lengths."""
    order = length_order(examples.source.lengths[:, None])
    mine = order[accelerator.process_index :: accelerator.num_processes]
    model = accelerator.unwrap_model(task.model)
    if task.problem == "seq2seq":
        limit = task.config.tokens.max_target_length
        found: list[Any] = generate_texts(
            model,
            task.tokenizers,
            examples.source.select(mine),
            task.config.decoding,
            limit,
            unknown=None if examples.unknown is None else [examples.unknown[row] for row in mine],
        )
    else:
        found = _logits(task, examples, mine, accelerator)
    gathered = dict(gather_object(list(zip(mine.tolist(), found, strict=True))))
    predictions = [gathered[row] for row in range(len(examples))]
    return predictions if task.problem == "seq2seq" else task.objective.readable(np.stack(predictions))


def _sums(task: Task, examples: Examples, accelerator: Accelerator) -> dict[str, tuple[float, float]]:
    """What the objective measures on a split, by name: sums, and what they are divided by."""
    batches = ordered_batches(examples.lengths, task.config.decoding.per_device_eval_batch_size)
    names = task.objective.measures
    totals = torch.zeros(len(names), 2, dtype=torch.float64, device=accelerator.device)
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    for rows in mine or batches[:1]:  # sharded weights are set up by the first pass, which no process may leave out
        batch = _batch(task, examples, rows, accelerator)
        with accelerator.autocast():
            totals += task.objective.measure(batch) * bool(mine)
    sums = accelerator.reduce(totals, "sum").tolist()
    return {name: (total, weight) for name, (total, weight) in zip(names, sums, strict=True)}


def _logits(task: Task, examples: Examples, rows: np.ndarray, accelerator: Accelerator) -> list[np.ndarray]:
    size = task.config.decoding.per_device_eval_batch_size
    found: list[np.ndarray] = []
    for start in range(0, len(rows), size):
        batch = _batch(task, examples, rows[start : start + size], accelerator)
        batch.pop("labels", None)
        with accelerator.autocast():
            found.extend(task.model(**batch).logits.float().cpu().numpy())
    return found


def _batch(task: Task, examples: Examples, rows: np.ndarray, accelerator: Accelerator) -> dict[str, Tensor]:
    return {name: tensor.to(accelerator.device) for name, tensor in task.collate(examples, rows).items()}
