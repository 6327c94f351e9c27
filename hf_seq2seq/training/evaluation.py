"""Evaluation of sets of rows: the exact loss, and metrics of generated texts or predicted labels, on every process."""

import time
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from hf_seq2seq.data.batches import length_order, ordered_batches
from hf_seq2seq.data.evaluation_sets import name_of, sets_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.tokenizers.unknown import count_unknown
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.metrics.metric import with_sources
from hf_seq2seq.task import Measured, Predictions, Task
from hf_seq2seq.training.weights.sharding import unsharded
from hf_seq2seq.training.zero import unhooked

SUMMED = ("samples", "runtime")


def with_eval_beams(task: Task) -> Task:
    """The task with the beams of evaluations during training."""
    beams = task.config.schedule.eval_beams
    return task if beams is None else replace(task, problem=task.problem.with_beams(beams))


@torch.no_grad()
def evaluate_and_predict(
    task: Task, kind: str, accelerator: Accelerator, prefix: str
) -> tuple[dict[str, float], dict[str, Predictions]]:
    """Evaluates every set of a kind, and restores the model's mode.

    Args:
        task: its model is on the accelerator's device.
        kind: "validation" or "test".
        accelerator: the processes that share the rows.
        prefix: prefix of every result's name: "eval" or "predict".

    Returns:
        The results, and the predictions of every split that has any, in row order: texts or `(rows, classes)` logits.
        Results are `eval_loss` (nats per target token or per row), the metrics, for raw text `eval_perplexity` (per
        token) and `eval_bits_per_byte` or whatever else the objective measures, `eval_unknown_tokens` (percent, if
        there are any and perplexity does not count them), `eval_samples` and `eval_runtime` (seconds). A named set has
        its name in between, `eval_english_loss`; without it comes the unweighted mean over the sets, or for samples and
        runtime the sum.
    """
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
    """The mean of every score over the sets that have it; for samples and runtime, the sum."""
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
    results |= task.problem.likelihoods(measured, examples)
    if "perplexity" in results and (unknown := count_unknown(examples.source.values, task.tokenizers.source)).tokens:
        results["unknown_tokens"] = unknown.share
    metrics = task.metrics_of(split)
    predictions = predict(task, examples, accelerator) if metrics else []
    if metrics:
        truth: Any = examples.labels
        if examples.references is not None:
            truth = with_sources(examples.references, examples.texts)
        corpus = Corpus(check_metrics(metrics, TEXT_METRICS | LABEL_METRICS))
        corpus.add(predictions, truth)
        results |= corpus.scores()
        if accelerator.is_main_process:
            corpus.tell_doubts()
    task.objective.train(training)
    results |= {"samples": len(examples), "runtime": time.perf_counter() - started}
    return results, predictions


def predict(task: Task, examples: Examples, accelerator: Accelerator) -> Predictions:
    """Texts or logits of every row, in order; each process handles a share of rows of similar lengths."""
    order = length_order(examples.source.lengths[:, None])
    mine = order[accelerator.process_index :: accelerator.num_processes]
    found = task.problem.predict(task, examples, mine, accelerator)
    gathered = dict(gather_object(list(zip(mine.tolist(), found, strict=True))))
    return task.problem.gathered(task, [gathered[row] for row in range(len(examples))])


@torch.no_grad()
def evaluate_sample(task: Task, split: str, accelerator: Accelerator, most: int | None = None) -> int:
    """Evaluates a batch of rows of usual length on each process, to see how long it takes; returns their number.

    Half of all source tokens are in shorter rows. No output becomes longer than the longest target in the batch, as it
    will be when the model has learned to end.

    Args:
        task: what is evaluated.
        split: whose rows.
        accelerator: the processes.
        most: rows on each process, at most; by default a batch.
    """
    examples, count = task.splits[split], accelerator.num_processes
    order = length_order(examples.source.lengths[:, None])
    size = min(len(order), (most or task.config.decoding.per_device_eval_batch_size) * count)
    tokens = np.cumsum(examples.source.lengths[order])
    start = int(np.searchsorted(tokens, tokens[-1] / 2)) - size // 2
    rows = order[max(0, min(start, len(order) - size)) :][:size]
    mine = rows[accelerator.process_index :: count]
    mine = mine if len(mine) else rows[:1]
    problem = copy(task.problem)
    if problem.longest_output is not None and examples.target is not None:
        problem.longest_output = min(problem.longest_output, int(examples.target.lengths[mine].max()))
    training = task.model.training
    task.objective.eval()
    with unsharded(task.objective), unhooked(task.objective):
        with accelerator.autocast():
            task.objective.measure(task.batch(examples, mine, accelerator.device))
        if task.metrics_of(split):
            problem.predict(task, examples, mine, accelerator)
    task.objective.train(training)
    return size


def _sums(task: Task, examples: Examples, accelerator: Accelerator) -> Measured:
    """The objective's measures on a split, by name: sums and divisors."""
    batches = ordered_batches(examples.lengths, task.config.decoding.per_device_eval_batch_size)
    names = task.objective.measures
    totals = torch.zeros(len(names), 2, dtype=torch.float64, device=accelerator.device)
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    for rows in (
        mine or batches[:1]
    ):  # sharded weights are initialized by the first forward pass, in which all processes must take part
        batch = task.batch(examples, rows, accelerator.device)
        with accelerator.autocast():
            totals += task.objective.measure(batch) * bool(mine)
    sums = accelerator.reduce(totals, "sum").tolist()
    return {name: (total, weight) for name, (total, weight) in zip(names, sums, strict=True)}
