"""Adapters and frozen parts: what moves, what is saved, what loads again, and resuming to the same bits."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
)

from hf_seq2seq.architectures import register
from hf_seq2seq.cli.root import app
from hf_seq2seq.configs import Adaptation
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bert_classifier, t5
from hf_seq2seq.saved.adapters import merge_adapter
from hf_seq2seq.saved.loading import load_classifier, load_seq2seq
from hf_seq2seq.sections import build
from hf_seq2seq.training.adaptation import adapt

VALUES: dict[str, Any] = {
    "max_target_length": 8, "metrics": "exact_match", "max_steps": 6, "eval_steps": 3, "learning_rate": 1e-2,
    "max_tokens_per_batch": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rows")
    words = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
    for name, part in (("train", words[:50]), ("validation", words[50:])):
        lines = "".join(f"{word}\t{word[::-1]}\n" for word in part)
        (folder / f"{name}.tsv").write_text("source\ttarget\n" + lines)
    return {f"{name}_file": str(folder / f"{name}.tsv") for name in ("train", "validation")}


@pytest.fixture(scope="module")
def base(rows: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A T5 with a tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    scratch = {"from_scratch": True, "tokenizer_type": "char", "config_overrides": "d_model=32,num_layers=1"}
    t5.main(build(t5.Config, VALUES | rows | scratch | {"output_dir": str(folder)}))
    return str(folder)


def config(base: str, rows: dict[str, str], folder: Path, **changes: Any) -> t5.Config:
    return build(t5.Config, VALUES | rows | {"model_name_or_path": base, "output_dir": str(folder)} | changes)


@pytest.mark.parametrize("bf16", [False, True])
def test_an_adapter_alone_moves_and_is_saved(base: str, rows: dict[str, str], tmp_path: Path, bf16: bool) -> None:
    folder = tmp_path / "out"
    t5.main(config(base, rows, folder, lora_r=4, bf16=bf16))
    saved = load_file(folder / "adapter_model.safetensors")
    assert saved
    assert all("lora_" in name for name in saved)
    assert not (folder / "model.safetensors").exists()
    assert any(float(value.abs().max()) > 0 for name, value in saved.items() if "lora_B" in name)
    # transformers' own loading, and this project's, give the same model
    theirs = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ours, _, _ = load_seq2seq(str(folder))
    batch = {"input_ids": torch.tensor([[5, 6, 7, 1]]), "decoder_input_ids": torch.tensor([[0, 7, 6]])}
    torch.testing.assert_close(theirs(**batch).logits, ours(**batch).logits)
    plain = AutoModelForSeq2SeqLM.from_pretrained(base).eval()
    assert not torch.allclose(plain(**batch).logits, ours(**batch).logits, atol=1e-4)
    own = {name.replace(".base_layer", ""): value for name, value in ours.state_dict().items() if "lora_" not in name}
    assert all(torch.equal(value, own[name]) for name, value in plain.state_dict().items())


def test_weights_of_an_adapter_without_a_place_are_told(
    base: str, rows: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    t5.main(config(base, rows, tmp_path / "out", lora_r=4))
    load_seq2seq(str(tmp_path / "out"))
    assert "are not used" not in caplog.text
    file = tmp_path / "out/adapter_model.safetensors"
    saved = load_file(file)
    name = next(name for name in saved if "block.0" in name)
    save_file(saved | {name.replace("block.0", "block.7"): saved[name].clone()}, file)
    load_seq2seq(str(tmp_path / "out"))
    assert "out: 1 of its weights are not used, such as " in caplog.text
    torch.save(saved, tmp_path / "out/adapter_model.bin")
    file.unlink()
    with pytest.raises(InputError, match=r"contains no adapter_model.safetensors, but adapter_model.bin, which is not"):
        load_seq2seq(str(tmp_path / "out"))


FORMS: dict[str, dict[str, Any]] = {
    **{name: {"lora_r": 4, "lora_variant": name} for name in ("lora", "dora", "rslora", "pissa", "olora")},
    "ia3": {"ia3": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_merged_adapter_is_a_plain_model(form: str, base: str, rows: dict[str, str], tmp_path: Path) -> None:
    for name, merge in (("apart", False), ("merged", True)):
        t5.main(config(base, rows, tmp_path / name, merge_adapter=merge, **FORMS[form]))
    assert (tmp_path / "merged" / "model.safetensors").exists()
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    batch = {"input_ids": torch.tensor([[5, 6, 7, 1]]), "decoder_input_ids": torch.tensor([[0, 7, 6]])}
    apart, merged = (AutoModelForSeq2SeqLM.from_pretrained(tmp_path / n).eval() for n in ("apart", "merged"))
    assert type(merged.decoder.block[0].layer[0].SelfAttention.q) is torch.nn.Linear
    torch.testing.assert_close(apart(**batch).logits, merged(**batch).logits, rtol=1e-4, atol=1e-5)
    ours, plain = load_seq2seq(str(tmp_path / "apart"))[0], AutoModelForSeq2SeqLM.from_pretrained(base).eval()
    torch.testing.assert_close(ours(**batch).logits, merged(**batch).logits, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain(**batch).logits, merged(**batch).logits, atol=1e-4)
    with pytest.raises(InputError, match=r"apart: contains only an adapter, on .*; `hf-seq2seq export .* merges it"):
        t5.prepare(config(str(tmp_path / "apart"), rows, tmp_path / "more", lora_r=2))
    further = t5.prepare(config(str(tmp_path / "apart"), rows, tmp_path / "more")).model
    assert all(parameter.requires_grad for parameter in further.parameters())
    torch.testing.assert_close(further.eval()(**batch).logits, merged(**batch).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["lora", "dora", "pissa", "ia3"])
def test_a_resumed_adapter_ends_with_the_same_bits(form: str, base: str, rows: dict[str, str], tmp_path: Path) -> None:
    more = FORMS[form] | ({} if form == "ia3" else {"lora_dropout": 0.1})
    t5.main(config(base, rows, tmp_path / "whole", **more))
    whole = load_file(tmp_path / "whole" / "checkpoint-6" / "adapter_model.safetensors")
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "again" / "checkpoint-3")
    shutil.copy(tmp_path / "whole" / "train_log.jsonl", tmp_path / "again")
    t5.main(config(base, rows, tmp_path / "again", resume_from_checkpoint="last", **more))
    again = load_file(tmp_path / "again" / "checkpoint-6" / "adapter_model.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize(("part", "fixed"), [("embeddings", "shared"), ("encoder", "encoder."), ("all_but_head", "")])
def test_frozen_parts_stay(base: str, rows: dict[str, str], tmp_path: Path, part: str, fixed: str) -> None:
    before = load_file(Path(base) / "model.safetensors")
    untied = {"config_overrides": "tie_word_embeddings=false"} if part == "all_but_head" else {}
    t5.main(config(base, rows, tmp_path, freeze=part, **untied))
    after = load_file(tmp_path / "model.safetensors")
    moved = {name for name in before if name in after and not torch.equal(before[name], after[name])}
    assert not any(name.startswith(fixed) for name in moved if name != "lm_head.weight" and name != "shared.weight")
    assert moved or part == "all_but_head"


def classifier(folder: Path, kind: type[Any] = BertModel, **changes: Any) -> tuple[Path, str]:
    """Trains an adapter of a small BERT, and names its folder and its test file."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    kind(BertConfig(vocab_size=len(words), **sizes, **changes)).save_pretrained(folder / "bert")
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(folder / "bert")
    rows = [("good film", "pos"), ("bad film", "neg"), ("film", "none")] * 8
    (folder / "rows.tsv").write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for text, label in rows))
    values = {
        "model_name_or_path": str(folder / "bert"), "output_dir": str(folder / "out"), "lora_r": 2,
        "train_file": str(folder / "rows.tsv"), "validation_file": str(folder / "rows.tsv"),
        "learning_rate": 5e-2, "max_steps": 80, "eval_steps": 40, "per_device_train_batch_size": 12,
    }  # fmt: skip
    bert_classifier.main(build(bert_classifier.Config, values))
    assert json.loads((folder / "out" / "all_results.json").read_text())["eval_accuracy"] == 100
    return folder / "out", str(folder / "rows.tsv")


