import hashlib
import json
import random
import subprocess
import sys
import time
import unicodedata

import pytest
from tokenizers import Tokenizer

from hf_seq2seq.configs import TOKENIZERS
from hf_seq2seq.data.tokenizers import training
from hf_seq2seq.data.tokenizers.special_tokens import BERT, PEGASUS, SEQ2SEQ, T5, SpecialTokens
from hf_seq2seq.data.tokenizers.training import Plan, train_tokenizer
from hf_seq2seq.errors import InputError

pytestmark = pytest.mark.usefixtures("forked")

TEXTS = [
    "Zwei junge weiße Männer sind im Freien, in der Nähe vieler Büsche.",
    "Two young, White males are outside near many bushes.",
    "Deux jeunes hommes blancs sont dehors près de buissons.",
    "Двое молодых людей стоят у кустов.",
    "二人の若い 白人男性が 茂みの近くに います。",
    "שני גברים צעירים ליד שיחים.",
    "The dogs' owners weren't here; they'd gone (again!) to buy 3.5 kg of food :-)",
    "It is n't over , they 've said .",
]
EXACT = ["Two  spaces", " leading and trailing ", "tab\tand\nlines\r\n", "\n", " ", ""]
STRANGE = [
    "👩‍👩‍👧 🏳️‍🌈 ✅",
    "e\u0301 \u200b \u00a0 \ufeff \u202e",
    "\x00\x01\x1b\x7f",
    "\ue000 \U000f0000 \U0010ffff",
    "",
    "x" * 5000,
    "</s> <pad> <unk> [SEP]",
]


def plan(kind: str, size: int = 400, lowercase: bool = False, specials: SpecialTokens = SEQ2SEQ) -> Plan:
    return Plan(kind, size, 1, lowercase, specials)


