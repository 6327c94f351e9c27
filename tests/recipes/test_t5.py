import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import t5
from hf_seq2seq.sections import build

SMALL = {"max_tokens_per_batch": 400, "max_target_length": 10, "metrics": "chrf", "logging_steps": 10, "eval_steps": 20}


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_from_scratch_then_fine_tuned(
    pair_files: dict[str, str], tmp_path: Path, plain_outputs: Callable[[Path, str], list[str]]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    scratch = {"from_scratch": True, "tokenizer_type": "char", "learning_rate": 3e-3, "max_steps": 40}
    t5.main(build(t5.Config, SMALL | pair_files | scratch | {"output_dir": str(first)}))
    assert losses(first)[-1] < losses(first)[0] * 0.7
    tuning = {"model_name_or_path": str(first), "source_prefix": "", "learning_rate": 1e-3, "max_steps": 20}
    tuning |= {"num_beams": 1}  # as plain transformers writes
    t5.main(build(t5.Config, SMALL | pair_files | tuning | {"output_dir": str(second)}))
    assert losses(second)[0] < losses(first)[0] * 0.7  # it continues from the checkpoint
    written = (second / "generated_predictions.txt").read_text().splitlines()
    assert plain_outputs(second, pair_files["test_file"]) == written


def test_one_start_is_asked_for(pair_files: dict[str, str]) -> None:
    for values in ({}, {"from_scratch": True, "model_name_or_path": "x"}):
        with pytest.raises(InputError, match="either --model-name-or-path or --from-scratch"):
            t5.prepare(build(t5.Config, pair_files | values))


def test_bf16_on_a_cpu_learns_and_saves_float32(pair_files: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    scratch = {"from_scratch": True, "tokenizer_type": "char", "learning_rate": 3e-3, "max_steps": 40, "bf16": True}
    t5.main(build(t5.Config, SMALL | pair_files | scratch | {"output_dir": str(tmp_path / "out")}))
    assert losses(tmp_path / "out")[-1] < losses(tmp_path / "out")[0] * 0.7
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {str(weight.dtype) for weight in weights.values()} == {"torch.float32"}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize("option", ["gradient_checkpointing", pytest.param("torch_compile", marks=pytest.mark.slow)])
def test_options_that_change_no_loss(pair_files: dict[str, str], tmp_path: Path, option: str) -> None:
    values = SMALL | pair_files | {"from_scratch": True, "tokenizer_type": "char", "max_steps": 2, "logging_steps": 1}
    found = []
    for name, change in (("plain", {}), ("changed", {option: True})):
        task = t5.prepare(build(t5.Config, values | change | {"output_dir": str(tmp_path / name)}))
        from hf_seq2seq.training.run import run

        for module in task.model.modules():
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = 0.0
            if type(module).__name__ == "Dropout":
                module.p = 0.0
        run(task)
        found.append(losses(tmp_path / name))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
