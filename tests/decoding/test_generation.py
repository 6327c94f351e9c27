"""Generation: independent of the batch, in order, cut and cleaned as promised."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import batches, generate_texts
from hf_seq2seq.decoding.library import generate_ids, generation_settings
from hf_seq2seq.decoding.search_options import Search

Make = Callable[[str], Any]
LIMIT = 16


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("family", ["t5", "bart", "rnn"])
def test_a_sentence_is_decoded_alone_as_in_company(
    family: str, beams: int, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model, decoding = make_model(family), Decoding(num_beams=beams)
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    together = generate_texts(model, tokenizers, sources, decoding, LIMIT)
    alone = []
    for row in range(len(texts)):
        (ids,) = generate_ids(model, source_batch(sources, [row], 0), decoding, LIMIT)
        alone.append(tokenizers.target.decode(ids, skip_special_tokens=True))
    assert together == alone
    assert len(set(together)) > len(texts) / 2  # a model that always says the same would prove nothing


@pytest.mark.parametrize("size", [1, 5, 64])
def test_the_batch_size_changes_nothing(size: int, make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    model = make_model("bart")
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    expected = generate_texts(model, tokenizers, sources, Decoding(per_device_eval_batch_size=7), LIMIT)
    assert generate_texts(model, tokenizers, sources, Decoding(per_device_eval_batch_size=size), LIMIT) == expected


def test_outputs_may_be_longer_than_the_library_s_twenty_tokens(
    make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("bart")
    model.generation_config.max_length = 20
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    assert generation_settings(model, Search(), 40).max_length is None  # the library warns of two lengths
    lengths = [len(text.split()) for text in generate_texts(model, tokenizers, sources, Decoding(), 40)]
    assert 20 < max(lengths) <= 40
    shorter = [len(text.split()) for text in generate_texts(model, tokenizers, sources, Decoding(), 5)]
    assert max(shorter) == 5


def test_the_model_is_left_as_it_was(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    model = make_model("t5")
    model.generation_config.num_beams = 4
    settings = copy.deepcopy(model.generation_config)
    model.train()
    sources, _ = encode_texts(texts[:2], tokenizers.source, 64)
    generate_texts(model, tokenizers, sources, Decoding(num_beams=2), 3)
    assert model.training
    assert model.generation_config.to_dict() == settings.to_dict()


def test_dropout_is_off_while_generating(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    model = make_model("bart").train()
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    first, second = (generate_texts(model, tokenizers, sources, Decoding(), LIMIT) for _ in range(2))
    assert first == second


def test_the_model_s_own_generation_settings_are_kept(
    make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("bart")
    model.generation_config.forced_bos_token_id = 9
    sources, _ = encode_texts(texts[:4], tokenizers.source, 64)
    found = generate_ids(model, source_batch(sources, range(4), 0), Decoding(), 6)
    assert [row[0] for row in found] == [9] * 4


def test_progress_counts_every_row_once(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    done: list[int] = []
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    decoding = Decoding(per_device_eval_batch_size=10)
    generate_texts(make_model("rnn"), tokenizers, sources, decoding, 2, done.append)
    assert len(done) == 2
    assert sum(done) == len(texts)


def test_batches_keep_to_a_budget_of_tokens(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    for rows in batches(sources.lengths, Search(num_beams=3, max_tokens_per_batch=120)):
        assert 3 * len(rows) * sources.lengths[rows].max() <= 120
    model, done = make_model("t5"), list[int]()
    expected = generate_texts(model, tokenizers, sources, Decoding(num_beams=3), 8)
    search = Search(num_beams=3, max_tokens_per_batch=120)
    assert generate_texts(model, tokenizers, sources, search, 8, done.append) == expected
    assert len(done) > 3
