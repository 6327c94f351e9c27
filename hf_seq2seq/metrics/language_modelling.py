"""How well a model predicts text: perplexity per token, and bits per byte, which do not depend on the tokenizer.

Predictions are likelihoods of the references, not texts: the summed log-probability of the row's tokens, and the number
of tokens, `(rows, 2)`.
"""

import math
from collections.abc import Sequence

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Scores, TextRows, summed


def perplexity(total: float, tokens: float) -> float:
    """The exponential of the mean loss.

    Args:
        total: sum of the tokens' losses in nats.
        tokens: number of tokens.

    Paper: Jelinek et al., 1977, https://doi.org/10.1121/1.2016299
    """
    mean = total / tokens
    return math.exp(mean) if mean < 700 else math.inf  # overflow of float64


def bits_per_byte(total: float, documents: Sequence[str]) -> float:
    """The summed loss in bits, divided by the bytes of the text in UTF-8.

    The sum includes the loss of end-of-document tokens, while the bytes are those of the documents alone.

    Args:
        total: summed loss of all tokens of the documents, in nats.
        documents: the texts.

    Paper: Gao et al., 2020, section 3.1, https://arxiv.org/abs/2101.00027
    """
    return total / math.log(2) / _bytes(documents)


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def _statistics(likelihoods: np.ndarray, references: TextRows) -> np.ndarray:
    """Loss in nats, tokens and bytes, `(rows, 3)`."""
    if len(likelihoods) != len(references):
        raise InputError(f"metrics: {len(likelihoods)} likelihoods, but references for {len(references)} rows")
    return np.column_stack([-likelihoods[:, 0], likelihoods[:, 1], [_bytes(row) for row in references]])


def _per_token(sums: np.ndarray) -> Scores:
    total, tokens, _ = sums.tolist()
    return {"loss": total / tokens, "perplexity": perplexity(total, tokens)}


def _per_byte(sums: np.ndarray) -> Scores:
    total, _, size = sums.tolist()
    return {"bits_per_byte": total / math.log(2) / size if size else math.inf}


_PROBLEMS = ("likelihood",)
PERPLEXITY = summed(_statistics, _per_token, False, ("loss", "perplexity"), problems=_PROBLEMS)
BITS_PER_BYTE = summed(_statistics, _per_byte, False, ("bits_per_byte",), problems=_PROBLEMS)
