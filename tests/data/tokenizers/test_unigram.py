from collections import Counter

import numpy as np
import pytest

from hf_seq2seq.data.tokenizers import unigram
from hf_seq2seq.data.tokenizers.unigram import learn_unigram

STEMS = ["walk", "talk", "jump", "paint", "cook", "laugh", "climb", "wander"]
ENDINGS = ["ing", "ed", "er", "s"]


@pytest.fixture
def words() -> Counter[str]:
    return Counter(f"▁{stem}{ending}" for stem in STEMS for ending in ENDINGS)


def test_stems_and_endings_become_pieces(words: Counter[str]) -> None:
    pieces = dict(learn_unigram(words, 40))
    assert len(pieces) <= 40
    assert {f"▁{stem}" for stem in STEMS} | {"ing", "ed", "er"} <= set(pieces)


def test_every_character_is_a_piece_even_the_rarest(words: Counter[str]) -> None:
    words["▁zq\0"] = 1
    alphabet = set().union(*words)
    assert {piece for piece, _ in learn_unigram(words, len(alphabet))} == alphabet


def test_the_most_probable_come_first_and_sum_to_at_most_one(words: Counter[str]) -> None:
    scores = [score for _, score in learn_unigram(words, 40)]
    assert scores == sorted(scores, reverse=True)
    assert 0.5 < np.exp(scores).sum() <= 1


def test_words_that_find_no_room_still_give_their_characters(
    words: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unigram, "MOST_CHARACTERS", 100)
    words |= {"▁xyxyxy": 1, "▁xyxyxyxy": 1}
    pieces = dict(learn_unigram(words, 60))
    assert set().union(*words) <= set(pieces)
    assert "xy" not in pieces


def test_long_words_are_learned_from_in_parts() -> None:
    pieces = dict(learn_unigram(Counter({"abc" * 100: 1, "▁": 1}), 10))
    assert max(map(len, pieces)) > 3


def test_one_character_is_enough() -> None:
    assert [piece for piece, _ in learn_unigram({"▁": 1}, 4)] == ["▁"]


def test_of_a_run_that_finds_no_room_its_beginning_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "MOST_CHARACTERS", 640)
    pieces = dict(learn_unigram({"abc" * 1000 + "z": 1}, 20))
    assert "abcabc" in "".join(pieces)
    assert max(map(len, pieces)) > 1
    assert "z" in pieces
