"""Models and settings that the library decodes, and its processors as rules of our own search."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.ensemble import check_alike
from hf_seq2seq.decoding.generation import generate_texts
from hf_seq2seq.decoding.library import library_reason, search_by_library
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError

Make = Callable[[str], Any]
LIMIT = 14
SETTINGS: dict[str, dict[str, Any]] = {
    "renormalize_logits": {"renormalize_logits": True, "suppress_tokens": [0, 5, 6, 9]},
    "sequence_bias": {"sequence_bias": [[[8], 3.5], [[9, 10], -20.0]]},
    "bad_words_ids": {"bad_words_ids": [[8], [9, 10], [11, 11], [1]]},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": (3, 1.6)},
}


@pytest.fixture
def batch(tokenizers: Tokenizers, texts: list[str]) -> dict[str, torch.Tensor]:
    sources, _ = encode_texts(texts[:8], tokenizers.source, 64)
    return source_batch(sources, range(8), 0)


@pytest.mark.parametrize("search", [Search(), Search(num_beams=4, num_return_sequences=3)], ids=["greedy", "beams"])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("family", ["bart", "t5"])
def test_settings_of_a_model_are_followed_as_the_library_does(
    family: str, name: str, search: Search, make_model: Make, batch: dict[str, torch.Tensor]
) -> None:
    model = make_model(family)
    model.generation_config.suppress_tokens = [0]  # padding at an output's end would not be seen there
    before = Searcher(model, search, LIMIT)(batch, range(8))
    for setting, value in SETTINGS[name].items():
        setattr(model.generation_config, setting, value)
    assert library_reason(model) is None
    found = Searcher(model, search, LIMIT)(batch, range(8))
    expected = search_by_library(model, batch, search, LIMIT)
    assert [[each.ids for each in row] for row in found] == [[each.ids for each in row] for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [each.score for each in ours] == pytest.approx([each.score for each in theirs], rel=2e-4, abs=1e-4)
        assert [each.end for each in ours] == [each.end for each in theirs]
    assert found != before


def test_settings_that_no_processor_takes_are_one_line(make_model: Make, batch: dict[str, torch.Tensor]) -> None:
    model = make_model("bart")
    model.generation_config.sequence_bias = [[[100000], 2.0]]
    with pytest.raises(InputError, match=r"generation_config.json: The model vocabulary size is"):
        Searcher(model, Search(), LIMIT)(batch, range(8))


FLAGS = {"repetition_penalty": 1.3, "min_new_tokens": 3, "early_stopping": "true", "num_return_sequences": 2}


def test_the_library_follows_the_flags_that_our_search_follows(
    make_model: Make, batch: dict[str, torch.Tensor]
) -> None:
    """On a model that both decode."""
    model, search = make_model("bart"), Search(num_beams=2, **FLAGS)
    ours = [each for row in Searcher(model, search, 10, first_token=9)(batch, range(8)) for each in row]
    theirs = [each for row in search_by_library(model, batch, search, 10, first_token=9) for each in row]
    assert [each.whole for each in ours] == [each.whole for each in theirs]
    assert [each.score for each in ours] == pytest.approx([each.score for each in theirs], rel=2e-4, abs=1e-4)


def test_what_only_the_library_knows_goes_through_it(make_model: Make, batch: dict[str, torch.Tensor]) -> None:
    model = make_model("bart")
    searcher = Searcher(model, Search(num_beams=2, **FLAGS), 10, first_token=9)
    before = searcher(batch, range(8))
    model.generation_config.encoder_no_repeat_ngram_size = 1
    found = searcher(batch, range(8))
    assert found != before
    assert found == search_by_library(model, batch, searcher.search, 10, 9)
    with pytest.raises(InputError, match=r"--coverage-penalty: not supported here; .*encoder_no_repeat_ngram_size"):
        Searcher(model, Search(num_beams=2, coverage_penalty=0.5), 10)(batch, range(8))


def test_an_ensemble_is_refused_where_the_library_decodes(make_model: Make, tokenizers: Tokenizers) -> None:
    model, other = make_model("bart"), make_model("t5")
    check_alike(("one", model, tokenizers), [("two", other, tokenizers)])
    other.generation_config.guidance_scale = 2.0  # only the first model's settings count
    check_alike(("one", model, tokenizers), [("two", other, tokenizers)])
    with pytest.raises(InputError, match=r"--ensemble: two cannot be in one: .* sets guidance_scale"):
        check_alike(("two", other, tokenizers), [("one", model, tokenizers)])
    other._is_stateful = True
    with pytest.raises(InputError, match=r"--ensemble: two cannot be in one: t5 keeps its own kind of state"):
        check_alike(("one", model, tokenizers), [("two", other, tokenizers)])


def test_strings_that_end_an_output(make_model: Make, tokenizers: Tokenizers, texts: list[str]) -> None:
    model = make_model("bart")
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    free = generate_texts(model, tokenizers, sources, Search(), LIMIT)
    word = next(text for text in free if len(text.split()) > 3).split()[1]
    model.generation_config.stop_strings = [word]
    found = generate_texts(model, tokenizers, sources, Search(), LIMIT)
    assert found == [
        " ".join(text.split()[: text.split().index(word) + 1]) if word in text.split() else text for text in free
    ]
    assert found != free


def mamba(size: int) -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3}
    return MambaForCausalLM(MambaConfig(vocab_size=size, hidden_size=16, num_hidden_layers=1, **ids)).eval()


def test_scores_of_a_model_with_a_state_of_its_own(tokenizers: Tokenizers, texts: list[str]) -> None:
    details = ("score", "log_probs")
    generator = TextGenerator(mamba(len(tokenizers.target)), tokenizers, Search(), 5, 64, details=details)
    for (output,) in generator.outputs(texts[:3]):
        log_probs = output.details["log_probs"]
        assert output.details["score"] == pytest.approx(sum(log_probs) / len(log_probs), rel=1e-3)
