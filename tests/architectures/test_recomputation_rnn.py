"""Gradient checkpointing: the same loss and gradient, dropout included, with fewer tensors kept for the way back."""

import pytest
import torch

LABELS = torch.tensor([[4, 5, 6, 7, 8, 9, 10, 1]] * 4)


def keeping(forward):
    """What `forward` gives, and the bytes that it keeps for the way back; the seed is always the same."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(3)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        return forward(), sum(kept.values())


def test_changes_no_gradient_and_saves_memory(build, variant, batch):
    model = build(widen=1.0, **variant, dropout=0.3, recurrent_dropout=0.2).double().train()
    found = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.zero_grad()
        loss, kept = keeping(lambda: model(**batch, labels=LABELS).loss)
        loss.backward()
        found.append((loss, kept, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}))
    (loss, kept, gradients), (again, kept_again, gradients_again) = found
    assert torch.equal(again, loss)
    assert kept_again < 0.7 * kept
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, rtol=0, atol=1e-12, msg=name)


@pytest.mark.parametrize("levels", [{}, {"phrase_length": 2}], ids=str)
def test_every_encoder_layer_is_recomputed(build, batch, levels):
    """No layer keeps more than what it reads."""
    model = build(encoder_layers=3, hidden_size=32, **levels).train()
    plain = keeping(lambda: model.model.encoder(**batch).last_hidden_state)[1]
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert keeping(lambda: model.model.encoder(**batch).last_hidden_state)[1] < 0.3 * plain
    assert all(layer.gradient_checkpointing for layer in model.model.encoder.layers)


def test_is_never_reentrant(build, batch):
    """The reentrant kind would cut off the states that the layers hand to the decoder."""
    model = build(widen=1.0, decoder_start="transfer", dropout=0.0).double().train()
    gradients = []
    for _ in range(2):
        model.zero_grad()
        model(**batch, labels=LABELS).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
        model.gradient_checkpointing_enable({"use_reentrant": True})
    torch.testing.assert_close(gradients[1], gradients[0])
