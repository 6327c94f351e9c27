"""Gradients x input against finite differences: a token's embedding is scaled, and the score changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.decoding import saliency
from hf_seq2seq.decoding.saliency import label_saliency, target_saliency

SOURCE, TARGET = [4, 5, 6, 5, 2], [7, 8, 2]
STEP = 1e-3


def differences(model: Any, score_of: Callable[[], float], call: int, tokens: int) -> np.ndarray:
    """The central difference of a score as each token of one look-up is scaled."""
    found = []
    for token in range(tokens):
        ends = []
        for sign in (1, -1):
            seen: list[int] = []

            def scale(module: Any, inputs: Any, output: Tensor, seen: list[int] = seen, sign: int = sign) -> Tensor:
                seen.append(1)
                if len(seen) - 1 != call:
                    return output
                factors = torch.ones_like(output)
                factors[:, token] += sign * STEP  # noqa: B023
                return output * factors

            hooks = [table.register_forward_hook(scale) for table in saliency._embeddings(model)]
            ends.append(score_of())
            for hook in hooks:
                hook.remove()
        found.append((ends[0] - ends[1]) / (2 * STEP))
    return np.array(found)


def seq2seq(kind: str) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

    torch.manual_seed(3)
    if kind == "t5":
        config = T5Config(vocab_size=12, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0)
        model = T5ForConditionalGeneration(config)
    elif kind == "gpt":
        config = GPT2Config(vocab_size=12, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
        model = GPT2LMHeadModel(config)
    else:
        sizes: dict[str, Any] = {"vocab_size": 12, "hidden_size": 8, "embedding_size": 8, "bos_token_id": 1}
        config = RnnSeq2SeqConfig(**sizes, attention=kind, eos_token_id=2, pad_token_id=0)
        model = RnnForConditionalGeneration(config)
    for weight in model.parameters():  # large enough that every token matters
        torch.nn.init.normal_(weight, std=0.5)
    return model.double().eval()


def test_an_output_starts_with_the_language_of_its_source() -> None:
    model = seq2seq("t5").float()
    batch = {"input_ids": torch.tensor([SOURCE]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    plain = target_saliency(model, batch, TARGET)
    told = target_saliency(model, batch | {"start_tokens": torch.tensor([9])}, TARGET)
    model.generation_config.decoder_start_token_id = 9
    for one, other in zip(told, target_saliency(model, batch, TARGET), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(plain[1], told[1])


@pytest.mark.parametrize("kind", ["t5", "gpt", "general", "none"])
def test_sources_and_prefixes_are_those_of_finite_differences(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    model = seq2seq(kind)
    batch = {"input_ids": torch.tensor([SOURCE]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    source, prefix = target_saliency(model, batch, TARGET)
    assert (source.shape, prefix.shape) == ((3, 5), (3, 3))
    assert not any(parameter.grad is not None for parameter in model.parameters())
    for step in range(3):
        score = lambda: float(saliency._target_log_probs(model, batch, torch.tensor([TARGET]))[step])  # noqa: B023, E731
        with torch.no_grad():
            right = differences(model, score, 0, 7 if kind == "gpt" else 5)
            own = right[4:].copy() if kind == "gpt" else differences(model, score, 1, 3)
        np.testing.assert_allclose(source[step], right[:5], atol=5e-5, rtol=1e-3)
        if kind == "gpt":
            own[0] = 0
        np.testing.assert_allclose(prefix[step], own, atol=5e-5, rtol=1e-3)
    assert np.abs(source).max() > 5e-3


def test_a_label_is_moved_by_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.manual_seed(3)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=12, **sizes, num_labels=3)).double().eval()
    batch = {"input_ids": torch.tensor([SOURCE]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    found = label_saliency(model, batch, lambda logits: logits[2] - logits[0])
    with torch.no_grad():

        def once() -> float:
            logits = model(**batch).logits[0]
            return float(logits[2] - logits[0])

        right = differences(model, once, 0, 5)
    np.testing.assert_allclose(found, right, atol=1e-7)
