import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    OPTConfig,
    OPTForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.architectures import register
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import gpt
from hf_seq2seq.saved.loading import load_seq2seq
from hf_seq2seq.sections import build

SMALL = {"max_tokens_per_batch": 400, "max_source_length": 12, "max_target_length": 12, "logging_steps": 10}
SCRATCH = {"from_scratch": True, "tokenizer_type": "char", "dropout": 0.0}
TINY = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 2}
TEXT = "the small dog sees a red cat under the big green tree and runs to the old house"


def train(folder: Path, values: dict[str, Any]) -> dict[str, float]:
    gpt.main(build(gpt.Config, values | {"output_dir": str(folder)}))
    return json.loads((folder / "all_results.json").read_text())


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def save(model: torch.nn.Module, folder: Path) -> str:
    """A tiny checkpoint with random weights and GPT-2's tokenizer, which has one special token."""
    vocabulary = {piece: number for number, piece in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    GPT2Tokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    sizes = {"vocab_size": 257, "n_layer": 2, "n_head": 2, "n_embd": 64, "n_positions": 24}
    ids = {"bos_token_id": 256, "eos_token_id": 256}
    return save(GPT2LMHeadModel(GPT2Config(**sizes, **ids, resid_pdrop=0.0, embd_pdrop=0.0)), tmp_path / "gpt2")


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text("".join(TEXT[start:] + "\n\n" for start in range(0, 48, 4)) * 3)
    return str(path)


def program_of_card(folder: Path) -> str:
    found = re.search(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_a_checkpoint_learns_targets_and_their_end(
    checkpoint: str, pair_files: dict[str, str], tmp_path: Path, fresh_process: Callable[[str], str]
) -> None:
    tuning = {"model_name_or_path": checkpoint, "learning_rate": 3e-3, "max_steps": 80, "eval_steps": 80}
    tuning["metrics"] = "chrf"
    train(tmp_path / "out", SMALL | pair_files | tuning)
    assert losses(tmp_path / "out")[-1] < losses(tmp_path / "out")[0] * 0.6
    program = f"""
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(tmp_path / "out")!r})
model = AutoModelForCausalLM.from_pretrained({str(tmp_path / "out")!r})
texts = [line.split("\\t")[0] for line in open({pair_files["test_file"]!r}).read().splitlines()[1:]]
inputs = tokenizer(texts, return_tensors="pt", padding=True)
found = model.generate(**inputs, do_sample=False)[:, inputs.input_ids.shape[1]:]
print(*tokenizer.batch_decode(found, skip_special_tokens=True), sep="\\n")
"""
    written = (tmp_path / "out" / "generated_predictions.txt").read_text().splitlines()
    assert fresh_process(program).splitlines() == written
    # The tokenizer pads by EOS, which is learned all the same: nothing is as long as it may be.
    assert max(map(len, written)) < 12
    assert len(set(written)) > 5
    assert fresh_process(program_of_card(tmp_path / "out")).splitlines()[-1] == str(written[:1])


def test_pairs_are_batched_by_the_length_of_both_sides(checkpoint: str, pair_files: dict[str, str]) -> None:
    task = gpt.prepare(build(gpt.Config, SMALL | pair_files | {"model_name_or_path": checkpoint}))
    rows = task.splits["train"]
    assert rows.lengths.shape == (300, 1)
    batch = task.collate(rows, torch.arange(3).numpy())
    for row in range(3):
        source, target = rows.source[row].tolist(), rows.target[row].tolist()
        length = len(source) + len(target) - 1
        assert batch["input_ids"][row, :length].tolist() == (source + target)[:-1]
        assert batch["labels"][row, :length].tolist() == [-100] * (len(source) - 1) + target
        assert target[-1] == 256
        assert batch["attention_mask"][row].sum() == length
        assert (batch["labels"][row, length:] == -100).all()


@pytest.mark.parametrize("architecture", ["gpt2", "transformer-decoder"])
def test_raw_text_and_then_pairs(
    architecture: str, text_file: str, pair_files: dict[str, str], tmp_path: Path, fresh_process: Callable[[str], str]
) -> None:
    texts = {"objective": "causal", "train_file": text_file, "validation_file": text_file, "block_size": 32}
    steps = {
        "max_steps": 40,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 8,
        "logging_steps": 10,
        "eval_steps": 20,
    }
    first = train(tmp_path / "first", texts | steps | SCRATCH | TINY | {"architecture": architecture})
    assert losses(tmp_path / "first")[-1] < losses(tmp_path / "first")[0] * 0.6
    assert first["eval_perplexity"] == pytest.approx(2.718281828 ** first["eval_loss"])
    # A character is a byte here, and each document has one token more, its end.
    documents = [line for line in Path(text_file).read_text().splitlines() if line]
    tokens = sum(len(line) + 1 for line in documents)
    bits = first["eval_loss"] / 0.693147181 * tokens / (tokens - len(documents))
    assert first["eval_bits_per_byte"] == pytest.approx(bits)
    assert not (tmp_path / "first" / "generated_predictions.txt").exists()
    assert fresh_process(program_of_card(tmp_path / "first")).startswith("['")
    tuning = {"model_name_or_path": str(tmp_path / "first"), "max_steps": 12, "learning_rate": 3e-3, "metrics": "chrf"}
    train(tmp_path / "second", SMALL | pair_files | tuning)
    assert losses(tmp_path / "second")[-1] < losses(tmp_path / "second")[0]
    assert len((tmp_path / "second" / "generated_predictions.txt").read_text().splitlines()) == 20


def test_accumulation_changes_no_step_of_raw_text(text_file: str, tmp_path: Path) -> None:
    texts = {"objective": "causal", "train_file": text_file, "block_size": 32, "max_steps": 4, "logging_steps": 1}
    found = []
    for name, rows, batches in (("one", 8, 1), ("four", 2, 4)):
        sizes = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": batches, "adam_epsilon": 1e-3}
        train(tmp_path / name, texts | SCRATCH | TINY | sizes)
        found.append(losses(tmp_path / name))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("adapter", [{"lora_r": 4}, {"ia3": True}])
def test_both_kinds_of_adapters_get_the_rate_of_adapters(
    checkpoint: str, pair_files: dict[str, str], adapter: dict[str, Any]
) -> None:
    config = gpt.prepare(build(gpt.Config, pair_files | {"model_name_or_path": checkpoint} | adapter)).config
    reasons = {choice.name: choice.reason for choice in config.derived}
    assert reasons["learning_rate"] == "a pretrained adapter of width 64"


@pytest.mark.parametrize("kind", ["gpt2", "llama", "transformer-decoder"])
def test_a_merged_adapter_is_a_plain_decoder(kind: str, pair_files: dict[str, str], tmp_path: Path) -> None:
    register()
    sizes = {
        "vocab_size": 257,
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "eos_token_id": 256,
    }
    sizes |= {"bos_token_id": 256, "pad_token_id": 256, "max_position_embeddings": 24, "intermediate_size": 64}
    path = save(AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)), tmp_path / "base")
    tuning = {"model_name_or_path": path, "lora_r": 4, "learning_rate": 3e-2, "max_steps": 8, "metrics": "chrf"}
    tuning["logging_steps"] = 2
    for name, merge in (("apart", False), ("merged", True)):
        train(tmp_path / name, SMALL | pair_files | tuning | {"merge_adapter": merge})
    assert losses(tmp_path / "apart")[-1] < losses(tmp_path / "apart")[0]
    saved = load_file(tmp_path / "apart" / "adapter_model.safetensors")
    assert all("lora_" in name for name in saved)
    assert len(saved) == (2 if kind == "gpt2" else 4)  # GPT-2 has one layer for queries, keys and values
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    ids = torch.tensor([[256, 65, 66, 10]])
    apart, merged = (load_seq2seq(str(tmp_path / name))[0](input_ids=ids).logits for name in ("apart", "merged"))
    torch.testing.assert_close(apart, merged, rtol=1e-4, atol=1e-5)
    plain = AutoModelForCausalLM.from_pretrained(path).eval()(input_ids=ids).logits
    assert not torch.allclose(plain, merged, atol=1e-3)


