"""Encoder-decoders joined from two checkpoints (`EncoderDecoderModel`): what their parts share."""

from typing import Any

MODEL_TYPE = "encoder-decoder"


def is_joined(config: Any) -> bool:
    """Whether a configuration is that of two joined models."""
    return getattr(config, "model_type", None) == MODEL_TYPE


def decoder_of(model: Any) -> Any:
    """The part of a model that has the target vocabulary: of a joined one its decoder, otherwise the model itself."""
    return model.decoder if is_joined(model.config) else model


def settle_joined(model: Any) -> None:
    """Freezes what a joined model never uses, and ties its parts if its configuration says so.

    Args:
        model: modified in place if it is joined.
    """
    if not is_joined(model.config):
        return
    if getattr(model.encoder, "pooler", None) is not None:
        model.encoder.pooler.requires_grad_(False)
    if getattr(model.config, "tie_encoder_decoder", False):
        for name, twin in tied_names(model).items():
            owner, _, last = name.rpartition(".")
            setattr(model.get_submodule(owner), last, model.get_parameter(twin))


def tied_names(model: Any) -> dict[str, str]:
    """The decoder's parameters that have a counterpart in the encoder, each with the counterpart's name.

    All but the attention on the source and the output layer (Rothe et al., 2020, section 3).
    """
    prefix = f"decoder.{model.decoder.base_model_prefix}."
    own = dict(model.named_parameters(remove_duplicate=False))
    pairs = {name: name.replace(prefix, "encoder.", 1) for name in own if name.startswith(prefix)}
    return {name: twin for name, twin in pairs.items() if twin in own and own[twin].shape == own[name].shape}


def separate_copies(model: Any, state: dict[str, Any]) -> dict[str, Any]:
    """A state in which tied parts are copies, as a file of an `EncoderDecoderModel` has them."""
    if not is_joined(model.config) or not getattr(model.config, "tie_encoder_decoder", False):
        return state
    tied = tied_names(model)
    return {name: value.clone() if name in tied else value for name, value in state.items()}
