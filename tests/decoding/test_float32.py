"""Quick float32 products stay float32, and the process's settings come back."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from hf_seq2seq.decoding.float32 import CACHES, SHORT, _product_error, quick_float32

pytestmark = pytest.mark.usefixtures("forked")

if not hasattr(torch.backends.mkldnn, "matmul"):
    pytest.skip("this torch has one way to multiply only", allow_module_level=True)


def settings() -> tuple[str, bool]:
    return torch.backends.mkldnn.matmul.fp32_precision, torch.backends.cuda.flash_sdp_enabled()


def test_products_stay_float32() -> None:
    with quick_float32(10):
        assert _product_error() < 1e-3  # bfloat16 errs by 0.1


def test_the_error_of_bfloat16_would_be_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(s, generator=generator) for s in ((128, 512), (512, 256)))
    rounded = left.bfloat16().float() @ right.bfloat16().float()
    assert float((rounded.double() - left.double() @ right.double()).abs().max()) > 100 * _product_error()


@pytest.mark.parametrize("longest", [10, SHORT + 1])
def test_settings_come_back(longest: int) -> None:
    before = settings()
    with quick_float32(longest) as quick:
        assert settings() == (("bf16", longest > SHORT) if quick else before)
    assert settings() == before


def test_attention_gives_the_same() -> None:
    query, key, value = (torch.randn(2, 3, 17, 8) for _ in range(3))
    expected = F.scaled_dot_product_attention(query, key, value)
    with quick_float32(17):
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value), expected, rtol=1e-5, atol=1e-6)


def test_a_recurrent_model_does_not_undo_the_limit_of_the_caches() -> None:
    """What oneDNN keeps is settled by its first product, and an objective runs its model when it is made."""
    code = """
import torch
from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.decoding.float32 import quick_float32
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
TokenCrossEntropy(RnnForConditionalGeneration(RnnSeq2SeqConfig(vocab_size=9, hidden_size=8)))
layer = torch.nn.LSTM(4, 4)
with quick_float32(50), torch.no_grad():
    for turn in ("first", "second"):
        print(turn, flush=True)
        for rows in range(1, 100):
            layer(torch.zeros(2, rows, 4))
"""
    settings = {name: value for name, value in os.environ.items() if name not in CACHES}
    settings["ONEDNN_VERBOSE"] = "profile_create"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=settings, check=True, stdout=subprocess.PIPE, text=True).stdout
    second = [line for line in told.partition("\nsecond\n")[2].splitlines() if ",rnn," in line]
    assert len(second) == 99
    assert not [line for line in second if "cache_hit" in line]
