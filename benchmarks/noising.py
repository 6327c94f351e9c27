"""CPU time of noising a whole split at once, compared with row by row.

    python benchmarks/noising.py                                 # half a minute
    python benchmarks/noising.py --abstracts train.jsonl.gz      # also scores the sentences of real texts

Span corruption: rows of 568 tokens, of which 512 are left, as in T5's pretraining; compared with the form in which
the Flax collator of transformers' examples does it, one mask per row and then sentinels per batch of 8. Sentence
scores: ROUGE-1 F1 of every sentence with the rest of its text, as PEGASUS needs it, compared with rouge_score on the
same words; of texts from a file with a list of sentences in the field "source" of each line, else of random words.
The two ways of each take turns in one process with one thread; the table holds medians of CPU time, user's and
system's.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from machine import describe, table
from rouge_score.rouge_scorer import RougeScorer

from hf_seq2seq.noising.noise import Enclosed
from hf_seq2seq.noising.rows import runs_of
from hf_seq2seq.noising.sentence_scores import count_words, rouge1
from hf_seq2seq.noising.span_corruption import SpanCorruption
from hf_seq2seq.ragged import Ragged, offsets_of

LENGTH, VOCABULARY, EOS, BATCH = 568, 32_000, 1, 8
SENTINELS = tuple(range(VOCABULARY + 99, VOCABULARY - 1, -1))
TEXTS = 300
"""Texts that rouge_score gets in a round; ours gets all."""


def main() -> None:
    """Measures both pairs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that each way is measured")
    parser.add_argument("--rows", type=int, default=8_000, help="rows of the split")
    parser.add_argument("--abstracts", help="JSON lines, perhaps gzipped, with a list of sentences as 'source'")
    options = parser.parse_args()
    rows = spans(options.rows, options.rounds) + sentences(options.abstracts, options.rounds)
    print(describe(), f"numpy {np.__version__}; {options.rounds} rounds, one thread", sep="\n", end="\n\n")
    print(table(["", "tokens per CPU second", "range", "times"], rows))


def compare(ways: dict[str, tuple[Callable[[], object], int]], rounds: int) -> list[list[str]]:
    """Lines of the table: the ways in turn, each with what it does and how many tokens that is."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (work, tokens) in ways.items():
            started = time.process_time()
            work()
            if number:
                speeds[name].append(tokens / (time.process_time() - started))
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    base = next(iter(medians.values()))
    return [
        [name, f"{medians[name]:,.0f}", f"{min(found):,.0f}–{max(found):,.0f}", f"{medians[name] / base:.1f}"]
        for name, found in speeds.items()
    ]


def spans(rows: int, rounds: int) -> list[list[str]]:
    """Span corruption, row by row and at once."""
    rng = np.random.default_rng(0)
    tokens = Ragged(rng.integers(2, VOCABULARY, rows * LENGTH, dtype=np.int32), offsets_of(np.full(rows, LENGTH)))
    noise = Enclosed(SpanCorruption(SENTINELS, final_sentinel=False), after=(EOS,))
    few = tokens.values.reshape(rows, LENGTH)[: max(rows // 8, BATCH)]
    source, target = by_row(few[:BATCH], rng)
    bound = noise.bound(np.array([LENGTH]))[0].tolist()
    if [source.shape[1], target.shape[1]] != bound:
        raise SystemExit(f"the two ways differ: {source.shape}, {target.shape}, {bound}")
    ways = {
        "span corruption: one mask per row": (
            lambda: [by_row(few[i : i + BATCH], rng) for i in range(0, len(few), BATCH)],
            few.size,
        ),
        "span corruption: hf-seq2seq, at once": (lambda: noise(tokens, rng), len(tokens.values)),
    }
    return compare(ways, rounds)


def by_row(batch: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Span corruption of a batch `(rows, tokens)`, from its description in section 3.1.4 of Raffel et al. 2020."""
    noised = round(batch.shape[1] * 0.15)
    mask = np.stack([row_mask(batch.shape[1], noised, round(noised / 3), rng) for _ in batch])
    return replaced(batch, mask), replaced(batch, ~mask)