@pytest.mark.parametrize("architecture", ["gpt2", "transformer-decoder"])
def test_a_new_decoder_drops_no_attention_weights(architecture: str, pair_files: dict[str, str]) -> None:
    fields = pair_files | SCRATCH | {"architecture": architecture, "dropout": 0.25}
    model = gpt.prepare(build(gpt.Config, SMALL | fields)).model
    rates = {name: value for name, value in model.config.to_dict().items() if "drop" in name or "pdrop" in name}
    assert rates.pop("attn_pdrop" if architecture == "gpt2" else "attention_dropout") == 0
    assert 0.25 in rates.values()


def test_fields_of_the_configuration_are_overridden(checkpoint: str, pair_files: dict[str, str]) -> None:
    pairs = SMALL | pair_files
    fields = {"config_overrides": "n_embd=32,n_head=2,activation_function=relu"}
    model = gpt.prepare(build(gpt.Config, pairs | SCRATCH | fields)).model
    assert (model.config.hidden_size, model.config.activation_function) == (32, "relu")
    assert model.transformer.wte.weight.shape[1] == 32
    fields = {"model_name_or_path": checkpoint, "config_overrides": "attn_pdrop=0.25"}
    assert gpt.prepare(build(gpt.Config, pairs | fields)).model.transformer.h[0].attn.attn_dropout.p == 0.25
    refused(pairs | SCRATCH | {"config_overrides": "n_lyer=1"}, "gpt2 has no 'n_lyer'; did you mean 'n_layer'")
    refused(pairs | fields | {"config_overrides": "n_lyer=1"}, "gpt2 has no 'n_lyer'; did you mean 'n_layer'")


