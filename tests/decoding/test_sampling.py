"""Drawn outputs: distributed as the model says, and the same in any batch."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import TopPLogitsWarper

from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import generate_hypotheses
from hf_seq2seq.decoding.sampling import Draw
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.warping import WARPERS, Warper

Make = Callable[[str], Any]
SIZE = 5


def drawn(model: Any, tokenizers: Tokenizers, texts: list[str], numbers: list[int], **settings: Any) -> list[Any]:
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    searcher = Searcher(model, Search(do_sample=True, **settings), 10)
    found = generate_hypotheses(searcher, sources, tokenizers.source, numbers=numbers)
    return [[each.ids for each in outputs] for outputs in found]


@pytest.mark.parametrize("family", ["transformer", "rnn"])
def test_a_row_draws_the_same_in_any_batch(
    family: str, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model, numbers = make_model(family), list(range(len(texts)))
    settings = {"num_return_sequences": 3, "temperature": 2.0, "top_p": 0.9}
    expected = drawn(model, tokenizers, texts, numbers, **settings)
    for size in (1, 5):
        assert drawn(model, tokenizers, texts, numbers, per_device_eval_batch_size=size, **settings) == expected
    assert drawn(model, tokenizers, texts[4:7], [4, 5, 6], **settings) == expected[4:7]
    fewer = drawn(model, tokenizers, texts, numbers, **settings | {"num_return_sequences": 1})
    assert fewer == [outputs[:1] for outputs in expected]
    assert drawn(model, tokenizers, texts, numbers, **settings, seed=1) != expected
    same_text = drawn(model, tokenizers, [texts[0]] * 2, [0, 1], **settings)
    assert same_text[0] != same_text[1]
    assert len({tuple(ids) for ids in expected[0]}) > 1


def test_outputs_are_drawn_as_often_as_the_model_says(make_sized: Callable[[str, int], Any]) -> None:
    """Every output of at most two tokens, by its probability under a temperature: chi-squared of 4,000 samples."""
    model, count = make_sized("transformer", SIZE), 4000
    model.generation_config.eos_token_id = 1
    batch = {"input_ids": torch.tensor([[2, 4, 1]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    search = Search(do_sample=True, num_return_sequences=count, temperature=3.0)
    (found,) = Searcher(model, search, 2)(batch, [0])
    counts = Counter((*each.ids, *([1] if each.ended else [])) for each in found)

    def probabilities(prefix: list[int]) -> list[float]:
        with torch.inference_mode():
            logits = model(**batch, decoder_input_ids=torch.tensor([[3, *prefix]]), use_cache=False).logits[0, -1]
        return (logits / 3).softmax(-1).tolist()

    first = probabilities([])
    expected = {(1,): first[1]}
    for one, two in itertools.product((0, 2, 3, 4), range(SIZE)):
        expected[one, two] = first[one] * probabilities([one])[two]
    assert sum(expected.values()) == pytest.approx(1)
    likely = {ids: share * count for ids, share in expected.items() if share * count > 5}
    statistic = sum((counts[ids] - share) ** 2 / share for ids, share in likely.items())
    assert statistic < 2 * len(likely) + 10
    scores = {tuple(each.ids): each.score * (len(each.ids) + each.ended) for each in found}
    for ids, score in scores.items():
        key = ids if ids in expected else (*ids, 1)
        assert score == pytest.approx(np.log(expected[key]), rel=1e-3)


def test_a_draw_never_takes_what_is_forbidden() -> None:
    scores = TopPLogitsWarper(0.5)(torch.zeros(200, 1, dtype=torch.long), torch.randn(200, 50))
    draw = Draw([0] * 200, range(200), 1, 1)
    found = draw(torch.zeros(200, dtype=torch.long), scores)
    assert bool((scores.gather(1, found[:, None]) > float("-inf")).all())
    assert len(found.unique()) > 10


@pytest.mark.parametrize("name", sorted(WARPERS.keys() - {"top_k", "min_p"}))
def test_a_whole_distribution_is_not_narrowed(name: str) -> None:
    assert not Warper(name, 1.0).matters
