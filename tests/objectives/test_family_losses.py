"""The loss of every family against that of its own `forward`, in training, where some lose more than cross-entropy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.saved.family_needs import meet_needs
from hf_seq2seq.saved.prophetnet import order_streams

FAMILIES = (
    *("marian", "m2m_100", "nllb", "mbart50", "led", "longt5", "umt5", "switch_transformers", "prophetnet"),
    *("blenderbot", "t5gemma", "t5gemma2", "byt5", "nllb_moe"),
)
DROPOUTS = (
    *("p", "dropout", "layerdrop", "jitter_noise", "activation_dropout", "attention_dropout", "moe_token_dropout"),
)
PLAIN = ("prophetnet", "t5gemma")
"""Logits that are more than a linear layer's output: two streams, or capped."""
ROUTED = ("switch_transformers", "nllb-moe")
ROWS = ([4, 5, 6, 7, 1], [7, 8, 2]), ([5, 4, 1], [6, 5, 8, 4, 7, 2])


@pytest.fixture
def models(tiny_family: Callable[[str], str]) -> Callable[[str], tuple[PreTrainedModel, PreTrainedModel]]:
    """A family's model as a run has it, and as transformers alone loads it; both train without dropout."""

    def load(family: str) -> tuple[PreTrainedModel, PreTrainedModel]:
        found = []
        for _ in range(2):
            model = AutoModelForSeq2SeqLM.from_pretrained(tiny_family(family)).train()
            configs = [module.config for module in model.modules() if hasattr(module, "config")]
            for module in (*configs, *model.modules()):
                for name in DROPOUTS:
                    if isinstance(getattr(module, name, None), float):
                        setattr(module, name, 0.0)
            found.append(model)
        meet_needs(found[0])
        order_streams(found[1])  # transformers' own scores depend on the length
        return found[0], found[1]

    return load


def padded(rows: Any, filler: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def batch_of(rows: Any, pad: int) -> dict[str, Tensor]:
    sources, targets = zip(*rows, strict=True)
    ids = padded(sources, pad)
    mask = padded([[1] * len(row) for row in sources], 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": padded(targets, IGNORE)}


def own_loss(model: Any, row: dict[str, Tensor]) -> Tensor:
    """The model's own loss of one row, summed."""
    more = {"output_router_logits": True} if model.config.model_type in ROUTED else {}
    if model.config.model_type == "led":
        more["global_attention_mask"] = torch.zeros_like(row["input_ids"]).index_fill(1, torch.tensor([0]), 1)
    loss: Tensor = model(**row, **more).loss
    return loss * row["labels"].numel()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_of_every_family_is_its_own(models: Any, family: str) -> None:
    model, plain = models(family)
    objective = TokenCrossEntropy(model).train()
    assert (objective._projection is None) == (family in PLAIN)
    pad = model.get_input_embeddings().padding_idx or 0
    wanted = sum(own_loss(plain, batch_of([row], pad)) for row in ROWS)
    found = objective(batch_of(ROWS, pad))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    wanted.backward()
    found.backward()
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            near = 1e-4 * float(other.grad.abs().max()) + 1e-6
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=near, msg=f"{name}: {{}}".format)


def test_prophetnet_scores_a_target_as_it_generates_it(models: Any) -> None:
    model = models("prophetnet")[0].eval()
    rows = batch_of([([6, 7, 8, 2], [7, 9, 6, 6, 8])], 0)
    inputs = {name: rows[name] for name in ("input_ids", "attention_mask")}
    target = torch.tensor([[2, 7, 9, 6, 6]])
    whole = model(**inputs, decoder_input_ids=target).logits
    cache, steps = None, []
    for token in target[0]:
        found = model(**inputs, decoder_input_ids=token[None, None], past_key_values=cache, use_cache=True)
        cache = found.past_key_values
        steps.append(found.logits[:, -1])
    torch.testing.assert_close(torch.stack(steps, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["switch_transformers", "prophetnet"])
def test_evaluation_is_cross_entropy_alone(models: Any, family: str) -> None:
    model, plain = models(family)
    rows = batch_of(ROWS, 0)
    objective = TokenCrossEntropy(model, label_smoothing=0.1)
    logits = plain.eval()(**{name: rows[name] for name in rows if name != "labels"}, labels=rows["labels"]).logits
    wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows["labels"].flatten(), reduction="sum")
    torch.testing.assert_close(objective.eval()(rows), wanted, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        assert float(objective.train()(rows)) != pytest.approx(float(wanted), rel=1e-3)


def test_a_balanced_router_loses_less(models: Any) -> None:
    from hf_seq2seq.objectives.family_losses import router_losses

    model, _ = models("switch_transformers")
    even = torch.tensor([[[5.0, -5.0], [-5.0, 5.0]]])
    skewed = torch.tensor([[[5.0, -5.0], [5.0, -5.0]]])
    found = []
    for logits in (even, skewed):
        outputs = type("Outputs", (), {"encoder_router_logits": (logits,), "decoder_router_logits": ()})
        found.append(float(router_losses(model, outputs, torch.ones(1, 2), torch.ones(1, 1))))
    assert found[1] - found[0] == pytest.approx(model.router_aux_loss_coef, rel=1e-3)  # 2 experts: 2 instead of 1


def test_a_row_of_nllb_moe_does_not_depend_on_its_batch(tiny_family: Callable[[str], str]) -> None:
    off = dict.fromkeys(("dropout", "attention_dropout", "encoder_layerdrop", "decoder_layerdrop"), 0.0)
    place = tiny_family("nllb_moe")
    model = AutoModelForSeq2SeqLM.from_pretrained(place, expert_capacity=1, moe_token_dropout=0.0, **off)
    meet_needs(model)
    objective = TokenCrossEntropy(model)
    for training in (True, False, True):
        objective.train(training)
        alone = sum(float(objective(batch_of([row], 1)).detach()) for row in ROWS)
        assert float(objective(batch_of(ROWS, 1)).detach()) == pytest.approx(alone, rel=1e-6)
