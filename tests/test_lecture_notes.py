"""Claims of docs/lecture-notes.md that no other test makes, on this project's own code where it has a part in them."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from hf_seq2seq.architectures.attention import DotAttention, GeneralAttention
from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.location_attention import coverage_losses
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.architectures.multi_head_attention import SelfAttention, scaled_dot_product_attention

VOCABULARY, EOS, START, STEPS = 5, 1, 3, 3


def self_attention(width: int, heads: int) -> SelfAttention:
    config = TransformerSeq2SeqConfig(
        d_model=width, encoder_attention_heads=heads, decoder_attention_heads=heads, attn_implementation="eager"
    )
    return SelfAttention(config, heads).double().eval()


def test_attention_is_linear_in_the_values() -> None:
    query, key, value = torch.randn(3, 2, 2, 4, 6, dtype=torch.float64)
    module = self_attention(12, 2)
    once, weights = scaled_dot_product_attention(module, query, key, value, None, 6**-0.5)
    twice, _ = scaled_dot_product_attention(module, query, key, 2 * value, None, 6**-0.5)
    torch.testing.assert_close(twice, 2 * once)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 4, dtype=torch.float64))


def test_self_attention_is_equivariant_under_permutation_and_not_invariant() -> None:
    module, hidden = self_attention(12, 3), torch.randn(2, 5, 12, dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    plain, permuted = module(hidden, None)[0], module(hidden[:, order], None)[0]
    torch.testing.assert_close(permuted, plain[:, order])
    assert not torch.allclose(permuted, plain, atol=1e-3)


def test_scores_are_scaled_by_the_key_width_of_a_head() -> None:
    module = self_attention(512, 8)
    query, key = torch.randn(2, 1000, module.head_width, dtype=torch.float64)
    assert module.scaling == 1 / math.sqrt(512 / 8)
    assert (query @ key.T * module.scaling).std().item() == pytest.approx(1, abs=0.02)


def small_model(family: str) -> torch.nn.Module:
    ids = {"pad_token_id": 0, "eos_token_id": EOS, "bos_token_id": START, "decoder_start_token_id": START}
    if family == "rnn":
        config = RnnSeq2SeqConfig(vocab_size=VOCABULARY, hidden_size=8, embedding_size=8, initializer_range=1.0, **ids)
        return RnnForConditionalGeneration(config).double().eval()
    sizes = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = TransformerSeq2SeqConfig(vocab_size=VOCABULARY, **sizes, **heads, **ids)
    return TransformerForConditionalGeneration(config).double().eval()


@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_the_probabilities_of_all_outputs_sum_to_one(family: str) -> None:
    """Of all that end within three tokens, and of all prefixes that do not: the factors are no approximation."""
    outputs = {ids[: ids.index(EOS) + 1] if EOS in ids else ids for ids in itertools.product(range(5), repeat=STEPS)}
    model, source, total = small_model(family), torch.tensor([[4, 2, 1]]), 0.0
    for ids in outputs:
        inputs = torch.tensor([[START, *ids[:-1]]])
        with torch.inference_mode():
            log_probs = model(input_ids=source, decoder_input_ids=inputs).logits[0].log_softmax(-1)
        total += math.exp(sum(log_probs[step, token].item() for step, token in enumerate(ids)))
    assert total == pytest.approx(1, abs=1e-9)


def information(pairs: list[tuple[int, int]]) -> float:
    """I(A; B) in bits, of equally likely pairs."""
    both, left, right = Counter(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    count = len(pairs)
    return sum(n / count * math.log2(n * count / (left[a] * right[b])) for (a, b), n in both.items())


def test_a_sum_of_informations_through_a_constant_bounds_nothing() -> None:
    target_of, context = {0: 0, 1: 1}, 7
    between = information(list(target_of.items()))
    through = information([(x, context) for x in target_of]) + information([(context, y) for y in target_of.values()])
    assert (between, through) == (1, 0)


def test_the_gradient_is_the_sum_over_paths() -> None:
    """An encoder output reaches the context as a value and by the weights; neither path alone is the gradient."""
    attention = GeneralAttention(4, 6).double()
    queries, target = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 6, dtype=torch.float64)
    values = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)

    def gradient(read: Tensor, compared: Tensor) -> Tensor:
        memory = attention.remember(read, None, attention.project_keys(compared))
        context, _, _ = attention(queries, memory, {})
        return torch.autograd.grad((context * target).sum(), values)[0]

    whole = gradient(values, values)
    as_value, by_weights = gradient(values, values.detach()), gradient(values.detach(), values)
    torch.testing.assert_close(as_value + by_weights, whole)
    assert not torch.allclose(as_value, whole, atol=1e-3)
    assert not torch.allclose(by_weights, whole, atol=1e-3)


def test_a_coverage_loss_of_final_sums_is_constant() -> None:
    scores = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    weights = scores.softmax(-1)
    final = weights.sum(1, keepdim=True)
    constant = torch.minimum(weights, final).sum(-1)[:, 1:].sum(1)  # the first step has no coverage
    torch.testing.assert_close(constant, torch.full((2,), 6.0 - 1, dtype=torch.float64))
    assert torch.autograd.grad(constant.sum(), scores, retain_graph=True)[0].abs().max() < 1e-12
    assert torch.autograd.grad(coverage_losses(weights).sum(), scores)[0].abs().max() > 1e-3


def test_a_source_token_with_nearly_all_attention_may_change_nothing() -> None:
    attention = DotAttention()
    values = torch.tensor([[[2.0, 3.0], [1.0, 5.0], [3.0, 1.0]]], dtype=torch.float64)  # the first is the others' mean
    keys = torch.tensor([[[5.0], [0.0], [0.0]]], dtype=torch.float64)
    query = torch.ones(1, 1, 1, dtype=torch.float64)
    seen, weights, _ = attention(query, attention.remember(values, None, keys), {})
    unseen, _, _ = attention(query, attention.remember(values, torch.tensor([[0, 1, 1]]), keys), {})
    assert weights[0, 0, 0, 0] > 0.98
    torch.testing.assert_close(unseen, seen)
