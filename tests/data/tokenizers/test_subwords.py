"""Sampled segmentations: the papers' distributions, by enumeration, and rows that depend on seed, epoch and number."""

import json
import math
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.encoding import encode_targets, encode_texts
from hf_seq2seq.data.tokenizers.bpe_dropout import BpeDropout
from hf_seq2seq.data.tokenizers.random_bits import key_of, keyed, uniform
from hf_seq2seq.data.tokenizers.special_tokens import BART, SEQ2SEQ, T5
from hf_seq2seq.data.tokenizers.subwords import SubwordRows, split_words, subword_rows
from hf_seq2seq.data.tokenizers.unigram_sampling import UnigramSampling
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.training_options import Subwords

TEXTS = [line for line in (Path(__file__).parents[3] / "docs" / "training.md").read_text().splitlines() if line.strip()]
DRAWS = 30_000
Ids = tuple[int, ...]


@cache
def tokenizer(kind: str, specials: str = "seq2seq") -> PreTrainedTokenizerBase:
    options = NewTokenizer(tokenizer_type=kind, vocab_size=700)
    return train_tokenizers(
        TEXTS, TEXTS, options, specials={"seq2seq": SEQ2SEQ, "t5": T5, "bart": BART}[specials]
    ).source


def drawn(sampler: BpeDropout | UnigramSampling, number: int) -> dict[Ids, float]:
    """The share of each segmentation of a word."""
    keys = keyed(key_of(7), np.arange(DRAWS, dtype=np.uint64))
    found = sampler(np.full(DRAWS, number), keys)
    counts = Counter(tuple(found[row].tolist()) for row in range(DRAWS))
    return {ids: count / DRAWS for ids, count in counts.items()}


def distance(first: dict[Ids, float], second: dict[Ids, float]) -> float:
    """The total variation between two distributions."""
    return sum(abs(first.get(key, 0) - second.get(key, 0)) for key in first.keys() | second.keys()) / 2


def by_algorithm(word: str, model: dict, rate: float) -> dict[Ids, float]:
    """Algorithm 1 of Provilkov et al., with the probability of every outcome of its coins."""
    ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}

    def outcomes(parts: tuple[str, ...]) -> dict[Ids, float]:
        places = sorted(
            (ranks[parts[i], parts[i + 1]], i) for i in range(len(parts) - 1) if (parts[i], parts[i + 1]) in ranks
        )
        found = {tuple(model["vocab"][part] for part in parts): rate ** len(places)}
        for skipped, (_, place) in enumerate(places):
            merged = (*parts[:place], parts[place] + parts[place + 1], *parts[place + 2 :])
            for ids, probability in outcomes(merged).items():
                found[ids] = found.get(ids, 0.0) + rate**skipped * (1 - rate) * probability
        return found

    return outcomes(tuple(word))


def frequent_words(kind: str) -> dict[str, int]:
    """Numbers of the words of the text, the first ones of which are tried, those of some length."""
    return split_words(TEXTS, tokenizer(kind).backend_tokenizer)[1]


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_bpe_dropout_has_the_distribution_of_the_paper(rate: float) -> None:
    backend, numbers = tokenizer("bpe").backend_tokenizer, frequent_words("bpe")
    model = json.loads(backend.to_str())["model"]
    sampler = BpeDropout(list(numbers), backend, rate)
    tried = [word for word in numbers if 4 <= len(word) <= 7 and len(sampler.plain[numbers[word]]) < 3][:5]
    assert len(tried) == 5
    for word in tried:
        wanted = by_algorithm(word, model, rate)
        assert sum(wanted.values()) == pytest.approx(1)
        assert len(wanted) > 5
        assert distance(drawn(sampler, numbers[word]), wanted) < 0.02, word


def test_without_dropout_every_word_is_segmented_as_by_the_tokenizer() -> None:
    numbers = frequent_words("bpe")
    sampler = BpeDropout(list(numbers), tokenizer("bpe").backend_tokenizer, 0.0)
    every = np.arange(len(numbers))
    merged = sampler._segment(every, keyed(key_of(1), every.astype(np.uint64)))  # with draws, none of which is below 0
    assert len(numbers) > 300
    assert all(np.array_equal(merged[word], sampler.plain[word]) for word in every.tolist())


def test_with_all_merges_left_out_characters_remain() -> None:
    numbers = frequent_words("bpe")
    sampler = BpeDropout(list(numbers), tokenizer("bpe").backend_tokenizer, 1.0)
    found = sampler(np.arange(len(numbers)), np.arange(len(numbers), dtype=np.uint64))
    assert found.lengths.tolist() == [len(word) for word in numbers]


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_unigram_sampling_has_the_distribution_of_the_paper(alpha: float) -> None:
    backend, numbers = tokenizer("unigram").backend_tokenizer, frequent_words("unigram")
    pieces = {
        text: (number, score) for number, (text, score) in enumerate(json.loads(backend.to_str())["model"]["vocab"])
    }

    def segmentations(word: str) -> dict[Ids, float]:
        if not word:
            return {(): 0.0}
        heads = [(pieces[word[:end]], word[end:]) for end in range(1, len(word) + 1) if word[:end] in pieces]
        return {
            (number, *rest): score + other
            for (number, score), tail in heads
            for rest, other in segmentations(tail).items()
        }

    sampler = UnigramSampling(list(numbers), backend, alpha)
    tried = [word for word in numbers if 4 <= len(word) <= 8 and len(segmentations(word)) > 3][:5]
    assert len(tried) == 5
    for word in tried:
        scores = {ids: math.exp(alpha * score) for ids, score in segmentations(word).items()}
        wanted = {ids: value / sum(scores.values()) for ids, value in scores.items()}
        assert distance(drawn(sampler, numbers[word]), wanted) < 0.02, word


