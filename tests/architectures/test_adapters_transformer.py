"""LoRA by the usual names of the projections."""

import pytest
import torch
from peft import LoraConfig, get_peft_model


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["k_proj", "out_proj", "fc1", "fc2"]], ids=str)
def test_lora_adapts_and_merges(build_transformer, transformer_variant, batch, targets):
    model = build_transformer(**transformer_variant).double()
    labels = torch.randint(4, 13, (4, 3))
    before = model(**batch, labels=labels).logits
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=targets, task_type="SEQ_2_SEQ_LM"))
    torch.testing.assert_close(adapted(**batch, labels=labels).logits, before)
    adapted(**batch, labels=labels).loss.backward()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            assert parameter.grad.abs().sum() > 0, name
            torch.nn.init.normal_(parameter)
    after = adapted.eval()(**batch, labels=labels).logits
    assert not torch.allclose(after, before)
    assert adapted.generate(**batch, max_new_tokens=3).shape[0] == 4
    torch.testing.assert_close(adapted.merge_and_unload()(**batch, labels=labels).logits, after)
