"""Monotonic attention: each step continues from where the previous one stopped, and stops at one source position.

Training takes the expectation over all such paths, which has a gradient. Evaluation and generation follow the hard
path: a step stops at the first position, starting from the last one, whose probability exceeds 1/2. So the evaluation
loss is that of the model as used in generation.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import AdditiveAttention, Carried, Memory


class MonotonicAttention(AdditiveAttention):
    """Energy e = g v / |v| . tanh(W h + V s + b) + r, probability of stopping p = sigmoid(e).

    In training Gaussian noise on the energies drives the probabilities towards 0 and 1. A step that stops nowhere has
    zero weights and a zero context, as do all steps after it.

    Paper: Raffel et al., 2017, sections 2.2 to 2.5, https://arxiv.org/abs/1704.00784

    Args:
        query_size: width of the decoder's states.
        memory_size: width of the encoder's outputs.
        offset: initial value of r; a negative value lets a new model look beyond the first positions.
        noise: standard deviation of the noise.
    """

    def __init__(self, query_size: int, memory_size: int, offset: float = -1.0, noise: float = 1.0) -> None:
        super().__init__(query_size, memory_size)
        self.query_projection = nn.Linear(query_size, query_size)
        self.first_gain, self.first_offset = query_size**-0.5, offset
        self.gain = nn.Parameter(torch.tensor(self.first_gain))
        self.offset = nn.Parameter(torch.tensor(float(offset)))
        self.noise = noise

    def start(self, memory: Memory) -> Carried:
        """The alignment before the first step: all weight on the first position."""
        return {"alignment": F.one_hot(torch.zeros_like(memory.positions[:, 0]), memory.bias.shape[-1]).to(memory.bias)}

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The energies; see the base class."""
        return super().score(queries, keys) * (self.gain / self.score_projection.weight.norm()) + self.offset

    def forward(self, queries: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
        """As in the base class; the energies of all steps at once, the alignments step by step."""
        energies = self.score(queries, memory.keys) + memory.bias
        if self.training:
            energies = energies + self.noise * torch.randn_like(energies)
        stop = energies.sigmoid() if self.training else (energies > 0).to(energies)
        alignments = [carried["alignment"]]
        for step in stop.unbind(1):
            alignments.append(expected_alignment(step, alignments[-1]))
        weights = torch.stack(alignments[1:], 1)
        return torch.bmm(weights, memory.values), weights[:, None], carried | {"alignment": alignments[-1]}


def expected_alignment(stop: Tensor, previous: Tensor) -> Tensor:
    """alpha_j = p_j q_j with q_j = (1 - p_{j-1}) q_{j-1} + previous_j.

    The recurrence over source positions is solved by doubling the reach of each position in turn: only products and
    sums of numbers between 0 and 1, whereas the paper divides by a cumulative product that may vanish.

    Args:
        stop: p, the probability of stopping at each position once there, `(batch, source)`; 0 at padding.
        previous: the alignment of the previous step, `(batch, source)`.

    Returns:
        `(batch, source)`, each row's sum at most that of `previous`.

    Papers: Raffel et al., 2017, equations 13 and 14, https://arxiv.org/abs/1704.00784; Hillis and Steele, 1986, "Data
    parallel algorithms" (the doubling), https://doi.org/10.1145/7902.7903
    """
    arrived, factor = previous, F.pad(1 - stop[:, :-1], (1, 0))
    reach = 1
    while reach < previous.shape[1]:
        arrived = arrived + factor * F.pad(arrived[:, :-reach], (reach, 0))
        factor = factor * F.pad(factor[:, :-reach], (reach, 0))
        reach *= 2
    return stop * arrived
