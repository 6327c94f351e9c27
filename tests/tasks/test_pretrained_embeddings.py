"""Word vectors as the start of a new model's embeddings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf_seq2seq.data.word_vectors import write_vectors
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn, transformer
from hf_seq2seq.sections import build

WORDS = ["dog", "cat", "Runs", "hund"]
SMALL = {"embedding_size": 8, "hidden_size": 8}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "train.csv").write_text("source,target\n" + "the dog runs,der hund\nthe cat runs,die katze\n" * 4)
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    write_vectors(tmp_path / "v.txt", WORDS, vectors * 7)
    return {
        "train_file": str(tmp_path / "train.csv"),
        "output_dir": str(tmp_path / "out"),
        "tokenizer_type": "word",
        "pretrained_embeddings": str(tmp_path / "v.txt"),
    }


@pytest.mark.parametrize("separate", [False, True])
def test_known_words_have_their_directions(
    data: dict[str, Any], separate: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    config = build(rnn.Config, data | SMALL | {"separate_vocabularies": separate})
    task = rnn.prepare(config)
    vectors = dict(zip(WORDS, np.random.default_rng(0).normal(size=(4, 8)), strict=True))
    weights = task.model.model.encoder.embed_tokens.weight.detach()
    ids = task.tokenizers.source.get_vocab()
    for word in ("dog", "cat"):
        assert torch.cosine_similarity(weights[ids[word]], torch.tensor(vectors[word]), dim=0) == pytest.approx(1)
    assert weights[ids["dog"]].norm() < 3 * weights[ids["the"]].norm() + 1  # at the scale of the others
    told = capsys.readouterr().err
    assert ("source: 2 of" if separate else "vocabulary: 3 of") in told
    assert ("target: 1 of" in told) == separate


def test_the_transformer_takes_them_too(data: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"d_model": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = build(transformer.Config, data | sizes)
    transformer.prepare(config)
    assert "vocabulary: 3 of" in capsys.readouterr().err


def test_the_model_is_as_wide_as_the_vectors_where_no_flag_says_otherwise(data: dict[str, Any]) -> None:
    config = rnn.prepare(build(rnn.Config, data)).config
    assert (config.model.embedding_size, config.model.hidden_size) == (8, 256)
    model = transformer.prepare(build(transformer.Config, data)).config.model
    assert (model.d_model, model.encoder_attention_heads, model.decoder_attention_heads) == (8, 4, 4)
    write_vectors(Path(data["pretrained_embeddings"]), WORDS, np.ones((4, 6), dtype=np.float32))
    assert transformer.prepare(build(transformer.Config, data)).config.model.encoder_attention_heads == 3
    write_vectors(Path(data["pretrained_embeddings"]), WORDS, np.ones((4, 5), dtype=np.float32))
    model = transformer.prepare(build(transformer.Config, data)).config.model
    assert (model.d_model, model.encoder_attention_heads, model.position_embedding_type) == (5, 1, "learned")
    Path(data["pretrained_embeddings"]).write_text("dog 1 2 3 4\ncat 4 3 2 1\n")  # GloVe has no line of sizes
    assert rnn.prepare(build(rnn.Config, data)).config.model.embedding_size == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"embedding_size": 16}, r"v\.txt: vectors of 8 numbers, embeddings of 16; give the model embeddings of 8"),
        ({"tokenizer_type": "char"}, r"no piece of the vocabulary is among its words; --tokenizer-type word"),
        ({"model_name_or_path": "outputs/x"}, "a checkpoint has embeddings already"),
    ],
)
def test_refuses(data: dict[str, Any], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rnn.prepare(build(rnn.Config, data | SMALL | changed))
