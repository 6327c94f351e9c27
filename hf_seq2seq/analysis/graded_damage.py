"""Which metrics notice damage: references damaged by degrees, and whether a metric worsens with every degree.

The first reference of each row stands for a perfect output. What is damaged by 10 % is also damaged by 25 %, so that
every degree is worse than the one before.

Paper: Sai et al. 2021, Perturbation CheckLists for Evaluating NLG Evaluation Metrics,
    https://aclanthology.org/2021.emnlp-main.575
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.words import count_unsplit

Json = dict[str, Any]
DEGREES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
FALLS, BLIND = "falls", "blind"
_EQUAL = 1e-9


@dataclass(frozen=True)
class Places:
    """The words of a text, and the random numbers that its damage at every degree shares.

    Attributes:
        words: of the text.
        order: in which words are damaged, `(words,)`.
        rounding: 0-1; of 3.2 words, this decides between three and four.
        others: a different word for each, from other places of the corpus; its own where there is none.
        shift: 1-9, by which the digits of each word are changed, `(words,)`.
    """

    words: list[str]
    order: np.ndarray
    rounding: float
    others: list[str]
    shift: np.ndarray

    def chosen(self, degree: float, among: Sequence[int] | None = None) -> list[int]:
        """Places to damage, among those that can be."""
        fitting = [place for place in self.order.tolist() if among is None or place in among]
        return fitting[: int(degree * len(fitting) + self.rounding)]


def _dropped(text: Places, degree: float) -> list[str]:
    gone = set(text.chosen(degree))
    return [word for place, word in enumerate(text.words) if place not in gone]


def _repeated(text: Places, degree: float) -> list[str]:
    twice = set(text.chosen(degree))
    return [word for place, word in enumerate(text.words) for _ in range(1 + (place in twice))]


def _shuffled(text: Places, degree: float) -> list[str]:
    """The chosen words move in a circle, each to the place of the next."""
    found, places = list(text.words), text.chosen(degree)
    for place, after in zip(places, [*places[1:], *places[:1]], strict=True):
        found[after] = text.words[place]
    return found


def _wrong(text: Places, degree: float) -> list[str]:
    chosen = set(text.chosen(degree))
    return [text.others[place] if place in chosen else word for place, word in enumerate(text.words)]


def _wrong_numbers(text: Places, degree: float) -> list[str]:
    numbers = [place for place, word in enumerate(text.words) if any(map(str.isdecimal, word))]
    found = list(text.words)
    for place in text.chosen(degree, numbers):
        found[place] = "".join(_other_digit(letter, int(text.shift[place])) for letter in found[place])
    return found


def _other_digit(letter: str, shift: int) -> str:
    return str((int(letter) + shift) % 10) if letter.isdecimal() else letter


DAMAGES: dict[str, Callable[[Places, float], list[str]]] = {
    "dropped words": _dropped,
    "repeated words": _repeated,
    "shuffled words": _shuffled,
    "wrong words": _wrong,
    "wrong numbers": _wrong_numbers,
}
EMPTY = "empty texts"


def graded_damage(metrics: Mapping[str, Metric], references: Sequence[Sequence[str]], seed: int) -> dict[str, Json]:
    """Scores of references that are damaged more and more.

    Args:
        metrics: of texts, by name.
        references: one or more texts per row.
        seed: of what is damaged.

    Returns:
        By kind of damage: `rows`, how many texts full damage changes, and by key of a metric its `scores` at `DEGREES`
        and a `verdict`: "falls" at every degree, "blind", or the first degree that is no worse than the one before.
    """
    texts = [row[0] for row in references]
    found = {}
    for kind, degrees in damaged(texts, seed).items():
        changed = sum(a != b for a, b in zip(degrees[0], degrees[-1], strict=True))
        scores: dict[str, list[float]] = {}
        directions: dict[str, int] = {}
        for metric in metrics.values():
            for rows in degrees if changed else ():
                for key, value in metric.compute(rows, references).items():
                    scores.setdefault(key, []).append(value)
                    directions[key] = 1 if metric.greater_is_better else -1
        found[kind] = {
            "rows": changed,
            "metrics": {
                key: {"scores": values, "verdict": verdict(values, directions[key])} for key, values in scores.items()
            },
        }
    return found


def damaged(texts: Sequence[str], seed: int) -> dict[str, list[list[str]]]:
    """The texts at every degree of every kind of damage."""
    generator = np.random.default_rng(seed)
    splits = [_split(text) for text in texts]
    every = [word for words, _ in splits for word in words]
    places = [_places(words, every, generator) for words, _ in splits]
    found = {
        kind: [
            [separator.join(damage(each, degree)) for each, (_, separator) in zip(places, splits, strict=True)]
            for degree in DEGREES
        ]
        for kind, damage in DAMAGES.items()
    }
    ranks = generator.permutation(len(texts))
    return found | {
        EMPTY: [
            ["" if rank < round(degree * len(texts)) else text for rank, text in zip(ranks, texts, strict=True)]
            for degree in DEGREES
        ]
    }


def verdict(values: Sequence[float], direction: int) -> str:
    """Whether scores worsen at every degree; `direction` is 1 where higher is better, else -1."""
    steps = direction * np.diff(values)
    if np.abs(steps).max() <= _EQUAL:
        return BLIND
    wrong = np.flatnonzero(steps > -_EQUAL)
    if not len(wrong):
        return FALLS
    first = int(wrong[0])
    return f"{'flat' if steps[first] <= _EQUAL else 'rises'} at {DEGREES[first + 1]:.0%}"


def _split(text: str) -> tuple[list[str], str]:
    """The words of a text and what separates them: nothing for scripts written without spaces."""
    return (list(text), "") if count_unsplit([text]) else (text.split(), " ")


def _places(words: list[str], every: Sequence[str], generator: np.random.Generator) -> Places:
    others = [_another(word, every, generator) for word in words]
    order = generator.permutation(len(words))
    return Places(words, order, float(generator.random()), others, generator.integers(1, 10, size=len(words)))


def _another(word: str, every: Sequence[str], generator: np.random.Generator) -> str:
    drawn = (every[place] for place in generator.integers(len(every), size=20))
    return next((other for other in drawn if other != word), word)
