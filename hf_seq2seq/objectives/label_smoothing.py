"""The two forms of label smoothing, by one number."""

from torch import Tensor, nn
from torch.nn import functional as F

from hf_seq2seq.errors import InputError


def smoothing_factor(epsilon: float, kind: str, model: nn.Module) -> float:
    """The factor of the form (1 - e) y + e / K that equals the selected form.

    `uniform` is that form: epsilon is spread over all K tokens, so that the true one keeps 1 - e + e / K. `others`
    spreads it over the K - 1 other tokens, so that the true one keeps 1 - epsilon: e = epsilon K / (K - 1).

    Paper: Szegedy et al., 2016, section 7 (uniform), https://arxiv.org/abs/1512.00567; the other form is that of
    Vaswani et al., 2017, section 5.4, https://arxiv.org/abs/1706.03762, in their implementation.

    Args:
        epsilon: share of the probability, from 0 to 1.
        kind: "uniform" or "others".
        model: its output layer has K rows.

    Raises:
        InputError: epsilon is so large for "others" that the true token would be the least probable one, or 0, so that
            there is nothing to spread.
    """
    if kind == "uniform":
        return epsilon
    if not epsilon:
        raise InputError(f"--label-smoothing-type {kind}: nothing is smoothed; add --label-smoothing-factor 0.1")
    size = model.get_output_embeddings().weight.shape[0]  # type: ignore[operator]
    if epsilon * size > size - 1:
        raise InputError(
            f"--label-smoothing-factor {epsilon}: is too large for {size} tokens; at most {1 - 1 / size:.3g}"
        )
    return epsilon * size / (size - 1)


def smoothed_loss(logits: Tensor, labels: Tensor, smoothing: float, model: nn.Module) -> Tensor:
    """Cross-entropy summed over tokens, `()`; ids that a row has only as words of its source share no smoothing.

    Args:
        logits: `(tokens, vocabulary)`.
        labels: `(tokens,)`.
        smoothing: the share that is spread uniformly.
        model: of whose ids the last `copy_vocab_size` are such words.
    """
    copied = getattr(model.config, "copy_vocab_size", 0)
    if not smoothing or not copied:
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    log_probs = logits.log_softmax(-1)
    spread = -log_probs[:, :-copied].mean(-1).sum()
    return (1 - smoothing) * F.nll_loss(log_probs, labels, reduction="sum") + smoothing * spread
