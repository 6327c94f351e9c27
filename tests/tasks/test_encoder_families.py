"""Every option of a classifier on every family of encoders: positions, dropout, frozen parts, adapters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertTokenizer

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bert_classifier
from hf_seq2seq.saved.heads import dropout_field, head_parts, output_layer
from hf_seq2seq.saved.loading import load_classifier
from hf_seq2seq.saved.pooling import pool
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.sections import build
from hf_seq2seq.tasks.labelled import head_changes
from hf_seq2seq.tasks.start_encoder import start_encoder

SIZES = {
    "vocab_size": 44, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "pad_token_id": 1, "max_position_embeddings": 20, "embedding_size": 32, "dim": 32, "hidden_dim": 32, "n_layers": 1,
    "n_heads": 2, "d_model": 32, "d_inner": 32, "n_layer": 1, "n_head": 2, "emb_dim": 32, "attention_window": [4],
    "intra_bottleneck_size": 32, "true_hidden_size": 32, "input_embedding_size": 32, "ffn_dim": 32,
    "word_embed_proj_dim": 32, "num_key_value_heads": 2, "head_dim": 16, "n_embd": 32,
}  # fmt: skip
RELATIVE = {"position_biased_input": False, "relative_attention": True}
FAMILIES: dict[str, tuple[int | None, dict[str, Any]]] = {
    **dict.fromkeys(("albert", "bert", "big_bird", "convbert", "distilbert", "electra", "ernie"), (20, {})),
    **dict.fromkeys(("flaubert", "fnet", "layoutlm", "megatron-bert", "mobilebert", "nystromformer"), (20, {})),
    **dict.fromkeys(("rembert", "roc_bert", "roformer", "squeezebert", "xlm", "yoso", "gpt2", "opt"), (20, {})),
    **dict.fromkeys(("camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm-roberta"), (18, {})),
    **dict.fromkeys(("xlm-roberta-xl", "ibert", "longformer", "mpnet"), (18, {})),
    **dict.fromkeys(("deberta", "deberta-v2"), (None, RELATIVE)),
    "xlnet": (None, {}),
    "transformer-encoder": (20, {"position_embedding_type": "learned"}),
}
"""The longest sequence of each family with 20 rows in its table of positions, and what its configuration needs."""
WITHOUT_LINEAR_QUERIES = ("fnet", "ibert", "squeezebert", "xlnet")
ROTARY = ("gte", "modernbert", "nomic_bert", "eurobert", "llama", "qwen2")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[str], str]:
    """Saves a tiny base model of a family, with random weights and a tokenizer."""

    def save(family: str) -> str:
        from hf_seq2seq.architectures import register

        register()
        usual = AutoConfig.for_model(family)
        sizes = {name: value for name, value in SIZES.items() if hasattr(usual, name)}
        if family == "xlnet":
            del sizes["max_position_embeddings"]  # which it says are -1
        config = AutoConfig.for_model(family, **sizes | FAMILIES.get(family, (None, {}))[1])
        folder = tmp_path / family
        AutoModel.from_config(config).save_pretrained(folder)
        words = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(35))]
        (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
        BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(folder)
        return str(folder)

    return save


def start(place: str, **options: Any) -> tuple[Any, list[str]]:
    config = build(bert_classifier.Config, {"model_name_or_path": place, "train_file": "none.csv"} | options)
    model, _, fresh = start_encoder(config, {}, [], **head_changes(config.model, ("a", "b", "c")))
    return model, fresh


def logits(model: nn.Module, length: int) -> torch.Tensor:
    ids = torch.arange(2 * length).reshape(2, length) % 34 + 5
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_sequence_is_what_the_model_can_read(family: str, checkpoint: Callable[[str], str]) -> None:
    model, _ = start(checkpoint(family))
    most = longest_sequence(model)
    assert most == FAMILIES[family][0]
    assert logits(model.eval(), most or 40).shape == (2, 3)
    if most:
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            logits(model, most + 1)


@pytest.mark.parametrize("family", [*FAMILIES, *ROTARY])
def test_the_dropout_of_the_head_has_an_effect(family: str, checkpoint: Callable[[str], str]) -> None:
    place = checkpoint(family)
    model, _ = start(place, classifier_dropout=0.6)
    assert getattr(model.config, dropout_field(family)) == 0.6
    model.eval()
    for name in head_parts(model) + [name for name, part in model.named_children() if part is not model.base_model]:
        model.get_submodule(name).train()
    assert not torch.equal(logits(model, 8), logits(model, 8))
    model, _ = start(place, classifier_dropout=0.0)
    model.eval()
    model.get_submodule(output_layer(model)).train()
    for name, part in model.named_children():
        if part is not model.base_model and name != "pooler":
            part.train()
    assert torch.equal(logits(model, 8), logits(model, 8))


@pytest.mark.parametrize("family", [*FAMILIES, *ROTARY])
def test_a_frozen_model_learns_all_that_is_random(family: str, checkpoint: Callable[[str], str]) -> None:
    model, fresh = start(checkpoint(family), freeze="all_but_head")
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    random = {name for name, _ in model.named_parameters() if name.startswith(tuple(f"{part}." for part in fresh))}
    assert random
    assert random <= trained
    assert len(trained) < len(list(model.parameters()))
    assert {f"{output_layer(model)}.weight"} <= trained


@pytest.mark.parametrize("family", [*FAMILIES, *ROTARY])
def test_a_frozen_encoder_leaves_the_head_to_learn(family: str, checkpoint: Callable[[str], str]) -> None:
    place = checkpoint(family)
    if family in ("gpt2", "opt", "llama", "qwen2"):
        with pytest.raises(ValueError, match=r"--freeze encoder: .* has no encoder"):
            start(place, freeze="encoder")
        return
    model, fresh = start(place, freeze="encoder")
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen
    assert not {name for name in frozen if name.startswith(tuple(f"{part}." for part in fresh))}


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("family", [*FAMILIES, *ROTARY])
def test_the_head_sees_what_is_asked_for(
    family: str, pooling: str, checkpoint: Callable[[str], str], tmp_path: Path
) -> None:
    """A saved model pools as it was trained; by transformers alone where that is the family's own way."""
    place = checkpoint(family)
    if pooling == "cls" and family in ("gpt2", "opt", "llama", "qwen2"):
        with pytest.raises(InputError, match=r"--pooling cls: .* reads left to right"):
            start(place, pooling=pooling)
        return
    model, _ = start(place, pooling=pooling)
    seen: list[torch.Tensor] = []
    model.base_model.register_forward_hook(lambda base, args, outputs: seen.append(outputs.last_hidden_state))
    ids = torch.arange(14).reshape(2, 7) + 6
    mask = torch.ones_like(ids)
    mask[1, 5:], ids[1, 5:] = 0, 1
    with torch.inference_mode():
        found = model.eval()(input_ids=ids, attention_mask=mask).logits
    model.save_pretrained(tmp_path / "saved")
    BertTokenizer.from_pretrained(place).save_pretrained(tmp_path / "saved")
    recorded = "pooling" in json.loads((tmp_path / "saved" / "config.json").read_text())
    alone = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    ours = load_classifier(str(tmp_path / "saved"))[0] if recorded else alone
    alone.base_model.register_forward_hook(lambda base, args, outputs: seen.append(outputs.last_hidden_state))
    with torch.inference_mode():
        again = ours(input_ids=ids, attention_mask=mask).logits
        theirs = alone(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(again, found)
    if recorded:
        assert not torch.allclose(theirs, found)
        torch.testing.assert_close(seen[0][:, 0], pool(seen[-1], mask, pooling))
        torch.testing.assert_close(seen[0][:, -1], pool(seen[-1], mask, pooling))


@pytest.mark.parametrize("family", [*FAMILIES, *ROTARY])
def test_an_adapter_finds_its_layers(family: str, checkpoint: Callable[[str], str]) -> None:
    place = checkpoint(family)
    if family in WITHOUT_LINEAR_QUERIES:
        with pytest.raises(InputError, match=f"no defaults for '{family}'; choose from "):
            start(place, lora_r=2)
        return
    model, _ = start(place, lora_r=2)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert any("lora_A" in name for name in trained)
    assert any(name.startswith(output_layer(model).split(".")[0]) for name in trained)


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "transformer-encoder"])
def test_the_texts_of_a_pair_are_numbered_where_the_model_asks(
    family: str, checkpoint: Callable[[str], str], tmp_path: Path
) -> None:
    place = checkpoint(family)
    rows = "".join(f"{i} {i + 1},{i + 2},{'ab'[i % 2]}\n" for i in range(4))
    (tmp_path / "rows.csv").write_text(f"sentence1,sentence2,label\n{rows}")
    options = {"model_name_or_path": place, "train_file": str(tmp_path / "rows.csv"), "max_source_length": 16}
    task = bert_classifier.prepare(build(bert_classifier.Config, options))
    batch = task.collate(task.splits["train"], np.arange(4))
    assert ("token_type_ids" in batch) == (family == "bert")
    assert task.objective(batch) > 0
    task.model.save_pretrained(tmp_path / "saved")
    task.tokenizers.source.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")("1", "2").keys() == batch.keys() - {"labels"}
