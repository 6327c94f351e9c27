"""Losses of masked tokens against transformers' own and against formulas in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForPreTraining, PegasusConfig, PreTrainedModel
from transformers import PegasusForConditionalGeneration as Pegasus

from hf_seq2seq.architectures import register
from hf_seq2seq.objectives.masked_lm import MaskedTokenCrossEntropy, TargetAndMaskedCrossEntropy

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SIZES |= {"vocab_size": 40, "max_position_embeddings": 32}
KINDS: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": SIZES,
    "distilbert": {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64, "vocab_size": 40},
    "mobilebert": SIZES | {"embedding_size": 16, "use_bottleneck": False},  # its output layer cannot be bypassed
    "transformer-encoder": SIZES,
}


def loud(model: PreTrainedModel) -> PreTrainedModel:
    """With large weights, for at its usual start a model gives every token the same probability."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def batch_of(*lengths: int, pairs: bool = False) -> dict[str, Tensor]:
    """Padded rows with a third of their tokens masked."""
    longest = max(lengths)
    ids = torch.randint(5, 40, (len(lengths), longest))
    mask = (torch.arange(longest)[None] < torch.tensor(lengths)[:, None]).long()
    chosen = (torch.arange(longest) % 3 == 1) & mask.bool()
    labels = torch.where(chosen, ids, -100)
    batch = {"input_ids": torch.where(chosen, 4, ids), "attention_mask": mask, "labels": labels}
    if pairs:
        batch["token_type_ids"] = (torch.arange(longest)[None] >= longest // 2).long().expand_as(ids)
        batch["next_sentence_label"] = torch.arange(len(lengths)) % 2
    return batch


def gradients(loss: Tensor, model: PreTrainedModel) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True))


def assert_equal_gradients(model: PreTrainedModel, loss: Tensor, expected: Tensor) -> None:
    for mine, theirs in zip(gradients(loss, model), gradients(expected, model), strict=True):
        none = [g is None or not g.any() for g in (mine, theirs)]
        assert none[0] == none[1]
        if not none[0]:
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_tokens_lose_what_transformers_says(kind: str) -> None:
    register()
    model = loud(AutoModelForMaskedLM.from_config(AutoConfig.for_model(kind, **KINDS[kind])))
    batch = batch_of(12, 7, 9)
    objective = MaskedTokenCrossEntropy(model).eval()
    assert (objective._projection is None) == (kind == "mobilebert")
    loss, count = objective(batch), int((batch["labels"] != -100).sum())
    expected = model(**batch).loss * count
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    assert objective.weight(batch) == count
    assert_equal_gradients(model, loss, expected)
    chosen = batch["labels"] != -100
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[chosen]
    right = (logits.argmax(-1) == batch["labels"][chosen]).sum()
    with torch.no_grad():
        measured = objective.measure(batch)
    torch.testing.assert_close(measured, torch.tensor([[loss.item(), count], [100.0 * right, count]]).double())


def test_padded_positions_are_never_seen_by_the_output_layer() -> None:
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **SIZES))
    objective, rows = MaskedTokenCrossEntropy(model), []
    model.get_output_embeddings().register_forward_hook(lambda layer, args, output: rows.append(output.numel()))
    objective(batch_of(12, 7))
    assert rows == [0]


