"""Decoders without an encoder: left padding, the prompt left out, and what a saved one is loaded as."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from hf_seq2seq.architectures import register
from hf_seq2seq.configs import Decoding, NewTokenizer
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.prompts import wrap_texts
from hf_seq2seq.data.tokenizers.special_tokens import GPT
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.decoding.generation import generate_texts
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.loading import load_classifier, load_seq2seq

IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3}
GPT2 = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64}
LLAMA = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LLAMA |= {"max_position_embeddings": 64}
NEO = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}
NEO |= {"max_position_embeddings": 64, "window_size": 8}
OPT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 64}
OPT |= {"max_position_embeddings": 64, "word_embed_proj_dim": 32}
OWN = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64}
FAMILIES: dict[str, tuple[dict[str, Any], float]] = {
    "gpt2": (GPT2, 10),
    "gpt_neo": (NEO, 10),
    "opt": (OPT, 10),
    # Tied, its embeddings, which are normalised, would repeat the last token.
    "bloom": ({"hidden_size": 32, "n_layer": 2, "n_head": 2, "tie_word_embeddings": False}, 10),
    "llama": (LLAMA | {"num_key_value_heads": 1}, 10),
    "qwen2": (LLAMA | {"num_key_value_heads": 1}, 10),
    "transformer-decoder": (OWN, 3),
}


@pytest.fixture(scope="module")
def decoder_tokenizers(texts: list[str]) -> Tokenizers:
    tokenizers = train_tokenizers(texts, [], NewTokenizer(tokenizer_type="word"), specials=GPT)
    wrap_texts(tokenizers.source, "\n")
    return tokenizers


def make_decoder(family: str, size: int) -> PreTrainedModel:
    register()
    torch.manual_seed(0)
    sizes, factor = FAMILIES[family]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, vocab_size=size, **IDS, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)
    return model.eval()


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_does_not_depend_on_its_batch(
    family: str, beams: int, texts: list[str], decoder_tokenizers: Tokenizers
) -> None:
    model = make_decoder(family, len(decoder_tokenizers.source))
    sources, _ = encode_texts(texts[:8], decoder_tokenizers.source, 40)
    found = [
        generate_texts(
            model, decoder_tokenizers, sources, Decoding(num_beams=beams, per_device_eval_batch_size=size), 12
        )
        for size in (1, 3, 8)
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) > 3


def test_a_prompt_is_no_part_of_the_text(texts: list[str], decoder_tokenizers: Tokenizers) -> None:
    """Greedy search by hand, without padding and without a cache."""
    model = make_decoder("gpt2", len(decoder_tokenizers.source))
    sources, _ = encode_texts(texts[:4], decoder_tokenizers.source, 40)
    found = generate_texts(model, decoder_tokenizers, sources, Decoding(), 12)
    for row in range(4):
        ids = torch.from_numpy(sources[row].astype(np.int64))[None]
        written: list[int] = []
        while len(written) < 12 and 1 not in written:
            token = model(input_ids=ids).logits[0, -1].argmax()
            written.append(int(token))
            ids = torch.cat([ids, token[None, None]], dim=1)
        assert found[row] == decoder_tokenizers.target.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("family", ["gpt2", "llama", "transformer-decoder"])
def test_a_folder_is_loaded_as_what_it_holds(family: str, tmp_path: Path, decoder_tokenizers: Tokenizers) -> None:
    model = make_decoder(family, len(decoder_tokenizers.source))
    model.save_pretrained(tmp_path)
    decoder_tokenizers.save(tmp_path)
    loaded, tokenizers, settings = load_seq2seq(str(tmp_path))
    assert type(loaded) is type(model)
    assert tokenizers.source("the")["input_ids"] == decoder_tokenizers.source("the")["input_ids"]
    # One table of positions for what is read and what is written.
    assert settings.joined
    assert settings.positions is not None
    assert settings.max_source_length is not None
    assert settings.max_source_length + settings.max_target_length <= settings.positions
    with pytest.raises(InputError, match=r"not a classifier of texts; `hf-seq2seq generate` reads it"):
        load_classifier(str(tmp_path))


@pytest.mark.parametrize("settings", [{}, {"no_repeat_ngram_size": 2}, {"repetition_penalty": 2.0}])
@pytest.mark.parametrize("beams", [1, 3])
def test_outputs_of_a_padded_batch_are_those_of_the_library_alone(
    beams: int, settings: dict[str, Any], texts: list[str], decoder_tokenizers: Tokenizers
) -> None:
    """Rules count the prompt, as the library's do, but never its padding."""
    model = make_decoder("gpt2", len(decoder_tokenizers.source))
    sources, _ = encode_texts(texts[:6], decoder_tokenizers.source, 40)
    batch = source_batch(sources, range(6), 0, left=True)
    found = Searcher(model, Search(num_beams=beams, **settings), 12)(batch, range(6))
    for row, outputs in enumerate(found):
        ids = torch.from_numpy(sources[row].astype(np.int64))[None]
        given = {"attention_mask": torch.ones_like(ids), "num_beams": beams, "max_new_tokens": 12} | settings
        expected = model.generate(ids, do_sample=False, **given)[0, ids.shape[1] :].tolist()
        assert outputs[0].ids == (expected[: expected.index(1)] if 1 in expected else expected)
