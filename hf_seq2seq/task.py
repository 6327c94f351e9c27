"""The task prepared by a recipe, shared by training, evaluation, preview and the model card."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.evaluation_sets import name_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mixtures import MixedRows, Mixture
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.objectives.objective import Objective

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

Collate = Callable[[Examples, np.ndarray], dict[str, Tensor]]
Predictions = list[str] | np.ndarray
"""Predictions for the rows of a split, in order: texts, or logits `(rows, classes)`."""
Measured = dict[str, tuple[float, float]]
"""An objective's measures on a split, by name: a sum and its divisor."""
Judged = tuple[float, list[str]]
"""A number to rank a row by, and the cells of its line in the card: source, prediction, reference, number."""


class Problem:
    """How a task predicts, scores, writes and describes itself; one module of `hf_seq2seq/problems/` per kind.

    Attributes:
        is_classifier: whether the model predicts labels or a number rather than text.
        longest_output: maximum output length in tokens; None if the model generates no text.
        predicts_in_place: whether labels are at the positions of their inputs.
        units: units of the scores, a sentence of the card.
        measure: measure of single rows, if the problem has predictions.
        row_note: description of a row that is neither a pair nor a text, a sentence of the card.
    """

    is_classifier = False
    longest_output: int | None = None
    predicts_in_place = False
    units = ""
    measure = ""
    row_note = ""

    def with_beams(self, num_beams: int) -> "Problem":
        """The same with another number of beams, where predictions are generated."""
        return self

    def predict(self, task: "Task", examples: Examples, rows: np.ndarray, accelerator: "Accelerator") -> list[Any]:
        """The model's outputs for some rows of a split, in order."""
        raise NotImplementedError

    def gathered(self, task: "Task", found: list[Any]) -> Predictions:
        """The predictions of all rows, in the data's units, from the results of `predict`."""
        return found

    def likelihoods(self, measured: Measured, examples: Examples) -> dict[str, float]:
        """Scores derived from the loss of a split: perplexity etc. for raw text."""
        return {}

    def write_predictions(self, task: "Task", split: str, found: Predictions, files: dict[str, Path]) -> None:
        """Writes the predictions of a split.

        Args:
            task: the trained task.
            split: its name.
            found: the predictions.
            files: paths for "texts", "labels" and "confusion".
        """
        raise NotImplementedError

    def measure_of(self, task: "Task") -> str:
        """What `judged` gives of a row."""
        return self.measure

    def judged(self, task: "Task", examples: Examples, found: Predictions) -> list[Judged]:
        """The first rows of a split with their predictions and a measure of each, of which the greatest is the best."""
        raise NotImplementedError

    def purpose(self, task: "Task") -> str:
        """The model's purpose, a verb and its objects, in Markdown."""
        raise NotImplementedError

    def pipeline_tag(self, task: "Task", languages: list[str]) -> str:
        """The Hub's name of the task; the languages are those of source and target, if known."""
        raise NotImplementedError

    def program(self, task: "Task") -> list[str]:
        """Lines of Python that load the model from MODEL_PATH and run it on a text from its data."""
        raise NotImplementedError

    def next_command(self, task: "Task", place: str) -> str:
        """The command that uses the model in a folder, whose name is quoted for a shell."""
        raise NotImplementedError

    def shown_label(self, names: tuple[str, ...], label: Any) -> str:
        """Display form of a classifier's label."""
        raise NotImplementedError


@dataclass(frozen=True)
class Task:
    """A model, its data and its objective.

    Attributes:
        recipe: the recipe's name.
        config: the recipe's whole configuration.
        model: on CPU, in float32.
        tokenizers: source and target; the same object twice if the vocabulary is shared.
        splits: "train" and, if there are rows for them, "validation" and "test"; named sets are separate splits, such
            as "test_english".
        columns: the detected columns, by role: `{"source": "de", "target": "en"}`.
        objective: wraps the model; returns the summed loss of a batch and its divisor.
        collate: pads rows of a split into one batch of tensors.
        metrics: names, all known; text metrics for pairs, label metrics for labelled rows.
        problem: how it predicts, scores, writes and describes itself.
        label_names: in the order of their ids; empty for pairs.
        set_metrics: the metrics of a named set, if fewer than `metrics`.
        presented: how the training rows come, epoch by epoch; None if every epoch has all of `splits["train"]`, which
            are the first epoch's.
    """

    recipe: str
    config: RunConfig
    model: "PreTrainedModel"
    tokenizers: Tokenizers
    splits: dict[str, Examples]
    columns: dict[str, str]
    objective: Objective
    collate: Collate
    metrics: tuple[str, ...]
    problem: Problem
    label_names: tuple[str, ...] = ()
    set_metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    presented: TrainingRows | None = None

    @property
    def training_rows(self) -> TrainingRows:
        """What is trained on, epoch by epoch."""
        return self.presented or TrainingRows(self.splits["train"])

    @property
    def mixture(self) -> Mixture | None:
        """The tasks that the training rows are drawn from, if there are several."""
        return self.presented.mixture if isinstance(self.presented, MixedRows) else None

    def metrics_of(self, split: str) -> tuple[str, ...]:
        """The metrics of a split."""
        return self.set_metrics.get(name_of(split), self.metrics)

    def batch(self, examples: Examples, rows: np.ndarray, device: torch.device) -> dict[str, Tensor]:
        """Some rows of a split as one batch on a device."""
        return {name: tensor.to(device) for name, tensor in self.collate(examples, rows).items()}
