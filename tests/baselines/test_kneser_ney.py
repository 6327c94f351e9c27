"""The n-gram model against the formulas computed one n-gram at a time, and against a table worked by hand."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from hf_seq2seq.baselines.kneser_ney import (
    END,
    FALLBACK,
    FIRST,
    START,
    UNKNOWN,
    KneserNey,
    _count,
    _discounted,
    fit,
)

A, B, C = FIRST, FIRST + 1, FIRST + 2
SIZE = FIRST + 3


def documents(seed: int, count: int, tokens: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [FIRST + random.geometric(0.15, random.integers(0, tokens)).clip(1, 20) - 1 for _ in range(count)]


class PlainKneserNey:
    """Chen and Goodman's formulas, written as recursions over tuples."""

    def __init__(self, texts: list[list[int]], order: int, size: int) -> None:
        self.order, self.size = order, size
        padded = [(START, *text, END) for text in texts]
        raw = Counter(text[i : i + n] for text in padded for n in range(1, order + 1) for i in range(len(text) - n + 1))
        self.counts: dict[tuple[int, ...], int] = {}
        for ngram, count in raw.items():
            if len(ngram) == order or (ngram[0] == START and len(ngram) > 1):
                self.counts[ngram] = count
            else:
                self.counts[ngram] = len({longer[0] for longer in raw if longer[1:] == ngram})
        self.counts[(START,)] = 0
        self.discounts = [self.estimate(n) for n in range(1, order + 1)]

    def estimate(self, length: int) -> tuple[float, ...]:
        n = Counter(count for ngram, count in self.counts.items() if len(ngram) == length)
        if not (n[1] and n[2] and n[3]):
            return FALLBACK
        y = n[1] / (n[1] + 2 * n[2])
        found = tuple(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
        return found if all(0 < d <= k for k, d in enumerate(found, 1)) else FALLBACK

    def probability(self, token: int, context: tuple[int, ...]) -> float:
        context = context[len(context) - min(len(context), self.order - 1) :]
        shorter = self.probability(token, context[1:]) if context else 1 / (self.size - 1)
        after = {g[-1]: c for g, c in self.counts.items() if len(g) == len(context) + 1 and g[:-1] == context and c}
        if not after:
            return shorter
        discounts = self.discounts[len(context)]
        freed = sum(discounts[min(c, 3) - 1] for c in after.values())
        count = after.get(token, 0)
        kept = max(count - discounts[min(count, 3) - 1], 0) if count else 0
        return (kept + freed * shorter) / sum(after.values())


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_formulas_one_n_gram_at_a_time(order: int, seed: int) -> None:
    train, test = documents(seed, 40, 12), documents(seed + 100, 12, 12)
    size = FIRST + 22  # two tokens of the vocabulary are never seen
    plain = PlainKneserNey([list(map(int, text)) for text in train], order, size)
    model = fit(train, order, size)
    assert np.array(model.discounts) == pytest.approx(np.array(plain.discounts))
    assert order == 1 or any(model.estimated)
    for text, found in zip(test, model.probabilities(test), strict=True):
        padded = (START, *map(int, text), END)
        expected = [plain.probability(padded[i], padded[:i]) for i in range(1, len(padded))]
        assert found == pytest.approx(expected)


def test_every_distribution_sums_to_one() -> None:
    size = FIRST + 22
    model = fit(documents(5, 60, 15), 3, size)
    tokens = [START, *range(UNKNOWN, size)]
    for context in [(), *product(tokens, repeat=1), *product(tokens[:8], repeat=2), *product(tokens[:4], repeat=3)]:
        found = model.next_token(context)
        assert found.sum() == pytest.approx(1)
        assert found[START] == 0
        assert (found[1:] > 0).all()


def test_no_discount_of_zero_leaves_a_context_without_mass_for_new_words() -> None:
    texts = [[9, 6, 4, 8], [4, 3, 3, 4], [8], [4, 4, 4], [4]]
    model = fit([FIRST + np.array(text) for text in texts], 3, FIRST + 10)
    assert (model.probabilities([FIRST + np.array([8, 3])])[0] > 0).all()


def test_the_next_token_is_that_of_the_documents() -> None:
    model = fit(documents(6, 30, 10), 3, FIRST + 22)
    text = [FIRST, FIRST + 1, FIRST, UNKNOWN, FIRST + 2]
    (found,) = model.probabilities([np.array(text)])
    padded = [START, *text, END]
    assert found == pytest.approx([model.next_token(padded[:i])[padded[i]] for i in range(1, len(padded))])


def test_a_table_worked_by_hand() -> None:
    """Two documents, `a b` and `a c`, order 2; too little to estimate discounts, so they are 0.5, 1 and 1.5.

    Continuation counts: a 1 (behind the start), b 1, c 1, the end 2 (behind b and c): 5 in all. Freed:
    3 * 0.5 + 1 = 2.5. The vocabulary that can be foretold has 5 tokens: a, b, c, the end, the unknown one.
    """
    model = fit([np.array([A, B]), np.array([A, C])], 2, SIZE)
    single = {A: 0.5 / 5 + 0.5 / 5, END: 1 / 5 + 0.5 / 5, UNKNOWN: 0.5 / 5}
    assert model.next_token(())[[A, END, UNKNOWN]] == pytest.approx(list(single.values()))
    # Behind the start: a twice, discount 1, so a keeps 1 of 2 and 1/2 is freed.
    assert model.next_token((START,))[A] == pytest.approx(1 / 2 + 1 / 2 * 0.2)
    # Behind a: b and c once each, discount 0.5 each: each keeps 0.25, and 1/2 is freed.
    assert model.next_token((A,))[B] == pytest.approx(0.25 + 0.5 * 0.2)
    assert model.next_token((A,))[END] == pytest.approx(0.5 * 0.3)


def test_documents_do_not_see_each_other() -> None:
    texts = documents(9, 20, 8)
    model = fit(texts, 3, FIRST + 22)
    together = model.probabilities(texts)
    alone = [model.probabilities([text])[0] for text in texts]
    assert all((one == other).all() for one, other in zip(together, alone, strict=True))


def test_nothing_to_learn_from_is_uniform() -> None:
    model: KneserNey = fit([], 3, SIZE)
    assert model.next_token((START,))[1:] == pytest.approx([1 / (SIZE - 1)] * (SIZE - 1))


def test_counts_discounts_and_gamma_are_nltk_s() -> None:
    """NLTK's model has one discount and stops at continuation counts; these parts of ours give the same number."""
    lm = pytest.importorskip("nltk.lm")
    from nltk.lm.preprocessing import padded_everygram_pipeline

    texts = [[f"w{token}" for token in text] for text in documents(3, 30, 10)]
    grams, vocabulary = padded_everygram_pipeline(2, texts)
    theirs = lm.KneserNeyInterpolated(2, discount=0.4)
    theirs.fit(grams, vocabulary)
    size = FIRST + 20
    single, pairs = _count(documents(3, 30, 10), 2, size)
    kept, gamma = _discounted(pairs, (0.4, 0.4, 0.4))
    continued = single.counts / single.counts.sum()
    words = ["<s>", "</s>", "<UNK>", *(f"w{FIRST + place}" for place in range(20))]
    for key, share in zip(pairs.keys, kept, strict=True):
        context, word = divmod(int(key), size)
        ours = share + gamma[context] * continued[word]
        assert ours == pytest.approx(theirs.score(words[word], [words[context]])), (context, word)
