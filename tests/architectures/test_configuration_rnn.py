import json
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig

HIERARCHICAL = {"hierarchical_attention": True, "sentence_separator_token_id": 5}


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ({"attention": "monotone"}, ("attention='monotone'", "scaled_dot")),
        ({"cell": "qrnn"}, ("cell='qrnn'", "lstm, gru, rnn")),
        ({"hidden_size": 0}, ("hidden_size=0",)),
        ({"decoder_layers": -1}, ("decoder_layers=-1",)),
        ({"dropout": 1.0}, ("dropout=1.0",)),
        ({"hidden_size": 7}, ("hidden_size=7", "bidirectional=False")),
        ({"share_embeddings": True, "source_vocab_size": 5}, ("share_embeddings", "source_vocab_size=5")),
        ({"tie_word_embeddings": True, "embedding_size": 6}, ("tie_word_embeddings", "embedding_size=6")),
        ({"num_attention_heads": 4}, ("num_attention_heads=4", "general", "multi_head")),
        ({"num_attention_heads": 0}, ("num_attention_heads=0",)),
        ({"attention": "multi_head", "num_attention_heads": 3}, ("num_attention_heads=3", "hidden_size=256")),
        ({"attention": "location", "location_kernel": 4}, ("location_kernel=4", "5")),
        ({"attention": "location", "location_filters": 0}, ("location_filters=0",)),
        ({"attention": "monotonic", "monotonic_noise": -1}, ("monotonic_noise=-1",)),
        ({"attention": "none", "coverage": True}, ("coverage=True", "attention='none'")),
        ({"attention": "additive", "coverage": True, "coverage_loss_weight": -0.5}, ("coverage_loss_weight=-0.5",)),
        ({"attention": "monotonic", "local_attention": "predictive"}, ("local_attention='predictive'", "monotonic")),
        ({"attention": "none", "local_attention": "monotonic"}, ("local_attention='monotonic'", "attention='none'")),
        ({"local_attention": "both"}, ("local_attention='both'", "predictive")),
        ({"attention_window": 5}, ("attention_window=5", "local_attention")),
        ({"local_attention": "predictive", "attention_window": 0}, ("attention_window=0",)),
        ({"attention": "none", "decoder_style": "bahdanau"}, ("decoder_style='bahdanau'", "attention='none'")),
        ({"attention": "none", "input_feeding": True}, ("input_feeding=True", "attention='none'")),
        ({"decoder_style": "bahdanau", "input_feeding": True}, ("input_feeding=True", "bahdanau")),
        ({"input_feeding_context": True}, ("input_feeding_context=True", "input_feeding=True")),
        ({"encoder_output_dropout": 1}, ("encoder_output_dropout=1",)),
        ({"attention": "dot", "encoder_hidden_size": 8, "hidden_size": 8}, ("attention='dot'", "16", "general")),
        ({"attention": "none", "decoder_start": "zeros"}, ("decoder_start='zeros'", "bridge")),
        ({"recurrent_dropout": 1}, ("recurrent_dropout=1",)),
        ({"output_dropout": -0.1}, ("output_dropout=-0.1",)),
        ({"residual": True}, ("residual=True", "encoder_layers=1", "decoder_layers=1")),
        ({"context_pooling": "median"}, ("context_pooling='median'", "weighted")),
        ({"context_pooling": "max", "decoder_start": "zeros"}, ("context_pooling='max'", "decoder_start='bridge'")),
        ({"context_feeding": True}, ("context_feeding=True", "attention='general'")),
        ({"phrase_length": 0}, ("phrase_length=0",)),
        ({"phrase_length": 3, "phrase_separator_token_id": 4}, ("phrase_length=3", "phrase_separator_token_id=4")),
        ({"sentence_separator_token_id": 8000}, ("sentence_separator_token_id=8000", "7999")),
        ({"phrase_length": 3, "decoder_start": "zeros"}, ("decoder_start='zeros'", "hierarchical_attention=True")),
        ({"hierarchical_attention": True}, ("hierarchical_attention=True", "sentence_separator_token_id")),
        ({**HIERARCHICAL, "attention": "none"}, ("hierarchical_attention=True", "attention='none'")),
        ({**HIERARCHICAL, "local_attention": "monotonic"}, ("hierarchical_attention=True", "local_attention")),
        ({"decoder_start": "transfer", "encoder_layers": 2}, ("transfer", "encoder_layers=2", "decoder_layers=1")),
        ({"decoder_start": "transfer", "encoder_hidden_size": 8, "hidden_size": 8}, ("transfer", "hidden_size=8")),
    ],
)
def test_refuses_what_cannot_be_built(choices, names):
    with pytest.raises(ValueError) as refusal:
        RnnSeq2SeqConfig(**choices)
    for name in names:
        assert name in str(refusal.value)


def test_derived_sizes_are_written_out():
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=8, bos_token_id=5)
    assert (config.source_vocab_size, config.embedding_size, config.encoder_hidden_size) == (9, 8, 4)
    assert config.encoder_output_size == 8
    assert config.decoder_start_token_id == 5
    assert config.num_hidden_layers == 1
    assert config.attention_window is None
    assert RnnSeq2SeqConfig(local_attention="predictive").attention_window == 10


def test_survives_saving(tmp_path):
    config = RnnSeq2SeqConfig(vocab_size=9, source_vocab_size=5, cell="gru", dropout=0, encoder_hidden_size=12)
    config.save_pretrained(tmp_path)
    assert RnnSeq2SeqConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("given", "heads"), [({}, 4), ({"hidden_size": 30}, 2), ({"num_attention_heads": 1}, 1), ({"attention": "dot"}, 1)]
)
def test_multi_head_attention_has_several_heads(given: dict[str, Any], heads: int, tmp_path: Path) -> None:
    config = RnnSeq2SeqConfig(**{"attention": "multi_head", "hidden_size": 32} | given)
    assert config.num_attention_heads == heads
    config.save_pretrained(tmp_path)
    assert RnnSeq2SeqConfig.from_pretrained(tmp_path).num_attention_heads == heads
    saved = json.loads((tmp_path / "config.json").read_text())
    del saved["num_attention_heads"]  # as older files
    (tmp_path / "config.json").write_text(json.dumps(saved))
    assert RnnSeq2SeqConfig.from_pretrained(tmp_path).num_attention_heads == 1