def round_trip(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.decode(tokenizer.encode(text).ids)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_text_comes_back_from_its_ids(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, plan(kind))
    assert [round_trip(tokenizer, text) for text in TEXTS] == TEXTS
    unseen = "Two White dogs weren't near; many bushes."
    assert kind == "word" or round_trip(tokenizer, unseen) == unseen


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram", "byte"])
def test_white_space_comes_back_too(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS + EXACT, plan(kind))
    assert [round_trip(tokenizer, text) for text in EXACT] == EXACT


def test_unigram_pieces_have_letters_digits_or_other_characters_as_those_of_sentencepiece_do() -> None:
    texts = ["He ran 10km in May, she ran 20km in May.", "e\u0301lan, e\u0301lan."] * 50
    pieces = train_tokenizer(texts, plan("unigram", 80)).get_vocab()
    kinds = [{"M" if unicodedata.category(c)[0] in "LM" else c.isdigit() for c in piece.strip("▁")} for piece in pieces]
    assert all(len(found) < 2 for piece, found in zip(pieces, kinds, strict=True) if piece not in SEQ2SEQ.tokens)
    assert {"▁May", "▁ran", "."} <= set(pieces)


@pytest.mark.parametrize("kind", ["bpe", "byte"])
def test_bytes_spell_what_training_never_saw(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, plan(kind))
    assert [round_trip(tokenizer, text) for text in STRANGE[:-1]] == STRANGE[:-1]


def test_a_byte_tokenizer_has_a_token_for_each_byte_whatever_the_size() -> None:
    tokenizer = train_tokenizer(["a"], plan("byte", size=8))
    assert tokenizer.get_vocab_size() == len(SEQ2SEQ.tokens) + 256
    for text in [*TEXTS, *STRANGE[:-1]]:
        assert tokenizer.encode(text, add_special_tokens=False).ids == [4 + byte for byte in text.encode()]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("specials", [SEQ2SEQ, BERT], ids=["seq2seq", "bert"])
def test_special_tokens_come_first_and_wrap_every_text(kind: str, specials: SpecialTokens) -> None:
    tokenizer = train_tokenizer(TEXTS, plan(kind, specials=specials))
    assert [tokenizer.token_to_id(token) for token in specials.tokens] == list(range(len(specials.tokens)))
    one, two = tokenizer.encode("near"), tokenizer.encode("near", "bushes")
    if specials is SEQ2SEQ:
        assert one.tokens[-1] == two.tokens[-1] == "</s>"
        assert two.tokens.count("</s>") == 2
    else:
        assert (one.tokens[0], one.tokens[-1]) == ("[CLS]", "[SEP]")
        assert two.type_ids[: len(one)] == [0] * len(one)
        assert set(two.type_ids[len(one) :]) == {1}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_strange_text_is_neither_refused_in_training_nor_later(kind: str) -> None:
    for trained_on in (TEXTS, TEXTS + STRANGE):
        tokenizer = train_tokenizer(trained_on, plan(kind, size=600))
        assert all(encoding.ids[-1] == 1 for encoding in tokenizer.encode_batch(STRANGE))
        assert [tokenizer.token_to_id(token) for token in SEQ2SEQ.tokens] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_vocabulary_is_no_larger_than_asked(kind: str) -> None:
    assert train_tokenizer(TEXTS, plan(kind, size=300)).get_vocab_size() <= 300


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_a_vocabulary_too_small_for_the_characters_names_the_least(kind: str) -> None:
    with pytest.raises(InputError, match="--vocab-size: 30 is too small") as caught:
        train_tokenizer(TEXTS, plan(kind, size=30))
    least = int(str(caught.value).split()[-1])
    with pytest.raises(InputError):
        train_tokenizer(TEXTS, plan(kind, size=least - 1))
    assert train_tokenizer(TEXTS, plan(kind, size=least)).get_vocab_size() == least


@pytest.mark.parametrize(("kind", "size"), [("char", 8), ("word", 7)])
def test_the_rarest_give_way_in_a_small_vocabulary(kind: str, size: int) -> None:
    tokenizer = train_tokenizer(["a a a a b b b c c d"], plan(kind, size=size))
    assert tokenizer.encode("a b").ids.count(2) == 0
    assert 2 in tokenizer.encode("d").ids


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "wordpiece"])
def test_min_frequency_leaves_out_the_rare(kind: str) -> None:
    texts = ["near near near", "qua"]
    common = train_tokenizer(texts, Plan(kind, 400, 2, False, SEQ2SEQ))
    everything = train_tokenizer(texts, plan(kind))
    assert common.get_vocab_size() < everything.get_vocab_size()
    assert common.encode("near").ids == everything.encode("near").ids


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("specials", [SEQ2SEQ, BERT], ids=["seq2seq", "bert"])
def test_lowercase_lowers_in_training_and_after(kind: str, specials: SpecialTokens) -> None:
    tokenizer = train_tokenizer(TEXTS, plan(kind, lowercase=True, specials=specials))
    assert round_trip(tokenizer, "NEAR Männer") == "near männer"


def test_words_are_split_at_white_space_only() -> None:
    tokenizer = train_tokenizer(["HH AH0 L OW1", "W ER1 L D"], plan("word"))
    assert tokenizer.encode("HH  OW1\tD").tokens == ["HH", "OW1", "D", "</s>"]


def test_an_encoders_word_pieces_are_split_at_punctuation_as_berts_are() -> None:
    tokenizer = train_tokenizer(TEXTS, plan("wordpiece", specials=BERT))
    assert tokenizer.encode("bushes.").tokens == ["[CLS]", "bushes", ".", "[SEP]"]


@pytest.mark.parametrize("text", ["a </s> b", "<pad>", "a<unk>b", "</s></s>x <s>", "<s>a </s>"])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_text_that_spells_a_special_token_is_read_as_text(kind: str, text: str) -> None:
    tokenizer = train_tokenizer([*TEXTS, text * 3, text], plan(kind))
    tokenizer.encode_special_tokens = True
    assert round_trip(tokenizer, text) == text
    assert set(tokenizer.encode(text).ids[:-1]).isdisjoint(range(4))


