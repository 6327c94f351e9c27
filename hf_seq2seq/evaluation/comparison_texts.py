"""How the texts of systems differ: words by their frequency, n-grams, rows, and agreement.

Words are those of the metrics, in lower case. N-grams and words are matched as in BLEU: as often as the reference has
them. Papers: Neubig et al., 2019, compare-mt, https://aclanthology.org/N19-4007; Rei et al., 2020, MT-Telescope
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

import numpy as np

from hf_seq2seq.metrics.words import words

Found = dict[str, Any]
LONGEST = 4  # words of an n-gram
FREQUENCIES = ((0, 0), (1, 1), (2, 4), (5, 9), (10, 99), (100, 999), (1000, None))
COMPARED_WORDS = 2000
"""Words of a text that are compared one by one, which takes time with their square."""


@lru_cache(maxsize=1 << 14)  # a text takes about a kilobyte
def _words(text: str) -> tuple[str, ...]:
    return tuple(words(text))


def ngrams(text: str, size: int) -> Counter[tuple[str, ...]]:
    """The n-grams of a text."""
    found = _words(text)
    return Counter(found[start : start + size] for start in range(len(found) - size + 1))


def by_frequency(
    outputs: Mapping[str, Sequence[Sequence[str]]], references: Sequence[Sequence[str]], counts: Mapping[str, int]
) -> list[Found]:
    """F1 of the words of each frequency, in percent.

    Args:
        outputs: of the runs of every system, by its name.
        references: of every row; of several, the one that shares most words with the output counts.
        counts: how often a word stands in the training targets, or in other texts.
    """
    classes = {
        name: [word_classes(zip(texts, references, strict=True), counts) for texts in runs]
        for name, runs in outputs.items()
    }
    found: list[Found] = []
    for place in range(len(FREQUENCIES)):
        each = {name: [f1(*table[place]) for table in tables] for name, tables in classes.items()}
        wanted = max(int(table[place, 2]) for tables in classes.values() for table in tables)
        if wanted:
            systems = {name: float(np.mean(scores)) for name, scores in each.items()}
            found.append({"frequency": frequency_name(place), "words": wanted, "systems": systems})
    return found


def frequency_name(place: int) -> str:
    """What one of `FREQUENCIES` is called, such as 10–99."""
    low, high = FREQUENCIES[place]
    return f"{low:,}+" if high is None else f"{low}" if low == high else f"{low}–{high}"


def f1(right: float, written: float, wanted: float) -> float:
    """F1 in percent, from counts."""
    return 100 * 2 * right / (written + wanted) if written + wanted else 0.0


def word_classes(rows: Iterable[tuple[str, Sequence[str]]], counts: Mapping[str, int]) -> np.ndarray:
    """Of each frequency: words that are right, written and wanted, `(frequencies, 3)`.

    Args:
        rows: each one's output and references.
        counts: how often a word stands in the training targets.
    """
    found = np.zeros((len(FREQUENCIES), 3))
    for text, accepted in rows:
        written = ngrams(text, 1)
        wanted = max((ngrams(each, 1) for each in accepted), key=lambda each: sum((each & written).values()))
        for column, bag in enumerate((written & wanted, written, wanted)):
            for (word,), count in bag.items():
                found[_class(counts.get(word, 0)), column] += count
    return found


def _class(count: int) -> int:
    return next(place for place, (_, high) in enumerate(FREQUENCIES) if high is None or count <= high)


def matched_ngrams(runs: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Counter[tuple[str, ...]]:
    """How often each n-gram of up to four words is right, summed over runs."""
    found: Counter[tuple[str, ...]] = Counter()
    for row, accepted in enumerate(references):
        for size in range(1, LONGEST + 1):
            allowed: Counter[tuple[str, ...]] = Counter()
            for reference in accepted:
                allowed |= ngrams(reference, size)
            for texts in runs:
                found.update(ngrams(texts[row], size) & allowed)
    return found


def ngrams_apart(
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    most: int,
) -> list[Found]:
    """The n-grams that one of two systems gets right more often, `most` of each.

    Counts are means over a system's runs. N-grams are ordered by the difference over the square root of the sum, which
    is the standard score of equal chances; a shorter n-gram within one with the same counts is left out.
    """
    own, other = matched_ngrams(first, references), matched_ngrams(second, references)
    found = []
    for gram in own.keys() | other.keys():
        a, b = own[gram] / len(first), other[gram] / len(second)
        if a != b:
            found.append((float((a - b) / np.sqrt(a + b)), gram, a, b))
    better = _ends([each for each in found if each[0] > 0], most)
    worse = _ends([each for each in found if each[0] < 0], most)
    return [{"ngram": " ".join(gram), "first": a, "second": b, "z": score} for score, gram, a, b in (*better, *worse)]


def _ends(found: list[tuple[float, tuple[str, ...], float, float]], most: int) -> list[Any]:
    kept: list[Any] = []
    for each in sorted(found, key=lambda each: (-abs(each[0]), -len(each[1]), each[1])):
        if len(kept) == most:
            break
        if not any(each[2:] == longer[2:] and _holds(longer[1], each[1]) for longer in kept):
            kept.append(each)
    return kept


def _holds(longer: tuple[str, ...], gram: tuple[str, ...]) -> bool:
    return any(longer[start : start + len(gram)] == gram for start in range(len(longer) - len(gram) + 1))


def agreement(
    outputs: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scores: Sequence[np.ndarray]
) -> Found:
    """How far two systems write the same, are right in the same rows, and have their best scores in the same rows.

    Args:
        outputs: of both.
        references: of every row.
        scores: of every row, of both, `(rows,)` each.

    Returns:
        Shares of rows in percent; `correlation` is Pearson's of the rows' scores, None where one system's are constant.
    """
    rows = list(zip(*outputs, references, strict=True))
    right = np.array([[_is_right(text, accepted) for text in (a, b)] for a, b, accepted in rows])
    share = lambda found: 100 * float(np.mean(found))  # noqa: E731
    varied = all(np.ptp(each) > 0 for each in scores)
    return {
        "identical": share([a.strip() == b.strip() for a, b, _ in rows]),
        "both_right": share(right.all(1)),
        "only_first_right": share(right[:, 0] & ~right[:, 1]),
        "only_second_right": share(~right[:, 0] & right[:, 1]),
        "neither_right": share(~right.any(1)),
        "correlation": float(np.corrcoef(scores[0], scores[1])[0, 1]) if varied else None,
    }


def _is_right(text: str, accepted: Sequence[str]) -> bool:
    return text.strip() in [reference.strip() for reference in accepted]


def rows_apart(
    scores: Sequence[np.ndarray], greater: bool, most: int, outputs: Sequence[Sequence[str]]
) -> list[tuple[int, float]]:
    """The rows in which one of two systems is better by most, `most` of each, with the difference of the scores.

    Args:
        scores: of every row, of both systems.
        greater: whether a higher score is better.
        most: rows of each.
        outputs: of both; rows in which they are the same are left out.
    """
    apart = scores[0] - scores[1]
    differ = np.array([a != b for a, b in zip(*outputs, strict=True)])
    better = apart if greater else -apart
    order = [int(row) for row in np.argsort(-better, kind="stable") if differ[row]]
    top = [row for row in order[:most] if better[row] > 0]
    bottom = [row for row in order[::-1][:most] if better[row] < 0]
    return [(row, float(apart[row])) for row in (*top, *bottom)]


def marked(first: str, second: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Two texts as pieces, each with whether it is absent from the other; the pieces together are the text."""
    own, other = _spaced(first), _spaced(second)
    if max(len(own), len(other)) > COMPARED_WORDS:
        return [(first, False)], [(second, False)]
    matcher = SequenceMatcher(None, own, other, autojunk=False)
    left: list[tuple[str, bool]] = []
    right: list[tuple[str, bool]] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        left += [("".join(own[a:b]), kind != "equal")] if b > a else []
        right += [("".join(other[c:d]), kind != "equal")] if d > c else []
    return left, right


def _spaced(text: str) -> list[str]:
    """Words and the spaces between them; characters where there are no spaces."""
    pieces = re.findall(r"\s+|\S+", text)
    return pieces if len(pieces) > 1 else list(text)
