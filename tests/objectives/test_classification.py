"""Losses of labelled rows, divided by their weights, against torch's own means."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification

from hf_seq2seq.objectives.classification import Classification, MultiLabel, Regression


def model(labels: int) -> BertForSequenceClassification:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=labels, **sizes, **quiet))


def batch(labels: Tensor) -> dict[str, Tensor]:
    """Five rows, padded."""
    ids = torch.randint(1, 20, (5, 7))
    ids[1:, 4:] = 0
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def logits(bert: nn.Module, rows: dict[str, Tensor]) -> Tensor:
    return bert(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits


def assert_mean(objective: Any, rows: dict[str, Tensor], expected: Tensor) -> None:
    """The sum divided by its weight is the mean, and so are the gradients."""
    mean = objective(rows) / objective.weight(rows)
    assert mean.ndim == 0
    torch.testing.assert_close(mean.float(), expected, rtol=1e-5, atol=1e-6)
    parameters = [p for p in objective.model.parameters() if p.requires_grad]
    found = torch.autograd.grad(mean, parameters)
    torch.testing.assert_close(found, torch.autograd.grad(expected, parameters), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0])])
def test_one_class(weights: Tensor | None, smoothing: float) -> None:
    bert, rows = model(3), batch(torch.tensor([0, 1, 2, 2, 0]))
    plain = F.cross_entropy(logits(bert, rows), rows["labels"], weights, label_smoothing=smoothing)
    assert_mean(Classification(bert, weights, smoothing).train(), rows, plain)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0])])
def test_r_drop(weights: Tensor | None) -> None:
    bert, rows = model(3).train(), batch(torch.tensor([0, 1, 2, 2, 0]))
    bert.dropout.p = 0.4
    objective = Classification(bert, weights, 0.1, r_drop=0.7).train()
    torch.manual_seed(1)
    passes = [logits(bert, rows) for _ in range(2)]
    plain = [F.cross_entropy(each, rows["labels"], weights, label_smoothing=0.1) for each in passes]
    one, two = (each.log_softmax(-1) for each in passes)
    apart = ((one.exp() * (one - two)).sum(-1) + (two.exp() * (two - one)).sum(-1)) / 2
    shares = torch.ones(5) if weights is None else weights[rows["labels"]]
    assert apart.min() > 0
    torch.manual_seed(1)
    assert_mean(objective, rows, sum(plain) / 2 + 0.35 * (apart * shares).sum() / shares.sum())
    bert.eval()
    found = objective.eval()(rows) / objective.weight(rows)
    torch.testing.assert_close(found.float(), F.cross_entropy(logits(bert, rows), rows["labels"], weights))


def test_smoothing_is_for_training_alone() -> None:
    bert, rows = model(3).eval(), batch(torch.tensor([0, 1, 2, 2, 0]))
    assert_mean(
        Classification(bert, label_smoothing=0.1).eval(), rows, F.cross_entropy(logits(bert, rows), rows["labels"])
    )


def test_class_weights_follow_the_device_and_are_not_saved() -> None:
    objective = Classification(model(3), torch.ones(3))
    assert "class_weights" in dict(objective.named_buffers())
    assert not [name for name in objective.state_dict() if "class_weights" in name]


def test_several_classes() -> None:
    bert, rows = model(3), batch(torch.randint(2, (5, 3)).float())
    plain = F.binary_cross_entropy_with_logits(logits(bert, rows), rows["labels"])
    assert_mean(MultiLabel(bert), rows, plain)


def test_a_number() -> None:
    bert, rows = model(1), batch(torch.randn(5))
    assert_mean(Regression(bert), rows, F.mse_loss(logits(bert, rows)[:, 0], rows["labels"]))
