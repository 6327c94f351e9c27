"""Our search compared with transformers' `generate`, and with every possible output of a tiny vocabulary."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.beam_search import BeamSearch
from hf_seq2seq.decoding.beams import Beam, BeamSettings
from hf_seq2seq.decoding.decoder import CrossDecoder
from hf_seq2seq.decoding.hypothesis import Bounds
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.steps import Sources, alone

Make = Callable[[str], Any]
LIMIT = 14


def by_library(model: Any, batch: Any, count: int, **settings: Any) -> list[list[tuple[list[int], float]]]:
    settings = {"do_sample": False, "num_return_sequences": count, "max_new_tokens": LIMIT} | settings
    found = model.generate(**batch, **settings, return_dict_in_generate=True, output_scores=True)
    start = 1 if model.config.is_encoder_decoder else batch["input_ids"].shape[1]
    eos, rows = model.generation_config.eos_token_id, []
    scores = found.sequences_scores.tolist() if settings.get("num_beams", 1) > 1 else [0.0] * len(found.sequences)
    for ids, score in zip(found.sequences[:, start:].tolist(), scores, strict=True):
        rows.append((ids[: ids.index(eos)] if eos in ids else ids, score))
    return [list(part) for part in zip(*[iter(rows)] * count, strict=True)]


SEARCHES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_length": {"length_penalty": 0.0},
    "longer": {"length_penalty": 2.0},
    "early": {"early_stopping": True},
    "shorter": {"length_penalty": -1.0},
    "shorter_never": {"length_penalty": -1.0, "early_stopping": "never"},
    "never": {"early_stopping": "never", "length_penalty": 1.5},
    "ngrams": {"no_repeat_ngram_size": 2},
    "repetition": {"repetition_penalty": 1.7},
    "minimum": {"min_new_tokens": 9},
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("family", ["t5", "bart", "rnn", "transformer", "pegasus", "marian"])
def test_beams_equal_the_library_s(
    family: str, search: str, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model, settings = make_model(family), SEARCHES[search]
    sources, _ = encode_texts(texts[:8], tokenizers.source, 64)
    batch = source_batch(sources, range(8), 0)
    flags = {name: str(value).lower() if name == "early_stopping" else value for name, value in settings.items()}
    found = Searcher(model, Search(num_beams=4, num_return_sequences=3, **flags), LIMIT)(batch, range(8))
    expected = by_library(model, batch, 3, num_beams=4, **settings)
    for ours, theirs in zip(found, expected, strict=True):
        assert [each.ids for each in ours] == [ids for ids, _ in theirs]
        assert [each.score for each in ours] == pytest.approx([score for _, score in theirs], rel=2e-4)


@pytest.mark.parametrize("search", ["plain", "ngrams", "repetition", "minimum"])
@pytest.mark.parametrize("family", ["t5", "bart", "rnn", "transformer"])
def test_greedy_search_equals_the_library_s(
    family: str, search: str, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model(family)
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    batch = source_batch(sources, range(16), 0)
    found = Searcher(model, Search(**SEARCHES[search]), LIMIT)(batch, range(16))
    assert [each[0].ids for each in found] == [each[0][0] for each in by_library(model, batch, 1, **SEARCHES[search])]


@pytest.mark.parametrize("beams", [1, 3])
def test_forced_and_suppressed_tokens_equal_the_library_s(
    beams: int, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("bart")
    own = {"forced_bos_token_id": 9, "forced_eos_token_id": 1, "suppress_tokens": [5, 6], "begin_suppress_tokens": [7]}
    for name, value in (own | {"bad_words_ids": [[8]], "min_length": 6}).items():
        setattr(model.generation_config, name, value)
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    batch = source_batch(sources, range(16), 0)
    found = Searcher(model, Search(num_beams=beams), LIMIT)(batch, range(16))
    assert [each[0].ids for each in found] == [each[0][0] for each in by_library(model, batch, 1, num_beams=beams)]
    assert {each[0].ids[0] for each in found} == {9}


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("family", ["t5", "bart", "gpt2", "rnn", "transformer"])
def test_a_search_leaves_no_tensors_to_the_garbage_collector(
    family: str, beams: int, make_model: Make, tokenizers: Tokenizers, texts: list[str], leaving_nothing: Any
) -> None:
    searcher = Searcher(make_model(family), Search(num_beams=beams), LIMIT)
    sources, _ = encode_texts(texts[:4], tokenizers.source, 64)
    batch = source_batch(sources, range(4), 0)
    searcher(batch, range(4))
    with leaving_nothing():
        searcher(batch, range(4))


EOS, DEPTH, VOCABULARY = 1, 3, 5


def every_output() -> list[tuple[int, ...]]:
    """Outputs that end with EOS, and those of the greatest length."""
    others = [token for token in range(VOCABULARY) if token != EOS]
    whole = list(itertools.product(others, repeat=DEPTH))
    return [(*ids, EOS) for n in range(DEPTH) for ids in itertools.product(others, repeat=n)] + whole


@torch.inference_mode()
def by_hand(model: Any, source: torch.Tensor, alpha: float, kind: str, beta: float) -> list[tuple[float, list[int]]]:
    """All outputs with their scores, best first, from one pass without a cache for those of each length."""
    found = []
    for length, group in itertools.groupby(sorted(every_output(), key=len), key=len):
        outputs = list(group)
        inputs = torch.tensor([[model.generation_config.decoder_start_token_id, *ids[:-1]] for ids in outputs])
        sources = source.expand(len(outputs), -1)
        output = model(input_ids=sources, decoder_input_ids=inputs, output_attentions=bool(beta), use_cache=False)
        taken = output.logits.log_softmax(-1).gather(-1, torch.tensor(outputs)[..., None])
        scores = taken.sum((1, 2)) / (((5 + length) / 6) if kind == "gnmt" else length) ** alpha
        if beta:
            coverage = torch.stack(output.cross_attentions).mean((0, 2)).sum(1)
            scores += beta * coverage.clamp(max=1).log().sum(-1)
        found += [(score, [t for t in ids if t != EOS]) for score, ids in zip(scores.tolist(), outputs, strict=True)]
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("alpha", "kind", "beta"), [(0.0, "power", 0.0), (1.0, "power", 0.0), (0.6, "gnmt", 0.0), (0.6, "gnmt", 0.4)]
)
@pytest.mark.parametrize("family", ["rnn", "transformer", "t5"])
def test_wide_beams_find_the_best_of_all_outputs(
    family: str, alpha: float, kind: str, beta: float, make_sized: Callable[[str, int], Any]
) -> None:
    """Sources of two lengths, so that coverage must leave padding out."""
    model = make_sized(family, VOCABULARY)
    model.generation_config.eos_token_id = EOS
    ids, mask = [[2, 4, 3, 1], [3, 1, 0, 0]], [[1, 1, 1, 1], [1, 1, 0, 0]]
    batch = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    settings = {"length_penalty": alpha, "length_normalization": kind, "coverage_penalty": beta}
    search = Search(num_beams=80, num_return_sequences=80, early_stopping="never", **settings)
    found = Searcher(model, search, DEPTH)(batch, range(2))
    if beta and family != "rnn":
        model.set_attn_implementation("eager")
    for row, length in enumerate((4, 2)):
        expected = by_hand(model, batch["input_ids"][row : row + 1, :length], alpha, kind, beta)[:80]
        assert [each.score for each in found[row]] == pytest.approx([score for score, _ in expected], rel=1e-4)
        assert [each.ids for each in found[row]][:20] == [ids for _, ids in expected][:20]
        assert len({each.ended for each in found[row]}) == 2
    assert [each.ids for each in found[0]] != [each.ids for each in found[1]]


def test_a_narrow_vocabulary_leaves_beams_empty(make_sized: Callable[[str, int], Any]) -> None:
    model = make_sized("transformer", VOCABULARY)
    model.generation_config.eos_token_id = EOS
    batch = {"input_ids": torch.tensor([[2, 4, 1]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    (found,) = Searcher(model, Search(num_beams=20, num_return_sequences=20), 1)(batch, [0])
    assert len(found) == VOCABULARY  # there are no more
    assert sum(each.ended for each in found) == 1


@pytest.mark.parametrize("family", ["transformer", "t5", "bart"])
def test_keys_of_the_source_are_kept_once_and_leave_with_it(
    family: str, make_model: Make, tokenizers: Tokenizers, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = make_model(family), []
    step = CrossDecoder.step

    def watched(self: CrossDecoder, ids: torch.Tensor) -> torch.Tensor:
        found = step(self, ids)
        seen.append((len(ids), self.cache.cross_attention_cache.layers[0].keys.shape[0]))
        return found

    monkeypatch.setattr(CrossDecoder, "step", watched)
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    before = model.config._attn_implementation
    search = Search(num_beams=4, max_length_ratio=1.0)
    Searcher(model, search, LIMIT)(source_batch(sources, range(16), 0), range(16))
    assert seen[0] == (16, 16)
    assert all(rows == 4 * kept for rows, kept in seen[1:])
    assert seen[-1][1] < 16
    assert model.config._attn_implementation == before


class Chain:
    """A decoder whose next token depends on the last one alone; 0 ends an output."""

    attention, prompt, lengths = None, torch.tensor([[1]]), torch.tensor([1])
    table = torch.tensor([[1.0, 0, 0], [0.1, 0.01, 0.89], [0.99, 0.005, 0.005]]).log()

    def start(self) -> torch.Tensor:
        return torch.tensor([[0.02, 0.97, 0.01]]).log()

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.table[tokens]

    def keep(self, rows: torch.Tensor, sources: torch.Tensor | None) -> None:
        pass


@pytest.mark.parametrize("early_stopping", ["false", "never"])
def test_under_a_negative_length_penalty_an_output_is_not_given_up_for_the_greatest_length(early_stopping: str) -> None:
    """Two poor outputs end first; [1, 2] is better, though at 40 tokens its beginning would be worse than both."""
    bounds = Bounds(eos=torch.tensor([0]), longest=torch.tensor([40]))
    search = BeamSettings(2, normalization=LengthNormalization(-1.0), early_stopping=early_stopping)
    sources, beams = Sources.of(Chain(), [0], [0]), [Beam(Chain.prompt, search)]
    (found,) = alone(Chain(), BeamSearch([0], sources, lambda _: (bounds, []), beams, 2))
    assert found[0].ids == [1, 2]
    assert found[0].score == pytest.approx(3 * math.log(0.97 * 0.89 * 0.99), rel=1e-5)
