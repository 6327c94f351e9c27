"""Runs with other losses than cross-entropy: equal however a step is cut, resumable, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bart, gpt, rnn, t5, transformer
from hf_seq2seq.sections import build

TOKENS = {"tokenizer_type": "char", "max_target_length": 9, "metrics": "exact_match"}
# Adam turns a gradient of 1e-9 and one of -1e-9 into opposite steps; a large epsilon keeps it continuous.
STEADY = {"adam_epsilon": 1e-3, "learning_rate": 1e-2, "logging_steps": 1}
SIZES: dict[Any, dict[str, Any]] = {
    rnn: {"embedding_size": 16, "hidden_size": 24},
    transformer: {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
    },
    t5: {"from_scratch": True, "config_overrides": "num_layers=1,num_decoder_layers=1,d_model=16,d_ff=16,d_kv=8"},
    gpt: {},
    bart: {"from_scratch": True, "config_overrides": "encoder_layers=1,decoder_layers=1,d_model=16"},
}
LOSSES = {
    "scheduled_sampling": "schedule=constant,k=0.5",
    "minimum_risk": "samples=4,alpha=0.5,metric=edit_accuracy,random_start=true",
}
RUNS = [(rnn, loss) for loss in LOSSES] + [(transformer, loss) for loss in LOSSES]


def train(recipe: Any, folder: Path, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Runs a recipe and returns its results."""
    all_values = TOKENS | SIZES[recipe] | values | {"output_dir": str(folder)} | more
    recipe.main(build(recipe.Config, all_values))
    results: dict[str, Any] = json.loads((folder / "all_results.json").read_text())
    return results


def logged(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(("recipe", "loss"), RUNS)
def test_accumulation_changes_nothing(recipe: Any, loss: str, pair_files: dict[str, str], tmp_path: Path) -> None:
    values = STEADY | pair_files | {"loss_type": loss, "loss_args": LOSSES[loss], "dropout": 0.0, "max_steps": 4}
    for size, batches in ((12, 1), (3, 4)):
        cut = {"per_device_train_batch_size": size, "gradient_accumulation_steps": batches}
        train(recipe, tmp_path / str(size), values, **cut)
    whole, parts = (load_file(tmp_path / size / "model.safetensors") for size in ("12", "3"))
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert logged(tmp_path / "12") == pytest.approx(logged(tmp_path / "3"), rel=1e-5)


@pytest.mark.parametrize(("recipe", "loss"), RUNS[::3])
def test_a_resumed_run_ends_with_the_same_weights(
    recipe: Any, loss: str, pair_files: dict[str, str], tmp_path: Path
) -> None:
    values = pair_files | {"loss_type": loss, "max_steps": 4, "save_steps": 2, "eval_steps": 9}
    values |= {"loss_args": LOSSES[loss], "dropout": 0.1}
    train(recipe, tmp_path / "out", values)
    whole = load_file(tmp_path / "out" / "model.safetensors")
    last = str(tmp_path / "out" / "checkpoint-2")
    train(recipe, tmp_path / "out", values, resume_from_checkpoint=last)
    assert all(torch.equal(whole[name], value) for name, value in load_file(tmp_path / "out/model.safetensors").items())
    with pytest.raises(InputError, match=f"was trained with --loss-type {loss}"):
        train(recipe, tmp_path / "out", values, resume_from_checkpoint=last, loss_type="cross_entropy", loss_args="")


@pytest.mark.parametrize("recipe", [t5, bart])
@pytest.mark.parametrize("loss", LOSSES)
def test_pretrained_families_take_every_loss(
    recipe: Any, loss: str, pair_files: dict[str, str], tmp_path: Path
) -> None:
    train(recipe, tmp_path / "out", pair_files, loss_type=loss, loss_args=LOSSES[loss], max_steps=2)


def test_a_decoder_alone_can_read_its_own_tokens(pair_files: dict[str, str], tmp_path: Path) -> None:
    values = {"from_scratch": True, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16}
    values |= {"loss_type": "scheduled_sampling", "loss_args": "schedule=linear,c=0.4", "logging_steps": 1}
    train(gpt, tmp_path / "out", pair_files | values, max_steps=3)
    lines = [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "epsilon" in line]
    assert [line["epsilon"] for line in steps] == pytest.approx([1.0, 0.6, 0.2])
    assert [line["replaced_tokens"] for line in steps] == pytest.approx([0.0, 0.4, 0.8], abs=0.25)


def test_raw_text_takes_every_loss(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"a few words of line {row}\n" for row in range(40)))
    values = {"train_file": str(text), "objective": "span_corruption", "max_steps": 2, "metrics": ""}
    values |= {"tokenizer_type": "unigram", "vocab_size": 200, "mlm_probability": 0.3}
    for loss, args in LOSSES.items():
        train(t5, tmp_path / loss, values, loss_type=loss, loss_args=args)


