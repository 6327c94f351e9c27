"""Searches that enter a batch at different times find what each finds alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.pool import Arrival, Pool
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from tests.decoding.conftest import transformer, widen

Make = Callable[[str], Any]
LIMIT = 14
SETTINGS: dict[int, list[dict[str, Any]]] = {
    1: [
        {},
        {"do_sample": True, "seed": 3},
        {"do_sample": True, "seed": 9},
        {"no_repeat_ngram_size": 2, "min_new_tokens": 5},
        {"do_sample": True, "seed": 4, "temperature": 0.7, "top_k": 5},
        {"repetition_penalty": 1.5, "max_length_ratio": 0.5},
    ],
    3: [
        {"num_beams": 3, "num_return_sequences": 2},
        {"num_beams": 3, "length_penalty": 0.0, "no_repeat_ngram_size": 2},
        {"num_return_sequences": 3, "do_sample": True, "seed": 5},
        {"num_beams": 3, "early_stopping": "true"},
    ],
}


Found = dict[Any, list[Hypothesis]]


def arrival(model: Any, search: Search, name: int) -> Arrival:
    return Arrival(Searcher(model, search, LIMIT), [(name, row) for row in range(3)], range(3))


def in_turn(model: Any, batches: list[Any], searches: list[Search], watch: bool) -> Found:
    """Adds a search every two steps, round after round, so that it meets an earlier one with the same settings."""
    pool, found, step = Pool(model, watch), Found(), 0
    while step < 2 * len(batches) or pool.decoder is not None:
        if step % 2 == 0 and step // 2 < len(batches):
            number = step // 2
            found |= dict(pool.add([arrival(model, searches[number % len(searches)], number)], batches[number]))
            assert len(pool.groups) <= len({replace(each, seed=0) for each in searches})
        found |= dict(pool.step())
        step += 1
        assert step < 100
    return found


def check(model: Any, tokenizers: Tokenizers, texts: list[str], rows: int, watch: bool = False) -> None:
    left, model = not model.config.is_encoder_decoder, model.double()  # rounding must not decide
    searches = [Search(**each, coverage_penalty=0.2 * (watch and "num_beams" in each)) for each in SETTINGS[rows]]
    batches = []
    texts = [*texts, *reversed(texts), *texts]
    for number in range(2 * len(searches)):
        sources, _ = encode_texts(texts[3 * number : 3 * number + 3], tokenizers.source, 64)
        batches.append(source_batch(sources, range(3), 0, left))
    found = in_turn(model, batches, searches, watch)
    for number, batch in enumerate(batches):
        expected = Searcher(model, searches[number % len(searches)], LIMIT)(batch, range(3))
        for row, alone in enumerate(expected):
            ours = found[number, row]
            assert [each.ids for each in ours] == [each.ids for each in alone]
            assert [each.score for each in ours] == pytest.approx([each.score for each in alone], rel=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("family", ["t5", "bart", "rnn", "transformer", "pegasus", "marian", "m2m_100", "gpt2"])
def test_searches_that_join_find_what_each_finds_alone(
    family: str, rows: int, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    check(make_model(family), tokenizers, texts, rows)


@pytest.mark.parametrize("family", ["bart", "rnn", "transformer"])
def test_searches_that_watch_attention_join(
    family: str, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    check(make_model(family), tokenizers, texts, 3, watch=True)


RECURRENT: list[dict[str, Any]] = [
    {"attention": "multi_head", "num_attention_heads": 4, "input_feeding": True, "decoder_layers": 2},
    {"attention": "general", "local_attention": "predictive", "attention_window": 2},
    {"attention": "general", "local_attention": "monotonic", "attention_window": 2},
    {"attention": "additive", "decoder_style": "bahdanau", "coverage": True, "cell": "gru"},
    {"attention": "location"},
    {"attention": "monotonic"},
    {"attention": "none", "context_feeding": True},
    {"attention": "additive", "pointer_generator": True, "share_embeddings": True},
]


@pytest.mark.parametrize("options", RECURRENT, ids=lambda options: "-".join(map(str, options.values())))
def test_every_recurrent_decoder_takes_searches_that_join(
    options: dict[str, Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    sizes = {"vocab_size": len(tokenizers.target), "hidden_size": 16, "embedding_size": 16}
    torch.manual_seed(0)
    model = widen(RnnForConditionalGeneration(RnnSeq2SeqConfig(**sizes, **ids, **options)), 2.5)
    for rows in SETTINGS:
        check(model, tokenizers, texts, rows)


@pytest.mark.parametrize("positions", ["learned", "rotary", "relative_bias"])
def test_every_kind_of_position_takes_searches_that_join(
    positions: str, tokenizers: Tokenizers, texts: list[str]
) -> None:
    settings = transformer(len(tokenizers.target)).config
    settings.position_embedding_type = positions
    torch.manual_seed(0)
    model = widen(TransformerForConditionalGeneration(settings), 8)
    for rows in SETTINGS:
        check(model, tokenizers, texts, rows)


def test_a_dropped_search_leaves_the_others_alone(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    model, search = make_model("bart"), Search(num_beams=3)
    sources, _ = encode_texts(texts[:6], tokenizers.source, 64)
    batches = [source_batch(sources, rows, 0) for rows in (range(3), range(3, 6))]
    pool = Pool(model)
    found = Found()
    for number, batch in enumerate(batches):
        assert not pool.add([arrival(model, search, number)], batch)
        assert not pool.step()
    assert len(pool.groups) == 1
    pool.drop(frozenset({(0, 0), (0, 1), (0, 2), (1, 1)}))
    while pool.decoder is not None:
        found |= dict(pool.step())
    assert set(found) == {(1, 0), (1, 2)}
    expected = Searcher(model, search, LIMIT)(batches[1], range(3))
    assert [found[1, 0], found[1, 2]] == [expected[0], expected[2]]


def test_the_tokens_so_far_of_one_hypothesis_each(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    model = make_model("transformer")
    sources, _ = encode_texts(texts[:2], tokenizers.source, 64)
    pool, batch = Pool(model), source_batch(sources, range(2), 0)
    assert not pool.add([Arrival(Searcher(model, Search(), LIMIT), "ab", range(2))], batch)
    seen, found = [dict(pool.so_far())], Found()
    while pool.decoder is not None:
        found |= dict(pool.step())
        seen.append(dict(pool.so_far()))
    assert seen[0].keys() == found.keys() == {"a", "b"}
    for before, after in pairwise(seen):
        assert all(ids[:-1] == before[key] for key, ids in after.items())
    for each in seen:
        assert all(found[key][0].whole[: len(ids)] == ids for key, ids in each.items())
    assert torch.is_inference_mode_enabled() is False
