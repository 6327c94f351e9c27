"""New tokens of a checkpoint start at the means of their old pieces."""

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5TokenizerFast

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, with_tokens
from hf_seq2seq.saved.embeddings import old_pieces, resize_embeddings, start_at_means

PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -2.0) for piece in ("\u2581", "ab", "c", "<", ">"))]


@pytest.mark.parametrize("tied", [True, False])
def test_new_tokens_start_at_the_means_of_their_old_pieces(tied: bool) -> None:
    tokenizer = T5TokenizerFast(vocab=PIECES, extra_ids=0)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    sizes = {
        f"{side}_{name}": 1 for side in ("encoder", "decoder") for name in ("layers", "attention_heads", "ffn_dim")
    }
    options = sizes | {"d_model": 8, "max_position_embeddings": 9, "tie_word_embeddings": tied}
    model = BartForConditionalGeneration(BartConfig(vocab_size=len(tokenizer), **options))
    old = model.get_input_embeddings().weight.detach().clone()
    before = old_pieces(tokenizers, ["<abc>", "c"])
    with_tokens(tokenizers, ["<abc>", "c"])
    resize_embeddings(model, tokenizers)
    rows = model.lm_head.weight.detach().clone()
    start_at_means(model, tokenizers, before)
    assert set(before["target"]) == {"<abc>"}
    pieces, new = before["target"]["<abc>"], tokenizer.convert_tokens_to_ids("<abc>")
    assert len(pieces) >= 4
    assert tokenizer("<abc>", add_special_tokens=False)["input_ids"][-1:] == [new]
    weight = model.get_input_embeddings().weight.detach()
    torch.testing.assert_close(weight[new], old[pieces].mean(0))
    torch.testing.assert_close(weight[: len(old)], old)
    torch.testing.assert_close(model.lm_head.weight.detach()[new], (weight if tied else rows)[pieces].mean(0))
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied
