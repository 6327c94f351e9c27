"""Small models whose outputs vary: at the usual initial values a random model repeats one token for ever."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration

# One of each choice at least, in combinations that share no code path.
VARIANTS: dict[str, dict[str, Any]] = {
    "luong": {"encoder_layers": 2, "decoder_layers": 2},
    "input_feeding": {"input_feeding": True, "attention": "dot", "decoder_layers": 2},
    "input_feeding_gru": {"input_feeding": True, "attention": "additive", "cell": "gru", "decoder_start": "zeros"},
    "bahdanau": {"decoder_style": "bahdanau", "attention": "additive", "cell": "gru", "decoder_layers": 2},
    "bahdanau_tanh": {"decoder_style": "bahdanau", "attention": "scaled_dot", "cell": "rnn", "bidirectional": False},
    "location": {"attention": "location", "location_kernel": 3, "coverage": True, "local_attention": "predictive"},
    "coverage": {"attention": "additive", "coverage": True, "input_feeding": True, "cell": "gru"},
    "heads": {"attention": "multi_head", "num_attention_heads": 2, "decoder_style": "bahdanau", "coverage": True},
    "all_fed": {"input_feeding": True, "input_feeding_context": True, "output_bias": True, "decoder_layers": 2},
    "monotonic": {"attention": "monotonic", "monotonic_offset": 0.0, "input_feeding": True},
    "window": {"local_attention": "monotonic", "attention_window": 1, "decoder_layers": 2},
    "no_attention": {"attention": "none", "decoder_start": "transfer", "encoder_layers": 2, "decoder_layers": 2},
    "context_fed": {"attention": "none", "context_feeding": True, "context_pooling": "weighted", "cell": "gru"},
    "levels": {
        "attention": "none",
        "context_feeding": True,
        "context_pooling": "max",
        "cell": "gru",
        "phrase_length": 2,
        "sentence_separator_token_id": 5,
    },
    "hierarchical": {"hierarchical_attention": True, "sentence_separator_token_id": 5, "input_feeding": True},
    "documents": {
        "hierarchical_attention": True,
        "sentence_separator_token_id": 5,
        "document_separator_token_id": 6,
        "context_pooling": "mean",
    },
    "stacked": {"residual": True, "layer_norm": True, "encoder_layers": 2, "decoder_layers": 3, "input_feeding": True},
}


@pytest.fixture(params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture
def build() -> Callable[..., RnnForConditionalGeneration]:
    """Builds a model in evaluation mode with large embeddings and initial values `widen` times as large."""

    def built(widen: float = 2.5, **choices: Any) -> RnnForConditionalGeneration:
        settings = {"vocab_size": 13, "source_vocab_size": 11, "hidden_size": 8, "initializer_range": 0.5} | choices
        model = RnnForConditionalGeneration(RnnSeq2SeqConfig(**settings)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(widen)
        return model

    return built


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Four sources of different lengths, padded on the right."""
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]])
    return {"input_ids": torch.randint(4, 11, (4, 6)) * mask, "attention_mask": mask}


# Transformers: each position, norm, activation and initialization at least once; unequal stacks and heads.
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "original": {},
    "gpt_like": {"position_embedding_type": "learned", "norm_placement": "pre", "activation_function": "gelu"},
    "llama_like": {"position_embedding_type": "rotary", "norm_placement": "pre", "activation_function": "swiglu"},
    "t5_like": {"position_embedding_type": "relative_bias", "norm_placement": "pre", "scale_embedding": False},
    "deepnet": {"initialization": "deepnet", "position_embedding_type": "rotary"},
    "tfixup": {"initialization": "tfixup", "norm_placement": "none"},
}


@pytest.fixture(params=list(TRANSFORMERS))
def transformer_variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return TRANSFORMERS[request.param]


@pytest.fixture
def build_transformer() -> Callable[..., TransformerForConditionalGeneration]:
    """Builds a model in evaluation mode whose weights are `widen` times as large as at the start."""

    def built(widen: float = 2.5, attn_implementation: str = "sdpa", **choices: Any) -> Any:
        settings = {
            "vocab_size": 13, "source_vocab_size": 11, "d_model": 16, "encoder_layers": 1, "decoder_layers": 2,
            "encoder_attention_heads": 4, "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 20,
            "tie_word_embeddings": False, "max_position_embeddings": 32,
        } | choices  # fmt: skip
        config = TransformerSeq2SeqConfig(**settings, attn_implementation=attn_implementation)
        model = TransformerForConditionalGeneration(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(widen)
        return model

    return built