def test_resumed_distillation_ends_with_the_same_weights(pair_files: dict[str, str], tmp_path: Path) -> None:
    """A recurrent student of a Transformer, partly on its own samples; the teacher stays in its folder."""
    del pair_files["test_file"]
    train(transformer, tmp_path / "teacher", pair_files, max_steps=2)
    values = pair_files | {"loss_type": "distillation", "max_steps": 4, "save_steps": 2, "eval_steps": 9}
    values |= {"loss_args": f"teacher={tmp_path / 'teacher'},temperature=2,own_samples=0.5", "dropout": 0.1}
    train(rnn, tmp_path / "out", values)
    whole, last = load_file(tmp_path / "out" / "model.safetensors"), str(tmp_path / "out" / "checkpoint-2")
    train(rnn, tmp_path / "out", values, resume_from_checkpoint=last)
    assert all(torch.equal(whole[name], value) for name, value in load_file(tmp_path / "out/model.safetensors").items())
    assert sum(value.numel() for value in whole.values()) < 30_000  # not the teacher's


def test_an_objective_knows_how_long_sampled_segmentations_are(pair_files: dict[str, str], tmp_path: Path) -> None:
    values = TOKENS | pair_files | {"tokenizer_type": "bpe", "vocab_size": 300, "bpe_dropout": 0.9, "max_steps": 1}
    values |= {"output_dir": str(tmp_path / "run")}
    for recipe in (rnn, gpt):
        small = {"max_target_length": 20} if recipe is rnn else {"from_scratch": True, "max_target_length": 20}
        task = recipe.prepare(build(recipe.Config, SIZES[recipe] | values | small))
        assert task.objective.context.most == task.training_rows.lengths.max() > task.splits["train"].lengths.max()


def test_scheduled_sampling_learns(pair_files: dict[str, str], tmp_path: Path) -> None:
    values = {"loss_type": "scheduled_sampling", "learning_rate": 1e-2, "num_train_epochs": 14, "dropout": 0.0}
    values |= {"logging_steps": 8}
    values |= pair_files | {"loss_args": "schedule=linear,minimum=0.5", "max_tokens_per_batch": 400}
    results = train(rnn, tmp_path / "out", values, hidden_size=48, embedding_size=24)
    losses = logged(tmp_path / "out")
    assert losses[-1] < losses[0] / 2
    assert results["eval_exact_match"] >= 50


def test_minimum_risk_improves_a_trained_model(pair_files: dict[str, str], tmp_path: Path) -> None:
    values = pair_files | {"metrics": "edit_accuracy", "max_tokens_per_batch": 400, "dropout": 0.0, "eval_steps": 99}
    sizes = {"hidden_size": 48, "embedding_size": 24, "attention": "general"}
    before = train(rnn, tmp_path / "start", values, learning_rate=1e-2, num_train_epochs=6, **sizes)
    values |= {"loss_type": "minimum_risk", "loss_args": "samples=8,alpha=0.5,metric=edit_accuracy"}
    values |= {"model_name_or_path": str(tmp_path / "start"), "max_steps": 30, "logging_steps": 10}
    after = train(rnn, tmp_path / "out", values, learning_rate=2e-3, **sizes)
    losses = logged(tmp_path / "out")
    assert losses[-1] < losses[0] - 0.02
    assert after["eval_edit_accuracy"] > before["eval_edit_accuracy"] + 3
    assert after["train_target_tokens"] > 30 * 50  # not rows


