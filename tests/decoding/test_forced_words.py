"""Words that must appear, under every kind of tokenizer: found, begun, and in the outputs of real searches."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.decoding.forced_words import ForcedWords, Word, find_words
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.errors import InputError

KINDS = ("word", "char", "bpe", "unigram", "wordpiece", "byte")
TEXTS = [
    "the dogs run to the doghouse",
    "a dog (big) runs to the small house",
    "hotdogs and houses",
    "a man in New York",
] * 5


@pytest.fixture(scope="module")
def pieces() -> dict[str, Any]:
    def train(kind: str) -> Any:
        return train_tokenizers(
            TEXTS, [], NewTokenizer(tokenizer_type=kind, vocab_size={"bpe": 300, "byte": 8000}.get(kind, 90))
        ).target

    return {kind: train(kind) for kind in KINDS}


def ids_of(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_is_spelled_as_it_stands_in_running_text(kind: str, pieces: dict[str, Any]) -> None:
    tokenizer = pieces[kind]
    words = find_words(["dog", "small house"], tokenizer, 50)
    assert words is not None
    for word, text in zip(words.words, ("dog", "small house"), strict=True):
        assert ids_of(tokenizer, f"{text} to") == word.first + ids_of(tokenizer, f"{text} to")[len(word.first) :]
        behind = ids_of(tokenizer, f"the {text}")
        assert behind == ids_of(tokenizer, "the") + word.inner
        assert word.text == text


@pytest.mark.parametrize("kind", KINDS)
def test_progress_token_by_token(kind: str, pieces: dict[str, Any]) -> None:
    tokenizer = pieces[kind]
    words = find_words(["dog"], tokenizer, 50)
    assert words is not None
    (word,) = words.words
    for before, tokens in (((), word.first), (ids_of(tokenizer, "the man"), word.inner)):
        for size, token in enumerate(tokens):
            progress = words.progress((*before, *tokens[:size]))
            assert token in progress.onward
            assert (progress.tokens, progress.complete) == (size, False)
        found = words.progress((*before, *tokens))
        assert found == (len(word.inner), frozenset(), True, True)
        # It stays where a new word follows.
        later = words.progress((*before, *tokens, *ids_of(tokenizer, "dog man")[len(word.first) :]))
        assert (later.complete, later.fresh) == (True, False)
    assert not words.progress(ids_of(tokenizer, "dogs run")).complete


def test_a_word_within_a_longer_one_is_none(pieces: dict[str, Any]) -> None:
    tokenizer = pieces["char"]
    words = find_words(["dog"], tokenizer, 50)
    assert words is not None
    for text, complete in (
        ("a dog", True),
        ("dog", True),
        ("(dog)", True),
        ("hot dog runs", True),
        ("dogs", False),
        ("hotdog", False),
        ("doghouse dog", True),
    ):
        assert words.progress(ids_of(tokenizer, text)).complete == complete, text
    dog = ids_of(tokenizer, "dog")
    assert dog[0] in words.progress(ids_of(tokenizer, "a (")).onward
    assert dog[0] not in words.progress(ids_of(tokenizer, "hot")).onward
    assert not words.progress(ids_of(tokenizer, "the dogs")).fresh
    assert words.progress(()).onward == {dog[0]}  # a text begins with no space


def test_any_tokens_that_spell_it_will_do(pieces: dict[str, Any]) -> None:
    tokenizer = pieces["bpe"]
    words = find_words(["house"], tokenizer, 50)
    assert words is not None
    letters = tuple(tokenizer.convert_tokens_to_ids(["Ġ", *"house"]))
    assert letters != words.words[0].inner
    assert words.progress(letters).complete


def test_scripts_without_spaces_have_no_edges() -> None:
    words = ForcedWords([Word("猫", (1,), (1,))], lambda ids: "".join("小猫跑dé"[token] for token in ids))
    assert words.progress((0, 1, 2)).complete
    words = ForcedWords([Word("d", (3,), (3,))], lambda ids: "".join("小猫跑dé"[token] for token in ids))
    assert words.progress((0, 3, 2)).complete
    assert not words.progress((3, 4)).complete


UNSPACED = {
    "chinese": (["我们今天去学校看书学习", "老师说明天要早点来这里工作", "今天工作。学校学习"], ["学校", "今天"]),
    "mixed": (["我们今天去学校", "the 学校 is big", "today 今天"], ["学校", "今天"]),
    "japanese": (["今日は学校で本を読みました", "本を読む"], ["学校", "読み"]),
    "thai": (["สวัสดีตอนเช้าวันนี้อากาศดีมาก", "วันนี้ อากาศดี"], ["วันนี้", "อากาศ"]),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "word"])
@pytest.mark.parametrize("script", UNSPACED)
def test_words_of_scripts_without_spaces_get_none(
    script: str, kind: str, make_sized: Callable[[str, int], Any]
) -> None:
    texts, wanted = UNSPACED[script]
    options = NewTokenizer(tokenizer_type=kind, vocab_size={"byte": 8000}.get(kind, 400), min_frequency=1)
    tokenizer = train_tokenizers(texts * 2, [], options).target
    words = find_words(wanted, tokenizer, 60)
    assert words is not None
    for word in words.words:
        before = ids_of(tokenizer, texts[0][:3])
        assert tokenizer.decode((*before, *word.inner)) == texts[0][:3] + word.text
        assert tokenizer.decode(word.first) == (word.text if word.first else "")
        assert word.first or kind == "wordpiece"
        assert word.inner[0] in words.progress(before).onward
        assert words.progress((*before, *word.inner[:-1])).tokens == len(word.inner) - 1
    found = Searcher(make_sized("t5", len(tokenizer)), Search(num_beams=3), words.size + 2, words=words)
    batch = {"input_ids": torch.tensor([[5, 7, 9, 1]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    for each in found(batch, range(1))[0]:
        text = tokenizer.decode(each.ids, skip_special_tokens=True)
        assert all(word in text for word in wanted)


def test_a_vocabulary_without_a_space_has_words_that_stand_alone() -> None:
    """As the spellings of single words, letter by letter."""
    tokenizer = train_tokenizers(["dog", "house"], [], NewTokenizer(tokenizer_type="char", min_frequency=1)).target
    words = find_words(["dog"], tokenizer, 9)
    assert words is not None
    dog = ids_of(tokenizer, "dog")
    assert words.progress(()).onward == {dog[0]}
    assert words.progress(dog).complete
    assert not words.progress(ids_of(tokenizer, "house")).onward  # behind which it would be a part of a longer word
    with pytest.raises(InputError, match="dog, house: the vocabulary has no space"):
        find_words(["dog", "house"], tokenizer, 99)


def test_what_holds_another_word_is_asked_for_once(pieces: dict[str, Any]) -> None:
    words = find_words(["York", "New York", "York", "New York"], pieces["unigram"], 50)
    assert words is not None
    assert [word.text for word in words.words] == ["New York"]
    assert find_words([], pieces["unigram"], 50) is None


def test_a_tokenizer_that_changes_texts_is_taken_at_its_word() -> None:
    tokenizer = train_tokenizers(TEXTS, [], NewTokenizer(tokenizer_type="word", lowercase=True)).target
    words = find_words(["Dog"], tokenizer, 9)
    assert words is not None
    assert words.progress(ids_of(tokenizer, "a DOG runs")).complete


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["t5", "rnn"])
def test_every_output_has_the_words_as_words(
    kind: str, family: str, pieces: dict[str, Any], make_sized: Callable[[str, int], Any]
) -> None:
    tokenizer = pieces[kind]
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    model = make_sized(family, len(tokenizer))
    wanted = ["house", "the dog"]
    words = find_words(wanted, tokenizer, 40)
    source = torch.tensor([[5, 7, 9, 1], [8, 6, 1, 0], [10, 11, 12, 1]])
    batch = {"input_ids": source, "attention_mask": (source > 0).long()}
    assert words is not None
    shortest = words.size + 1
    for beams, longest in ((2, shortest), (4, 30)):
        found = Searcher(model, Search(num_beams=beams), longest, words=words)(batch, range(3))
        for hypotheses in found:
            for each in hypotheses:
                text = tokenizer.decode(each.ids, skip_special_tokens=True)
                assert all(re.search(rf"\b{word}\b", text) for word in wanted), text


def test_words_that_cannot_appear(tokenizers: Tokenizers) -> None:
    with pytest.raises(InputError, match="'zebra' is not in the vocabulary"):
        find_words(("dog", "zebra"), tokenizers.target, 10)
    with pytest.raises(InputError, match="need 3 tokens; the longest output has 2"):
        find_words(("dog", "cat"), tokenizers.target, 2)
    with pytest.raises(InputError, match="'' is not in the vocabulary"):
        find_words(("",), tokenizers.target, 2)
