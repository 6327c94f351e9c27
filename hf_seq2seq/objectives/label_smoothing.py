"""The two forms of label smoothing, by one number."""

from torch import nn

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
        InputError: epsilon is so large for "others" that the true token would be the least probable one.
    """
    if kind == "uniform" or not epsilon:
        return epsilon
    size = model.get_output_embeddings().weight.shape[0]  # type: ignore[operator]
    if epsilon * size > size - 1:
        raise InputError(
            f"--label-smoothing-factor {epsilon}: is too large for {size} tokens; at most {1 - 1 / size:.3g}"
        )
    return epsilon * size / (size - 1)
