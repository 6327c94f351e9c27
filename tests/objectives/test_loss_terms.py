"""R-Drop and unlikelihood against plain loops in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.configs import Loss
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import cross_entropy, loss_options, make_objective
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.ragged import IGNORE

IDS = {"vocab_size": 13, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "decoder_start_token_id": 2}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_ELEMENTS", 39)


def rnn(dropout: float) -> Any:
    config = RnnSeq2SeqConfig(**IDS, source_vocab_size=13, hidden_size=8, dropout=dropout, initializer_range=1.0)
    return RnnForConditionalGeneration(config).double()


def transformer(dropout: float) -> Any:
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 8))}
    heads = {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    wide = {"d_model": 8, "dropout": dropout, "init_std": 1.0, "source_vocab_size": 13}
    return TransformerForConditionalGeneration(TransformerSeq2SeqConfig(**IDS, **sizes, **heads, **wide)).double()


def t5(dropout: float) -> Any:
    sizes = {"d_model": 8, "d_ff": 8, "d_kv": 4, "num_layers": 1, "num_heads": 2}
    return T5ForConditionalGeneration(T5Config(**IDS, **sizes, dropout_rate=dropout)).double()


def gpt2(dropout: float) -> Any:
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    config = GPT2Config(**IDS, **drops, n_embd=8, n_layer=1, n_head=2, initializer_range=1.0)
    return GPT2LMHeadModel(config).double()


FAMILIES = {"rnn": rnn, "transformer": transformer, "t5": t5, "gpt2": gpt2}
TARGETS = [[6, 7, 6, 8, 7, 6, 1], [10, 10, 10, 1], [1]]


def batch_of(family: str) -> dict[str, Tensor]:
    labels = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in TARGETS], True, IGNORE)
    if family == "gpt2":
        ids = labels.roll(1, 1).masked_fill(labels.roll(1, 1) == IGNORE, 3)
        labels = labels.clone()
        labels[0, :2] = IGNORE  # its source
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    ids = torch.tensor([[4, 5, 6, 1], [4, 1, 0, 0], [7, 5, 1, 0]])
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}


def objective_of(family: str, dropout: float = 0.0, **weights: float) -> TokenCrossEntropy:
    torch.manual_seed(0)
    model = FAMILIES[family](dropout)
    return make_objective(Loss(**weights), model, 0.1, GenerationContext()).train()  # type: ignore[arg-type]


def real_logits(objective: TokenCrossEntropy, batch: dict[str, Tensor]) -> Tensor:
    outputs = objective.model(**objective.inputs(batch), use_cache=False)
    logits: Tensor = outputs.logits[batch["labels"] != IGNORE]
    return logits


def assert_same(objective: TokenCrossEntropy, found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    parameters = list(objective.model.parameters())
    pairs = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (found, wanted)]
    for first, second in zip(*pairs, strict=True):
        if first is not None or second is not None:
            torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_r_drop(family: str) -> None:
    objective, batch = objective_of(family, dropout=0.3, r_drop=0.7), batch_of(family)
    torch.manual_seed(5)
    found = objective(batch)
    torch.manual_seed(5)
    first, second = (real_logits(objective, batch).log_softmax(-1) for _ in range(2))
    assert not torch.equal(first, second)
    labels = batch["labels"][batch["labels"] != IGNORE]
    total = torch.zeros((), dtype=torch.float64)
    for one, two, label in zip(first, second, labels, strict=True):
        for log_probs in (one, two):
            total = total + (-0.9 * log_probs[label] - 0.1 * log_probs.mean()) / 2
        forward, backward = (one.exp() * (one - two)).sum(), (two.exp() * (two - one)).sum()
        total = total + 0.7 / 2 * (forward + backward) / 2
    assert_same(objective, found, total)


@pytest.mark.parametrize("family", FAMILIES)
def test_unlikelihood(family: str) -> None:
    objective, batch = objective_of(family, unlikelihood=0.4), batch_of(family)
    logits = iter(real_logits(objective, batch))
    total, penalized = torch.zeros((), dtype=torch.float64), 0
    for row in batch["labels"].tolist():
        target = [token for token in row if token != IGNORE]
        for place, token in enumerate(target):
            probabilities = next(logits).softmax(-1)
            total = total - 0.9 * probabilities[token].log() - 0.1 * probabilities.log().mean()
            for earlier in set(target[:place]) - {token}:
                total = total - 0.4 * (1 - probabilities[earlier]).log()
                penalized += 1
    assert penalized > 8
    assert_same(objective, objective(batch), total)


def test_unlikelihood_of_packed_documents_stays_within_each() -> None:
    objective = objective_of("gpt2", unlikelihood=1.0)
    first, second = [5, 6, 5, 7], [6, 8, 9]
    ids = torch.tensor([first + second])
    batch = {"input_ids": ids, "labels": ids.clone(), "position_ids": torch.tensor([[0, 1, 2, 3, 0, 1, 2]])}
    probabilities = real_logits(objective, batch).softmax(-1)
    penalties = [(1, 5), (2, 6), (3, 5), (3, 6), (5, 6), (6, 6), (6, 8)]
    expected = -sum((1 - probabilities[place, token]).log() for place, token in penalties)
    objective.terms, with_terms = (), objective.terms
    plain = objective(batch)
    objective.terms = with_terms
    torch.testing.assert_close(objective(batch) - plain, expected)


def test_token_that_is_certain_has_a_finite_penalty() -> None:
    objective = objective_of("gpt2", unlikelihood=1.0)
    with torch.no_grad():
        objective.model.get_output_embeddings().weight.mul_(1e6)  # type: ignore[operator]
    loss = objective(batch_of("gpt2"))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(each.grad).all() for each in objective.model.parameters() if each.grad is not None)


def test_terms_are_of_training_only_and_do_not_depend_on_the_batch() -> None:
    objective, batch = objective_of("transformer", r_drop=1.0, unlikelihood=1.0), batch_of("transformer")
    plain = make_objective(Loss(), objective.model, 0.0, GenerationContext()).eval()
    rows = [{name: part[row : row + 1] for name, part in batch.items()} for row in range(3)]
    torch.testing.assert_close(sum(map(objective, rows)), objective(batch))
    assert objective.eval()(batch) == plain(batch)


@pytest.mark.parametrize("name", ["r_drop", "unlikelihood"])
def test_losses_that_are_no_sum_over_tokens_refuse_them(name: str) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')}: cannot be added to --loss-type minimum_risk"):
        loss_options(Loss(loss_type="minimum_risk", **{name: 1.0}))  # type: ignore[arg-type]
    loss_options(Loss(loss_type="scheduled_sampling", **{name: 1.0}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is too small; the minimum is 0"):
        Loss(**{name: -1.0})  # type: ignore[arg-type]
