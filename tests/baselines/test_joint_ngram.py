"""The joint n-gram model: its search against every way to pronounce, and real pronunciations."""

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest

from hf_seq2seq.baselines.joint_ngram import JointNgram, Options, train
from hf_seq2seq.baselines.kneser_ney import END, FIRST, START
from hf_seq2seq.errors import InputError

WORDS = ["bad", "bed", "dab", "add", "abba", "cab", "ace", "deed", "face", "fade", "cede", "decaf"]
SOUNDS = [
    "b æ d",
    "b ɛ d",
    "d æ b",
    "æ d",
    "æ b ə",
    "k æ b",
    "e ɪ s",
    "d i d",
    "f e ɪ s",
    "f e ɪ d",
    "s i d",
    "d i k æ f",
]


def likeliest(model: JointNgram, word: str) -> str:
    """The best sequence of pieces among all."""
    choices = [[n for n, (letters, _) in enumerate(model.pieces, FIRST) if letters == (letter,)] for letter in word]

    def score(pieces: tuple[int, ...]) -> float:
        padded = [START, *pieces, END]
        return sum(math.log(model.model.next_token(padded[:i])[padded[i]]) for i in range(1, len(padded)))

    sums: dict[str, float] = {}
    for pieces in product(*choices):
        said = " ".join(sound for piece in pieces for sound in model.pieces[piece - FIRST][1])
        sums[said] = sums.get(said, 0) + math.exp(score(pieces))
    return max(sums, key=lambda said: sums[said])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_wide_beam_finds_what_all_ways_find(order: int) -> None:
    model = train(WORDS, SOUNDS, Options(ngram_order=order, beams=500))
    for word in ["bade", "faced", "dace", "ebb", "cad"]:
        assert model.pronounce(word) == likeliest(model, word)


def every_way(model: JointNgram, word: str, context: int = START) -> Iterator[tuple[tuple[str, ...], float]]:
    """All ways to cut and to say a word under a model of bigrams: the sounds and the probability of each."""
    if not word:
        yield (), model.model.of_tokens((context,), np.array([END]))[0]
    for piece, (letters, sounds) in enumerate(model.pieces, FIRST):
        if word.startswith("".join(letters)):
            likely = model.model.of_tokens((context,), np.array([piece]))[0]
            for more, rest in every_way(model, word[len(letters) :], piece):
                yield sounds + more, likely * rest


def test_all_ways_to_cut_a_word_that_sound_alike_are_summed() -> None:
    random = Random(0)
    words = ["".join(random.choices("ab", k=random.randint(2, 5))) for _ in range(200)]
    sounds = [" ".join(random.choices("XY", k=random.randint(max(1, len(word) // 2), len(word)))) for word in words]
    model = train(words, sounds, Options(ngram_order=2, max_letters=2, beams=1000))
    for letters in product("ab", repeat=4):
        word = "".join(letters)
        sums: dict[tuple[str, ...], float] = {}
        for said, likely in every_way(model, word):
            sums[said] = sums.get(said, 0) + likely
        assert model.pronounce(word) == " ".join(max(sums, key=lambda said: sums[said]))


def test_letters_that_were_never_seen_are_passed_over_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    model = train(WORDS, SOUNDS, Options())
    assert model(["bxad", "bad"]) == ["b æ d", "b æ d"]
    assert "1 of 2 words have unknown letters" in capsys.readouterr().err


def test_targets_without_spaces_are_characters() -> None:
    model = train(["ab", "ba", "abb"], ["xy", "yx", "xyy"], Options(max_letters=2))
    assert model(["bab"]) == ["yxy"]


def test_refuses_what_is_not_made_of_words() -> None:
    with pytest.raises(InputError, match="for single words; for longer texts"):
        train(["a word " * 20], ["x"], Options())
    with pytest.raises(InputError, match="more than 2 symbols per letter"):
        train(["a"], ["x y z"], Options())


def test_italian(shared_data: Path) -> None:
    rows = [line.split("\t") for line in (shared_data / "g2p/ita_train.tsv").read_text().splitlines()]
    test = [line.split("\t") for line in (shared_data / "g2p/ita_test.tsv").read_text().splitlines()]
    model = train(*zip(*rows, strict=True), Options())
    wrong = sum(said != row[1] for said, row in zip(model([row[0] for row in test]), test, strict=True))
    assert 100 * wrong / len(test) <= 31


def test_one_space_makes_no_symbols_of_targets(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ab", "ba", "aab", "bba", "abab"] * 20
    targets = [word.upper() for word in words]
    targets[6] = "B A"
    model = train(words, targets, Options())
    assert model(["ab", "bba"]) == ["AB", "BBA"]
    assert "1 of 100 targets have spaces, which count as characters" in capsys.readouterr().err
