"""Hand-built models train on from what a run of theirs left."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn, transformer
from hf_seq2seq.sections import build
from hf_seq2seq.training.files import write_model

NARROW = {
    rnn: {"hidden_size": 16, "embedding_size": 8, "attention": "additive", "separate_vocabularies": True},
    transformer: {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "position_embedding_type": "rotary"},
}


@pytest.mark.parametrize("recipe", NARROW, ids=["rnn", "transformer"])
def test_weights_and_vocabularies_are_those_of_the_checkpoint(recipe: Any, tmp_path: Path) -> None:
    (tmp_path / "first.tsv").write_text("source\ttarget\nabc\tcba\nbca\tacb\n")
    (tmp_path / "other.tsv").write_text("source\ttarget\nxyz\tzyx\nab\tba\n")
    options = {"tokenizer_type": "char", "max_source_length": 8, "max_target_length": 8, "seed": 1}
    first = recipe.prepare(build(recipe.Config, options | NARROW[recipe] | {"train_file": str(tmp_path / "first.tsv")}))
    write_model(tmp_path / "model", first, first.model.state_dict())
    options |= {"train_file": str(tmp_path / "other.tsv"), "model_name_or_path": str(tmp_path / "model"), "seed": 2}
    with pytest.raises(InputError, match=r"--tokenizer-type: .*model has its tokenizer; leave it out"):
        recipe.prepare(build(recipe.Config, options | {"tokenizer_type": "word"}))
    second = recipe.prepare(build(recipe.Config, options))
    weights = second.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.model.state_dict().items())
    assert second.tokenizers.target.get_vocab() == first.tokenizers.target.get_vocab()
    assert (second.tokenizers.source is second.tokenizers.target) == (recipe is transformer)
    recipe.prepare(build(recipe.Config, options | NARROW[recipe]))  # the same said again
    other = recipe.prepare(build(recipe.Config, options | {"dropout": 0.3}))
    assert (other.model.config.dropout, other.config.model.dropout) == (0.3, 0.3)  # of further training
    for name, value in NARROW[recipe].items():
        if name != "separate_vocabularies":
            assert getattr(second.config.alignment if name == "attention" else second.config.model, name) == value
    width = "hidden_size" if recipe is rnn else "d_model"
    with pytest.raises(InputError, match=f"--{width.replace('_', '-')}: 256, but .* has 16"):  # which is its default
        recipe.prepare(resolve(recipe.Config, options | {width: 256}))
    with pytest.raises(InputError, match=r"--tokenizer-name: .* has its tokenizer"):
        recipe.prepare(build(recipe.Config, options | {"tokenizer_name": "x"}))
    (tmp_path / "again.yaml").write_text("num_attention_heads: null\n" if recipe is rnn else "attention_window: null\n")
    recipe.prepare(resolve(recipe.Config, options, str(tmp_path / "again.yaml")))  # a null leaves the option open
