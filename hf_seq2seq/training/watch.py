"""Signs that a run learns nothing, told while it can still be stopped: each once, with what was measured and a flag.

A sign is a warning, not an error. What healthy runs show at their beginning is not one, so most are not told before a
quarter of the run, its warm-up and `EARLIEST` steps are over; exploding gradients and rows learned by heart are told at
once.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from hf_seq2seq.configs import Schedule
from hf_seq2seq.objectives.classification import Classification
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.sections import flag
from hf_seq2seq.task import Predictions, Task
from hf_seq2seq.training.schedules import warmup_steps
from hf_seq2seq.training.state import State

EARLIEST = 100
"""Steps before which a run is not judged."""
FLAT = 0.02
"""Share by which a flat loss falls at most, from the first half of what is looked at to the second."""
GUESSING = 0.95
"""Share of the unigram entropy below which a model knows more than the tokens' frequencies."""
VANISHED = 1e-6
"""Norm of a gradient that moves nothing."""
EXPLODED = (100.0, 10.0)
"""A norm so many times the median before it and above this is exploding, where the loss has risen, too."""
ALIKE = 0.9
"""Share of outputs that are the same, or empty, where at most half as many of the references are."""
FEWEST_OUTPUTS = 10
"""Outputs that are judged together at the least."""
GAP = (0.5, 0.3)
"""A training loss at most this share of the validation loss, and so many nats below it, is far below."""
RISEN = 1.05
"""Times the best validation loss that a present one has risen to."""


