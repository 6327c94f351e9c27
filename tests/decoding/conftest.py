"""Tiny random models whose outputs differ from text to text: at its usual initialisation a model says one thing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers

WORDS = [
    "the",
    "a",
    "small",
    "big",
    "red",
    "green",
    "house",
    "dog",
    "cat",
    "runs",
    "sees",
    "likes",
    "old",
    "new",
    "man",
    "woman",
    "tree",
    "under",
    "over",
]


def make_texts(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size=random.integers(1, 16))) for _ in range(count)]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return make_texts(16)


@pytest.fixture(scope="session")
def tokenizers() -> Tokenizers:
    return train_tokenizers(make_texts(200, seed=1), [], NewTokenizer(tokenizer_type="word"))


def t5(size: int) -> torch.nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    shape = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return T5ForConditionalGeneration(T5Config(vocab_size=size, decoder_start_token_id=0, **shape))


def bart(size: int) -> torch.nn.Module:
    from transformers import BartConfig, BartForConditionalGeneration

    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 1}
    settings = BartConfig(vocab_size=size, forced_eos_token_id=None, **layers, **widths, **ids)
    return BartForConditionalGeneration(settings)


def rnn(size: int) -> torch.nn.Module:
    from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    return RnnForConditionalGeneration(RnnSeq2SeqConfig(vocab_size=size, hidden_size=32, embedding_size=32, **ids))


def transformer(size: int) -> torch.nn.Module:
    from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration

    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    shape = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    # Tied, its embeddings would repeat the last token.
    settings = TransformerSeq2SeqConfig(vocab_size=size, tie_word_embeddings=False, **ids, **shape, **heads)
    return TransformerForConditionalGeneration(settings)


def pegasus(size: int, family: str = "Pegasus") -> torch.nn.Module:
    import transformers

    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 0}
    settings = getattr(transformers, f"{family}Config")(
        vocab_size=size, forced_eos_token_id=None, **layers, **widths, **ids
    )
    return getattr(transformers, "MarianMTModel" if family == "Marian" else f"{family}ForConditionalGeneration")(
        settings
    )


def marian(size: int) -> torch.nn.Module:
    return pegasus(size, "Marian")


def m2m_100(size: int) -> torch.nn.Module:
    return pegasus(size, "M2M100")


def gpt2(size: int) -> torch.nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3}
    return GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64, **ids))


def widen(model: Any, factor: float) -> Any:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # T5 adds its embeddings, which are the output layer too, to every state: wide ones repeat the last token.
            if parameter.ndim > 1 and name != "shared.weight":
                parameter.mul_(factor)
    return model.eval()


FAMILIES: dict[str, tuple[Callable[[int], torch.nn.Module], float]] = {
    "t5": (t5, 10),
    "bart": (bart, 10),
    "rnn": (rnn, 3),
    "transformer": (transformer, 8),
    "pegasus": (pegasus, 10),
    "marian": (marian, 10),
    "m2m_100": (m2m_100, 10),
    "gpt2": (gpt2, 10),
}


@pytest.fixture(scope="session")
def make_sized() -> Callable[[str, int], Any]:
    def make(family: str, size: int) -> Any:
        torch.manual_seed(1)
        build, factor = FAMILIES[family]
        return widen(build(size), factor)

    return make


@pytest.fixture(scope="session")
def make_model(tokenizers: Tokenizers) -> Callable[[str], Any]:
    def make(family: str) -> Any:
        torch.manual_seed(0)
        build, factor = FAMILIES[family]
        return widen(build(len(tokenizers.target)), factor)

    return make


@pytest.fixture(scope="session")
def saved_model(tokenizers: Tokenizers, make_model: Callable[[str], Any], tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("saved") / "t5"
    make_model("t5").save_pretrained(folder)
    tokenizers.save(folder)
    return folder
