"""Shared by the recipes for labelled texts: checks, reading, the loss of each problem, and building the task."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.collation import LabelCollator
from hf_seq2seq.data.encoding import encode_labelled
from hf_seq2seq.data.evaluation_sets import sets_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.labelled_sources import load_labelled_splits
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.sources import OpenShare
from hf_seq2seq.data.splits import Splits
from hf_seq2seq.data.text_kinds import look_at
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.windows import Windows, make_windows
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.defaults.labels import (
    classifier_choices,
    label_metric_choices,
    text_length_choices,
)
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import LABEL_DEFAULTS
from hf_seq2seq.objectives.classification import Classification, MultiLabel, Regression
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.problems import LABEL_PROBLEMS
from hf_seq2seq.run_configs import EncoderModel, EncoderRun
from hf_seq2seq.saved.heads import is_fresh, output_layer
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.run_settings import UNBOUNDED
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import with_curriculum
from hf_seq2seq.tasks.kept import kept_labels
from hf_seq2seq.tasks.open_conversations import longest_rows
from hf_seq2seq.tasks.open_options import longest_text, read_validated, settle_fine_tuning, settle_start_rows
from hf_seq2seq.tasks.trained_heads import trained_labels
from hf_seq2seq.training.checks import check_positions, check_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
C = TypeVar("C", bound=EncoderRun)


def check_labelled_run(config: C) -> C:
    """`check_run`, with the problem's default metrics if none were chosen; returns the configuration with them.

    Raises:
        InputError: also for class weights or label smoothing without single classes.
    """
    problem = config.model.problem_type
    if problem != "single_label":
        if config.model.class_weights != "none":
            raise InputError(f"--class-weights needs --problem-type single_label, not {problem}")
        if config.optimization.label_smoothing_factor:
            raise InputError(f"--label-smoothing-factor needs --problem-type single_label, not {problem}")
    if not config.evaluation.metrics:
        evaluation = dataclasses.replace(config.evaluation, metrics=LABEL_DEFAULTS[problem])
        config = dataclasses.replace(config, evaluation=evaluation)
    check_run(config, problem, model_type="bert")
    return config


def read_all_labelled(config: C) -> tuple[C, dict[str, Labelled], tuple[str, ...]]:
    """The rows of every split, and the label names in the order of their ids; first the configuration.

    In it is chosen what the options leave open about validation rows, metrics and a new tokenizer.

    A resumed run has the names of its checkpoint; one that starts from a classifier with the same classes has them in
    that classifier's order.

    Raises:
        InputError: there are no training rows.
    """
    problem, config = config.model.problem_type, settle_start_rows(config)

    def read(data: LabelledData, share: OpenShare) -> Splits:
        splits = load_labelled_splits(data, problem, share=share)
        if "train" not in splits:
            raise InputError("no training rows: give --train-file or --dataset-name")
        return splits

    config, splits = read_validated(config, config.data, read)
    validated = bool(sets_of(splits, "validation"))
    config = settle(config, label_metric_choices(problem, config.evaluation.metrics, validated))
    try:
        trained = trained_labels(config.model)
    except InputError:  # errors in the checkpoint are reported when it is loaded; the rows are checked first
        trained = ()
    labelled, names = read_labelled(splits, config.data, problem, kept_labels(config.run), trained)
    if config.model.from_scratch:
        config = settle(config, classifier_choices(look_at(labelled["train"].texts)))
    return config, labelled, names


def head_changes(model: EncoderModel, label_names: tuple[str, ...]) -> dict[str, Any]:
    """Changes to an encoder's configuration for a classification head."""
    kind = model.problem_type if model.problem_type == "regression" else f"{model.problem_type}_classification"
    names = label_names or ("LABEL_0",)
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
        "problem_type": kind,
    }


