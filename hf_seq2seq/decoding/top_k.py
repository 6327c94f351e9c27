"""Top-k selection over hypotheses and vocabulary jointly."""

import torch
from torch import Tensor

from hf_seq2seq.decoding.rules import FORBIDDEN


def best(scores: Tensor, count: int) -> Tensor:
    """Indices of the highest scores of each source, best first.

    Args:
        scores: `(sources, width, vocabulary)`.
        count: how many; if there are fewer, the remaining indices are out of range.

    Returns: `(sources, count)`, counted over width and vocabulary together.
    """
    flat = scores.flatten(1)
    missing = max(0, count - flat.shape[1])
    found = largest(flat, count - missing)
    beyond = torch.arange(flat.shape[1], flat.shape[1] + missing, device=flat.device)
    return torch.cat([found, beyond.expand(len(flat), -1)], 1) if missing else found


def gather_or_forbid(scores: Tensor, index: Tensor) -> Tensor:
    """The scores at the indices returned by `best`, `(sources, count)`; minus infinity for those out of range."""
    flat = scores.flatten(1)
    return flat.gather(1, index.clamp(max=flat.shape[1] - 1)).masked_fill(index >= flat.shape[1], FORBIDDEN)


def largest(scores: Tensor, count: int) -> Tensor:
    """Same as `topk`, `(rows, count)` for `(rows, n)` scores, in a quarter of its time on a CPU.

    The highest scores are in the blocks with the highest maxima, so only those blocks are searched.
    """
    size = next((size for size in range(256, 31, -1) if scores.shape[1] % size == 0), 0)
    if not size or scores.shape[1] // size < count:
        return scores.topk(count).indices
    blocks = scores.unflatten(1, (-1, size))
    chosen = blocks.amax(2).topk(count).indices
    inside = blocks.gather(1, chosen[..., None].expand(-1, -1, size)).flatten(1).topk(count).indices
    return chosen.gather(1, inside // size) * size + inside % size