@pytest.mark.parametrize(("recipe", "start"), [(rnn, {}), (t5, {"from_scratch": True})])
def test_what_learns_from_outputs_is_not_started_from_random_weights(
    recipe: Any, start: dict[str, Any], tmp_path: Path
) -> None:
    values = start | {"train_file": "none.tsv", "output_dir": str(tmp_path / "out"), "loss_type": "minimum_risk"}
    with pytest.raises(InputError, match="start from its folder: --model-name-or-path DIR") as caught:
        recipe.prepare(build(recipe.Config, values))
    assert "--loss-args random_start=true" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_reward_chooses_the_checkpoint_and_another_metric_is_watched(
    pair_files: dict[str, str], tmp_path: Path
) -> None:
    values = pair_files | {"loss_type": "minimum_risk", "output_dir": str(tmp_path / "out"), "tokenizer_type": "char"}
    values["loss_args"] = "metric=edit_accuracy,random_start=true"
    task = rnn.prepare(build(rnn.Config, values))
    assert {"edit_accuracy", "chrf"} <= set(task.metrics)
    assert task.config.schedule.metric_for_best_model == "edit_accuracy"
    assert task.objective.guard is not None
    assert task.objective.guard.metric == "chrf"


@pytest.mark.parametrize("loss", LOSSES)
def test_the_command_takes_every_loss(
    loss: str, pair_files: dict[str, str], tmp_path: Path, transformers_processes: Any
) -> None:
    flags = {"train_file": pair_files["train_file"], "output_dir": str(tmp_path / "out"), "max_steps": 2}
    flags |= {"hidden_size": 8, "loss_type": loss, "loss_args": LOSSES[loss]} | TOKENS
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = transformers_processes.run("train", "rnn", *words)
    assert done.returncode == 0, done.stderr
    assert f"loss_type: {loss}" in (tmp_path / "out" / "run.yaml").read_text()


@pytest.mark.parametrize("written", ["{samples: 3, alpha: 0.5}", "'samples=3,alpha=0.5'", "[samples=3, alpha=0.5]"])
def test_yaml_has_options_in_each_way(written: str) -> None:
    values = yaml.safe_load(f"loss_type: minimum_risk\nloss_args: {written}\n")
    config = build(rnn.Config, values)
    assert config.loss.loss_args == ("samples=3", "alpha=0.5")


def test_a_decoder_alone_says_what_it_has() -> None:
    values = {"loss_type": "minimum_risk", "loss_args": "random_start=true", "from_scratch": True}
    values |= {"train_file": "none.tsv"}
    with pytest.raises(InputError, match="--loss-type minimum_risk: for encoder-decoders"):
        gpt.prepare(build(gpt.Config, values))


@pytest.mark.parametrize("name", [name for name in recipe_files.names() if name != "bert_classifier"])
def test_bad_options_are_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    recipe = recipe_files.load(name)
    start = {"from_scratch": True} if name not in ("rnn", "seq2seq", "transformer") else {}
    values = start | {"train_file": "none.tsv", "output_dir": str(tmp_path / "out"), "loss_args": "k=1"}
    with pytest.raises(InputError, match="--loss-args of cross_entropy: no option 'k'"):
        recipe.prepare(build(recipe.Config, values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"label_smoothing_factor": 0.1, "loss_type": "minimum_risk", "loss_args": "random_start=true"},
            "--label-smoothing-factor 0.1: --loss-type minimum_risk has none",
        ),
        (
            {"label_smoothing_type": "others", "loss_type": "minimum_risk", "loss_args": "random_start=true"},
            "--label-smoothing-type: --loss-type minimum_risk has no label smoothing",
        ),
        (
            {"loss_type": "self_critical", "loss_args": "random_start=true,guard=none,patience=5"},
            "--loss-args of self_critical: patience: with guard=none nothing is watched",
        ),
        ({"optim": "adafactor", "adam_beta1": 0.5}, "--adam-beta1: --optim adafactor has no such option"),
        (
            {"loss_type": "distillation", "loss_args": "teacher=.,temperature=1e30"},
            "temperature: 1e.30 is too large; the maximum is 1000",
        ),
    ],
)
def test_what_would_have_no_effect_is_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    recipe = recipe_files.load("rnn")
    with pytest.raises(InputError, match=message):
        recipe.prepare(build(recipe.Config, {"train_file": "none.tsv", "output_dir": str(tmp_path / "out")} | values))


@pytest.mark.parametrize("given", [{"label_smoothing_factor": 0}, {"loss_type": "scheduled_sampling"}])
def test_a_form_of_no_label_smoothing_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("source\ttarget\n" + "ab\tba\n" * 9)
    values = {"train_file": str(tmp_path / "train.tsv"), "label_smoothing_type": "others", "hidden_size": 8} | given
    with pytest.raises(InputError, match="--label-smoothing-type others: nothing is smoothed; add --label-smoothing-f"):
        recipe_files.load("rnn").prepare(resolve(recipe_files.load("rnn").Config, values))
