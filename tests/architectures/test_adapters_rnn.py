"""LoRA on recurrent weights: `nn.LSTM` can be no target module, its parameters can."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

TARGETS = ["decoder.style.layers.0.weight_ih_l0", "encoder.layers.0.left_to_right.weight_hh_l0"]


@pytest.mark.parametrize("input_feeding", [False, True])
def test_lora_adapts_and_merges(build, batch, input_feeding):
    model = build(input_feeding=input_feeding)
    labels = torch.randint(4, 13, (4, 3))
    before = model(**batch, labels=labels).logits
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["combine"], target_parameters=TARGETS))
    torch.testing.assert_close(adapted(**batch, labels=labels).logits, before)
    adapted(**batch, labels=labels).loss.backward()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            assert parameter.grad.abs().sum() > 0, name
            torch.nn.init.normal_(parameter)
    after = adapted.eval()(**batch, labels=labels).logits
    assert not torch.allclose(after, before)
    torch.testing.assert_close(adapted.merge_and_unload()(**batch, labels=labels).logits, after)
