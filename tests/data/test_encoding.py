from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import processors
from transformers import (
    ByT5Tokenizer,
    MBart50Tokenizer,
    MBartTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from hf_seq2seq.configs import NewTokenizer, PairTokenization, Tokenization
from hf_seq2seq.data.encoding import CHUNK, encode_labelled, encode_pairs, encode_targets, encode_texts
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.special_tokens import BERT
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError

LETTERS = [(letter, -3.0) for letter in ["▁", *"abcdefghijklmnopqrstuvwxyz"]]
MBART = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]


def words(rows: int, longest: int = 12) -> list[str]:
    """Texts of 0 to `longest` short words."""
    return [
        " ".join("".join(np.random.choice(list("abcdef"), 3)) for _ in range(np.random.randint(longest + 1)))
        for _ in range(rows)
    ]


def t5_like() -> PreTrainedTokenizerBase:
    return train_tokenizers(["abcdef abc fed"], [], NewTokenizer(vocab_size=300)).source


def bart_like() -> PreTrainedTokenizerBase:
    tokenizer = t5_like()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 3), ("</s>", 1)]
    )
    return tokenizer


def gpt2_like() -> PreTrainedTokenizerBase:
    tokenizer = t5_like()
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([])
    return tokenizer


def bert_like() -> PreTrainedTokenizerBase:
    options = NewTokenizer(tokenizer_type="wordpiece", vocab_size=60)
    return train_tokenizers(["abcdef abc fed bad cad"], [], options, specials=BERT).source


