"""What the attention of one output on its source is like, in a few figures."""

import numpy as np

SHARE = 0.25
"""A source token is covered if it gets this part of an equal share of all attention."""


def attention_figures(weights: np.ndarray, text: np.ndarray) -> dict[str, float]:
    """The figures of `FIGURES` that begin with "attention_".

    Args:
        weights: attention averaged over layers and heads, `(output, source)`; each row sums to 1.
        text: which source tokens belong to its text, `(source,)` bool; the others are special tokens.
    """
    steps, size = weights.shape
    if not steps or not size:
        return {}
    shares = weights.mean(axis=0)
    found = {"attention_peak": float(shares.max()), "attention_on_text": float(shares[text].sum())}
    if size > 1:
        found["attention_entropy"] = float(entropies(weights).mean() / np.log(size))
    if text.any():
        found["attention_covered"] = float((shares[text] >= SHARE / size).mean())
    if steps > 1:
        found |= {"attention_monotonic": monotonicity(weights), "attention_diagonal": diagonality(weights)}
    return found


def entropies(weights: np.ndarray) -> np.ndarray:
    """Entropy of each step's weights in nats, `(..., output)` of `(..., output, source)`."""
    safe = np.maximum(weights, 1e-12)
    return np.asarray(-(safe * np.log(safe)).sum(axis=-1))


def monotonicity(weights: np.ndarray) -> float:
    """Share of steps whose most attended position is not before that of the previous step."""
    places = weights.argmax(axis=-1)
    return float((np.diff(places) >= 0).mean())


def diagonality(weights: np.ndarray) -> float:
    """1 minus the mean distance of the attention from the diagonal, both sequences having length 1."""
    steps, size = weights.shape
    down = (np.arange(steps)[:, None] + 0.5) / steps
    across = (np.arange(size)[None, :] + 0.5) / size
    return float(1 - (weights * np.abs(down - across)).sum(axis=1).mean())