def _longest(splits: Iterable[Labelled], tokenizer: "PreTrainedTokenizerBase") -> int:
    """Tokens of the longest text, or pair of texts, as far as the 2,000 with most characters tell."""
    sides = [(rows.texts, rows.pairs) for rows in splits]
    if any(pairs is None for _, pairs in sides):
        return longest_text([text for texts, _ in sides for text in texts], tokenizer)
    rows = [row for texts, pairs in sides for row in zip(texts, pairs or (), strict=True)]
    firsts, seconds = zip(*longest_rows(rows, lambda row: sum(map(len, row))), strict=True)
    ids: list[list[int]] = tokenizer([*firsts], [*seconds], verbose=False)["input_ids"]
    return max(map(len, ids))


def label_task(
    config: EncoderRun,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    splits: dict[str, Labelled],
    label_names: tuple[str, ...],
    fresh: Sequence[str],
) -> Task:
    """Encodes the texts and sets the problem's loss as the objective; `fresh` modules have random weights."""
    config = settle(config, text_length_choices(_longest(splits.values(), tokenizer), longest_sequence(model)))
    if not config.model.from_scratch:
        adapter = config.adaptation.has_adapter
        config = settle_fine_tuning(config, "bert_classifier", len(splits["train"]), model, adapter)
    check_positions(model, config.tokens)
    windows, limits = _windows(config, tokenizer, splits["train"]), config.tokens
    if windows is not None and not windows.leaves_out:
        limits = dataclasses.replace(limits, max_source_length=UNBOUNDED)
    examples = {name: encode_labelled(rows, tokenizer, limits) for name, rows in splits.items()}
    if windows is not None and windows.middle:
        examples = {name: _counting_shortened(rows, windows) for name, rows in examples.items()}
    task = Task(
        recipe="bert_classifier",
        config=config,
        model=model,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        splits=examples,
        columns=splits["train"].columns,
        objective=_objective(config, model, splits["train"].labels, len(label_names), fresh),
        collate=LabelCollator(tokenizer.pad_token_id, windows),
        metrics=config.evaluation.metrics,
        problem=LABEL_PROBLEMS[config.model.problem_type],
        label_names=label_names,
    )
    return with_curriculum(task, splits["train"].table)


def _windows(config: EncoderRun, tokenizer: "PreTrainedTokenizerBase", train: Labelled) -> Windows | None:
    """How texts are read that are too long; None to truncate them."""
    model = config.model
    if model.stride is None:
        return None
    limit, pairs = config.tokens.max_source_length, train.pairs is not None
    return make_windows(tokenizer, limit, model.stride, model.window_pooling, pairs)


def _counting_shortened(rows: Examples, windows: Windows) -> Examples:
    return dataclasses.replace(rows, truncated=(rows.truncated[0] + windows.shortened(rows.source), 0))


def _objective(
    config: EncoderRun, model: "PreTrainedModel", labels: np.ndarray, classes: int, fresh: Sequence[str]
) -> Objective:
    weights = balanced_weights(labels, classes) if config.model.class_weights == "balanced" else None
    smoothing = config.optimization.label_smoothing_factor
    makers: dict[str, Callable[[], Objective]] = {
        "single_label": lambda: Classification(model, weights, smoothing, config.model.r_drop),
        "multi_label": lambda: MultiLabel(model),
        "regression": lambda: _regression(model, labels, fresh),
    }
    return makers[config.model.problem_type]()


def _regression(model: "PreTrainedModel", labels: np.ndarray, fresh: Sequence[str]) -> Regression:
    """Numbers are standardized for training; a checkpoint's last layer predicts them in the data's units."""
    head = output_layer(model)
    objective = Regression(model, head, labels)
    if abs(labels.mean()) > labels.std() > 0 == objective.mean:
        detail = (
            "the last layer of this model has no bias: numbers around %.4g are slow to learn; labels around 0 are not"
        )
        logger.warning(detail, labels.mean())
    if not is_fresh(head, fresh):
        objective.unfold()
    return objective


def balanced_weights(labels: np.ndarray, classes: int) -> torch.Tensor:
    """Weights that give every class the same total weight: rows / (classes * rows of the class), `(classes,)`."""
    counts = np.bincount(labels, minlength=classes)
    return torch.tensor(len(labels) / (classes * np.maximum(counts, 1)), dtype=torch.float32)