def row_mask(length: int, noised: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """Which tokens of a row are noised, `(tokens,)`: both kinds in `number` random runs, in turns."""
    runs = np.stack([segments(length - noised, number, rng), segments(noised, number, rng)], axis=1).ravel()
    starts = np.zeros(length, dtype=np.int8)
    starts[np.cumsum(runs)[:-1]] = 1
    return np.cumsum(starts) % 2 == 1


def segments(items: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """A random split of items into segments of one item or more: cuts are shuffled, items of a segment counted."""
    cuts = np.arange(items - 1) < number - 1
    rng.shuffle(cuts)
    return np.unique(np.cumsum(np.pad(cuts, (1, 0))), return_counts=True)[1]


def replaced(batch: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Each masked run as one sentinel, and `</s>` at the end; all rows come out equally long."""
    first = mask & ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1]
    marked = np.where(first, VOCABULARY + 100 - np.cumsum(first, axis=1), batch)
    kept = marked[~mask | first].reshape(len(batch), -1)
    return np.append(kept, np.full((len(batch), 1), EOS), axis=1)


class Words:
    """Hands words to rouge_score unchanged."""

    def tokenize(self, text: str) -> list[str]:
        """The words between spaces."""
        return text.split()


def sentences(path: str | None, rounds: int) -> list[list[str]]:
    """Scores of sentences, by rouge_score and at once."""
    texts = read_texts(path) if path else random_texts()
    numbers: dict[str, int] = {}
    split = [[[numbers.setdefault(w, len(numbers)) for w in sentence.split()] for sentence in text] for text in texts]
    values = np.array([word for text in split for sentence in text for word in sentence], dtype=np.int32)
    tokens = Ragged(values, offsets_of(np.array([sum(map(len, text)) for text in split])))
    starts = np.zeros(len(values), dtype=bool)
    starts[offsets_of(np.array([len(sentence) for text in split for sentence in text]))[:-1]] = True
    few = texts[:TEXTS]
    expected, found = by_rouge_score(few), at_once(tokens, starts)
    if not np.allclose(expected, found[: len(expected)], rtol=1e-12, atol=0):
        raise SystemExit("the two ways give different scores")
    name = "sentence scores of abstracts" if path else "sentence scores of random words"
    ways = {
        f"{name}: rouge_score": (lambda: by_rouge_score(few), int(tokens.offsets[len(few)])),
        f"{name}: hf-seq2seq, at once": (lambda: at_once(tokens, starts), len(values)),
    }
    return compare(ways, rounds)


def at_once(tokens: Ragged, starts: np.ndarray) -> np.ndarray:
    """The score of every sentence."""
    words = count_words(tokens, runs_of(tokens, starts))
    return rouge1(words, np.zeros(len(words.rows), dtype=bool), unique=False)


def by_rouge_score(texts: list[list[str]]) -> list[float]:
    """The score of every sentence."""
    scorer = RougeScorer(["rouge1"], tokenizer=Words())
    return [
        scorer.score(" ".join(text[:i] + text[i + 1 :]), sentence)["rouge1"].fmeasure
        for text in texts
        for i, sentence in enumerate(text)
    ]


def read_texts(path: str) -> list[list[str]]:
    """Sentences of texts, none of them empty."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        texts = [[s for s in json.loads(line)["source"] if s.strip()] for line in file]
    return [text for text in texts if text]


def random_texts() -> list[list[str]]:
    """Two thousand texts of 8 sentences of 25 words."""
    words = np.random.default_rng(0).zipf(1.5, (2_000, 8, 25)) % 5_000
    return [[" ".join(map(str, sentence)) for sentence in text] for text in words.tolist()]


if __name__ == "__main__":
    main()