BASES: dict[str, tuple[type[Any], dict[str, Any], set[str]]] = {
    "no head": (BertModel, {}, set()),
    "a head for other labels": (BertForSequenceClassification, {"num_labels": 5}, set()),
    "no pooler": (BertForMaskedLM, {}, {"pooler"}),
}


@pytest.mark.parametrize("name", BASES)
def test_a_classifier_keeps_its_head_with_the_adapter(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], transformers_processes: Any
) -> None:
    kind, changes, more = BASES[name]
    folder, rows = classifier(tmp_path, kind, **changes)
    saved = load_file(folder / "adapter_model.safetensors")
    whole = {key.split(".")[-2 if more else 2] for key in saved if "lora" not in key}
    assert whole == {"classifier"} | ({"dense"} if more else set())
    app(["evaluate", str(folder), "--test-file", rows, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["accuracy"] == 100
    if name == "no head":
        return
    # What the card says: transformers alone, and PEFT alone, in a process of their own.
    card = (folder / "README.md").read_text()
    program = card.split("```python\n")[1].split("```")[0]
    peft = card.split("PEFT loads it, too: `")[1].split("`")[0]
    program += f"""
from peft import AutoPeftModelForSequenceClassification
rows = tokenizer(["good film", "bad film", "film"], return_tensors="pt", padding=True)
print([[[model.config.id2label[i] for i in model(**rows).logits.argmax(-1).tolist()]]])
model = {peft}.eval()
print(model(**rows).logits.argmax(-1).tolist())
"""
    done = transformers_processes.run(program=program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[[['pos', 'neg', 'none']]]", "[2, 0, 1]"]


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    folder, _ = classifier(tmp_path)
    BertModel(BertConfig(vocab_size=9, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        tmp_path / "bert"
    )
    with pytest.raises(InputError, match=r"out: contains an adapter of another model than .*bert: the sizes of bert\."):
        load_classifier(str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"lora_r": 2, "lora_target_modules": "qq"},
            "no linear layer is named 'qq'; choose from k, lm_head, o, q, v, wi, wo",
        ),
        ({"lora_r": 2, "lora_target_modules": "lm_head"}, "'lm_head' is tied to the embeddings"),
        ({"merge_adapter": True}, "--merge-adapter: there is no adapter"),
        ({"lora_variant": "dora"}, "--lora-variant: there is no low-rank adapter; also give --lora-r"),
        ({"ia3": True, "lora_r": 2}, "--ia3 and --lora-r are two adapters"),
        ({"ia3": True, "from_scratch": True, "model_name_or_path": None}, "--ia3: freezes weights"),
        (
            {"lora_r": 2, "lora_variant": "pissa", "load_in_4bit": True},
            "--lora-variant pissa: .* leave out --load-in-4",
        ),
        ({"lora_r": 2, "from_scratch": True, "model_name_or_path": None}, "--lora-r: freezes weights"),
        ({"freeze": "encoder", "from_scratch": True, "model_name_or_path": None}, "--freeze: freezes weights"),
    ],
)
def test_what_cannot_be_adapted_is_refused(
    base: str, rows: dict[str, str], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        t5.prepare(config(base, rows, tmp_path, **changes))


@pytest.mark.parametrize("kind", ["bart", "mbart", "pegasus", "marian", "transformer-seq2seq"])
@pytest.mark.parametrize("form", ["ia3", "dora", "pissa"])
def test_an_adapter_of_any_family_starts_as_the_model_and_merges(kind: str, form: str) -> None:
    register()
    sides = {"layers": 1, "attention_heads": 2, "ffn_dim": 16}
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()}
    settings = AutoConfig.for_model(kind, vocab_size=40, d_model=16, pad_token_id=0, decoder_start_token_id=0, **sizes)
    model = AutoModelForSeq2SeqLM.from_config(settings).eval()
    batch = {"input_ids": torch.tensor([[5, 6, 7]]), "decoder_input_ids": torch.tensor([[1, 2]])}
    with torch.no_grad():
        plain = model(**batch).logits
        adapt(model, Adaptation(**FORMS[form]))
        torch.testing.assert_close(model.eval()(**batch).logits, plain)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        moved = model(**batch).logits
        assert not torch.allclose(moved, plain, atol=1e-4)
        merge_adapter(model)
        torch.testing.assert_close(model(**batch).logits, moved)
