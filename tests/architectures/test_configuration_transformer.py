import pytest

from hf_seq2seq.architectures.configuration_transformer import (
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    TransformerSeq2SeqConfig,
)


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ({"activation_function": "tanh"}, ("activation_function='tanh'", "relu, gelu, swiglu")),
        ({"norm_placement": "before"}, ("norm_placement='before'", "post, pre, none")),
        ({"position_embedding_type": "absolute"}, ("position_embedding_type='absolute'", "sinusoidal")),
        ({"initialization": "kaiming"}, ("initialization='kaiming'", "deepnet")),
        ({"d_model": 0}, ("d_model=0",)),
        ({"source_vocab_size": 0}, ("source_vocab_size=0",)),
        ({"decoder_layers": 0}, ("decoder_layers=0",)),
        ({"encoder_ffn_dim": -1}, ("encoder_ffn_dim=-1",)),
        ({"decoder_attention_heads": 0}, ("decoder_attention_heads=0",)),
        ({"attention_dropout": 1.0}, ("attention_dropout=1.0",)),
        ({"num_attention_heads": 7}, ("d_model=512", "encoder_attention_heads=7")),
        ({"encoder_attention_heads": 7}, ("d_model=512", "encoder_attention_heads=7")),
        ({"decoder_attention_heads": 512, "position_embedding_type": "rotary"}, ("rotary", "_attention_heads=512")),
        ({"d_model": 9, "encoder_attention_heads": 3, "decoder_attention_heads": 3}, ("d_model=9", "sinusoidal")),
        ({"relative_attention_num_buckets": 3}, ("relative_attention_num_buckets=3",)),
        ({"relative_attention_max_distance": 16}, ("relative_attention_max_distance=16", "num_buckets")),
        ({"share_embeddings": True, "source_vocab_size": 5}, ("share_embeddings", "source_vocab_size=5")),
        ({"initialization": "deepnet", "norm_placement": "pre"}, ("deepnet", "norm_placement='post'")),
        ({"initialization": "tfixup"}, ("tfixup", "norm_placement='none'")),
        ({"norm_placement": "none"}, ("norm_placement='none'", "tfixup")),
    ],
)  # fmt: skip
def test_refuses_what_cannot_be_built(choices, names):
    with pytest.raises(ValueError) as refusal:
        TransformerSeq2SeqConfig(**choices)
    for name in names:
        assert name in str(refusal.value)


@pytest.mark.parametrize("kind", [TransformerEncoderConfig, TransformerDecoderConfig])
def test_one_stack_alone_refuses_the_same(kind):
    side = kind.sides[0]
    with pytest.raises(ValueError, match=f"{side}_attention_heads=5"):
        kind(**{f"{side}_attention_heads": 5})
    with pytest.raises(ValueError, match="derived for an encoder-decoder"):
        kind(initialization="tfixup", norm_placement="none")


def test_derived_values_are_written_out():
    config = TransformerSeq2SeqConfig(vocab_size=9, d_model=64, bos_token_id=5, encoder_layers=2, decoder_layers=3)
    assert (config.source_vocab_size, config.initializer_range, config.decoder_start_token_id) == (9, 0.125, 5)
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 64, 8)
    assert TransformerDecoderConfig(decoder_layers=4).num_hidden_layers == 4


@pytest.mark.parametrize("kind", [TransformerSeq2SeqConfig, TransformerEncoderConfig, TransformerDecoderConfig])
def test_survives_saving(tmp_path, kind):
    config = kind(vocab_size=9, dropout=0, d_model=96, num_attention_heads=4, norm_placement="pre")
    config.save_pretrained(tmp_path)
    assert kind.from_pretrained(tmp_path).to_dict() == config.to_dict()
