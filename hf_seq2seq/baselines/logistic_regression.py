"""Logistic regression on n-grams, of several labels a row one for each label; of numbers, ridge regression.

Paper: Wang and Manning, 2012, section 2, https://aclanthology.org/P12-2018, for what n-grams add to words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hf_seq2seq.baselines.baseline import Baseline, Classifier, LabelledTexts
from hf_seq2seq.baselines.features import Features, fit_each
from hf_seq2seq.sections import option

FAR = 30.0
"""Logit of what is as good as certain."""


@dataclass(frozen=True, kw_only=True)
class Options(Features):
    """Baseline: logistic regression, and what of a text is seen."""

    regularization: float = option(1.0, "Strength of the L2 penalty on the weights.", above=0)


def train(rows: LabelledTexts, options: Options) -> Classifier:
    """Fits the weights.

    Raises:
        InputError: scikit-learn is not installed.
    """
    fit = partial(_fitted, problem=rows.problem, options=options)
    features, models = fit_each("logistic_regression", rows, options, fit)

    def classify(texts: Sequence[str], seconds: Sequence[str] | None) -> np.ndarray:
        found = features(texts, seconds)
        if rows.problem == "regression":
            return np.asarray(models[0].predict(found)).reshape(-1, 1)
        if rows.problem == "multi_label":
            return np.column_stack([_decision(model, found) for model in models])
        return by_class(models[0].decision_function(found), models[0].classes_, rows.classes)

    return classify


def by_class(scores: np.ndarray, seen: np.ndarray, classes: int) -> np.ndarray:
    """Logits of all classes from the scores of those seen in training; of two classes there is one score alone."""
    scores = np.column_stack([np.zeros(len(scores)), scores]) if scores.ndim == 1 else scores
    found = np.full((len(scores), classes), scores.min(axis=1, keepdims=True) - FAR)
    found[:, seen] = scores
    return found


def _fitted(vectors: Any, labels: np.ndarray, problem: str, options: Options) -> Any:
    """The model of one column of labels; a number where they are all alike."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if problem == "regression":
        return Ridge(alpha=options.regularization).fit(vectors, labels)
    if len(np.unique(labels)) == 1:
        return FAR if labels[0] else -FAR
    return LogisticRegression(C=1 / options.regularization, max_iter=2000).fit(vectors, labels)


def _decision(model: Any, vectors: Any) -> np.ndarray:
    return np.full(vectors.shape[0], model) if isinstance(model, float) else model.decision_function(vectors)


LOGISTIC_REGRESSION = Baseline(
    "Logistic regression on n-grams of words or characters; of numbers, ridge regression.", "labels", train, Options
)
