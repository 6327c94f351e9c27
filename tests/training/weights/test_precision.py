"""The float32 master of a bfloat16 model, and the precisions that are refused."""

import copy

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from hf_seq2seq.configs import Optimization
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.training.optimizers import make_optimizer
from hf_seq2seq.training.weights.precision import MasterWeights, Weights, check_precision, lower_precision

OPTIONS = Optimization(learning_rate=0.01, weight_decay=0.1)
BATCH = {
    "input_ids": torch.tensor([[4, 5, 6, 1], [7, 1, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
    "labels": torch.tensor([[6, 5, 1], [8, 1, -100]]),
}


@pytest.fixture
def model() -> BartForConditionalGeneration:
    sides = ("encoder", "decoder")
    sizes = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}
    sizes = {f"{side}_{name}": value for side in sides for name, value in sizes.items()}
    tokens = {"pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "decoder_start_token_id": 3}
    bart = BartForConditionalGeneration(BartConfig(vocab_size=20, d_model=16, dropout=0.0, **sizes, **tokens))
    bart.final_logits_bias.normal_()
    return bart.train()


def backward(model: BartForConditionalGeneration) -> None:
    (TokenCrossEntropy(model)(BATCH) / 5).backward()


def test_a_step_is_that_of_float32_on_the_same_gradients(model: BartForConditionalGeneration) -> None:
    plain = copy.deepcopy(model)
    weights = lower_precision(model)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    backward(model)
    for name, parameter in plain.named_parameters():
        low = model.get_parameter(name).grad
        assert low.dtype == torch.bfloat16
        parameter.grad = low.float()
    weights.collect_gradients()
    assert all(p.grad is None for p in model.parameters())
    make_optimizer(weights.parameters, OPTIONS).step()
    make_optimizer(dict(plain.named_parameters()), OPTIONS).step()
    weights.sync_from_master()
    for name, parameter in plain.named_parameters():
        assert torch.equal(weights.parameters[name], parameter), name
        assert torch.equal(model.get_parameter(name), parameter.bfloat16()), name


def test_gradients_add_up_in_float32(model: BartForConditionalGeneration) -> None:
    weights = lower_precision(model)
    name = "model.encoder.layers.0.fc1.bias"
    for value in (1.0, 2.0**-12):  # bfloat16 would lose the second
        model.get_parameter(name).grad = torch.full((32,), value, dtype=torch.bfloat16)
        weights.collect_gradients()
    assert torch.equal(weights.parameters[name].grad, torch.full((32,), 1 + 2.0**-12))


def test_steps_too_small_for_bfloat16_add_up(model: BartForConditionalGeneration) -> None:
    weights = lower_precision(model)
    name = "model.encoder.layernorm_embedding.weight"
    for _ in range(8):  # a step of 1/1024 is lost beside 1 in bfloat16; eight of them are not
        weights.parameters[name].data -= 2.0**-10
        weights.sync_from_master()
    assert torch.equal(model.get_parameter(name), torch.full((16,), 1 - 2.0**-7, dtype=torch.bfloat16))


def test_loss_and_gradients_are_near_those_of_float32(model: BartForConditionalGeneration) -> None:
    plain = copy.deepcopy(model)
    weights = lower_precision(model)
    assert model.config._attn_implementation == "sdpa_float32"
    torch.testing.assert_close(TokenCrossEntropy(model)(BATCH), TokenCrossEntropy(plain)(BATCH), rtol=0.01, atol=0)
    backward(model)
    backward(plain)
    weights.collect_gradients()
    for name, parameter in plain.named_parameters():
        found, expected = weights.parameters[name].grad, parameter.grad
        similarity = torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
        assert similarity > 0.99 or expected.norm() < 1e-4, name


def test_release_restores_the_model(model: BartForConditionalGeneration) -> None:
    plain = copy.deepcopy(model)
    weights = lower_precision(model)
    backward(model)
    weights.collect_gradients()
    make_optimizer(weights.parameters, OPTIONS).step()
    weights.sync_from_master()
    weights.release()
    assert model.config._attn_implementation == plain.config._attn_implementation == "sdpa"
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, weights.parameters[name]), name
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, plain.get_buffer(name)), name
    assert {v.dtype for v in model.state_dict().values()} == {torch.float32}


def test_tied_weights_stay_tied(model: BartForConditionalGeneration) -> None:
    weights = lower_precision(model)
    for _ in range(2):
        shared = model.get_input_embeddings().weight
        assert model.lm_head.weight is shared
        assert model.model.decoder.embed_tokens.weight is shared
        weights.release()
    assert len(weights.parameters) == len(dict(model.named_parameters()))


def test_state_dict_is_float32_and_whole(model: BartForConditionalGeneration) -> None:
    plain = copy.deepcopy(model).state_dict()
    state = lower_precision(model).state_dict()
    assert state.keys() == plain.keys()
    assert "lm_head.weight" in state
    for name, value in plain.items():
        assert torch.equal(state[name], value), name


def test_state_dict_goes_back_in(model: BartForConditionalGeneration) -> None:
    other = copy.deepcopy(model)
    for value in (*other.parameters(), *other.buffers()):
        value.data.normal_()
    state = {k: v.clone() for k, v in MasterWeights(other).state_dict().items() if k != "lm_head.weight"}
    weights = lower_precision(model)
    weights.load_state_dict(state)
    for name, parameter in weights.parameters.items():
        assert torch.equal(parameter, state[name]), name
        assert torch.equal(model.get_parameter(name), state[name].bfloat16()), name
    weights.release()
    assert torch.equal(model.lm_head.weight, state["model.shared.weight"])
    assert torch.equal(model.final_logits_bias, state["final_logits_bias"])


def test_a_file_may_have_any_name_of_a_tied_weight(model: BartForConditionalGeneration) -> None:
    names = ["model.shared.weight", "model.encoder.embed_tokens.weight", "lm_head.weight"]
    for name in names:
        weights = lower_precision(copy.deepcopy(model))
        state = {k: v.clone() for k, v in weights.state_dict().items() if k == name or k not in names}
        state |= {name: torch.full_like(state[name], 2.0)}
        del state["model.decoder.embed_tokens.weight"]
        weights.load_state_dict(state)
        assert weights.parameters["model.shared.weight"].eq(2).all(), name
        assert weights.model.lm_head.weight.eq(2).all(), name


def test_frozen_weights_stay_frozen(model: BartForConditionalGeneration) -> None:
    model.model.encoder.requires_grad_(False)
    weights = lower_precision(model)
    trains = {name: p.requires_grad for name, p in weights.parameters.items()}
    assert trains == {name: p.requires_grad for name, p in model.named_parameters()}
    assert not trains["model.encoder.layers.0.fc1.weight"]


def test_plain_weights_are_the_models_own(model: BartForConditionalGeneration) -> None:
    weights = Weights(model)
    assert weights.parameters["model.shared.weight"] is model.model.shared.weight
    assert not weights.low_precision


@pytest.mark.parametrize(
    ("options", "model_type", "message"),
    [
        ({"fp16": True, "bf16": True}, "bart", "--fp16 and --bf16"),
        ({"fp16": True}, "t5", "overflows"),
        ({"fp16": True}, "mt5", "overflows"),
        ({"fp16": True}, "bart", "needs a GPU"),
    ],
)
def test_precisions_that_fail_are_refused(options: dict[str, bool], model_type: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_precision(Optimization(**options), model_type, on_cpu=True)


@pytest.mark.parametrize("options", [{}, {"bf16": True}])
def test_precisions_that_work_are_not(options: dict[str, bool]) -> None:
    check_precision(Optimization(**options), "t5", on_cpu=True)
