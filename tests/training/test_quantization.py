"""Adapters on weights in four bits: every family learns, an evaluation changes nothing, what is saved loads again."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.cli.recipe_files import load
from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.special_tokens import BERT, GPT, SEQ2SEQ
from hf_seq2seq.data.vocabulary import train_tokenizers
from hf_seq2seq.decoding import quantization
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import t5
from hf_seq2seq.sections import both_sides, build

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
WORDS = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
SIDES = both_sides(layers=1, attention_heads=2, ffn_dim=64)
LAYERS = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 64}
MORE = {"bert_classifier": {"max_steps": 40, "learning_rate": 1e-2}}


def new_model(family: str, size: int, ids: dict[str, int]) -> PreTrainedModel:
    sizes = {"vocab_size": size, **ids}
    start = {"decoder_start_token_id": ids["pad_token_id"]}
    narrow = {"d_model": 64, "max_position_embeddings": 64}
    makers: dict[str, Any] = {
        "t5": lambda: T5ForConditionalGeneration(
            T5Config(d_model=64, d_kv=32, d_ff=64, num_layers=1, num_heads=2, dropout_rate=0.0, **sizes, **start)
        ),
        "bart": lambda: BartForConditionalGeneration(BartConfig(dropout=0.0, **narrow, **SIDES, **sizes, **start)),
        "pegasus": lambda: PegasusForConditionalGeneration(
            PegasusConfig(dropout=0.0, **narrow, **SIDES, **sizes, **start)
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **LAYERS, **sizes)
        ),
        "llama": lambda: LlamaForCausalLM(
            LlamaConfig(intermediate_size=64, max_position_embeddings=64, **LAYERS, **sizes)
        ),
        "bert_classifier": lambda: BertModel(BertConfig(intermediate_size=64, vocab_size=size, **LAYERS)),
    }
    return makers[family]()


def checkpoint(family: str, folder: Path) -> str:
    """A tiny model with random weights and a tokenizer of characters."""
    specials = {"gpt2": GPT, "llama": GPT, "bert_classifier": BERT}.get(family, SEQ2SEQ)
    tokenizer = train_tokenizers(WORDS, [], NewTokenizer(tokenizer_type="char"), specials=specials).source
    roles = ("pad", "eos", "bos")
    ids = {f"{role}_token_id": value for role in roles if (value := getattr(tokenizer, f"{role}_token_id")) is not None}
    torch.manual_seed(0)
    new_model(family, len(tokenizer), ids).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def values(family: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Reversed words to learn, or the letter that a word begins with."""
    label = family == "bert_classifier"
    lines = [f"{word}\t{word[0] if label else word[::-1]}\n" for word in WORDS]
    for name, part in (("train", lines), ("test", lines[:8])):
        (folder / f"{name}.tsv").write_text(("text\tlabel\n" if label else "source\ttarget\n") + "".join(part))
    files = {f"{name}_file": str(folder / f"{name}.tsv") for name in ("train", "test")}
    limits = {} if label else {"max_target_length": 8, "metrics": "chrf"}
    steps = {"max_steps": 12, "learning_rate": 3e-2, "logging_steps": 2, "per_device_train_batch_size": 16}
    adapter = {"lora_r": 4, "load_in_4bit": True, "max_source_length": 16}
    return files | limits | steps | adapter | {"output_dir": str(folder / "out")} | changes


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@needs_bitsandbytes
@pytest.mark.parametrize("family", ["t5", "bart", "pegasus", "gpt2", "llama", "bert_classifier"])
def test_a_family_learns_and_loads_again(family: str, tmp_path: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    recipe = load("gpt" if family in ("gpt2", "llama") else family)
    start = checkpoint(family, tmp_path / "base")
    config = build(recipe.Config, values(family, tmp_path, model_name_or_path=start, **MORE.get(family, {})))
    task = recipe.prepare(config)
    assert any(isinstance(module, Linear4bit) for module in task.model.modules())
    assert {p.dtype for p in task.model.parameters() if p.requires_grad} == {torch.float32}
    recipe.main(config)
    folder = tmp_path / "out"
    assert losses(folder)[-1] < losses(folder)[0] * 0.95
    assert not (folder / "model.safetensors").exists()
    if family in ("bart", "pegasus", "llama"):
        return  # they load as the others do
    command = ["classify" if family == "bert_classifier" else "generate", str(folder)]
    texts = [*command, "--input-file", str(tmp_path / "test.tsv")]
    done = subprocess.run([sys.executable, "-m", "hf_seq2seq", *texts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if family == "bert_classifier":
        rows = [json.loads(line)["prediction"] for line in (folder / "predictions.jsonl").read_text().splitlines()]
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == rows
    else:
        assert done.stdout == (folder / "generated_predictions.txt").read_text()


@needs_bitsandbytes
def test_an_evaluation_changes_no_step(tmp_path: Path) -> None:
    start = checkpoint("t5", tmp_path / "base")
    found = []
    for name, every in (("often", 1), ("once", 12)):
        changes = {"output_dir": str(tmp_path / name), "eval_steps": every, "logging_steps": 1}
        more = {"model_name_or_path": start, "validation_file": str(tmp_path / "test.tsv")}
        t5.main(build(t5.Config, values("t5", tmp_path, **changes, **more)))
        found.append(losses(tmp_path / name))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora_r": None}, "--load-in-4bit: there is no adapter; give --lora-r, too"),
        ({"merge_adapter": True}, "--merge-adapter: 4-bit weights cannot take an adapter in"),
        ({"bf16": True, "use_cpu": True}, "--bf16 with --load-in-4bit needs a GPU"),
        ({}, "--load-in-4bit: bitsandbytes is not installed; pip install 'hf-seq2seq\\[quantization\\]'"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=message):
        t5.prepare(build(t5.Config, values("t5", tmp_path, model_name_or_path="absent", **changes)))
