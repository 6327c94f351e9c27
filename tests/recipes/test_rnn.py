import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hf_seq2seq.configs import Decoding
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn
from hf_seq2seq.saved.loading import load_seq2seq
from hf_seq2seq.sections import build

SMALL = {
    "tokenizer_type": "char",
    "embedding_size": 24,
    "hidden_size": 48,
    "learning_rate": 1e-2,
    "max_tokens_per_batch": 400,
    "max_target_length": 10,
    "metrics": "exact_match,phoneme_error_rate",
}


def test_learns_and_leaves_a_whole_folder(pair_files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    values = SMALL | pair_files | {"output_dir": str(folder), "num_train_epochs": 12, "logging_steps": 20}
    values |= {"label_smoothing_factor": 0}
    rnn.main(build(rnn.Config, values))
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] / 3
    results = json.loads((folder / "all_results.json").read_text())
    assert results["eval_exact_match"] > 50
    assert losses[-1] < results["train_loss"] < losses[0]
    assert results["predict_samples"] == results["eval_samples"] == 20
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "README.md", "all_results.json", "train_results.json", "eval_results.json", "predict_results.json",
        "generated_predictions.txt", "trainer_state.json", "train_log.jsonl", "loss.png", "run.yaml",
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert not [name for name in names if "draft" in name or "writing" in name]
    assert len((folder / "generated_predictions.txt").read_text().splitlines()) == 20
    assert json.loads((folder / "generation_config.json").read_text())["max_new_tokens"] == 10


def test_the_resolved_configuration_runs_again_as_it_is(
    pair_files: dict[str, str], tmp_path: Path, transformers_processes: Any
) -> None:
    folder = tmp_path / "out"
    values = SMALL | pair_files | {"output_dir": str(folder), "max_steps": 5, "dropout": 0.3}
    rnn.main(build(rnn.Config, values))
    first = load_file(folder / "model.safetensors")
    written = yaml.safe_load((folder / "run.yaml").read_text())
    done = transformers_processes.run("train", "-c", str(folder / "run.yaml"), "--overwrite-output-dir")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((folder / "run.yaml").read_text()) == written | {"overwrite_output_dir": True}
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize(
    "choice",
    [
        {"cell": "gru", "attention": "additive", "decoder_style": "bahdanau"},
        {"attention": "dot", "input_feeding": True, "input_feeding_context": True, "coverage": True,
         "encoder_layers": 2, "decoder_layers": 2, "output_bias": True,
         "encoder_output_dropout": 0.1, "initializer_range": 0.5},
        {"attention": "none", "decoder_start": "transfer", "bidirectional": False},
        {"attention": "none", "context_feeding": True, "context_pooling": "mean", "cell": "gru"},
        {"attention": "location", "coverage": True, "local_attention": "predictive", "attention_window": 3},
        {"attention": "monotonic", "monotonic_noise": 0.5, "input_feeding": True},
        {"attention": "multi_head", "num_attention_heads": 4},
        {"hierarchical_attention": True, "sentence_separator": "a", "phrase_length": 2, "context_pooling": "max"},
        {"hierarchical_attention": True, "sentence_separator": "a", "document_separator": "b"},
        {"residual": True, "layer_norm": True, "encoder_layers": 2, "recurrent_dropout": 0.1, "output_dropout": 0.1},
        {"target_tokenizer_type": "word", "embedding_size": 48, "tie_word_embeddings": True},
    ],
)  # fmt: skip
def test_choices_train(pair_files: dict[str, str], tmp_path: Path, choice: dict[str, object]) -> None:
    values = SMALL | pair_files | {"output_dir": str(tmp_path / "out"), "max_steps": 12, "logging_steps": 4} | choice
    rnn.main(build(rnn.Config, values))
    lines = [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("separate", [False, True])
def test_a_pointer_copies_names_that_no_vocabulary_has(tmp_path: Path, separate: bool) -> None:
    names = [
        "".join(chr(97 + (number * k) % 26) for k in (3, 5, 7, 11)) + "x" * (number // 26) for number in range(260)
    ]
    frames = [("my name is {} now", "hello {} !"), ("call {} please", "calling {} .")]
    rows = [[text.format(name.title()) for text in frames[n % 2]] for n, name in enumerate(names)]
    for split, part in (("train", rows[:200]), ("validation", rows[200:])):
        lines = [json.dumps({"source": source, "target": target}) for source, target in part]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    values = {
        "train_file": str(tmp_path / "train.jsonl"), "validation_file": str(tmp_path / "validation.jsonl"),
        "output_dir": str(tmp_path / "out"), "tokenizer_type": "word", "min_frequency": 3, "lowercase": True,
        "separate_vocabularies": separate, "pointer_generator": True, "copy_vocab_size": 4, "attention": "additive",
        "embedding_size": 16, "hidden_size": 32, "learning_rate": 1e-2, "per_device_train_batch_size": 20,
        "num_train_epochs": 12, "metrics": "exact_match", "num_beams": 2,
    }  # fmt: skip
    rnn.main(build(rnn.Config, values))
    expected = [target.lower() for _, target in rows[200:]]
    written = (tmp_path / "out" / "generated_predictions.txt").read_text().splitlines()
    assert sum(a == b for a, b in zip(written, expected, strict=True)) > 50
    model, tokenizers, _ = load_seq2seq(str(tmp_path / "out"))
    generator = TextGenerator(model, tokenizers, Decoding(), max_new_tokens=9)
    assert generator(["call Quetzalcoatl please"]) == ["calling quetzalcoatl ."]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["source_to_target_ids"] is not None) == separate
    if separate:
        with pytest.raises(InputError, match="--source-normalization: copied words would be in that form"):
            rnn.prepare(build(rnn.Config, values | {"source_normalization": "nfd", "output_dir": str(tmp_path / "b")}))
