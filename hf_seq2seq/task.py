"""What a recipe prepares: the parts that training, evaluation, preview and the model card share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from torch import Tensor

from hf_seq2seq.data.evaluation_sets import name_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mixtures import Mixture
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.objectives.objective import Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Collate = Callable[[Examples, np.ndarray], dict[str, Tensor]]


class Renewed(Protocol):
    """Training rows that are made anew in every epoch, always as many."""

    @property
    def lengths(self) -> np.ndarray:
        """The most tokens of each row in any epoch, `(rows, sides)`."""

    def __call__(self, epoch: int) -> Examples:
        """The rows of an epoch."""


@dataclass(frozen=True)
class Task:
    """A model, its data and what to minimise.

    Attributes:
        recipe: the recipe's name.
        config: the recipe's whole configuration.
        model: on CPU, in float32.
        tokenizers: source and target; one object twice where the vocabulary is shared.
        splits: "train" and, where there are rows for them, "validation" and "test"; where these are several sets, each
            by its name, such as "test_english".
        columns: the columns that were found, by role: `{"source": "de", "target": "en"}`.
        objective: wraps the model; gives the summed loss of a batch and the weight it is divided by.
        collate: pads the named rows of a split into one batch of tensors.
        metrics: names, all known; text metrics for pairs, label metrics for labelled rows.
        problem: "seq2seq" for pairs; "denoising", "causal_lm" or "masked_lm" for raw text; "single_label",
            "multi_label" or "regression" for labelled rows.
        label_names: in the order of their ids; empty for pairs.
        renewed: where the training rows change with the epoch, what gives them; "train" in `splits` is the first
            epoch's.
        set_metrics: the metrics of a named set, where they are fewer than `metrics`.
        mixture: the tasks that the training rows are drawn from; None where every epoch has all rows.
    """

    recipe: str
    config: Any
    model: "PreTrainedModel"
    tokenizers: Tokenizers
    splits: dict[str, Examples]
    columns: dict[str, str]
    objective: Objective
    collate: Collate
    metrics: tuple[str, ...]
    problem: str = "seq2seq"
    label_names: tuple[str, ...] = ()
    renewed: Renewed | None = None
    set_metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mixture: Mixture | None = None

    def metrics_of(self, split: str) -> tuple[str, ...]:
        """The metrics of a split."""
        return self.set_metrics.get(name_of(split), self.metrics)

    @property
    def writes(self) -> bool:
        """Whether the model writes text, rather than labels."""
        return self.problem in ("seq2seq", "denoising", "causal_lm")
