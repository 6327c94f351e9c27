"""What t5, bart and pegasus share: a size from scratch, then fine-tuning; other fields; language codes."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, BertConfig

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bart, pegasus, t5
from hf_seq2seq.sections import build
from hf_seq2seq.tasks.pretrained import _check_family

SMALL: dict[str, Any] = {
    "max_tokens_per_batch": 400, "max_target_length": 10, "metrics": "chrf", "logging_steps": 10, "num_beams": 1,
    "eval_steps": 40,
}  # fmt: skip


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("recipe", [bart, pegasus], ids=lambda recipe: recipe.__name__.split(".")[-1])
def test_from_scratch_then_fine_tuned(
    recipe: ModuleType, pair_files: dict[str, str], tmp_path: Path, plain_outputs: Callable[[Path, str], list[str]]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    values = SMALL | pair_files | {"label_smoothing_factor": 0.0}
    scratch = {"from_scratch": True, "tokenizer_type": "char", "learning_rate": 5e-3, "max_steps": 80}
    overrides = "d_model=64,dropout=0.0,encoder_layers=1,decoder_layers=1,encoder_ffn_dim=64,decoder_ffn_dim=64"
    recipe.main(build(recipe.Config, values | scratch | {"config_overrides": overrides, "output_dir": str(first)}))
    config = json.loads((first / "config.json").read_text())
    assert (config["d_model"], config["dropout"], config["encoder_layers"]) == (64, 0.0, 1)
    assert losses(first)[-1] < losses(first)[0] * 0.8
    tuning = {"model_name_or_path": str(first), "learning_rate": 1e-3, "max_steps": 10}
    recipe.main(build(recipe.Config, values | tuning | {"output_dir": str(second)}))
    assert losses(second)[0] < losses(first)[0] * 0.8  # it continues from the checkpoint
    written = (second / "generated_predictions.txt").read_text().splitlines()
    assert plain_outputs(second, pair_files["test_file"]) == written


def test_pegasus_starts_as_in_the_paper() -> None:
    config = build(pegasus.Config, {})
    assert (config.optimization.optim, config.optimization.gradient_checkpointing) == ("adafactor", True)


def test_positions_do_not_drown_the_tokens_of_pegasus(pair_files: dict[str, str]) -> None:
    model = pegasus.prepare(
        build(
            pegasus.Config, SMALL | pair_files | {"tokenizer_type": "bpe", "from_scratch": True, "model_size": "tiny"}
        )
    ).model
    tokens = torch.arange(4, 24)[None]
    encoder = model.get_encoder()
    seen = encoder.embed_tokens(tokens) * encoder.embed_scale
    assert seen.std() > 0.15  # sinusoids have 0.7; unscaled it is 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("d_mdel=64", "no 'd_mdel'; did you mean 'd_model'?"),
        ("d_model", "'d_model' is not NAME=VALUE"),
        ("d_model=66", "--config-overrides"),
    ],
)
@pytest.mark.parametrize("recipe", [bart, pegasus])
def test_wrong_fields_are_refused(recipe: ModuleType, pair_files: dict[str, str], changes: str, message: str) -> None:
    values = SMALL | pair_files | {"from_scratch": True, "tokenizer_type": "char", "config_overrides": changes}
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        recipe.prepare(build(recipe.Config, values))


@pytest.fixture
def mbart(tmp_path: Path) -> str:
    """A tiny mBART: its targets end with a language code, which starts the decoder."""
    from transformers import MBartConfig, MBartForConditionalGeneration, MBartTokenizer
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcde", *FAIRSEQ_LANGUAGE_CODES, "<mask>"]
    tokenizer = MBartTokenizer(vocab=[(piece, 0.0 if len(piece) > 1 else -2.0) for piece in pieces])
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = MBartConfig(vocab_size=len(tokenizer), d_model=32, max_position_embeddings=256, **sizes, **heads)
    MBartForConditionalGeneration(config).save_pretrained(tmp_path / "mbart")
    tokenizer.save_pretrained(tmp_path / "mbart")
    return str(tmp_path / "mbart")


def test_a_checkpoint_of_another_family_is_refused(mbart: str, pair_files: dict[str, str]) -> None:
    for recipe in (t5, pegasus):
        with pytest.raises(InputError, match="is a 'mbart' checkpoint"):
            recipe.prepare(build(recipe.Config, pair_files | {"model_name_or_path": mbart}))


def test_a_checkpoint_of_another_kind_names_the_recipe_that_takes_it(
    mbart: str, pair_files: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"is a 'mbart' checkpoint; t5 trains t5, mt5, umt5; `train bart` takes it$"):
        t5.prepare(build(t5.Config, pair_files | {"model_name_or_path": mbart}))
    config = RnnSeq2SeqConfig(
        vocab_size=9, auto_map={"AutoModelForSeq2SeqLM": "modeling_rnn.RnnForConditionalGeneration"}
    )
    message = "^own: is a 'rnn-seq2seq' checkpoint, which bert_classifier does not train; `train rnn` takes it$"
    with pytest.raises(InputError, match=message):
        _check_family("own", config, "bert_classifier", (), AutoModelForSequenceClassification)
    _check_family("own", config, "seq2seq", (), AutoModelForSeq2SeqLM)
    _check_family("bert", BertConfig(), "bert_classifier", (), AutoModelForSequenceClassification)


def test_language_codes_are_set(mbart: str, pair_files: dict[str, str], tmp_path: Path) -> None:
    values = SMALL | pair_files | {"model_name_or_path": mbart, "source_lang": "de", "target_lang": "en_XX"}
    values |= {"source_column": "source", "target_column": "target", "max_steps": 2, "output_dir": str(tmp_path / "o")}
    task = bart.prepare(build(bart.Config, values))
    tokenizer = task.tokenizers.target
    english, german = tokenizer.convert_tokens_to_ids(["en_XX", "de_DE"])
    assert task.splits["train"].source[0].tolist()[-2:] == [tokenizer.eos_token_id, german]
    assert task.splits["train"].target[0].tolist()[-2:] == [tokenizer.eos_token_id, english]
    assert task.model.generation_config.decoder_start_token_id == english
    bart.main(build(bart.Config, values))
    saved = json.loads((tmp_path / "o" / "generation_config.json").read_text())
    assert saved["decoder_start_token_id"] == english


@pytest.mark.parametrize(
    ("languages", "message"),
    [({}, "--source-lang: this checkpoint needs a language"), ({"source_lang": "xx"}, "'xx' is not a language")],
)
def test_wrong_languages_are_refused(
    mbart: str, pair_files: dict[str, str], languages: dict[str, str], message: str
) -> None:
    values = pair_files | {"model_name_or_path": mbart, "source_column": "source", "target_column": "target"}
    with pytest.raises(InputError, match=message):
        bart.prepare(build(bart.Config, values | languages))
