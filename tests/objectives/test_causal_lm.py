"""The loss of decoders without an encoder against transformers' own, and documents that stay apart in a block."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from hf_seq2seq.architectures import register
from hf_seq2seq.data.collation import CausalCollator, PackedCollator
from hf_seq2seq.data.documents import pack
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.training.weights.precision import lower_precision

SPECIALS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3}
GPT2 = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64, **dict.fromkeys(("resid_pdrop", "embd_pdrop"), 0.0)}
LLAMA = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
LLAMA |= {"intermediate_size": 64, "max_position_embeddings": 64, "head_dim": 16}
NEO = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}
NEO |= {"max_position_embeddings": 64, "window_size": 8}
OWN = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "dropout": 0.0}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", GPT2 | {"attn_pdrop": 0.0}),
    "gpt_neo": ("gpt_neo", NEO),
    "llama": ("llama", LLAMA),
    "qwen2": ("qwen2", LLAMA),
    "gemma2": ("gemma2", LLAMA),  # its logits are capped, so the output layer cannot be bypassed
    **{
        f"own, {kind}": ("transformer-decoder", OWN | {"position_embedding_type": kind})
        for kind in ("learned", "sinusoidal", "rotary", "relative_bias")
    },
}


def make_model(family: str) -> PreTrainedModel:
    """With large weights, for at its usual start a model hardly attends."""
    register()
    kind, sizes = FAMILIES[family]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=40, **SPECIALS, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(1 if kind == "transformer-decoder" else 4)
    return model.eval()


def sequences(*lengths: int) -> Ragged:
    random = np.random.default_rng(sum(lengths))
    return Ragged.of([random.integers(4, 40, length) for length in lengths])


@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_lose_what_transformers_says(family: str) -> None:
    model = make_model(family)
    examples = Examples(sequences(3, 5, 2), ["", "", ""], sequences(4, 1, 6), joined=True)
    batch = CausalCollator(0)(examples, np.arange(3))
    objective = TokenCrossEntropy(model)
    loss = objective(batch)
    # Its labels stand at their own places, the sources' are -100; here every row is alone, so nothing pads.
    expected = torch.zeros(())
    for row in range(3):
        source, target = (torch.from_numpy(side[row].astype(np.int64)) for side in (examples.source, examples.target))
        ids = torch.cat([source, target])[None]
        labels = torch.cat([torch.full_like(source, -100), target])[None]
        expected = expected + model(input_ids=ids, labels=labels).loss * len(target)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert objective.weight(batch) == 11
    weights = [p for p in model.parameters() if p.requires_grad]
    found, wanted = (torch.autograd.grad(x, weights, allow_unused=True) for x in (loss, expected))
    for mine, theirs in zip(found, wanted, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_documents_lose_what_they_lose_alone(family: str) -> None:
    model = make_model(family)
    documents = sequences(6, 5, 9, 4, 3)
    blocks, positions = pack(documents, 64)
    batch = PackedCollator(1)(Examples(blocks, [], positions=positions), np.arange(1))
    loss = TokenCrossEntropy(model)(batch)
    expected = torch.zeros(())
    for row in range(5):
        ids = torch.from_numpy(documents[row].astype(np.int64))[None]
        expected = expected + F.cross_entropy(model(input_ids=ids).logits[0, :-1].float(), ids[0, 1:], reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama", "own, learned"])
def test_no_token_sees_another_document(family: str, low: bool) -> None:
    """In a batch of two blocks whose documents begin at different places, and whose second is padded."""
    model = make_model(family)
    if low:
        lower_precision(model)
    first, second = sequences(5, 9, 3), sequences(2, 7, 3)
    found = []
    for change in (False, True):
        rows = []
        for documents in (first, second):
            copied = Ragged(documents.values.copy(), documents.offsets)
            if change:  # all documents but the second
                copied.values[: documents.offsets[1]] += 1
                copied.values[documents.offsets[2] :] -= 1
            rows.append(pack(copied, 64))
        blocks = Ragged.of([row[0][0] for row in rows])
        positions = Ragged.of([row[1][0] for row in rows])
        batch = PackedCollator(1)(Examples(blocks, [], positions=positions), np.arange(2))
        inputs = TokenCrossEntropy(model).inputs(batch)
        found.append(model(**inputs, use_cache=False).logits)
    for row, documents in enumerate((first, second)):
        inside = slice(int(documents.offsets[1]), int(documents.offsets[2]))
        torch.testing.assert_close(found[0][row, inside], found[1][row, inside], rtol=0, atol=0)
        assert not torch.equal(found[0][row, : inside.start], found[1][row, : inside.start])