KINDS: dict[str, tuple[Callable[[], PreTrainedTokenizerBase], str]] = {
    "t5": (t5_like, "</s>"),
    "bart": (bart_like, "</s>"),
    "gpt2": (gpt2_like, "</s>"),
    "bert": (bert_like, "[SEP]"),
    "byt5": (lambda: ByT5Tokenizer(), "</s>"),
    "mbart": (lambda: MBartTokenizer(vocab=MBART + LETTERS, src_lang="en_XX", tgt_lang="de_DE"), "de_DE"),
    "mbart50": (lambda: MBart50Tokenizer(vocab=MBART + LETTERS, src_lang="en_XX", tgt_lang="de_DE"), "</s>"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tokenizer(kind: str) -> PreTrainedTokenizerBase:
    return KINDS[kind][0]()


@pytest.mark.parametrize("limit", [4, 9, 1000])
def test_sources_are_what_the_tokenizer_gives_and_cuts_are_counted(
    tokenizer: PreTrainedTokenizerBase, limit: int
) -> None:
    texts = words(2 * CHUNK + 3)
    ids, truncated = encode_texts(texts, tokenizer, limit)
    assert len(ids) == len(texts)
    full = [tokenizer(text)["input_ids"] for text in texts]
    assert truncated == sum(len(row) > limit for row in full)
    assert (truncated > 0) == (limit < 1000)
    for row, text in enumerate(texts):
        expected = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        assert ids[row].tolist() == expected


@pytest.mark.parametrize("limit", [4, 9, 1000])
def test_targets_are_closed_even_when_cut(kind: str, tokenizer: PreTrainedTokenizerBase, limit: int) -> None:
    texts = [*words(CHUNK), "", "abc abc abc abc abc abc abc abc abc"]
    ids, truncated = encode_targets(texts, tokenizer, limit)
    closing = tokenizer.convert_tokens_to_ids(KINDS[kind][1])
    assert all(ids[row][-1] == closing for row in range(len(ids)))
    assert ids.lengths.max() <= limit
    full, nothing = encode_targets(texts, tokenizer, 10_000)
    assert nothing == 0
    assert truncated == int((full.lengths > limit).sum())
    assert (ids.lengths[full.lengths > limit] == limit).all()
    for row in np.flatnonzero(full.lengths <= limit):
        assert ids[row].tolist() == full[row].tolist()


def test_language_codes_differ_for_source_and_target() -> None:
    tokenizer = KINDS["mbart50"][0]()
    pairs = Pairs(["ab"], [["cd"]], ("de", "en"))
    examples = encode_pairs(pairs, Tokenizers(tokenizer, tokenizer), PairTokenization())
    assert tokenizer.convert_ids_to_tokens(examples.source[0].tolist())[0] == "en_XX"
    assert tokenizer.convert_ids_to_tokens(examples.target[0].tolist())[0] == "de_DE"
    assert tokenizer("ab")["input_ids"] == examples.source[0].tolist()


def test_pairs_take_the_prefix_and_the_first_reference() -> None:
    tokenizer = t5_like()
    pairs = Pairs(["abc", "fed " * 9], [["a", "b"], ["c c c c c c c c"]], ("de", "en"))
    limits = PairTokenization(max_source_length=12, max_target_length=5)
    examples = encode_pairs(pairs, Tokenizers(tokenizer, tokenizer), limits, prefix="say: ")
    assert tokenizer.decode(examples.source[0], skip_special_tokens=True) == "say: abc"
    assert tokenizer.decode(examples.target[0], skip_special_tokens=True) == "a"
    assert examples.texts == pairs.sources
    assert examples.references == pairs.references
    assert examples.truncated == (1, 1)
    assert examples.lengths.tolist()[1] == [12, 5]
    assert examples.source.values.dtype == np.int32


def labelled(texts: list[str], pairs: list[str] | None) -> Labelled:
    return Labelled(texts, pairs, np.arange(len(texts)), {"text": "text", "label": "label"})


@pytest.mark.parametrize("limit", [4, 9, 1000])
def test_pairs_of_texts_are_cut_and_marked_as_the_tokenizer_does(limit: int) -> None:
    tokenizer = bert_like()
    firsts, seconds = words(CHUNK + 5), words(CHUNK + 5)
    examples = encode_labelled(labelled(firsts, seconds), tokenizer, Tokenization(max_source_length=limit))
    full = [len(ids) for ids in tokenizer(firsts, seconds)["input_ids"]]
    assert examples.truncated == (sum(length > limit for length in full), 0)
    assert examples.labels.tolist() == list(range(CHUNK + 5))
    for row, pair in enumerate(zip(firsts, seconds, strict=True)):
        expected = tokenizer([pair], truncation=True, max_length=limit)
        assert examples.source[row].tolist() == expected["input_ids"][0]
        assert examples.token_types[row].tolist() == expected["token_type_ids"][0]


def test_single_texts_have_no_segments() -> None:
    examples = encode_labelled(labelled(["abc", "bad cad"], None), bert_like(), Tokenization())
    assert examples.token_types is None
    assert examples.target is None
    assert examples.texts == ["abc", "bad cad"]


def test_a_tokenizer_without_segments_gives_none_for_pairs() -> None:
    assert encode_labelled(labelled(["abc"], ["fed"]), bart_like(), Tokenization()).token_types is None


@pytest.mark.parametrize(("name", "least"), [("t5", 2), ("bart", 3), ("gpt2", 2), ("mbart", 3), ("byt5", 2)])
def test_a_limit_without_room_for_text_names_the_least(name: str, least: int) -> None:
    tokenizer = KINDS[name][0]()
    with pytest.raises(InputError, match=f"--max-target-length: {least - 1} .*the minimum is {least}"):
        encode_targets(["abc"], tokenizer, least - 1)
    ids, _ = encode_targets(["abc"], tokenizer, least)
    assert len(ids[0]) == least


def test_a_limit_without_room_for_two_texts_is_refused() -> None:
    with pytest.raises(InputError, match=r"--max-source-length: 3 .*the minimum is 4"):
        encode_labelled(labelled(["abc"], ["fed"]), bert_like(), Tokenization(max_source_length=3))


def test_truncation_is_not_left_on() -> None:
    tokenizer = t5_like()
    encode_texts(["abc " * 50], tokenizer, 5)
    assert tokenizer.backend_tokenizer.truncation is None


def test_truncation_that_a_ready_tokenizer_brings_is_not_obeyed() -> None:
    tokenizer = t5_like()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    ids, truncated = encode_texts(["abc abc abc abc"], tokenizer, 100)
    assert (len(ids[0]) > 3, len(ids[0]) < 50, truncated) == (True, True, 0)


def test_long_texts_bring_no_warning() -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=t5_like().backend_tokenizer, model_max_length=4, pad_token="<pad>", eos_token="</s>"
    )
    encode_texts(["abc " * 50], tokenizer, 100)
    encode_targets(["abc " * 50], tokenizer, 100)
    # Where transformers keeps that it has warned of a text longer than `model_max_length`.
    assert not tokenizer.deprecation_warnings


def test_no_rows_give_no_ids() -> None:
    ids, truncated = encode_texts([], t5_like(), 10)
    assert (len(ids), ids.values.dtype, truncated) == (0, np.int32, 0)


def test_surrogates_are_repaired() -> None:
    tokenizer = t5_like()
    ids, _ = encode_texts(["a\ud83d\ude42", "b\udcff"], tokenizer, 50)
    assert [tokenizer.decode(ids[row], skip_special_tokens=True) for row in (0, 1)] == ["a🙂", "b\ufffd"]
