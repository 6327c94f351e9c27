"""Gradients along time: the product of Jacobians against autograd, and what a run writes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn, transformer
from hf_seq2seq.sections import build
from hf_seq2seq.training.gradient_flow import product_is_gradient, state_flows
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.run import run

PLAIN: dict[str, Any] = {"attention": "none", "bidirectional": False, "encoder_layers": 1, "decoder_layers": 1}


def make_model(**options: Any) -> RnnForConditionalGeneration:
    torch.manual_seed(3)
    sizes = {"vocab_size": 12, "source_vocab_size": 12, "embedding_size": 5, "hidden_size": 6, "initializer_range": 1.0}
    model = RnnForConditionalGeneration(RnnSeq2SeqConfig(**PLAIN | sizes | options)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)  # no bias is zero
    return model


def make_batch() -> dict[str, torch.Tensor]:
    ids = torch.tensor([[4, 5, 6, 7, 8, 9, 10, 1]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([[7, 4, 9, 1]])}


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(
    "options", [{"decoder_start": "transfer"}, {"decoder_start": "bridge", "context_feeding": True}]
)
def test_the_product_of_jacobians_carries_the_gradient_back(cell: str, options: dict[str, Any]) -> None:
    model = make_model(cell=cell, **options)
    assert product_is_gradient(model.config)
    flow = state_flows(model, make_batch())["model.encoder.layers.0.left_to_right"]
    assert len(flow.states) == len(flow.jacobians) == 8
    assert flow.gradients[-1].norm() > 1e-4
    for gradient, product in zip(flow.gradients, flow.products(), strict=True):
        torch.testing.assert_close(flow.gradients[-1] @ product, gradient, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{"attention": "general"}, {"context_pooling": "mean", "decoder_start": "bridge"}, {"attention": "dot"}]
)
def test_where_others_than_the_last_state_are_read_the_product_is_not_the_gradient(options: dict[str, Any]) -> None:
    model = make_model(cell="lstm", **options)
    assert not product_is_gradient(model.config)
    flow = state_flows(model, make_batch())["model.encoder.layers.0.left_to_right"]
    assert not torch.allclose(flow.gradients[-1] @ flow.products()[0], flow.gradients[0], rtol=1e-2)


def test_for_more_layers_and_directions_it_is_not_said_to_be() -> None:
    for options in ({"encoder_layers": 2}, {"bidirectional": True}):
        assert not product_is_gradient(RnnSeq2SeqConfig(**PLAIN | options))


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "general", "bidirectional": True},
        {"decoder_style": "bahdanau", "attention": "additive"},
        {"attention": "general", "input_feeding": True, "decoder_layers": 2},
    ],
)
def test_states_are_those_of_the_model_itself(options: dict[str, Any]) -> None:
    model, batch = make_model(cell="lstm", **options).eval(), make_batch()
    loss, gradients = model(**batch).loss, []
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    flows = state_flows(model, batch, with_jacobians=False)
    outputs = model.model.encoder(batch["input_ids"], output_hidden_states=True).hidden_states[1]
    found = torch.cat([state[0] for state in flows["model.encoder.layers.0.left_to_right"].states])
    torch.testing.assert_close(found, outputs[0, :, : found.shape[1]])
    assert all(torch.equal(p.grad, gradients[name]) for name, p in model.named_parameters() if p.grad is not None)
    assert {len(flow.states) for name, flow in flows.items() if "decoder" in name} == {4}


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]


def values_of(pairs: dict[str, str], folder: Path, **more: Any) -> dict[str, Any]:
    common = {"tokenizer_type": "char", "max_steps": 4, "eval_steps": 4, "metrics": "", "output_dir": str(folder)}
    return pairs | common | more


def test_a_run_logs_and_draws_the_flow(
    pairs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"hidden_size": 8, "embedding_size": 8, "log_gradient_flow": 2}
    run(rnn.prepare(build(rnn.Config, values_of(pairs, tmp_path / "on", **small))))
    flows = {line["step"]: line["gradient_flow"] for line in lines_of(tmp_path / "on") if "gradient_flow" in line}
    assert list(flows) == [2, 4]
    told = capsys.readouterr().err
    assert (told.count("gradients: least"), told.count("is not that at the last one times")) == (2, 1)
    states = flows[4]["states"]["model.encoder.layers.0.left_to_right"]
    assert not states["product_is_gradient"]
    assert len(states["gradient_norm"]) == len(states["jacobian_product_norm"])
    assert states["jacobian_product_norm"][-1] == pytest.approx(1)
    assert flows[4]["gradient_norm"].keys() == flows[4]["update_ratio"].keys() > {"model.encoder.layers.0"}
    assert all(0 < value < 1 for value in flows[4]["update_ratio"].values())
    assert (tmp_path / "on" / "gradient_flow.png").stat().st_size > 1000
    (tmp_path / "off").mkdir()
    off = rnn.prepare(build(rnn.Config, values_of(pairs, tmp_path / "off", **small | {"log_gradient_flow": None})))
    Loop(off, Accelerator(cpu=True), tmp_path / "off").run()
    assert not any("gradient_flow" in line for line in lines_of(tmp_path / "off"))
    losses = [[line["eval_loss"] for line in lines_of(tmp_path / n) if "eval_loss" in line] for n in ("on", "off")]
    assert losses[0] == losses[1]  # measuring changes nothing


def test_a_frozen_encoder_has_states_without_gradients(pairs: dict[str, str], tmp_path: Path) -> None:
    small = {"hidden_size": 8, "embedding_size": 8, "log_gradient_flow": 4}
    task = rnn.prepare(build(rnn.Config, values_of(pairs, tmp_path, **small)))
    task.model.get_encoder().requires_grad_(False)
    run(task)
    (flow,) = (line["gradient_flow"] for line in lines_of(tmp_path) if "gradient_flow" in line)
    states = flow["states"]["model.encoder.layers.0.left_to_right"]
    assert not any(states["gradient_norm"])
    assert all(states["jacobian_product_norm"])


def test_a_transformer_has_layers_but_no_states(pairs: dict[str, str], tmp_path: Path) -> None:
    values = values_of(pairs, tmp_path, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, log_gradient_flow=4)
    Loop(transformer.prepare(build(transformer.Config, values)), Accelerator(cpu=True), tmp_path).run()
    flow = next(line["gradient_flow"] for line in lines_of(tmp_path) if "gradient_flow" in line)
    assert flow.keys() == {"gradient_norm", "update_ratio"}
    assert sum("decoder.layers" in name for name in flow["gradient_norm"]) >= 2


def test_an_interval_longer_than_the_run_is_refused(pairs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--log-gradient-flow: 5 is more than the 4 steps of the run"):
        rnn.prepare(build(rnn.Config, values_of(pairs, tmp_path, log_gradient_flow=5)))


def test_sharded_weights_are_refused(pairs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_seq2seq.training.gradient_flow.is_asked_for", lambda: True)
    with pytest.raises(InputError, match="--log-gradient-flow: does not work on sharded weights"):
        rnn.prepare(build(rnn.Config, values_of(pairs, tmp_path, log_gradient_flow=2)))
