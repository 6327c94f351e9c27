"""Naive Bayes on n-grams: multinomial on counts and TF-IDF, Bernoulli where features are one-hot.

Paper: McCallum and Nigam, 1998, https://cdn.aaai.org/Workshops/1998/WS-98-05/WS98-05-007.pdf
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hf_seq2seq.baselines.baseline import Baseline, Classifier, LabelledTexts
from hf_seq2seq.baselines.features import Features, fit_each
from hf_seq2seq.baselines.logistic_regression import FAR, by_class
from hf_seq2seq.sections import option


@dataclass(frozen=True, kw_only=True)
class Options(Features):
    """Baseline: naive Bayes, and what of a text is seen."""

    smoothing: float = option(1.0, "Count that is added to every n-gram in every class.", above=0)


def train(rows: LabelledTexts, options: Options) -> Classifier:
    """Counts n-grams by class.

    Raises:
        InputError: scikit-learn is not installed.
    """
    features, models = fit_each("naive_bayes", rows, options, partial(_fitted, options=options))

    def classify(texts: Sequence[str], seconds: Sequence[str] | None) -> np.ndarray:
        found = features(texts, seconds)
        if rows.problem == "multi_label":
            return np.column_stack([_odds(model, found) for model in models])
        return by_class(models[0].predict_log_proba(found), models[0].classes_, rows.classes)

    return classify


def _fitted(vectors: Any, labels: np.ndarray, options: Options) -> Any:
    from sklearn.naive_bayes import BernoulliNB, MultinomialNB

    return (BernoulliNB if options.features == "one_hot" else MultinomialNB)(alpha=options.smoothing).fit(
        vectors, labels
    )


def _odds(model: Any, vectors: Any) -> np.ndarray:
    """Logarithm of the odds of a label; of one that all training rows have, or none, as good as certain."""
    if len(model.classes_) == 1:
        return np.full(vectors.shape[0], FAR if model.classes_[0] else -FAR)
    scores = model.predict_log_proba(vectors)
    return np.clip(scores[:, 1] - scores[:, 0], -FAR, FAR)


NAIVE_BAYES = Baseline(
    "Naive Bayes on n-grams of words or characters.",
    "labels",
    train,
    Options,
    problems=("single_label", "multi_label"),
)
