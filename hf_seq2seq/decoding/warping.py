"""Truncation of the sampling distribution, by transformers' own processors."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from hf_seq2seq.decoding.rules import Prefixes

WARPERS: dict[str, Callable[[Any], LogitsProcessor]] = {
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
    "typical_p": TypicalLogitsWarper,
}
"""Temperature; the k best (Fan et al., 2018, https://arxiv.org/abs/1805.04833); nucleus (Holtzman et al., 2020,
https://arxiv.org/abs/1904.09751); min-p (Nguyen et al., 2025, https://arxiv.org/abs/2407.01082); locally typical
(Meister et al., 2023, https://arxiv.org/abs/2202.00666): in transformers' order."""


class Warper:
    """One of these processors, as a rule.

    Args:
        name: name of the setting.
        value: value of the setting.
    """

    def __init__(self, name: str, value: float) -> None:
        self._kept = value if name == "top_k" else 0
        self.matters = name == "top_k" or value != 1
        self.process: Any = WARPERS[name](value) if self.matters else None  # transformers' typical_p rejects 1

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        if self._kept >= scores.shape[-1]:  # all tokens are, and finding the best takes long
            return scores
        narrowed: Tensor = self.process(prefixes.tokens, scores)
        return narrowed
