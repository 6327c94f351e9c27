"""Objectives that learn from a model's own outputs, against all outputs of tiny models: exact losses and gradients."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedModel, T5Config, T5ForConditionalGeneration

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.configs import Loss, NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.objectives import make_objective
from hf_seq2seq.objectives.generation import GenerationContext

LONGEST = 2
SIZES = {"d_model": 8, "dropout": 0.0} | {
    f"{side}_{name}": size
    for side in ("encoder", "decoder")
    for name, size in (("layers", 1), ("ffn_dim", 8), ("attention_heads", 2))
}
T5_SIZES = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
FAMILIES = ("rnn", "transformer", "t5", "bart")


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return train_tokenizers(["ab", "ba"], ["ab", "ba"], NewTokenizer(tokenizer_type="char"))


def make(name: str, tokenizers: Tokenizers) -> PreTrainedModel:
    torch.manual_seed(3)
    ids = tokenizers.model_settings()
    if name == "rnn":
        sizes = {"embedding_size": 6, "hidden_size": 8, "dropout": 0.0, "initializer_range": 1.0}
        return RnnForConditionalGeneration(RnnSeq2SeqConfig(**ids, **sizes)).double()
    if name == "transformer":
        return TransformerForConditionalGeneration(TransformerSeq2SeqConfig(**ids, **SIZES)).double()
    if name == "bart":
        more = {"forced_eos_token_id": None, "max_position_embeddings": 16, "init_std": 0.5}
        return BartForConditionalGeneration(BartConfig(**ids, **SIZES, **more)).double()
    del ids["share_embeddings"], ids["source_vocab_size"]
    return T5ForConditionalGeneration(T5Config(**ids, **T5_SIZES)).double()


def objective_of(kind: str, args: str, model: PreTrainedModel, tokenizers: Tokenizers) -> Any:
    loss = Loss(loss_type=kind, loss_args=args)  # type: ignore[arg-type]
    return make_objective(loss, model, 0.1, GenerationContext(tokenizers, None, 7, LONGEST))


def one_row(source: str, target: str, tokenizers: Tokenizers) -> dict[str, Tensor]:
    """A batch of one pair."""
    found = tokenizers.source(source, return_tensors="pt")
    labels = tokenizers.target(text_target=target, return_tensors="pt")["input_ids"]
    batch = {"input_ids": found["input_ids"], "attention_mask": found["attention_mask"]}
    return batch | {"labels": labels, "rows": torch.tensor([0])}


def every_output(tokenizers: Tokenizers, longest: int) -> list[tuple[int, ...]]:
    """All sequences of tokens that end with EOS, or at the maximum length."""
    eos = tokenizers.target.eos_token_id
    others = [token for token in range(len(tokenizers.target)) if token != eos]
    ended = [(*body, eos) for length in range(longest) for body in product(others, repeat=length)]
    return ended + list(product(others, repeat=longest))


def probabilities_of(model: Any, batch: dict[str, Tensor], outputs: list[tuple[int, ...]]) -> Tensor:
    """P of every output `(outputs,)`, token by token from the model's own logits."""
    found = []
    for ids in outputs:
        labels = torch.tensor([ids])
        inputs = model.prepare_decoder_input_ids_from_labels(labels=labels)
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=inputs,
            use_cache=False,
        ).logits[0]
        found.append(logits.log_softmax(-1).gather(1, labels.T).sum().exp())
    return torch.stack(found)


def same_gradient(model: Any, found: Tensor, expected: Tensor, rtol: float = 1e-6) -> None:
    """Compares the gradients of two values by every weight; some must not vanish."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    grads = [torch.autograd.grad(loss, weights, allow_unused=True) for loss in (found, expected)]
    sizes = []
    for ours, theirs in zip(*grads, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-8)
            sizes.append(float(ours.abs().max()))
    assert max(sizes) > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_minimum_risk_over_every_output_is_the_expected_risk(name: str, tokenizers: Tokenizers) -> None:
    model = make(name, tokenizers)
    objective = objective_of("minimum_risk", "alpha=1,metric=edit_accuracy", model, tokenizers)
    batch, outputs = one_row("ab", "b", tokenizers), every_output(tokenizers, LONGEST)
    probabilities = probabilities_of(model, batch, outputs)
    torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-6, atol=0)
    risks = objective.risks(batch, [outputs])
    found = objective(objective.packed(batch, [outputs], risks=risks))
    expected = probabilities @ torch.tensor(risks[0], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    same_gradient(model, found, expected)
    assert 0 < found.item() < 1
