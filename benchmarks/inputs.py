"""One-hot, learned and word2vec inputs of one classifier, on the same rows.

    python benchmarks/inputs.py                # about six CPU minutes
    python benchmarks/inputs.py --task trec --seeds 1

A text is the mean of its words' input vectors, and one softmax layer classifies it. One-hot vectors are as long as the
vocabulary; learned vectors begin at random and are trained with the layer; those of word2vec (skip-gram, CBOW) come
from the training texts alone, and stay as they are or are trained on. Each has the rate that is best on the tenth of
the training rows that is held out, which also chooses the epoch.

Needs, in $HF_SEQ2SEQ_DATA or ../shared/data, `classification/`.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from baselines import files
from machine import describe, table
from torch import Tensor, nn

from hf_seq2seq.baselines.vector_options import Options
from hf_seq2seq.baselines.word_vectors import train
from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.labelled_sources import load_labelled_splits
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.metrics.words import words

WIDTH, BATCH, EPOCHS = 100, 64, 20
RATES = (3e-3, 1e-2, 3e-2)
TASKS = ("trec", "sst2")
INPUTS = {
    "one-hot": None,
    "learned": None,
    "word2vec skip-gram, fixed": ("skip_gram", False),
    "word2vec CBOW, fixed": ("cbow", False),
    "word2vec skip-gram, trained on": ("skip_gram", True),
    "word2vec CBOW, trained on": ("cbow", True),
}


@dataclass(frozen=True)
class Split:
    """Texts as numbers of words, and labels.

    Attributes:
        texts: a tensor of word numbers each.
        labels: `(rows,)`.
    """

    texts: list[Tensor]
    labels: Tensor

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """The words of some rows one after the other, where each row begins, and the labels."""
        texts = [self.texts[row] for row in rows]
        starts = torch.tensor([0, *np.cumsum([len(text) for text in texts])[:-1]])
        return torch.cat(texts), starts, self.labels[list(rows)]


class Classifier(nn.Module):
    """The mean of input vectors, and a softmax layer.

    Args:
        vectors: of every word, `(words, width)`; None for one-hot vectors, whose product with a matrix is its row.
        sizes: words, width and classes.
        fixed: whether the vectors stay as they are.
    """

    def __init__(self, vectors: Tensor | None, sizes: tuple[int, int, int], fixed: bool) -> None:
        super().__init__()
        count, width, classes = sizes
        one_hot = width == count
        self.bag = nn.EmbeddingBag(count, classes if one_hot else width, mode="mean")
        nn.init.normal_(self.bag.weight, std=0.0 if one_hot else 0.1)
        if vectors is not None:
            self.bag.weight.data.copy_(vectors)
        self.bag.weight.requires_grad_(not fixed)
        self.output: nn.Module = nn.Identity() if one_hot else nn.Linear(width, classes)

    def forward(self, texts: Tensor, starts: Tensor) -> Tensor:
        """Logits, `(rows, classes)`."""
        return self.output(self.bag(texts, starts))


def read(task: str) -> tuple[dict[str, Split], tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The splits, the vocabulary of the training texts, and these texts as words."""
    data = LabelledData(**files(task, Path()), validation_split_percentage=10)
    rows, _ = read_labelled(load_labelled_splits(data, "single_label"), data, "single_label")
    tokens = {name: [words(text) for text in split.texts] for name, split in rows.items()}
    vocabulary = sorted({word for text in tokens["train"] for word in text})
    numbers = {word: number for number, word in enumerate(vocabulary, start=1)}  # 0 is any other word
    splits = {
        name: Split(
            [torch.tensor([numbers.get(word, 0) for word in text] or [0]) for text in texts],
            torch.from_numpy(rows[name].labels),
        )
        for name, texts in tokens.items()
    }
    return splits, tuple(vocabulary), tuple(map(tuple, tokens["train"]))


def accuracy(model: Classifier, split: Split) -> float:
    """Percent."""
    texts, starts, labels = split.batch(range(len(split.texts)))
    with torch.no_grad():
        return 100 * float((model(texts, starts).argmax(1) == labels).double().mean())


def fit(model: Classifier, splits: dict[str, Split], rate: float, seed: int) -> tuple[float, float]:
    """The best accuracy on the validation rows, and that on the test rows of the same epoch."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    random, best = np.random.default_rng(seed), (-1.0, 0.0)
    for _ in range(EPOCHS):
        order = random.permutation(len(splits["train"].texts)).tolist()
        for start in range(0, len(order), BATCH):
            texts, starts, labels = splits["train"].batch(order[start : start + BATCH])
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(texts, starts), labels).backward()
            optimizer.step()
        found = accuracy(model, splits["validation"])
        if found > best[0]:
            best = found, accuracy(model, splits["test"])
    return best


@cache
def word_vectors(
    architecture: str, vocabulary: tuple[str, ...], texts: tuple[tuple[str, ...], ...], seed: int
) -> Tensor:
    """The vectors of all words, `(words, width)`, standardized; zeros for rare and unknown ones."""
    options = Options(architecture=architecture, vector_size=WIDTH, min_count=2, num_train_epochs=5, seed=seed)
    known, vectors, _ = train(texts, options)
    places = {word: number for number, word in enumerate(vocabulary, start=1)}
    found = torch.zeros(len(vocabulary) + 1, WIDTH)
    found[[places[word] for word in known]] = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    return found / found[found.abs().sum(1) > 0].std()


def rows_of(task: str, seeds: list[int]) -> list[list[str]]:
    """Lines of the table."""
    splits, vocabulary, texts = read(task)
    classes = int(splits["train"].labels.max()) + 1
    lines = []
    for name, kind in INPUTS.items():
        scores, started = [], time.process_time()
        width = len(vocabulary) + 1 if name == "one-hot" else WIDTH
        for seed in seeds:
            vectors = word_vectors(kind[0], vocabulary, texts, seed) if kind else None
            tried = []
            for rate in RATES:
                torch.manual_seed(seed)
                fixed = kind is not None and not kind[1]
                model = Classifier(vectors, (len(vocabulary) + 1, width, classes), fixed)
                tried.append(fit(model, splits, rate, seed))
            scores.append(max(tried)[1])
        spread = f"{min(scores):.1f}–{max(scores):.1f}"
        seconds = (time.process_time() - started) / len(seeds)
        lines.append([task, name, f"{width:,}", f"{statistics.mean(scores):.1f}", spread, f"{seconds:.0f}"])
        print(*lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [line for task in options.task or TASKS for line in rows_of(task, options.seeds)]
    print(describe())
    print(table(["task", "inputs", "width", "accuracy", "seeds", "CPU s per seed"], found))


if __name__ == "__main__":
    main()