def test_a_sharp_unigram_gives_the_tokenizers_own_segmentation() -> None:
    numbers = frequent_words("unigram")
    sampler = UnigramSampling(list(numbers), tokenizer("unigram").backend_tokenizer, 1e4)
    found = sampler(np.arange(len(numbers)), np.arange(len(numbers), dtype=np.uint64))
    same = [np.array_equal(found[word], sampler.plain[word]) for word in range(len(numbers))]
    assert np.mean(same) > 0.99  # the rest are ties


def rows(kind: str, texts: list[str], limit: int = 256, specials: str = "seq2seq", **options: float) -> SubwordRows:
    used = tokenizer(kind, specials)
    plain, _ = encode_texts(texts, used, limit)
    return subword_rows(texts, plain, used, limit, Subwords(**options), "source")


@pytest.mark.parametrize(("kind", "options"), [("bpe", {"bpe_dropout": 0.3}), ("unigram", {"unigram_sampling": 0.2})])
def test_rows_are_a_function_of_seed_epoch_and_number(kind: str, options: dict[str, float]) -> None:
    found = rows(kind, TEXTS, **options)
    first, again, later, other = (found.of_epoch(*key) for key in ((1, 0, 0), (1, 0, 0), (1, 0, 1), (2, 0, 0)))
    assert np.array_equal(first.values, again.values)
    for different in (later, other):
        assert np.mean([np.array_equal(first[row], different[row]) for row in range(len(TEXTS))]) < 0.5
    fewer = rows(kind, TEXTS[:40], **options).of_epoch(1, 0, 0)
    assert all(np.array_equal(fewer[row], first[row]) for row in range(40))
    read = [tokenizer(kind).decode(first[row], skip_special_tokens=True) for row in range(len(TEXTS))]
    assert read == [tokenizer(kind).decode(found.plain[row], skip_special_tokens=True) for row in range(len(TEXTS))]


@pytest.mark.parametrize("specials", ["seq2seq", "t5", "bart"])
def test_almost_no_dropout_gives_the_plain_rows_between_their_special_tokens(specials: str) -> None:
    for limit in (4, 8, 256):  # 4 truncates every text
        found = rows("bpe", TEXTS, limit, specials, bpe_dropout=1e-15)
        assert found.varied.all()
        assert np.array_equal(found._drawn(np.arange(len(TEXTS)), key_of(1))[0].values, found.plain.values)


def test_rows_are_never_longer_than_their_bound_and_the_limit() -> None:
    found = rows("bpe", TEXTS, 100, bpe_dropout=0.2)
    lengths = np.array([found.of_epoch(1, 0, epoch).lengths for epoch in range(10)])
    assert (lengths <= found.longest).all()
    assert found.longest.max() == 100
    assert lengths.mean() > 1.1 * found.plain.lengths.mean()
    ends = found.of_epoch(1, 0, 0)
    assert {int(ends[row][-1]) for row in range(len(TEXTS))} == {tokenizer("bpe").eos_token_id}


def test_a_row_is_cut_by_sampling_only_if_it_is_cut_without() -> None:
    texts = [text.lower() for text in TEXTS]
    found = rows("bpe", texts, 40, bpe_dropout=0.3)
    whole = rows("bpe", texts, 1000, bpe_dropout=0.3).plain.lengths <= 40
    assert 0 < whole.sum() < len(texts)
    read = [
        tokenizer("bpe").decode(row, skip_special_tokens=True)
        for row in map(found.plain.__getitem__, range(len(texts)))
    ]
    for epoch in range(5):
        drawn_rows = found.of_epoch(1, 0, epoch)
        assert drawn_rows.lengths.max() == 40
        for number in np.flatnonzero(whole).tolist():
            assert tokenizer("bpe").decode(drawn_rows[number], skip_special_tokens=True) == read[number]


def test_a_text_that_spells_a_special_token_and_an_empty_one_keep_their_ids() -> None:
    texts = ["a </s> b", "", "the loss of a step"]
    found = rows("bpe", texts, bpe_dropout=0.5)
    for epoch in range(20):
        drawn_rows = found.of_epoch(1, 0, epoch)
        assert np.array_equal(drawn_rows[1], found.plain[1])
        assert tokenizer("bpe").decode(drawn_rows[0], skip_special_tokens=True).strip() == "a </s> b"


def test_the_tokenizer_must_be_of_the_kind() -> None:
    for kind, options, message in (
        (
            "char",
            {"bpe_dropout": 0.1},
            "the source tokenizer is of the kind WordLevel; use --tokenizer-type bpe, or leave",
        ),
        (
            "unigram",
            {"bpe_dropout": 0.1},
            "is of the kind Unigram; use --unigram-sampling, or .*--subword-sides target",
        ),
        ("bpe", {"unigram_sampling": 0.1}, "--unigram-sampling: .* is of the kind BPE; use --bpe-dropout"),
    ):
        with pytest.raises(InputError, match=message):
            rows(kind, TEXTS[:9], **options)


def test_targets_are_framed_as_targets_are() -> None:
    used = tokenizer("bpe", "bart")
    plain, _ = encode_targets(TEXTS, used, 256)
    found = subword_rows(TEXTS, plain, used, 256, Subwords(bpe_dropout=0.4), "target")
    ids = {int(found.of_epoch(1, 1, 0)[row][-1]) for row in range(len(TEXTS))}
    assert ids == {int(plain[0][-1])} == {used.eos_token_id}


def test_random_bits_are_uniform_and_independent_of_neighbours() -> None:
    found = uniform(keyed(key_of(3), np.arange(100_000, dtype=np.uint64)))
    assert np.histogram(found, 10, (0, 1))[0] == pytest.approx(10_000, rel=0.05)
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.02
