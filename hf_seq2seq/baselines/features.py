"""Texts as sparse vectors of words or characters: counts, presence (one-hot), or TF-IDF. Needs scikit-learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_seq2seq.baselines.baseline import LabelledTexts
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.words import words
from hf_seq2seq.sections import Section, option


@dataclass(frozen=True, kw_only=True)
class Features(Section):
    """Baseline: what of a text is seen."""

    features: str = option(
        "counts", "Of each n-gram: its count, whether it is there, or TF-IDF.", choices=("counts", "one_hot", "tf_idf")
    )
    units: str = option("words", "n-grams of words, or of characters within words.", choices=("words", "characters"))
    ngram_order: int = option(2, "Longest n-grams; 1 is a bag of words.", at_least=1, at_most=10)
    min_count: int = option(1, "Leave out n-grams that fewer training texts have.", at_least=1)


def fit_each(
    name: str, rows: LabelledTexts, options: Features, fit: Callable[[Any, np.ndarray], Any]
) -> tuple["TextFeatures", list[Any]]:
    """The features of the training rows, and a model of them for each column of labels.

    Args:
        name: of the baseline.
        rows: the training rows; where they have several labels each, there is a model for each class.
        options: what is seen.
        fit: fits a model to vectors and labels, `(rows,)`.

    Raises:
        InputError: scikit-learn is not installed, or nothing is left to be seen.
    """
    check_scikit_learn(name)
    features = TextFeatures(options, rows.texts, rows.seconds)
    columns = list(rows.labels.T) if rows.problem == "multi_label" else [rows.labels]
    return features, [fit(features.training, labels) for labels in columns]


def check_scikit_learn(name: str) -> None:
    """Refuses a baseline where scikit-learn is missing.

    Raises:
        InputError: says how to install it.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise InputError(f"baseline {name}: needs scikit-learn: pip install 'hf-seq2seq[baselines]'") from None


class TextFeatures:
    """Turns texts, and second texts, into vectors; each of the two has features of its own.

    Attributes:
        training: the vectors of the training rows, `(rows, features)`.

    Args:
        options: what is seen.
        texts: of the training rows.
        seconds: the second texts of the training rows, if there are any.

    Raises:
        InputError: nothing is left to be seen.
    """

    def __init__(self, options: Features, texts: Sequence[str], seconds: Sequence[str] | None) -> None:
        columns = [texts] if seconds is None else [texts, seconds]
        self._vectorizers = [_vectorizer(options) for _ in columns]
        try:
            found = [each.fit_transform(column) for each, column in zip(self._vectorizers, columns, strict=True)]
        except ValueError:  # scikit-learn's word for texts without a single feature
            raise InputError(f"--min-count {options.min_count}: no n-gram is in so many training texts") from None
        self.training = _joined(found)

    def __call__(self, texts: Sequence[str], seconds: Sequence[str] | None) -> Any:
        """Sparse vectors, `(rows, features)`."""
        columns = [texts] if seconds is None else [texts, seconds]
        found = [each.transform(column) for each, column in zip(self._vectorizers, columns, strict=True)]
        return _joined(found)


def _joined(found: list[Any]) -> Any:
    from scipy.sparse import hstack

    return hstack(found, format="csr")


def _vectorizer(options: Features) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    settings: dict[str, Any] = {"ngram_range": (1, options.ngram_order), "min_df": options.min_count}
    if options.units == "words":
        settings |= {"tokenizer": words, "token_pattern": None, "lowercase": False}
    else:
        settings |= {"analyzer": "char_wb"}
    if options.features == "tf_idf":
        return TfidfVectorizer(**settings)
    return CountVectorizer(**settings, binary=options.features == "one_hot")
