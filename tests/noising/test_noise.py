"""What holds of every noise."""

from dataclasses import replace

import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising import NOISES
from hf_seq2seq.noising.gap_sentences import GapSentences
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.noise import Combined, Enclosed, Noise, Noised
from hf_seq2seq.noising.sentence_permutation import SentencePermutation
from hf_seq2seq.noising.text_infilling import TextInfilling
from hf_seq2seq.noising.token_deletion import TokenDeletion
from hf_seq2seq.ragged import IGNORE, Ragged

OPTIONS = {
    "span_corruption": {"sentinels": tuple(range(90_000, 90_100))},
    "replaced_spans": {"sentinels": tuple(range(90_000, 90_300))},
    "token_masking": {"mask": 89_000},
    "text_infilling": {"mask": 89_000},
    "gap_sentences": {"mask": 89_000},
}
KINDS = {name: kind for kinds in NOISES.values() for name, kind in kinds.items()}
BUILT: dict[str, Noise] = {name: kind(**OPTIONS.get(name, {})) for name, kind in KINDS.items()}
BUILT |= {
    "masked tokens": MaskedTokens(89_000, 90_000),
    "whole words": MaskedTokens(89_000, 90_000, whole_words=True),
    "in turn": GapSentences(89_000, sequential=True, unique=True, masked_tokens=MaskedTokens(88_999, 90_000)),
    "bart": Enclosed(Combined((SentencePermutation(), TextInfilling(89_000), TokenDeletion())), (1,), (2, 3)),
}
EXACT_BOUNDS = set(BUILT) - {
    "prefix_language_model",
    "replaced_spans",
    "text_infilling",
    "gap_sentences",
    "in turn",
    "bart",
}


def starts(noise: Noise, split) -> np.ndarray | None:
    return {"sentences": split.sentences, "words": split.words, "": None}[noise.reads]


def same(one: Noised, other: Noised) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None or b is not None]
    return all(np.array_equal(a.values, b.values) and np.array_equal(a.offsets, b.offsets) for a, b in pairs)


@pytest.mark.parametrize("name", BUILT)
def test_the_seed_decides_and_nothing_is_changed_in_place(split, name: str) -> None:
    noise = BUILT[name]
    before = [a.copy() for a in (*split.tokens, split.sentences, split.words)]
    first, again, other = (noise(split.tokens, np.random.default_rng(seed), starts(noise, split)) for seed in (7, 7, 8))
    assert same(first, again)
    assert name == "gap_sentences" or not same(first, other)
    assert all(np.array_equal(a, b) for a, b in zip(before, (*split.tokens, split.sentences, split.words), strict=True))


@pytest.mark.parametrize("name", BUILT)
def test_rows_are_well_formed_and_within_their_bound(split, rng: np.random.Generator, name: str) -> None:
    noise = BUILT[name]
    found = noise(split.tokens, rng, starts(noise, split))
    lengths = split.tokens.lengths
    for rows in filter(None, found):
        assert rows.values.dtype == np.int32
        assert rows.offsets.dtype == np.int64
        assert len(rows.offsets) == len(lengths) + 1
        assert rows.offsets[0] == 0
        assert rows.offsets[-1] == len(rows.values)
    taken = np.stack([found.source.lengths, found.target.lengths], axis=1)
    bounds = [noise.bound(lengths), noise.bound(lengths, starts(noise, split))]
    for bound in bounds:
        assert bound.dtype == np.int64
        assert (taken <= bound).all()
    assert (bounds[1] <= bounds[0]).all()
    if name in EXACT_BOUNDS:
        assert np.array_equal(taken, bounds[0])


@pytest.mark.parametrize("name", BUILT)
def test_empty_splits_and_rows(make_rows, rng: np.random.Generator, name: str) -> None:
    noise = BUILT[name]
    for rows in ([], [[]], [[], []]):
        tokens: Ragged = make_rows(rows)
        found = noise(tokens, rng, np.zeros(0, dtype=bool))
        assert len(found.source.offsets) == len(rows) + 1
        assert np.array_equal(found.source.lengths, noise.bound(tokens.lengths)[:, 0])


@pytest.mark.parametrize("name", [name for name, noise in BUILT.items() if noise.reads])
def test_missing_starts_are_named(split, rng: np.random.Generator, name: str) -> None:
    with pytest.raises(InputError, match="whether a word or sentence starts there: none are given"):
        BUILT[name](split.tokens, rng)
    with pytest.raises(InputError, match="3 are given"):
        BUILT[name](split.tokens, rng, np.ones(3, dtype=bool))


def test_special_tokens_enclose_both_sides(make_rows, rng: np.random.Generator) -> None:
    found = Enclosed(TokenDeletion(), (1,), (2, 3))(make_rows([[7], [], [8]]), rng)
    assert [found.source[i].tolist() for i in range(3)] == [[1, 7, 2, 3], [1, 2, 3], [1, 8, 2, 3]]
    assert [found.target[i].tolist() for i in range(3)] == [[1, 7, 2, 3], [1, 2, 3], [1, 8, 2, 3]]


def test_special_tokens_are_not_predicted_by_an_encoder(split, rng: np.random.Generator) -> None:
    found = Enclosed(BUILT["in turn"], after=(2,))(split.tokens, rng, split.sentences)
    assert (found.source.values[found.source.offsets[1:] - 1] == 2).all()
    assert (found.source_labels.values[found.source.offsets[1:] - 1] == IGNORE).all()


def test_combined_noises_follow_one_another(split) -> None:
    found = Combined((SentencePermutation(), TokenDeletion()))(split.tokens, np.random.default_rng(5), split.sentences)
    rng = np.random.default_rng(5)
    permuted = SentencePermutation()(split.tokens, rng, split.sentences).source
    assert same(found, Noised(TokenDeletion()(permuted, rng).source, split.tokens))


def test_sentences_cannot_be_found_after_another_noise() -> None:
    with pytest.raises(InputError, match="SentencePermutation reads sentences, so it must be the first"):
        Combined((TokenDeletion(), SentencePermutation()))


@pytest.mark.parametrize("name", [name for name, noise in BUILT.items() if hasattr(noise, "rate")])
def test_a_rate_is_a_share(name: str) -> None:
    with pytest.raises(InputError, match=r"noise rate: 15 is not a share from 0 to 1"):
        replace(BUILT[name], rate=15)
