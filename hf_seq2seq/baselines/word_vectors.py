"""Word vectors: skip-gram and CBOW, learned by negative sampling or hierarchical softmax.

CBOW predicts a word from the mean of its neighbours' vectors, skip-gram each neighbour from the word's vector. Negative
sampling tells the true word from words drawn at random; hierarchical softmax decides at every node of a Huffman tree
on the way to it.

Papers: Mikolov et al., 2013a, https://arxiv.org/abs/1301.3781, whose cost per training word is CBOW N D + D log2 V and
skip-gram C (D + D log2 V); Mikolov et al., 2013b, section 2, https://arxiv.org/abs/1310.4546
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_seq2seq.baselines.vector_options import Options
from hf_seq2seq.errors import InputError

PADDING = -1
BATCH = 1024


@dataclass
class Operations:
    """Multiply-adds of the forward pass, counted while training.

    Attributes:
        words: that were trained on.
        counted: multiply-adds.
    """

    words: int = 0
    counted: int = 0


def formula(options: Options, vocabulary: int) -> float:
    """Multiply-adds per training word as the papers have them.

    With negative sampling log2 V becomes the true word and the negatives. The mean of N or C, the neighbours, is the
    window plus 1, because the window's width is redrawn at each word.
    """
    scored = math.log2(vocabulary) if options.output == "hierarchical_softmax" else 1 + options.negatives
    neighbours, width = options.window + 1, options.vector_size
    if options.architecture == "cbow":
        return neighbours * width + width * scored
    return neighbours * (width + width * scored)


class WordVectors(nn.Module):
    """The vectors, and what predicts words from them.

    Args:
        counts: of every word of the vocabulary, `(words,)`.
        options: how they are learned.
    """

    def __init__(self, counts: np.ndarray, options: Options) -> None:
        super().__init__()
        words, width = len(counts), options.vector_size
        self.options = options
        self.vectors = nn.Embedding(words, width, sparse=True)
        nn.init.uniform_(self.vectors.weight, -0.5 / width, 0.5 / width)
        self.outputs = nn.Embedding(words, width, sparse=True)
        nn.init.zeros_(self.outputs.weight)
        noise = counts.astype(np.float64) ** 0.75
        self.noise = torch.from_numpy(np.cumsum(noise / noise.sum()))
        if options.output == "hierarchical_softmax":
            nodes, turns = huffman(counts)
            self.nodes, self.turns = torch.from_numpy(nodes), torch.from_numpy(turns)

    def hidden(self, inputs: Tensor) -> Tensor:
        """The mean of the vectors of each row's words, `(rows, width)`; inputs as for `forward`."""
        there = inputs != PADDING
        found = self.vectors(inputs.clamp(min=0)) * there[..., None]
        return found.sum(dim=1) / there.sum(dim=1, keepdim=True)

    def forward(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, int]:
        """The mean loss in nats per target, and the multiply-adds.

        Args:
            inputs: `(rows, words)`, `PADDING` at the end.
            targets: the word that each row predicts, `(rows,)`.
            generator: draws the negatives.
        """
        hidden = self.hidden(inputs)
        if self.options.output == "hierarchical_softmax":
            rows, signs = self.nodes[targets], self.turns[targets]
        else:
            drawn = torch.rand(len(targets), self.options.negatives, generator=generator, dtype=torch.float64)
            negatives = torch.searchsorted(self.noise, drawn).clamp(max=len(self.noise) - 1)
            rows = torch.cat([targets[:, None], negatives], dim=1)
            signs = torch.ones(rows.shape)
            signs[:, 1:] = -(negatives != targets[:, None]).float()  # the true word is no negative
        scores = (self.outputs(rows.clamp(min=0)) * hidden[:, None]).sum(dim=-1)
        loss = (F.softplus(-scores * signs) * (signs != 0)).sum() / len(targets)
        read, scored = int((inputs != PADDING).sum()), int((signs != 0).sum())
        return loss, (read + scored) * self.options.vector_size


