"""Windows of the encoder's self-attention: blocks against a loop over tokens, and against the masked whole."""

import math

import pytest
import torch

from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.architectures.windowed_attention import attend_in_blocks

SIZES = {"vocab_size": 17, "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2}
SIZES |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "dropout": 0.0}


def model(**choices):
    torch.manual_seed(1)
    config = TransformerSeq2SeqConfig(**SIZES | {"initializer_range": 0.5} | choices)
    return TransformerForConditionalGeneration(config).double().eval()


@pytest.mark.parametrize("window", [1, 2, 3, 7, 20])
def test_blocks_equal_a_loop(window: int) -> None:
    torch.manual_seed(window)
    query, key, value = (torch.randn(2, 3, 11, 4, dtype=torch.float64) for _ in range(3))
    mask = torch.ones(2, 11, dtype=torch.long)
    mask[0, :2] = mask[1, 8:] = 0
    found = attend_in_blocks(query, key, value, mask, window)
    for row in range(2):
        for place in range(11):
            seen = [k for k in range(11) if abs(k - place) <= window and (mask[row, k] or k == place)]
            weights = (query[row, :, place, None] * key[row, :, seen]).sum(-1).div(math.sqrt(4)).softmax(-1)
            torch.testing.assert_close(found[row, :, place], (weights[..., None] * value[row, :, seen]).sum(1))


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary", "none"])
def test_both_attention_functions_agree_and_see_so_far(positions: str) -> None:
    ids, mask = torch.randint(4, 17, (3, 13)), torch.ones(3, 13, dtype=torch.long)
    mask[0, 9:] = mask[1, :4] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": ids[:, :5]}
    found = {}
    for kind in ("sdpa", "eager"):
        network = model(attention_window=2, position_embedding_type=positions, attn_implementation=kind)
        loss = network(**inputs).logits.square().mean()
        loss.backward()
        found[kind] = [loss, *(weight.grad for weight in network.parameters())]
    torch.testing.assert_close(found["sdpa"], found["eager"])
    changed = ids.clone()
    changed[2, 0] = 4 + (ids[2, 0] - 3) % 13
    encoder = network.get_encoder()
    same = (encoder(ids).last_hidden_state == encoder(changed).last_hidden_state)[2].all(-1)
    assert same.tolist() == [False] * 5 + [True] * 8  # two layers of two places


def test_a_window_of_the_whole_is_no_window() -> None:
    ids = torch.randint(4, 17, (2, 9))
    logits = [model(attention_window=size)(input_ids=ids, decoder_input_ids=ids).logits for size in (9, None)]
    torch.testing.assert_close(*logits)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"attention_window": 0}, "attention_window=0 is too small"),
        (
            {"attention_window": 4, "position_embedding_type": "relative_bias"},
            "choose .*='rotary'",
        ),
    ],
)
def test_impossible_windows(choices: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerSeq2SeqConfig(**SIZES | choices)
