"""Activations that are computed again in the backward pass instead of kept.

Paper: Chen et al., 2016, https://arxiv.org/abs/1604.06174
"""

from typing import Any

from hf_seq2seq.errors import InputError


def recompute_activations(model: Any) -> None:
    """Lets a model recompute its activations.

    Raises:
        InputError: it cannot.
    """
    if not model.supports_gradient_checkpointing:
        raise InputError(f"--gradient-checkpointing: {type(model).__name__} has none; leave it out")
    former = model.gradient_checkpointing_enable  # its name before transformers 6
    getattr(model, "activation_checkpointing_enable", former)({"use_reentrant": False})