class Watch:
    """Looks at what is logged and measured.

    Args:
        task: gives the targets, and what is told to change.
        state: the run's place; its evaluations, and what an earlier start has seen.
    """

    def __init__(self, task: Task, state: State) -> None:
        self._task, self._state = task, state
        self._schedule: Schedule = task.config.schedule
        known = state.watch
        self._told: set[str] = set(known.get("told", ()))
        self._losses, self._norms = (_numbers(known.get(name, ())) for name in ("losses", "norms"))
        self._entropy = unigram_entropy(task)

    def training(self, loss: float, norm: float) -> list[str]:
        """What a line of the log is a sign of; the loss is a mean since the last line, in nats."""
        before, earlier = self._norms, self._losses
        self._losses, self._norms = [*earlier, loss], [*before, norm]
        signs = [self._exploding(loss, norm, before, earlier)]
        if self._is_settled:
            signs += [self._flat(), self._vanishing(loss, norm)]
        found = self._new(signs)
        finite = {"losses": self._losses, "norms": self._norms}
        self._state.watch |= {name: [x if math.isfinite(x) else None for x in each] for name, each in finite.items()}
        return found

    def evaluation(self, results: dict[str, float], predictions: dict[str, Predictions]) -> list[str]:
        """What an evaluation is a sign of."""
        signs = [self._alike(split, found) for split, found in predictions.items()] if self._is_settled else []
        return self._new([*signs, self._overfitted(results["eval_loss"])])

    def _new(self, signs: Sequence[tuple[str, str] | None]) -> list[str]:
        found = [sign for sign in signs if sign is not None and sign[0] not in self._told]
        self._told |= {kind for kind, _ in found}
        self._state.watch["told"] = sorted(self._told)
        return [text for _, text in found]

    @property
    def _is_settled(self) -> bool:
        """Whether the run is old enough to be judged."""
        state = self._state
        earliest = max(EARLIEST, warmup_steps(self._schedule, state.max_steps), state.max_steps / 4)
        return state.planned and state.global_step >= earliest

    @property
    def _rate(self) -> str:
        return f"(now {self._task.config.optimization.learning_rate:g})"

    @property
    def _length(self) -> str:
        """The flag that says how long the run is."""
        steps = "max_steps" if self._schedule.max_steps else "num_train_epochs"
        return flag(next(iter(self._schedule.limits()), steps))

    def _flat(self) -> tuple[str, str] | None:
        recent = self._losses[len(self._losses) // 2 :]
        if self._entropy is None or len(recent) < 2:
            return None
        half = len(recent) // 2
        first, second = np.mean(recent[:half]), np.mean(recent[half:])
        if second < GUESSING * self._entropy or second < (1 - FLAT) * first:
            return None
        what = "classes" if isinstance(self._task.objective, Classification) else "target tokens"
        return "flat", (
            f"the loss stays at {second:.3f}, and guessing {what} by their frequency alone gives {self._entropy:.3f}: "
            f"nothing is learned from the source; check that sources and targets belong together, then try another "
            f"--learning-rate {self._rate}"
        )

    def _vanishing(self, loss: float, norm: float) -> tuple[str, str] | None:
        if norm >= VANISHED or loss < 0.1:
            return None
        return "vanishing", (
            f"the gradient vanishes: its norm is {norm:.1e} while the loss is {loss:.3f}; "
            f"try a lower --learning-rate {self._rate}, which saturates fewer units, or another start of the weights"
        )

    def _exploding(self, loss: float, norm: float, norms: list[float], losses: list[float]) -> tuple[str, str] | None:
        usual = float(np.median(norms)) if norms else math.inf
        times, least = EXPLODED
        if norm < max(least, times * usual) or loss < 1.2 * min(losses, default=math.inf):
            return None
        clips = self._task.config.optimization.max_grad_norm > 0
        remedy = f"a lower --learning-rate {self._rate}" if clips else "--max-grad-norm 1, which clips it"
        return "exploding", (
            f"the gradient explodes: its norm is {norm:.3g}, before it was {usual:.3g}, and the loss rose from "
            f"{min(losses):.3f} to {loss:.3f}; try {remedy}"
        )

    def _alike(self, split: str, found: Predictions) -> tuple[str, str] | None:
        told = alike(found, _truth(self._task.splits[split]))
        if told is None:
            return None
        output, count, usual = told
        shown = "are empty" if output == "" else f"are the same: {str(output)[:60]!r}"
        if isinstance(found, np.ndarray):
            shown = "are of one class"
        return "alike", (
            f"{count:,} of {len(found):,} outputs on {split} {shown}, where at most {usual:,} references are alike: "
            f"the model does not read its source yet; try another --learning-rate {self._rate}, or a larger "
            f"{self._length}"
        )

    def _overfitted(self, loss: float) -> tuple[str, str] | None:
        if not self._losses or not isinstance(self._task.objective, TokenCrossEntropy | Classification):
            return None
        best = min((line["eval_loss"] for line in self._state.log_history if "eval_loss" in line), default=math.inf)
        share, nats = GAP
        smoothing = getattr(self._task.objective, "label_smoothing", 0.0)
        less = " without label smoothing" if smoothing else ""
        trained = self._losses[-1] - _entropy(np.ones(1), smoothing, _vocabulary(self._task))  # no model is below that
        if trained > share * loss or trained > loss - nats or loss < RISEN * best or not _is_likelihood(self._task):
            return None
        return "overfitted", (
            f"the loss on the training rows is {trained:.3f}{less}, on the validation rows {loss:.3f}, up from "
            f"{best:.3f}: training rows are learned by heart; "
            "try --early-stopping-patience 3, more dropout or a smaller model"
        )


def unigram_entropy(task: Task) -> float | None:
    """Entropy of the training targets' tokens, or of the classes, in nats: the loss of guessing by frequency alone.

    None where the training loss is not one that can be compared with it.
    """
    examples, objective = task.splits["train"], task.objective
    smoothing = getattr(objective, "label_smoothing", 0.0)
    if isinstance(objective, Classification):
        weights = np.bincount(np.asarray(examples.labels), minlength=1).astype(float)
        if objective.class_weights is not None:
            weights *= objective.class_weights.cpu().numpy()[: len(weights)]
        return _entropy(weights, smoothing, len(task.label_names))
    if not isinstance(objective, TokenCrossEntropy) or not _is_likelihood(task) or examples.target is None:
        return None
    counts = np.zeros(_vocabulary(task))
    replies = [] if examples.learned is None else [examples.source.values[examples.learned.values.astype(bool)]]
    for tokens in chain(examples.target.parts(), replies):
        found = np.bincount(tokens[tokens != IGNORE])
        counts.resize(max(len(counts), len(found)))  # copied words have ids beyond the vocabulary
        counts[: len(found)] += found
    return _entropy(counts, smoothing, _vocabulary(task))


def _is_likelihood(task: Task) -> bool:
    """Whether the training loss is the cross-entropy that an evaluation measures."""
    loss = getattr(task.config, "loss", None)
    return loss is None or loss.loss_type == "cross_entropy"


def _vocabulary(task: Task) -> int:
    """The number of tokens, or of classes, among which label smoothing spreads its share."""
    return len(task.label_names) or len(task.tokenizers.target)


def _entropy(counts: np.ndarray, smoothing: float, vocabulary: int) -> float:
    """Of frequencies, of which smoothing spreads a share over the whole vocabulary."""
    vocabulary = max(vocabulary, len(counts))
    shares = (1 - smoothing) * np.pad(counts, (0, vocabulary - len(counts))) / max(1.0, counts.sum())
    shares = (shares + smoothing / vocabulary)[shares + smoothing > 0]
    return float(-(shares * np.log(shares)).sum())


def alike(found: Predictions, truth: Any) -> tuple[Any, int, int] | None:
    """The usual output where nearly all are alike and the truth is not; with the counts of it and of the usual truth.

    Texts differ from one another, so that half as many alike are many; classes may be unequal.
    """
    outputs, right = _as_keys(found, truth)
    if len(outputs) < FEWEST_OUTPUTS:
        return None
    (output, count), (_, usual) = Counter(outputs).most_common(1)[0], Counter(right).most_common(1)[0]
    share = ALIKE if isinstance(found, np.ndarray) else 0.5
    return None if count < ALIKE * len(outputs) or usual > share * count else (output, count, usual)


def _truth(examples: Any) -> Any:
    return examples.labels if examples.references is None else [row[0] for row in examples.references]


def _as_keys(found: Any, truth: Any) -> tuple[list[Any], list[Any]]:
    """What is compared of outputs and truth: texts, or the class or classes of each row; nothing of mere numbers."""
    if not isinstance(found, np.ndarray):
        return [str(text) for text in found], [str(text) for text in truth]
    labels = np.asarray(truth)
    if labels.ndim > 1:
        return [*map(tuple, (found > 0).tolist())], [*map(tuple, (labels > 0).tolist())]
    return (found.argmax(-1).tolist(), labels.tolist()) if labels.dtype.kind in "iu" else ([], [])


def _numbers(values: Sequence[float | None]) -> list[float]:
    """Numbers as a checkpoint keeps them, where None stands for one that is not finite."""
    return [math.inf if value is None else value for value in values]
