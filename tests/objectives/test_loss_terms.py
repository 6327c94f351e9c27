"""R-Drop, unlikelihood, coverage, length, compression and label smoothing against plain loops in float64."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    ProphetNetConfig,
    ProphetNetForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import cross_entropy, loss_options, make_objective
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.figures import quotients
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.length import target_lengths
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.training_options import Loss

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


def assert_same(objective: TokenCrossEntropy, found: Tensor, wanted: Tensor, atol: float = 1e-9) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    parameters = list(objective.model.parameters())
    pairs = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (found, wanted)]
    for first, second in zip(*pairs, strict=True):
        if first is not None or second is not None:
            torch.testing.assert_close(first, second, rtol=1e-8, atol=atol)


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


ROUNDED = {"t5": 1e-6}  # its attention and norms are float32, and two graphs add their gradients in another order
ATTENDING = [family for family in FAMILIES if family != "gpt2"]


@pytest.mark.parametrize("family", ATTENDING)
def test_coverage(family: str) -> None:
    objective, batch = objective_of(family, coverage_weight=0.7), batch_of(family)
    plain = make_objective(Loss(), objective.model, 0.1, GenerationContext()).train()
    outputs = objective.model(**objective.inputs(batch), use_cache=False, output_attentions=True)
    total = torch.zeros((), dtype=torch.float64)
    for layer in outputs.cross_attentions:
        for row, target in enumerate(TARGETS):
            coverage = torch.zeros(4, dtype=torch.float64)
            for weights in layer[row].mean(0)[: len(target)]:
                total = total + sum(map(torch.minimum, weights, coverage)) / len(outputs.cross_attentions)
                coverage = coverage + weights
    with objective.figures.counting(1.0):
        found = objective(batch)
    assert_same(objective, found, plain(batch) + 0.7 * total, ROUNDED.get(family, 1e-9))
    logged = quotients(objective.figures.named(objective.figures.sums(torch.device("cpu"))))
    assert logged == {"coverage_loss": pytest.approx(total.item() / sum(map(len, TARGETS)))}


def expected_length(probabilities: list[Tensor]) -> Tensor:
    """Over all outputs, the length of each times its probability: it ends after any token, at the last for sure."""
    total = torch.zeros((), dtype=torch.float64)
    for ends in itertools.product((False, True), repeat=len(probabilities) - 1):
        chance = torch.ones((), dtype=torch.float64)
        for end, p in zip(ends, probabilities, strict=False):
            chance = chance * (p if end else 1 - p)
        total = total + chance * (ends.index(True) + 1 if any(ends) else len(probabilities))
    return total


@pytest.mark.parametrize("family", FAMILIES)
def test_length(family: str) -> None:
    objective, batch = objective_of(family, length_weight=0.3), batch_of(family)
    plain = make_objective(Loss(), objective.model, 0.1, GenerationContext()).train()
    logits, total = iter(real_logits(objective, batch)), torch.zeros((), dtype=torch.float64)
    for row in batch["labels"].tolist():
        count = sum(token != IGNORE for token in row)
        total = total + abs(count - expected_length([next(logits).softmax(-1)[1] for _ in range(count)]))
    assert float(total) > 0.5
    assert_same(objective, objective(batch), plain(batch) + 0.3 * total, ROUNDED.get(family, 1e-9))


def test_each_reply_has_its_length() -> None:
    labels = torch.tensor([[IGNORE, 4, 1, IGNORE, 5, 6, 1], [3, 1, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE]])
    assert target_lengths(labels) == [2, 3, 2]


def test_an_end_that_is_certain_has_a_finite_length_gradient() -> None:
    objective = objective_of("gpt2", length_weight=1.0)
    with torch.no_grad():
        objective.model.get_output_embeddings().weight.mul_(1e6)  # type: ignore[operator]
    objective(batch_of("gpt2")).backward()
    assert all(torch.isfinite(each.grad).all() for each in objective.model.parameters() if each.grad is not None)


def without_attention(**more: Any) -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "attention": "none", "initializer_range": 1.0, "dropout": 0.0} | more
    return RnnForConditionalGeneration(RnnSeq2SeqConfig(**IDS, source_vocab_size=13, **shape)).double()


@pytest.mark.parametrize("more", [{}, {"context_feeding": True}])
def test_compression(more: dict[str, Any]) -> None:
    model, batch = without_attention(**more), batch_of("rnn")
    plain = make_objective(Loss(), model, 0.0, GenerationContext()).train()
    found = [plain(batch)]
    objective = make_objective(Loss(compression_weight=0.2), model, 0.0, GenerationContext()).train()
    torch.manual_seed(3)
    noisy = objective(batch)
    encoded = model.model.encoder(batch["input_ids"], batch["attention_mask"])
    context = model.model.decoder.context.forward(encoded, batch["attention_mask"])
    found.append(plain.eval()(batch))
    assert found[0] == found[1]  # neither noise nor divergence in an evaluation, nor before
    torch.manual_seed(3)
    noise = torch.randn(3, 8, dtype=torch.float64)
    unit = [torch.distributions.Normal(mean, 1.0) for mean in (context, torch.zeros_like(context))]
    divergence = torch.distributions.kl_divergence(*unit).sum()
    other = without_attention(**more)
    other.load_state_dict(model.state_dict())
    exact = make_objective(Loss(), other, 0.0, GenerationContext()).train()
    other.model.decoder.context.register_forward_hook(lambda module, args, output: output + noise)
    expected = exact(batch) + 0.2 * divergence
    torch.testing.assert_close(noisy, expected, rtol=1e-9, atol=1e-9)


def test_no_compression_is_plain_training_bit_for_bit() -> None:
    batch, losses = batch_of("rnn"), []
    for loss in (Loss(), Loss(compression_weight=0.0, coverage_weight=0.0, length_weight=0.0)):
        objective = make_objective(loss, without_attention(dropout=0.3), 0.1, GenerationContext()).train()
        torch.manual_seed(1)
        losses.append(objective(batch))
    assert torch.equal(*losses)


REFUSED = [
    ("gpt2", "coverage_weight", "--coverage-weight: the model has no attention on the source"),
    ("rnn", "compression_weight", "--compression-weight: is for recurrent models that read the source as one vector"),
    ("t5", "compression_weight", "--compression-weight: is for recurrent models that read the source as one vector"),
]


@pytest.mark.parametrize(("family", "name", "message"), REFUSED)
def test_terms_that_do_not_fit_a_model_are_refused(family: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        objective_of(family, **{name: 1.0})
    with pytest.raises(InputError, match="--coverage-weight: the model has no"):
        make_objective(Loss(coverage_weight=1.0), without_attention(), 0.0, GenerationContext())


def test_attention_of_several_streams_has_no_coverage_loss() -> None:
    sizes = {"hidden_size": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "num_encoder_layers": 1}
    sizes |= {"num_decoder_layers": 1, "num_encoder_attention_heads": 2, "num_decoder_attention_heads": 2}
    model = ProphetNetForConditionalGeneration(ProphetNetConfig(vocab_size=20, **sizes))
    with pytest.raises(InputError, match="--coverage-weight: ProphetNet attends to the source for several streams"):
        make_objective(Loss(coverage_weight=1.0), model, 0.0, GenerationContext())


def test_a_second_coverage_loss_is_refused() -> None:
    config = without_attention().config
    config.attention, config.coverage = "additive", True
    model = type(without_attention())(config)
    with pytest.raises(InputError, match=r"--coverage brings this loss, .* by --coverage-loss-weight 0\.5 instead"):
        make_objective(Loss(coverage_weight=0.5), model, 0.0, GenerationContext())
    config.coverage_loss_weight = 0.0
    make_objective(Loss(coverage_weight=0.5), type(model)(config), 0.0, GenerationContext())


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("mrt", "--loss-type minimum_risk"),
        ("SCST", "--loss-type self_critical"),
        ("dpo", "--loss-type preference, which is CPO"),
        ("gkd", "--loss-type distillation --loss-args teacher=DIR,own_samples=0.5"),
        ("r-drop", "--r-drop 1"),
    ],
)
def test_other_names_of_losses(name: str, here: str) -> None:
    with pytest.raises(InputError) as error:
        loss_options(Loss(loss_type=name))
    assert str(error.value) == f"--loss-type: unknown value {name!r}; here it is {here}"


@pytest.mark.parametrize("kind", ["uniform", "others"])
def test_label_smoothing(kind: str) -> None:
    model, batch = FAMILIES["t5"](0.0), batch_of("t5")
    objective = make_objective(Loss(label_smoothing_type=kind), model, 0.3, GenerationContext()).train()
    labels = batch["labels"][batch["labels"] != IGNORE]
    total = torch.zeros((), dtype=torch.float64)
    for logits, label in zip(real_logits(objective, batch), labels, strict=True):
        wanted = torch.full((13,), 0.3 / (13 if kind == "uniform" else 12), dtype=torch.float64)
        wanted[label] = 0.7 + (0.3 / 13 if kind == "uniform" else 0)
        total = total - wanted @ logits.log_softmax(-1)
    assert_same(objective, objective(batch), total)
    with pytest.raises(InputError, match=r"--label-smoothing-factor 0\.95: is too large for 13 tokens"):
        make_objective(Loss(label_smoothing_type="others"), model, 0.95, GenerationContext())


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


@pytest.mark.parametrize("name", ["r_drop", "unlikelihood", "coverage_weight", "length_weight", "compression_weight"])
def test_losses_that_are_no_sum_over_tokens_refuse_them(name: str) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')}: cannot be added to --loss-type minimum_risk"):
        loss_options(Loss(loss_type="minimum_risk", **{name: 1.0}))  # type: ignore[arg-type]
    loss_options(Loss(loss_type="scheduled_sampling", **{name: 1.0}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is too small; the minimum is 0"):
        Loss(**{name: -1.0})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"1e\+39 is too large; the maximum is 10000000"):  # inf in float32
        Loss(**{name: 1e39})  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("weights", [{}, {"r_drop": 0.7}, {"unlikelihood": 0.2}, {"length_weight": 0.1}], ids=str)
def test_a_step_leaves_no_tensors_to_the_garbage_collector(
    family: str, weights: dict[str, float], leaving_nothing: Any
) -> None:
    objective, batch = objective_of(family, **weights), batch_of(family)
    objective(batch).backward()
    with leaving_nothing():
        objective(batch).backward()
