"""Checks for errors of a run before anything is loaded."""

import dataclasses
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from hf_seq2seq.configs import Adaptation, Evaluation, Pretrained, PretrainedOrNew, Run, RunConfig, Tokenization
from hf_seq2seq.data.evaluation_sets import named_files
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.push import check_run_publication
from hf_seq2seq.metrics import best_metric, check_metrics, metrics_for
from hf_seq2seq.objectives import OBJECTIVES, loss_options, type_has_own_loss
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.prompts import prompt_length
from hf_seq2seq.sections import flag, section_of
from hf_seq2seq.training.adaptation import check_adaptation
from hf_seq2seq.training.attention_kernels import check_kernels
from hf_seq2seq.training.gradient_flow import check_gradient_flow
from hf_seq2seq.training.optimizers import check_optimizer
from hf_seq2seq.training.output_folder import check_output_dir
from hf_seq2seq.training.resuming import check_resume
from hf_seq2seq.training.weights import zero_settings
from hf_seq2seq.training.weights.moving_average import check_averaging
from hf_seq2seq.training.weights.precision import check_precision
from hf_seq2seq.training.weights.sharding import check_sharding
from hf_seq2seq.training_options import Loss

C = TypeVar("C", bound=RunConfig)


def check_run(
    config: RunConfig, problem: str, model_type: str, sets: Mapping[str, tuple[str, ...]] | None = None
) -> None:
    """Rejects, before anything is loaded, what would fail later: precision, adapters, metrics, trackers, folder, card.

    Args:
        config: the recipe's configuration.
        problem: "seq2seq" and so on.
        model_type: the architecture.
        sets: the metrics of each named validation set; by default those of `--validation-file` have all metrics.

    Raises:
        InputError: the precision is unsupported, an option belongs to another optimizer, adaptations are mutually
            exclusive, a metric is unknown, a tracker is not installed, the folder contains a run, or the Hub would
            reject the license or a language.
    """
    check_precision(config.optimization, model_type, runs_on_cpu(config.run))
    check_optimizer(config.optimization, runs_on_cpu(config.run))
    check_loss(config)
    adaptation = section_of(config, Adaptation)
    check_kernels(config, runs_on_cpu(config.run))
    check_sharding(config.optimization, adaptation)
    zero_settings.check_zero(config.optimization, adaptation)
    check_gradient_flow(config)
    check_averaging(config.averaging, config.schedule.max_steps, config.optimization.optim)
    if adaptation:
        on_cpu = config.optimization.bf16 and runs_on_cpu(config.run)
        start = section_of(config, PretrainedOrNew)
        check_adaptation(adaptation, start is not None and start.from_scratch, on_cpu)
    metrics, validation = config.evaluation.metrics, config.data.validation_file
    check_metrics(metrics, metrics_for(problem))
    named = named_files("validation_file", validation) if validation else {}
    sets = {name: metrics for name in named if name} if sets is None else sets
    best_metric(config.schedule.metric_for_best_model, metrics, sets)
    for tracker in config.run.report_to:
        if find_spec(tracker) is None:
            raise InputError(f"--report-to {tracker}: is not installed; pip install 'hf-seq2seq[{tracker}]'")
    check_output_dir(config)
    check_resume(config)
    check_run_publication(config)


def check_loss(config: RunConfig) -> None:
    """Rejects invalid options of the loss, and a start from random weights where they would not learn.

    Raises:
        InputError: says how to start.
    """
    loss = section_of(config, Loss) or Loss()
    for name in ("chosen_column", "rejected_column"):
        if getattr(config.data, name, None) and not OBJECTIVES[loss.loss_type].reads_preferences:
            raise InputError(f"{flag(name)}: only read by --loss-type preference; leave it out, or name that loss")
    _check_smoothing(config, loss)
    allowed = getattr(loss_options(loss), "random_start", True)
    start = section_of(config, Pretrained)
    if start is not None and start.model_name_or_path is None and not allowed:
        raise InputError(
            f"--loss-type {loss.loss_type}: learns from a trained model's outputs, and random weights have none worth "
            "it; train with cross-entropy first, and start from its folder: --model-name-or-path DIR\n"
            "to start from random weights all the same: --loss-args random_start=true"
        )


def _check_smoothing(config: RunConfig, loss: Loss) -> None:
    """Rejects label smoothing, or a form of it, that a run would not have."""
    given, factor = config.given or frozenset(), config.optimization.label_smoothing_factor
    if "label_smoothing_factor" in given and factor and type_has_own_loss(loss):
        raise InputError(f"--label-smoothing-factor {factor}: --loss-type {loss.loss_type} has none; leave it out")
    if loss.label_smoothing_type != "uniform" and type_has_own_loss(loss):
        raise InputError(f"--label-smoothing-type: --loss-type {loss.loss_type} has no label smoothing; leave it out")


def without_metrics(config: C, gives: str) -> C:
    """The configuration of a run without generated texts to compare.

    Args:
        config: the recipe's configuration.
        gives: what is reported instead, for the error.

    Raises:
        InputError: text metrics are requested.
    """
    if config.evaluation.metrics not in ((), Evaluation().metrics):
        raise InputError(f"--metrics compare texts; {gives}")
    return dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, metrics=()))


def check_positions(model: PreTrainedModel, tokens: Tokenization) -> None:
    """Rejects lengths beyond a model's table of positions.

    Raises:
        InputError: a length is too large; names the flag and the maximum.
    """
    for name, side in (("max_source_length", "encoder"), ("max_target_length", "decoder")):
        most = longest_sequence(model, side)
        given = getattr(tokens, name, 0)
        if most is None or given <= most:
            continue
        if side == "encoder" and (prompt := prompt_length(model)):
            told = f"{prompt} are too many beside {flag(name)} {given}; the model has {most + prompt} positions"
            raise InputError(f"--prompt-tokens: {told}")
        raise InputError(f"{flag(name)}: {given} is too large; the model has {most} positions")


def runs_on_cpu(run: Run) -> bool:
    """Whether a run uses the CPU, by choice (a flag, or Accelerate's configuration) or because there is no GPU."""
    detail = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    return run.use_cpu or detail or not torch.cuda.is_available()
