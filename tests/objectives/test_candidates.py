"""Objectives that learn from a model's own outputs, against all outputs of tiny models: exact losses and gradients."""

import dataclasses
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import loss_options, make_objective
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.training_options import Loss

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


def mbart(size: int, code: int) -> PreTrainedModel:
    """An mBART whose labels end with the code that starts the decoder: `x </s> code`."""
    torch.manual_seed(3)
    ids = {"vocab_size": size, "pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "decoder_start_token_id": code}
    more = {"forced_eos_token_id": None, "max_position_embeddings": 16, "init_std": 0.5}
    return MBartForConditionalGeneration(MBartConfig(**ids, **SIZES, **more)).double().eval()


def test_outputs_of_mbart_are_read_after_the_language_code(tokenizers: Tokenizers) -> None:
    size = len(tokenizers.target)
    model = mbart(size, code=size - 1)
    objective = objective_of("minimum_risk", "metric=edit_accuracy", model, tokenizers)
    batch = one_row("ab", "b", tokenizers)
    target = batch["labels"][0].tolist()
    batch["labels"] = torch.tensor([[*target, size - 1]])
    assert objective.targets(batch) == [tuple(target)]
    outputs = [tuple(target), (*target[:1], *target), target[:1] * 2]  # the last one was cut off
    packed = objective.packed(batch, [outputs])
    found = objective.log_probabilities(packed)
    for score, ids in zip(found, outputs, strict=True):
        read = torch.tensor([[size - 1, *ids[:-1]]])
        logits = model(**{k: batch[k] for k in ("input_ids", "attention_mask")}, decoder_input_ids=read).logits[0]
        torch.testing.assert_close(score, logits.log_softmax(-1).gather(1, torch.tensor([ids]).T).sum())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("baseline", "samples"), [("greedy", 1), ("rloo", 2)])
