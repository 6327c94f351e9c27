"""Alignment by expectation maximisation, against every way to cut a word, one by one."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from hf_seq2seq.baselines.alignment import Piece, Symbols, _groups, align, piece_shapes

WORDS = ["ab", "abc", "cab", "bca", "a", "bb", "ccab"]
SOUNDS = ["xy", "xyz", "zx", "yzxx", "x", "yy", "zzy"]


def ways(source: Symbols, target: Symbols, shapes: list[tuple[int, int]]) -> Iterator[list[Piece]]:
    """Every way to cut a pair."""
    if not source:
        if not target:
            yield []
        return
    for a, b in shapes:
        if a <= len(source) and b <= len(target):
            for rest in ways(source[a:], target[b:], shapes):
                yield [(tuple(source[:a]), tuple(target[:b])), *rest]


def plain_weights(shapes: list[tuple[int, int]], rounds: int) -> dict[Piece, float]:
    """Expectation maximisation over lists of all ways."""
    everything = [list(ways(list(s), list(t), shapes)) for s, t in zip(WORDS, SOUNDS, strict=True)]
    inventory = {
        (tuple(s[i : i + a]), tuple(t[j : j + b]))
        for s, t in zip(WORDS, SOUNDS, strict=True)
        for a, b in shapes
        for i in range(len(s) - a + 1)
        for j in range(len(t) - b + 1)
    }
    weights = dict.fromkeys(inventory, 1 / len(inventory))
    for _ in range(rounds):
        counts: Counter[Piece] = Counter()
        for found in everything:
            likelihoods = [float(np.prod([weights[piece] for piece in way])) for way in found]
            for way, likelihood in zip(found, likelihoods, strict=True):
                for piece in way:
                    counts[piece] += likelihood / sum(likelihoods)
        total = sum(counts.values())
        weights = {piece: counts[piece] / total for piece in weights}
    return weights


@pytest.mark.parametrize("size", [(1, 2), (2, 2), (3, 1), (2, 3)])
def test_equals_all_ways_one_by_one(size: tuple[int, int]) -> None:
    shapes = piece_shapes(*size)
    fits = [row for row, (s, t) in enumerate(zip(WORDS, SOUNDS, strict=True)) if any(ways(s, t, shapes))]
    found = align(list(map(list, WORDS)), list(map(list, SOUNDS)), shapes, rounds=3)
    weights = plain_weights(shapes, 3)

    def likelihood(way: list[Piece]) -> float:
        return float(np.prod([weights[piece] for piece in way]))

    for row, pieces in enumerate(found):
        assert (pieces is not None) == (row in fits)
        if pieces is not None:
            assert "".join("".join(s) for s, _ in pieces) == WORDS[row]
            assert "".join("".join(t) for _, t in pieces) == SOUNDS[row]
            best = max(map(likelihood, ways(WORDS[row], SOUNDS[row], shapes)))
            assert likelihood(pieces) == pytest.approx(best)


def test_one_round_gives_the_expected_counts_of_all_ways() -> None:
    shapes = piece_shapes(2, 2)
    groups, count = _groups(list(map(list, WORDS)), list(map(list, SOUNDS)), [True] * len(WORDS), shapes)
    plain = {piece: weight for piece, weight in plain_weights(shapes, 1).items() if weight}
    weights = np.full(count, 1 / (count - 1))
    weights[0] = 0
    expected = sum((group.expected(weights)[0] for group in groups), np.zeros(count))
    assert sorted(expected[expected > 1e-12] / expected.sum()) == pytest.approx(sorted(plain.values()))


def test_a_long_word_does_not_underflow() -> None:
    words = ["abcdefghij" * 10, *"abcdefghij", "abcdefghij" * 10 + "a"]
    *aligned, last = align(list(map(list, words)), [list(word.upper()) for word in words], piece_shapes(1, 2))
    for word, pieces in zip(words, aligned, strict=False):
        assert pieces == [((letter,), (letter.upper(),)) for letter in word]
    assert last is None  # too long to try


@pytest.mark.parametrize("sounds", [1, 3])
def test_one_long_word_leaves_the_others_alone(sounds: int) -> None:
    random = np.random.default_rng(0)
    sources = [[chr(0x4E00 + number) for number in random.integers(40, size=8)] for _ in range(200)]
    targets = [[symbol.upper() for symbol in source for _ in range(sounds)] for source in sources]
    long = [chr(0x4E00 + number) for number in random.integers(40, size=100)]
    alone = align(sources, targets, piece_shapes(1, 3))
    assert all(alone)
    for target in (["x"], long * sounds):
        *others, last = align([*sources, long], [*targets, target], piece_shapes(1, 3))
        assert others == alone
        assert last is not None


def test_nothing_to_align() -> None:
    assert align([list("a"), []], [list("xyz"), []], piece_shapes(1, 2)) == [None, None]
