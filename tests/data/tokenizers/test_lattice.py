import numpy as np
import pytest

from hf_seq2seq.data.tokenizers.lattice import Lattice, Substrings

Segmentation = tuple[str, ...]


def segmentations(text: str, pieces: set[str]) -> list[Segmentation]:
    if not text:
        return [()]
    return [
        (text[:end], *rest)
        for end in range(1, len(text) + 1)
        if text[:end] in pieces
        for rest in segmentations(text[end:], pieces)
    ]


@pytest.fixture
def groups() -> dict[int, dict[str, int]]:
    return {8: {"banana": 3, "an": 2, "n": 1}, 32: {"bananabandana": 1, "nabannabanbananab": 2}}


@pytest.fixture
def pieces() -> list[str]:
    return ["a", "b", "n", "d", "an", "ana", "ban", "na", "bananab"]


@pytest.fixture
def lattices(groups: dict[int, dict[str, int]], pieces: list[str]) -> list[Lattice]:
    substrings = Substrings.of(groups)
    names = substrings.texts(np.arange(len(substrings)))
    chosen = np.array([names.index(piece) for piece in pieces])
    return [lattice.keep(chosen, len(substrings)) for lattice in substrings.lattices]


@pytest.fixture
def scores(pieces: list[str]) -> np.ndarray:
    return np.append(np.log(np.random.dirichlet(np.ones(len(pieces)))), -np.inf)


def test_occurrences_are_counted_with_the_counts_of_their_texts(groups: dict[int, dict[str, int]]) -> None:
    substrings = Substrings.of(groups)
    found = dict(zip(substrings.texts(np.arange(len(substrings))), substrings.occurrences(), strict=True))
    counts = {text: count for group in groups.values() for text, count in group.items()}
    expected = {}
    for text, count in counts.items():
        for start in range(len(text)):
            for end in range(start + 1, min(len(text), start + 16) + 1):
                expected[text[start:end]] = expected.get(text[start:end], 0) + count
    assert found == expected


def test_what_is_always_continued_is_found(groups: dict[int, dict[str, int]]) -> None:
    substrings = Substrings.of(groups)
    occurrences = substrings.occurrences()
    names = substrings.texts(np.arange(len(substrings)))
    counts = dict(zip(names, occurrences, strict=True))
    continued = {name for name in names if any(counts.get(name + c) == counts[name] for c in "abnd")}
    assert set(substrings.texts(substrings.always_continued(occurrences))) == continued


def test_expected_counts_are_those_of_all_segmentations(
    groups: dict[int, dict[str, int]], pieces: list[str], lattices: list[Lattice], scores: np.ndarray
) -> None:
    probability = dict(zip(pieces, np.exp(scores[:-1]), strict=True))
    expected = dict.fromkeys(pieces, 0.0)
    for group in groups.values():
        for text, count in group.items():
            ways = segmentations(text, set(pieces))
            weights = np.array([np.prod([probability[piece] for piece in way]) for way in ways])
            for way, share in zip(ways, weights / weights.sum(), strict=True):
                for piece in way:
                    expected[piece] += count * share
    found = np.sum([lattice.expected(scores) for lattice in lattices], axis=0)
    np.testing.assert_allclose(found[:-1], list(expected.values()))


def test_the_best_segmentation_is_found(
    groups: dict[int, dict[str, int]], pieces: list[str], lattices: list[Lattice], scores: np.ndarray
) -> None:
    score = dict(zip(pieces, scores[:-1], strict=True))
    for group, lattice in zip(groups.values(), lattices, strict=True):
        best = [max(sum(score[p] for p in way) for way in segmentations(text, set(pieces))) for text in group]
        np.testing.assert_allclose(lattice.best(scores), best)


def test_without_whole_texts_leaves_the_other_segmentations(lattices: list[Lattice], scores: np.ndarray) -> None:
    an = lattices[0].take(np.array([1])).without_whole_texts()
    np.testing.assert_allclose(an.best(scores), scores[0] + scores[2])