@pytest.mark.parametrize(
    ("part", "fixed"), [("embeddings", ("wte.", "wpe.")), ("all_but_head", ("h.0.", "h.1.", "wpe."))]
)
def test_frozen_parts_of_a_decoder_stay(
    checkpoint: str, pair_files: dict[str, str], tmp_path: Path, part: str, fixed: tuple[str, ...]
) -> None:
    tuning = {"model_name_or_path": checkpoint, "max_steps": 2, "metrics": "chrf", "freeze": part}
    train(tmp_path / "out", SMALL | pair_files | tuning)
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (checkpoint, tmp_path / "out"))
    moved = {name.removeprefix("transformer.") for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not [name for name in moved if name.startswith(fixed)]


def refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        gpt.prepare(build(gpt.Config, values))
    assert "\n" not in str(caught.value)


def test_bad_input_is_refused(checkpoint: str, pair_files: dict[str, str], text_file: str, tmp_path: Path) -> None:
    pairs = SMALL | pair_files
    texts = {"objective": "causal", "train_file": text_file}
    start = {"model_name_or_path": checkpoint}
    refused(pairs, "either --model-name-or-path or --from-scratch")
    refused(pairs | {"from_scratch": True, "separate_vocabularies": True}, "gpt has one vocabulary")
    refused(pairs | start | {"max_target_length": 13}, "they share one sequence; the model has 24 positions")
    refused(pairs | start | {"freeze": "encoder"}, "--freeze encoder: a 'gpt2' model has no encoder")
    targets = {"lora_r": 2, "lora_target_modules": "q_proj"}
    refused(pairs | start | targets, "no linear layer is named 'q_proj'; choose from c_attn, c_fc, c_proj, lm_head")
    variant = {"lora_r": 2, "lora_variant": "pissa"}
    refused(pairs | start | variant, "--lora-variant pissa: .* those of a 'gpt2' model are transposed")
    refused(pairs | SCRATCH | {"lora_r": 2}, "--lora-r: freezes weights, which are random")
    refused(pairs | start | {"merge_adapter": True}, "--merge-adapter: there is no adapter; also give --lora-r")
    refused(texts | start | {"block_size": 25}, "--block-size: 25 is too large; the model has 24 positions")
    refused(texts | start | {"metrics": "rouge"}, "--metrics compare texts; --objective causal reports loss")
    refused(pairs | {"train_file": text_file} | start, "plain text has no targets")
    refused(texts | start | {"text_column": "body"}, r"no column 'body' \(--source-column\); its columns are text")
    refused({"objective": "causal", "validation_file": text_file} | start, "no training rows")
    heads = SCRATCH | {"hidden_size": 30, "num_attention_heads": 4}
    refused(pairs | heads, "must be divisible by num_heads")
    refused(pairs | heads | {"architecture": "transformer-decoder"}, "d_model=30 cannot be cut into")
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=257, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    refused(pairs | {"model_name_or_path": save(t5, tmp_path / "t5")}, "is a 't5' checkpoint; gpt trains gpt2, ")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 16}
    opt = OPTForCausalLM(OPTConfig(vocab_size=257, max_position_embeddings=64, word_embed_proj_dim=16, **sizes))
    path = {"model_name_or_path": save(opt, tmp_path / "opt")}
    refused(texts | path | {"block_size": 16}, "an? 'opt' model lets packed documents attend to each other")
    gpt.prepare(build(gpt.Config, pairs | path))


@pytest.mark.parametrize("one_document", [False, True])
def test_a_whole_file_may_be_one_document(text_file: str, one_document: bool) -> None:
    texts = {"objective": "causal", "train_file": text_file, "validation_split_percentage": 10, "block_size": 32}
    task = gpt.prepare(build(gpt.Config, texts | SCRATCH | {"one_document": one_document, "num_hidden_layers": 1}))
    assert (len(task.splits["train"].texts) == 1) == one_document
    assert (task.model.config.num_hidden_layers, task.model.config.hidden_size) == (1, 128)
    assert task.config.tokens.max_source_length + task.config.tokens.max_target_length <= 32
