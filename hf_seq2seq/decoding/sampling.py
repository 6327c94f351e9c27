"""One token per step: the best (greedy search), or one sampled from the model's distribution.

Each row has its own random generator, so its output does not depend on its batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.decoding.hypothesis import Bounds, Hypothesis
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes, Rule, apply_rules
from hf_seq2seq.decoding.steps import Prediction, Step, Steps

Choose = Callable[[Prefixes, Tensor], Tensor]


def greedy(prefixes: Prefixes, scores: Tensor) -> Tensor:
    """The token of the highest score in each row, `(rows,)`."""
    return scores.argmax(-1)


class Draw:
    """Samples with random numbers per row: the first token whose cumulative probability exceeds the number.

    Args:
        seed: seed for all rows.
        numbers: indices that identify the sources independently of their batch.
        samples: outputs per source.
        longest: maximum output length in tokens.
    """

    def __init__(self, seed: int, numbers: Sequence[int], samples: int, longest: int) -> None:
        self.uniform = torch.stack([_uniform(seed, number, samples, longest) for number in numbers])

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """Tokens `(rows,)` from `softmax(scores)`."""
        rows = torch.arange(len(scores), device=scores.device)
        sample = rows % self.uniform.shape[1]
        return choose_tokens(scores, self.uniform.to(scores.device)[prefixes.sources, sample, prefixes.length])


def choose_tokens(scores: Tensor, numbers: Tensor) -> Tensor:
    """Tokens `(rows,)` from `softmax(scores)`, `(rows, vocabulary)`, by numbers in [0, 1), `(rows,)` float64."""
    sums = scores.double().softmax(-1).cumsum(-1)
    wanted = numbers[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=scores.shape[1] - 1)


def _uniform(seed: int, number: int, samples: int, longest: int) -> Tensor:
    """Numbers in [0, 1), `(samples, longest)` float64; the first samples are the same however many are drawn."""
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
    return torch.rand(samples, longest, dtype=torch.float64, generator=torch.Generator().manual_seed(mixed))


def one_by_one(
    first: Prediction,
    prompt: Tensor,
    rules: Sequence[Rule],
    bounds: Bounds,
    normalization: LengthNormalization,
    choose: Choose = greedy,
    samples: int = 1,
) -> Steps:
    """Generates outputs token by token; finished sources leave the batch.

    There are `samples` outputs of every source, fewer if the rules allow no token; their scores are relative to the
    distribution after the rules.

    Args:
        first: the prediction of the first token.
        prompt: tokens before the output, `(sources, length)`, -1 at padding.
        rules: rules of the next token.
        bounds: when outputs end.
        normalization: of their scores.
        choose: chooses the next token of every row.
        samples: outputs per source.
    """
    device = prompt.device
    found: list[dict[int, Hypothesis]] = [{} for _ in prompt]
    rows = torch.arange(len(found), device=device).repeat_interleave(samples)
    tokens, logits = prompt[rows], first.logits[rows]
    sums, writing = torch.zeros(len(rows), device=device), torch.ones(len(rows), dtype=torch.bool, device=device)
    length, start = 0, tokens.shape[1]
    while True:
        prefixes = Prefixes(tokens, length, rows)
        scores = apply_rules(rules, prefixes, logits)
        chosen, length = choose(prefixes, scores), length + 1
        writing = writing & (scores.amax(-1) > FORBIDDEN)
        sums = sums + scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(-1)
        tokens = torch.cat([tokens, chosen[:, None]], 1)
        ends = bounds.ends(chosen, length, rows)
        if bounds.stops is not None:
            ends = ends | bounds.stopped(tokens[:, start:].tolist())
        ends = writing & ends
        for row in ends.nonzero()[:, 0].tolist():
            score = float(sums[row] / normalization.divisor(length))
            hypothesis = Hypothesis.of(tokens[row, start:].tolist(), score, bounds.eos)
            found[int(rows[row])][row % samples] = hypothesis
        writing = writing & ~ends
        left = writing.view(-1, samples).any(1)
        if not left.any():
            return [[outputs[sample] for sample in range(samples) if sample in outputs] for outputs in found]
        kept = left.repeat_interleave(samples).nonzero()[:, 0]
        leaving = length == 1 or len(kept) < len(rows)
        before = kept // samples if length == 1 else kept
        rows, tokens, sums, writing = (part[kept] for part in (rows, tokens, sums, writing))
        logits = (yield Step(before, left.nonzero()[:, 0] if leaving else None, tokens[:, -1])).logits