def test_the_mean_gradient_over_all_samples_is_that_of_the_expected_risk(
    name: str, baseline: str, samples: int, tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sample of one or two outputs is a row of one batch, weighted by its probability."""
    model = make(name, tokenizers)
    args = f"samples={samples},baseline={baseline},metric=edit_accuracy"
    objective = objective_of("self_critical", args, model, tokenizers)
    one, outputs = one_row("ab", "b", tokenizers), every_output(tokenizers, LONGEST)
    probabilities = probabilities_of(model, one, outputs)
    drawn = [list(sample) for sample in product(outputs, repeat=samples)]
    batch = {
        key: value.repeat(len(drawn), 1) if key != "rows" else value.repeat(len(drawn)) for key, value in one.items()
    }
    search = objective.search
    greedy = search(one, num_beams=1)
    monkeypatch.setattr(objective, "search", lambda _, **settings: greedy * len(drawn) if settings else drawn)
    losses = objective.row_losses(objective.augment(batch))
    weights = probabilities if samples == 1 else torch.outer(probabilities, probabilities).flatten()
    risks = torch.tensor(objective.risks(one, [outputs])[0], dtype=torch.float64)
    torch.testing.assert_close(weights @ losses, probabilities @ risks, rtol=1e-6, atol=0)
    same_gradient(model, weights.detach() @ losses, probabilities @ risks)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("args", ["", "beta=0.7,likelihood=0.3,cross_entropy=0.25"])
def test_preference_is_its_formula(
    name: str, args: str, tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all outputs as candidates, the best is the target; the worst has nothing in common with it."""
    model = make(name, tokenizers)
    beta, likelihood, share = (0.7, 0.3, 0.25) if args else (0.1, 1.0, 0.0)
    objective = objective_of("preference", f"metric=edit_accuracy,{args}".rstrip(","), model, tokenizers)
    batch, outputs = one_row("ab", "b", tokenizers), every_output(tokenizers, LONGEST)
    monkeypatch.setattr(objective, "search", lambda *_, **settings: [outputs])
    risks = objective.risks(batch, [outputs])[0]
    logs = probabilities_of(model, batch, outputs).log()
    target = tuple(batch["labels"][0].tolist())
    better, worse = logs[outputs.index(target)], logs[risks.index(max(risks))]
    expected = -torch.log(torch.sigmoid(beta * (better - worse))) - likelihood * better
    expected = (1 - share) * expected - share * better / len(target)
    found = objective(objective.augment(batch))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    same_gradient(model, found, expected)
    equal = [(token,) for token in outputs[0]] * 2
    objective.options = dataclasses.replace(objective.options, reference=False)
    monkeypatch.setattr(objective, "search", lambda *_, **settings: [equal])
    assert objective(objective.augment(batch)).item() == pytest.approx(share * -better.item() / len(target))


@pytest.mark.parametrize("args", ["candidates=beam,samples=3", "candidates=sample,samples=4,reference=false"])
def test_pairs_are_the_best_and_the_worst_of_what_the_model_writes(args: str, tokenizers: Tokenizers) -> None:
    model = make("rnn", tokenizers)
    objective = objective_of("preference", f"metric=edit_accuracy,{args}", model, tokenizers)
    objective.begin_step(3, 10)
    batch = one_row("ab", "ba", tokenizers)
    with torch.no_grad():
        found = objective.augment(batch)
        beams = {"num_beams": 3, "num_return_sequences": 3} if "beam" in args else {}
        outputs = [tuple(batch["labels"][0].tolist())] * ("beam" in args) + objective.search(batch, **beams)[0]
    risks = dict(zip(outputs, objective.risks(batch, [outputs])[0], strict=True))
    better, worse = (tuple(ids[ids != -100].tolist()) for ids in found["candidates"])
    assert (risks[better], risks[worse]) == (min(risks.values()), max(risks.values()))


@pytest.mark.parametrize(
    ("kind", "args"), [("self_critical", "greedy"), ("self_critical", "rloo"), ("preference", "sample")]
)
def test_the_loss_is_a_sum_over_rows_and_the_seed_decides(kind: str, args: str, tokenizers: Tokenizers) -> None:
    option = "candidates" if kind == "preference" else "baseline"
    given = f"{option}={args},metric=edit_accuracy,samples=3,cross_entropy=0.2"
    objective = objective_of(kind, given, make("transformer", tokenizers), tokenizers)
    rows = [one_row(source, target, tokenizers) for source, target in (("ab", "ba"), ("ba", "ab"))]
    rows = [row | {"rows": torch.tensor([number])} for number, row in enumerate(rows)]
    both = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    losses = []
    for step, batches in ((1, [both]), (1, rows[::-1]), (2, [both])):
        objective.begin_step(step, 9)
        losses.append(sum(objective(objective.augment(batch)) for batch in batches).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert losses[0] != losses[2]


def test_forced_tokens_are_not_the_models_choice(tokenizers: Tokenizers) -> None:
    model: Any = make("bart", tokenizers)
    objective = objective_of("self_critical", "", model, tokenizers)
    ids = torch.tensor([[1, 2], [1, -100]])
    assert objective.chosen(ids).tolist() == [[True, True], [True, False]]
    model.generation_config.forced_bos_token_id, model.generation_config.forced_eos_token_id = 1, 2
    assert objective.chosen(ids).tolist() == [[False, False], [False, False]]
    assert objective.chosen(ids[:, :1]).tolist() == [[False], [False]]


@pytest.mark.parametrize(
    ("kind", "args", "message"),
    [
        ("self_critical", "samples=1,baseline=rloo", "samples: 1 is too small for baseline=rloo"),
        ("self_critical", "baseline=mean", "baseline: unknown value 'mean'"),
        ("preference", "samples=1", "samples: 1 is too small; the minimum is 2"),
        ("preference", "beta=0", "beta: 0.0 must be above 0"),
    ],
)
def test_bad_options_are_refused(kind: str, args: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--loss-args of {kind}: {message}"):
        loss_options(Loss(loss_type=kind, loss_args=args))  # type: ignore[arg-type]
