"""Long texts in pieces: what is in them, and where they are cut."""

import itertools
import random

import pytest

from hf_seq2seq.data.splitting import check_language, split_text, too_long
from hf_seq2seq.errors import InputError

DOCUMENT = "  Dr. Smith came.  He left!\n\n\tIt rained\nall day. \n \n\n  The end\n"


def words(texts):
    """Words as tokens, with one special token."""
    return [len(text.split()) + 1 for text in texts]


def characters(texts):
    return [len(text) for text in texts]


def test_sentences_and_paragraphs_leave_the_spacing_to_the_gaps():
    found = split_text(DOCUMENT, "sentences", words, None)
    assert found.texts == ["Dr. Smith came.", "He left!", "It rained", "all day.", "The end"]
    assert found.gaps == ["  ", "  ", "\n\n\t", "\n", " \n \n\n  ", "\n"]
    assert found.joined([text.upper() for text in found.texts]) == DOCUMENT.upper()
    found = split_text(DOCUMENT, "paragraphs", words, None)
    assert found.texts == ["Dr. Smith came.  He left!", "It rained\nall day.", "The end"]
    assert found.joined(found.texts) == DOCUMENT


def test_pieces_fill_the_room_and_are_cut_where_it_hurts_least():
    assert split_text(DOCUMENT, "tokens", words, 6).texts == [
        "Dr. Smith came.  He left!", "It rained\nall day.", "The end"
    ]  # fmt: skip
    assert split_text("One two three. Four. Five six seven.", "tokens", words, 5).texts == [
        "One two three. Four.", "Five six seven."
    ]  # fmt: skip
    assert split_text("one two three four five", "tokens", words, 3).texts == ["one two", "three four", "five"]
    assert split_text("abcdefgh ij", "tokens", characters, 3).texts == ["abc", "def", "gh", "ij"]
    assert split_text("我们走吧。你好吗?", "tokens", characters, 5).texts == ["我们走吧。", "你好吗?"]


def test_a_sentence_that_is_too_long_is_cut_further():
    assert split_text("One two three four. Five.", "sentences", words, 3).texts == ["One two", "three four.", "Five."]


@pytest.mark.parametrize("text", ["", " \n\n ", "a", "\n", "a\u2003b\x85c\u200b"])
@pytest.mark.parametrize("kind", ["sentences", "paragraphs", "tokens"])
def test_nothing_is_lost_of_odd_texts(text, kind):
    found = split_text(text, kind, words, 2)
    assert found.joined(found.texts) == text
    assert all(piece.strip() for piece in found.texts)


def test_a_text_that_has_more_tokens_as_a_whole_is_cut_too():
    """A tokenizer may need more tokens across a border than on its two sides."""
    found = split_text("a b c d", "tokens", lambda texts: [len(text) ** 2 for text in texts], 9)
    assert found.texts == ["a b", "c d"]


def test_every_word_of_500_documents_is_in_exactly_one_piece(shared_data):
    lines = (shared_data / "lm" / "tinyshakespeare.txt").read_text().splitlines(keepends=True)
    draw, sizes = random.Random(1), [round(5000 ** (number / 499)) for number in range(500)]
    stream = itertools.cycle(lines)
    for number, size in enumerate(sizes):
        text, count = draw.choice(["", "\n", "  "]), 0
        while count < size:
            line = next(stream)
            kept = line.split(" ")[: size - count]
            count += len(line.split()[: size - count])
            text += " ".join(kept) + draw.choice(["", "", "\n", " "])
        kind = ("sentences", "paragraphs", "tokens")[number % 3]
        found = split_text(text, kind, words, 40)
        assert found.joined(found.texts) == text
        assert [word for piece in found.texts for word in piece.split()] == text.split()
        assert max(words(found.texts), default=0) <= 40
        assert all(not gap.strip() for gap in found.gaps)


def test_says_which_texts_are_too_long():
    assert too_long(["a b c", "a", "a b c d"], words, 3) == [(0, 4), (2, 5)]
    assert too_long(["a b c"], words, None) == []


def test_refuses_what_is_no_language():
    check_language("de")
    check_language("zh_Hant")
    with pytest.raises(InputError, match="--split-language: 'german' is no language code"):
        check_language("german")