def test_pairs_lose_by_the_formula() -> None:
    model = loud(AutoModelForPreTraining.from_config(AutoConfig.for_model("bert", **SIZES)))
    batch = batch_of(12, 7, 9, 9, pairs=True)
    objective = MaskedTokenCrossEntropy(model, pairs=True).eval()
    assert objective.measures == ("loss", "masked_accuracy", "masked_loss", "next_sentence_accuracy")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    model.double()
    outputs = model(**inputs)
    tokens = outputs.prediction_logits.detach().numpy()
    pairs = outputs.seq_relationship_logits.detach().numpy()
    model.float()
    labels, follows = batch["labels"].numpy(), batch["next_sentence_label"].numpy()
    expected = own = 0.0
    for row in range(4):
        chosen = labels[row] != -100
        scores = tokens[row][chosen]
        rights = scores[np.arange(chosen.sum()), labels[row][chosen]]
        lost = (np.log(np.exp(scores).sum(1)) - rights).sum()
        own += lost
        expected += lost + chosen.sum() * (np.log(np.exp(pairs[row]).sum()) - pairs[row][follows[row]])
    with torch.no_grad():
        measured = objective.measure(batch)
    assert float(objective(batch)) == pytest.approx(expected, rel=1e-5)
    assert measured[:, 0].tolist()[::2] == pytest.approx([expected, own], rel=1e-5)
    assert measured[3].tolist() == [100 * (pairs.argmax(1) == follows).sum(), 4]


def test_pairs_of_one_length_lose_what_bert_does() -> None:
    model = loud(AutoModelForPreTraining.from_config(AutoConfig.for_model("bert", **SIZES)))
    batch = batch_of(12, 12, 12, pairs=True)
    objective = MaskedTokenCrossEntropy(model, pairs=True).eval()
    loss = objective(batch) / objective.weight(batch)
    expected = model(**batch).loss
    torch.testing.assert_close(loss.float(), expected, rtol=1e-5, atol=1e-4)
    assert_equal_gradients(model, loss, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_pegasus_loses_by_decoder_and_encoder(smoothing: float) -> None:
    sides = {f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    sides |= {f"{side}_ffn_dim": 64 for side in ("encoder", "decoder")} | {"dropout": 0.0, "d_model": 32}
    model = loud(Pegasus(PegasusConfig(vocab_size=40, max_position_embeddings=32, **sides))).train()
    batch = batch_of(12, 7, 9)
    source_labels = batch.pop("labels")
    target = batch_of(6, 8, 3)
    labels = torch.where(target["attention_mask"].bool(), target["input_ids"], -100)
    batch |= {"labels": labels, "source_labels": source_labels}
    objective = TargetAndMaskedCrossEntropy(model, smoothing)
    loss = objective(batch)
    outputs = model(batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels)
    told = outputs.encoder_last_hidden_state @ model.get_input_embeddings().weight.T
    options = {"reduction": "sum", "label_smoothing": smoothing}
    parts = [
        F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), **options)
        for scores, wanted in ((outputs.logits, labels), (told, source_labels))
    ]
    torch.testing.assert_close(loss, parts[0] + parts[1], rtol=1e-5, atol=1e-4)
    assert_equal_gradients(model, loss, parts[0] + parts[1])
    counts = [int((x != -100).sum()) for x in (labels, source_labels)]
    assert objective.weight(batch) == sum(counts)
    with torch.no_grad():
        measured = objective.measure(batch)
    assert measured[:, 1].tolist() == [sum(counts), *counts]
    expected = [float(sum(parts)), *map(float, parts)]
    assert measured[:, 0].tolist() == pytest.approx(expected, rel=1e-5)
    plain = TargetAndMaskedCrossEntropy(model, 0.0).eval()
    torch.testing.assert_close(objective.eval()(batch), plain(batch))  # smoothing is for training alone


def test_smoothing_of_masked_tokens_is_for_training_alone() -> None:
    model = loud(AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **KINDS["bert"])))
    batch = batch_of(12, 7)
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.flatten(0, 1)
    plain, smooth = (
        F.cross_entropy(logits, batch["labels"].flatten(), reduction="sum", label_smoothing=share)
        for share in (0.0, 0.2)
    )
    objective = MaskedTokenCrossEntropy(model, label_smoothing=0.2)
    torch.testing.assert_close(objective.eval()(batch), plain, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(objective.measure(batch)[0, 0], plain.double(), rtol=1e-5, atol=1e-4)
    objective.train()
    model.eval()  # without its dropout
    torch.testing.assert_close(objective(batch), smooth, rtol=1e-5, atol=1e-4)
