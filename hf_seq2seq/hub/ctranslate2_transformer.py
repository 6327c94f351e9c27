"""The hand-built Transformers as CTranslate2 specifications: maps each weight to its part."""

from typing import Any

import numpy as np
import torch
from torch import nn

from hf_seq2seq.architectures.configuration_transformer import TransformerConfig
from hf_seq2seq.architectures.positions import LearnedPositions
from hf_seq2seq.architectures.transformer_layers import AddNorm
from hf_seq2seq.architectures.transformer_stack import TransformerStack
from hf_seq2seq.errors import InputError

ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}


def check_transformer(config: TransformerConfig) -> None:
    """Rejects models that CTranslate2 cannot express.

    Raises:
        InputError: the layers have no norm, the encoder sees a window, or the model is decoder-only with relative
            positions.
    """
    if not config.is_encoder_decoder and config.position_embedding_type == "relative_bias":
        raise InputError(
            "--format ctranslate2: a decoder-only model reads its prompt at once, for which its relative positions "
            "are not implemented; --format onnx supports it"
        )
    if getattr(config, "attention_window", None) is not None:
        raise InputError(
            f"--format ctranslate2: its encoders see the whole source, and this model's a window "
            f"(attention_window={config.attention_window}); --format onnx supports it"
        )
    if config.norm_placement == "none":
        raise InputError(
            "--format ctranslate2: its layers have one norm each, and this model has none (norm_placement='none'); "
            "--format onnx supports it"
        )


def encoder_decoder_spec(model: Any) -> Any:
    """The specification of a `TransformerForConditionalGeneration`, its weights filled in, without vocabularies."""
    from ctranslate2.specs import transformer_spec as specs

    config = model.config
    encoder = specs.TransformerEncoderSpec(
        config.encoder_layers, config.encoder_attention_heads, **_choices(config, "encoder")
    )
    decoder = specs.TransformerDecoderSpec(
        config.decoder_layers, config.decoder_attention_heads, **_choices(config, "decoder")
    )
    spec = specs.TransformerSpec(encoder, decoder)
    _fill_stack(spec.encoder, spec.encoder.embeddings[0], model.model.encoder)
    _fill_stack(spec.decoder, spec.decoder.embeddings, model.model.decoder)
    spec.decoder.projection.weight = model.lm_head.weight
    spec.config.layer_norm_epsilon = config.layer_norm_eps
    return spec


def decoder_spec(model: Any) -> Any:
    """The same for a `TransformerForCausalLM`."""
    from ctranslate2.specs import transformer_spec as specs

    config = model.config
    decoder = specs.TransformerDecoderSpec(
        config.decoder_layers,
        config.decoder_attention_heads,
        with_encoder_attention=False,
        **_choices(config, "decoder"),
    )
    spec = specs.TransformerDecoderModelSpec(decoder)
    _fill_stack(spec.decoder, spec.decoder.embeddings, model.model.decoder)
    spec.decoder.projection.weight = model.lm_head.weight
    spec.config.layer_norm_epsilon = config.layer_norm_eps
    return spec


def _choices(config: TransformerConfig, side: str) -> dict[str, Any]:
    from ctranslate2.specs import common_spec

    heads = getattr(config, f"{side}_attention_heads")
    found: dict[str, Any] = {
        "pre_norm": config.norm_placement == "pre",
        "activation": common_spec.Activation[ACTIVATIONS[config.activation_function]],
        "ffn_glu": config.activation_function == "swiglu",
        "relative_attention_bias": config.position_embedding_type == "relative_bias",
    }
    if config.position_embedding_type == "rotary":
        found |= {"rotary_dim": config.d_model // heads, "rotary_interleave": False}
    return found


@torch.no_grad()
def _fill_stack(spec: Any, embeddings: Any, stack: TransformerStack) -> None:
    embeddings.weight = stack.embed_tokens.weight
    spec.scale_embeddings = float(stack.embed_scale)
    if isinstance(stack.positions, LearnedPositions):
        spec.position_encodings.encodings = stack.positions.table.weight
    elif stack.config.position_embedding_type in ("sinusoidal", "none"):
        # CTranslate2 orders its own sinusoids differently, so the table is stored explicitly; one of zeros is none.
        rows = torch.arange(stack.config.max_position_embeddings)[None]
        nothing = torch.zeros(1, rows.shape[1], stack.config.d_model)
        spec.position_encodings.encodings = stack.positions(nothing, rows)[0]
    if stack.final_norm is not None:
        _fill_norm(spec.layer_norm, stack.final_norm)
    layers: Any = stack.layers
    for part, layer in zip(spec.layer, layers, strict=True):
        _fill_layer(part, layer)
        if stack.relative_bias is not None:
            part.self_attention.relative_attention_bias = stack.relative_bias.table.weight
            part.self_attention.relative_attention_max_distance = np.int32(stack.relative_bias.max_distance)


def _fill_layer(spec: Any, layer: Any) -> None:
    sublayers = [(spec.self_attention, layer.self_attn, layer.self_attn_residual, [3])]
    if hasattr(layer, "cross_attn"):
        sublayers.append((spec.attention, layer.cross_attn, layer.cross_attn_residual, [1, 2]))
    for part, attention, residual, groups in sublayers:
        projections = [attention.q_proj, attention.k_proj, attention.v_proj]
        for place, size in enumerate(groups):
            _fill_linear(part.linear[place], projections[:size])
            del projections[:size]
        _fill_residual(part.layer_norm, part.linear[-1], attention.out_proj, residual)
    _fill_linear(spec.ffn.linear_0, [layer.feed_forward.fc1])
    if layer.feed_forward.gate is not None:
        _fill_linear(spec.ffn.linear_0_noact, [layer.feed_forward.gate])
    _fill_residual(spec.ffn.layer_norm, spec.ffn.linear_1, layer.feed_forward.fc2, layer.feed_forward_residual)


def _fill_residual(norm: Any, linear: Any, last: nn.Linear, residual: AddNorm) -> None:
    """A sublayer's last linear map and its norm.

    DeepNet's norm(a x + f(x)) is expressed as norm(x + f(x) / a), which is the same except for the norm's epsilon.
    """
    assert residual.norm is not None
    _fill_norm(norm, residual.norm)
    _fill_linear(linear, [last], 1 / residual.residual)


def _fill_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = norm.weight, norm.bias


def _fill_linear(spec: Any, layers: list[nn.Linear], scale: float = 1.0) -> None:
    """Fuses linear maps of the same input into one with concatenated outputs."""
    spec.weight = torch.cat([layer.weight for layer in layers]) * scale
    spec.bias = torch.cat([layer.bias for layer in layers]) * scale