@pytest.mark.parametrize("specials", [SEQ2SEQ, T5, PEGASUS, BERT], ids=["seq2seq", "t5", "pegasus", "bert"])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_letters_of_special_tokens_that_training_never_saw_are_unknown(kind: str, specials: SpecialTokens) -> None:
    tokenizer = train_tokenizer(["ab ba"], plan(kind, specials=specials))
    tokenizer.encode_special_tokens = True
    unknown = tokenizer.token_to_id(specials.roles["unk_token"])
    numbers = {tokenizer.token_to_id(token) for token in specials.tokens} - {unknown}
    for token in specials.tokens:
        for text in (token, f"a {token} b", f"a{token}b", token * 2):
            assert numbers.isdisjoint(tokenizer.encode(text, add_special_tokens=False).ids), text


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_words_keep_their_places_in_a_text_that_spells_a_special_token(kind: str) -> None:
    tokenizer = train_tokenizer(["a </s> b"] * 2, plan(kind))
    tokenizer.encode_special_tokens = True
    found = tokenizer.encode("a </s> b", add_special_tokens=False)
    assert (found.offsets[0], found.offsets[-1]) == ((0, 1), (7, 8))
    assert {place for start, end in found.offsets[1:-1] for place in range(start, end)} == set(range(2, 6))


@pytest.mark.parametrize("kind", ["unigram", "wordpiece", "word"])
def test_a_special_token_that_is_frequent_in_the_text_keeps_its_place(kind: str) -> None:
    texts = [f"{letter}</s> </s>{letter} </s> <pad>" for letter in "abcdefghijklmnop"]
    tokenizer = train_tokenizer(texts, plan(kind))
    assert [tokenizer.token_to_id(token) for token in SEQ2SEQ.tokens] == [0, 1, 2, 3]
    assert len(set(tokenizer.get_vocab().values())) == tokenizer.get_vocab_size()
    assert [tokenizer.id_to_token(number) for number in range(4)] == SEQ2SEQ.tokens
    tokenizer.encode_special_tokens = True
    assert tokenizer.encode("</s>a").ids.count(1) == 1


def digests() -> dict[str, str]:
    # Many pieces of equal count, so that an order which is not fixed shows.
    texts = [f"{a}{b}{c} {c}{a}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx"]
    found = {kind: train_tokenizer(texts + TEXTS, plan(kind, size=500)).to_str() for kind in TOKENIZERS}
    return {kind: hashlib.sha256(content.encode()).hexdigest() for kind, content in found.items()}


def test_another_process_trains_the_same_tokenizers() -> None:
    program = f"import sys, json, runpy; print(json.dumps(runpy.run_path({__file__!r})['digests']()))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == digests()


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_long_run_without_spaces_costs_time_by_its_length_alone(kind: str) -> None:
    """As Chinese, Thai or DNA have; quadratic time would be a quarter of a minute here."""
    draw = random.Random(0)
    text = "".join(chr(0x4E00 + draw.randrange(800)) for _ in range(40_000))
    start = time.process_time()
    tokenizer = train_tokenizer([text], plan(kind, size=3000))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert time.process_time() - start < 6
    assert 2 not in ids
    assert tokenizer.decode(ids).replace(" ", "") == text


def test_a_run_is_parted_only_where_merges_or_words_would_be_too_long() -> None:
    texts = ["ab" * 127, "ab" * 128 + " c"]
    assert [training._short_runs(text) for text in texts] == [[texts[0]], ["ab" * 128, " c"]]
    tokenizer = train_tokenizer(["ab" * 9], plan("wordpiece"))
    for length, words in ((499, 1), (500, 2), (700, 3)):
        assert len(tokenizer.decode(tokenizer.encode("a" * length).ids).split()) == words
        assert tokenizer.decode(tokenizer.encode("a" * length).ids).replace(" ", "") == "a" * length
