"""Special tokens that texts spell are text, except those that users of a ready tokenizer write on purpose."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerBase

from hf_seq2seq.configs import TOKENIZERS, NewTokenizer
from hf_seq2seq.data.encoding import encode_labelled, encode_targets, encode_texts, encode_written
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.raw_text import encode_raw
from hf_seq2seq.data.tokenizers.special_tokens import BART, BERT, SpecialTokens
from hf_seq2seq.data.tokenizers.spelled import describe_spelled, read_as_text
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError

TEXTS = ["a cat </s> sees <mask> a <pad> dog", "[SEP] [CLS] [PAD] [MASK] <s>"] * 2


def trained(kind: str, specials: SpecialTokens = BART) -> PreTrainedTokenizerBase:
    options = NewTokenizer(tokenizer_type=kind, min_frequency=1, **({} if kind == "byte" else {"vocab_size": 400}))
    return train_tokenizers(TEXTS, [], options, specials=specials).source


@pytest.fixture(params=[BART, BERT], ids=["bart", "bert"])
def ready(request: pytest.FixtureRequest, tmp_path: Path) -> PreTrainedTokenizerBase:
    """A tokenizer as others save them: with transformers' default."""
    tokenizer = trained("bpe", request.param)
    tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = False
    tokenizer.save_pretrained(tmp_path / "ready")
    return AutoTokenizer.from_pretrained(tmp_path / "ready")


def controls(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [str(t) for t in tokenizer.all_special_tokens if t not in (tokenizer.mask_token, tokenizer.sep_token)]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_saved_tokenizer_reads_text_as_the_one_that_was_trained(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind)
    Tokenizers(tokenizer, tokenizer).save(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        ids = loaded(text)["input_ids"]
        assert ids == tokenizer(text)["input_ids"]
        assert set(ids[:-1]).isdisjoint(loaded.all_special_ids)
        assert loaded.decode(ids, skip_special_tokens=True) == text


def test_what_ends_or_fills_a_sequence_is_text_for_a_ready_tokenizer(ready: PreTrainedTokenizerBase) -> None:
    """The other rows are read as ever."""
    usual = ready("a cat")["input_ids"]
    for token in controls(ready):
        rows, cut = encode_texts(["a cat", f"a {token} cat", "a cat"], ready, 99)
        assert [rows[row].tolist() for row in (0, 2)] == [usual, usual]
        assert sum(int(i) in ready.all_special_ids for i in rows[1]) == len(usual) - len(ready.tokenize("a cat"))
        assert ready.decode(rows[1], skip_special_tokens=True) == f"a {token} cat"
        assert cut == 0


def test_a_mask_or_a_separator_that_users_of_a_ready_tokenizer_write_is_one(ready: PreTrainedTokenizerBase) -> None:
    assert ready.mask_token_id in encode_texts([f"a {ready.mask_token} cat"], ready, 99)[0][0]


def test_every_side_and_every_cut_is_counted(ready: PreTrainedTokenizerBase) -> None:
    token, most = controls(ready)[0], ready.num_special_tokens_to_add() + 2
    assert encode_texts([f"a {token} cat", "a", "a cat " * 9], ready, most)[1] == 2
    assert encode_texts([f"a {token} cat"] * 2, ready, most)[0].lengths.tolist() == [most, most]
    targets, _ = encode_targets([f"a {token} a"], ready, 99)
    assert ready.decode(targets[0], skip_special_tokens=True) == f"a {token} a"
    labelled = Labelled(["a"], [f"b {token}"], None, {})  # type: ignore[arg-type]
    limits = NewTokenizer(max_source_length=99)
    source = encode_labelled(labelled, ready, limits).source[0]  # type: ignore[arg-type]
    assert ready.decode(source, skip_special_tokens=True).replace(" ", "").endswith(f"ab{token}")


def test_a_tokenizer_in_python_code_reads_text_as_text() -> None:
    tokenizer = ByT5Tokenizer()
    rows, _ = encode_texts(["a </s> b", "a b"], tokenizer, 99)
    assert [tokenizer.decode(row, skip_special_tokens=True) for row in rows] == ["a </s> b", "a b"]
    assert [row.tolist().count(tokenizer.eos_token_id) for row in rows] == [1, 1]


def test_raw_text_has_no_special_tokens(ready: PreTrainedTokenizerBase) -> None:
    text = " ".join(map(str, ready.all_special_tokens))
    assert set(encode_raw([text], ready, 99).tokens.values.tolist()).isdisjoint(ready.all_special_ids)
    assert ready.mask_token_id in ready(f"a {ready.mask_token}")["input_ids"]  # later calls are as they were


def test_what_a_template_wrote_keeps_its_special_tokens(ready: PreTrainedTokenizerBase) -> None:
    token = controls(ready)[0]
    assert ready.convert_tokens_to_ids(token) in encode_written([f"a {token} cat"], ready)[0]


def test_fine_tuning_leaves_a_tokenizer_that_reads_text_as_text_everywhere(
    ready: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    read_as_text(ready, ["a cat"])
    Tokenizers(ready, ready).save(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = " ".join(map(str, ready.all_special_tokens))
    assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text


def test_special_tokens_that_are_meant_stay_special(ready: PreTrainedTokenizerBase) -> None:
    read_as_text(ready, ["a cat", f"a {ready.mask_token} cat"])
    assert not ready.split_special_tokens
    ready.chat_template = "{{ messages }}"
    read_as_text(ready, ["a cat"])
    assert not ready.split_special_tokens


def test_texts_that_spell_special_tokens_are_reported() -> None:
    tokenizer = trained("bpe")
    assert describe_spelled(["a cat", "a dog"], tokenizer, "source") == []
    (line,) = describe_spelled(["a </s> cat", "<mask>", "a"], tokenizer, "source")
    assert line.startswith("2 source texts spell special tokens, such as </s>,")
    tokenizer.split_special_tokens = False
    assert describe_spelled(["<mask>"], tokenizer, "source") == []


@pytest.mark.parametrize("kind", ["supervised", "masked_language_model"])
def test_a_new_encoder_reads_masks_in_texts_where_it_fills_them(kind: str, tmp_path: Path) -> None:
    from hf_seq2seq.recipes import bert_classifier
    from hf_seq2seq.sections import build

    tmp_path.joinpath("train.tsv").write_text("text\tlabel\n" + "a cat\tx\na dog\ty\n" * 4)
    options = {"train_file": str(tmp_path / "train.tsv"), "objective": kind, "from_scratch": True, "model_size": "tiny"}
    options |= {"output_dir": str(tmp_path / "run")} | ({"text_column": "text"} if kind != "supervised" else {})
    tokenizer = bert_classifier.prepare(build(bert_classifier.Config, options, origin="test")).tokenizers.source
    assert tokenizer.split_special_tokens == (kind == "supervised")
    assert (tokenizer.mask_token_id in tokenizer("a [MASK]")["input_ids"]) == (kind != "supervised")


def test_a_special_token_is_no_separator() -> None:
    tokenizer = trained("word")
    with pytest.raises(InputError, match="no token '</s>'"):
        Tokenizers(tokenizer, tokenizer).separator_ids({"sentence_separator": "</s>"})