def huffman(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The way to every word in a Huffman tree: frequent words are near.

    Args:
        counts: of every word, `(words,)`; two words at least.

    Returns:
        Nodes `(words, depth)` int64, `PADDING` behind the end, and turns `(words, depth)` float32: 1, -1, 0 behind.
    """
    heap = [(int(count), word) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    parents: dict[int, tuple[int, float]] = {}
    for node in range(len(counts), 2 * len(counts) - 1):
        (first, one), (second, other) = heapq.heappop(heap), heapq.heappop(heap)
        parents[one], parents[other] = (node, 1.0), (node, -1.0)
        heapq.heappush(heap, (first + second, node))
    ways = [_way(word, parents) for word in range(len(counts))]
    depth = max(map(len, ways))
    nodes = np.full((len(counts), depth), PADDING, dtype=np.int64)
    turns = np.zeros((len(counts), depth), dtype=np.float32)
    for word, way in enumerate(ways):
        nodes[word, : len(way)] = [node - len(counts) for node, _ in way]
        turns[word, : len(way)] = [turn for _, turn in way]
    return nodes, turns


def _way(word: int, parents: dict[int, tuple[int, float]]) -> list[tuple[int, float]]:
    way = []
    while word in parents:
        way.append(parents[word])
        word = parents[word][0]
    return way[::-1]


def train(sentences: Sequence[Sequence[str]], options: Options) -> tuple[list[str], np.ndarray, Operations]:
    """Learns vectors.

    Args:
        sentences: words; windows do not cross them.
        options: how.

    Returns:
        The words, frequent ones first, their vectors `(words, width)`, and the multiply-adds.

    Raises:
        InputError: fewer than two words are frequent enough, or no word has a neighbour.
    """
    frequencies = Counter(word for sentence in sentences for word in sentence)
    words = sorted((w for w, n in frequencies.items() if n >= options.min_count), key=lambda w: (-frequencies[w], w))
    if len(words) < 2:
        raise InputError(f"--min-count {options.min_count}: {len(words)} words are so frequent; two are needed")
    ids = {word: number for number, word in enumerate(words)}
    texts = [np.array([ids[word] for word in sentence if word in ids], dtype=np.int64) for sentence in sentences]
    counts = np.array([frequencies[word] for word in words])
    torch.manual_seed(options.seed)
    model, random = WordVectors(counts, options), np.random.default_rng(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=options.learning_rate)
    operations = Operations()
    for epoch in range(options.num_train_epochs):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * (1 - epoch / options.num_train_epochs)
        kept = [_subsampled(text, counts, options.subsample, random) for text in texts]
        operations.words += sum(map(len, kept))
        for inputs, targets in _batches(kept, options, random):
            loss, counted = model(inputs, targets, generator)
            operations.counted += counted
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if not operations.counted:
        detail = (
            f"--subsample {options.subsample:g} leaves no two words beside each other; give --subsample 0, or more text"
        )
        raise InputError(detail if options.subsample else "no text has two words beside each other")
    return words, model.vectors.weight.detach().numpy(), operations


def _subsampled(text: np.ndarray, counts: np.ndarray, threshold: float, random: np.random.Generator) -> np.ndarray:
    """A text without some of its frequent words.

    Paper: Mikolov et al., 2013b, section 2.3
    """
    if not threshold:
        return text
    share = counts[text] / counts.sum()
    return text[random.random(len(text)) < np.sqrt(threshold / share)]


def _batches(
    texts: Sequence[np.ndarray], options: Options, random: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Words that predict, `(rows, words)`, and the word that they predict, `(rows,)`, in random order."""
    neighbours, centres = windows(texts, options.window, random)
    if options.architecture == "skip_gram":
        rows, places = np.nonzero(neighbours != PADDING)
        inputs, targets = centres[rows, None], neighbours[rows, places]
    else:
        inputs, targets = neighbours, centres
    order = random.permutation(len(targets))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        yield torch.from_numpy(inputs[chosen]), torch.from_numpy(targets[chosen])


def windows(texts: Sequence[np.ndarray], window: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of every word that has any, `(words, 2 * window)`, `PADDING` where there are fewer, and the words.

    How many neighbours are seen to each side is drawn at each word, so that near ones are seen more often.
    """
    joined = np.concatenate([np.concatenate([text, np.full(window, PADDING)]) for text in texts])
    joined = np.concatenate([np.full(window, PADDING), joined])
    places = np.flatnonzero(joined != PADDING)
    reach = random.integers(1, window + 1, len(places))
    steps = np.array([step for step in range(-window, window + 1) if step])
    found = np.where(np.abs(steps) <= reach[:, None], joined[places[:, None] + steps], PADDING)
    found = -np.sort(-found, axis=1)  # padding goes to the end
    has = found[:, 0] != PADDING
    return found[has], joined[places][has]
