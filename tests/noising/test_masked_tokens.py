import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.rows import enclose, offsets_of
from hf_seq2seq.ragged import IGNORE, Ragged

CLS, SEP, MASK, PAD = 0, 1, 2, 3


def noise(**options) -> MaskedTokens:
    return MaskedTokens(MASK, 5_000, (CLS, SEP, PAD), **options)


def test_the_original_comes_back(split, rng) -> None:
    tokens = enclose(split.tokens, [CLS], [SEP])
    found = noise()(tokens, rng)
    chosen = found.target.values != IGNORE
    assert np.array_equal(np.where(chosen, found.target.values, found.source.values), tokens.values)
    assert not np.isin(tokens.values[chosen], [CLS, SEP]).any()
    for row, length in enumerate(split.tokens.lengths.tolist()):
        assert (found.target[row] != IGNORE).sum() == min(max(round(0.15 * length), 1), length)


def test_shares_of_mask_random_and_kept(rng) -> None:
    tokens = Ragged(np.full(1_000_000, 7, dtype=np.int32), np.array([0, 400_000, 1_000_000]))
    source, labels, _ = MaskedTokens(MASK, 12, (CLS, SEP, PAD))(tokens, rng)
    chosen = labels.values == 7
    assert chosen.sum() == 150_000
    values = np.bincount(source.values[chosen], minlength=12) / 150_000
    assert abs(values[MASK] - 0.8) < 0.006
    assert values[[CLS, SEP, PAD]].sum() == 0
    # A random token can be the same one: of 8 ordinary ones.
    assert abs(values[7] - (0.1 + 0.1 / 8)) < 0.005
    assert abs(values[[4, 5, 6, 8, 9, 10, 11]] - 0.1 / 8).max() < 0.002


def test_rows_of_special_tokens_stay(make_rows, rng) -> None:
    tokens = make_rows([[CLS, SEP], [], [PAD], [MASK, MASK]])
    for whole_words in (False, True):
        found = noise(whole_words=whole_words)(tokens, rng, np.ones(5, dtype=bool))
        assert np.array_equal(found.source.values, tokens.values)
        assert (found.target.values == IGNORE).all()


def words_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The number of each token's word; a row's first token always starts one."""
    starts = starts.copy()
    starts[offsets_of(lengths)[:-1][lengths > 0]] = True
    return np.cumsum(starts)


def test_words_are_chosen_whole(split, rng) -> None:
    found = noise(whole_words=True, rate=0.3)(split.tokens, rng, split.words)
    chosen = found.target.values != IGNORE
    words = words_of(split.words, split.tokens.lengths)
    taken = np.bincount(words, chosen)
    assert np.isin(taken, [0, 1]).all() or np.array_equal(taken[taken > 0], np.bincount(words)[taken > 0])
    assert np.array_equal(taken[taken > 0], np.bincount(words)[taken > 0])
    for row, length in enumerate(split.tokens.lengths.tolist()):
        budget = min(max(round(0.3 * length), 1), length)
        here = slice(split.tokens.offsets[row], split.tokens.offsets[row + 1])
        if length:  # a row of long words alone has its shortest taken
            budget = max(budget, np.bincount(words[here] - words[here].min()).min())
        left = budget - chosen[here].sum()
        assert left >= 0
        # Whatever was left out would not have fitted in.
        sizes = np.bincount(words[here])[np.unique(words[here][~chosen[here]])]
        assert (sizes > left).all()


def test_words_are_filled_in_as_the_loop_does(rng) -> None:
    """Against the loop of the released code, given the same random order."""
    lengths = rng.integers(0, 60, 200)
    starts = rng.random(lengths.sum()) < 0.4
    tokens = Ragged(np.full(lengths.sum(), 9, dtype=np.int32), offsets_of(lengths))
    found = noise(whole_words=True)(tokens, np.random.default_rng(3), starts).target.values != IGNORE
    words = words_of(starts, lengths) - 1
    keys = np.random.default_rng(3).random(words.max() + 1)
    expected = np.zeros(len(found), dtype=bool)
    for row, length in enumerate(lengths.tolist()):
        here = np.arange(tokens.offsets[row], tokens.offsets[row + 1])
        left = min(max(round(0.15 * length), 1), length)
        if length:  # unlike there, a row of long words alone has its shortest taken
            left = max(left, np.bincount(words[here] - words[here].min()).min())
        for word in sorted(set(words[here].tolist()), key=lambda word: keys[word]):
            members = here[words[here] == word]
            if len(members) <= left:
                expected[members] = True
                left -= len(members)
    assert np.array_equal(found, expected)


def test_a_word_is_masked_in_every_row(make_rows, rng) -> None:
    tokens = make_rows([[10, 11, 12], [13, 14, 15, 16, 17], [CLS, 18, 19, SEP]])
    starts = np.array([1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1], dtype=bool)
    labels = noise(whole_words=True)(tokens, rng, starts).target
    masked = [(labels[row] != IGNORE).tolist() for row in range(3)]
    assert masked == [[True] * 3, [False] * 3 + [True] * 2, [False, True, True, False]]


def test_values_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"0.8 \+ 0.3 is more than 1"):
        noise(random_share=0.3)
    with pytest.raises(InputError, match="of 4 tokens none is ordinary"):
        MaskedTokens(MASK, 4, (CLS, SEP, PAD))
    with pytest.raises(InputError, match=r"mask_share: 2 is not a share"):
        noise(mask_share=2)
