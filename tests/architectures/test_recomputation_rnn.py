"""Gradient checkpointing: the same loss and gradient, dropout included, with fewer tensors kept for the way back."""

import pytest
import torch


def trained(model, batch, checkpointing):
    """Loss, gradients, and the bytes that the way forward keeps."""
    model.train().zero_grad()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(3)
    labels = torch.tensor([[4, 5, 6, 7, 8, 9, 10, 1]] * 4)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(**batch, labels=labels).loss
    loss.backward()
    return loss, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}, sum(kept.values())


def test_changes_no_gradient_and_saves_memory(build, variant, batch):
    dropped = {"dropout": 0.3, "recurrent_dropout": 0.2}
    model = build(widen=1.0, **variant, **dropped).double()
    loss, gradients, kept = trained(model, batch, checkpointing=False)
    again, gradients_again, kept_again = trained(model, batch, checkpointing=True)
    assert torch.equal(again, loss)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, rtol=0, atol=1e-12, msg=name)
    assert kept_again < 0.7 * kept


def test_refuses_what_would_lose_gradients(build):
    with pytest.raises(ValueError, match="use_reentrant=False"):
        build().gradient_checkpointing_enable({"use_reentrant": True})
