import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, DynamicCache

from hf_seq2seq.architectures import register
from hf_seq2seq.architectures.configuration_transformer import TransformerDecoderConfig
from hf_seq2seq.architectures.modeling_transformer_decoder import TransformerDecoderModel, TransformerForCausalLM

NEVER = {"eos_token_id": None, "pad_token_id": 0}


def build(**choices):
    sizes = {"vocab_size": 30, "d_model": 16, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 24}
    sizes |= {"initializer_range": 0.6, "tie_word_embeddings": False}
    model = TransformerForCausalLM(TransformerDecoderConfig(**(sizes | choices))).eval().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@pytest.fixture
def lively(transformer_variant):
    if transformer_variant.get("initialization") == "tfixup":
        pytest.skip("derived for encoder-decoders alone")
    return build(**transformer_variant)


@pytest.fixture
def prompts():
    """Prompts of different lengths, padded in front."""
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    return {"input_ids": torch.randint(4, 30, (3, 4)) * mask, "attention_mask": mask}


def test_auto_classes_know_the_family(tmp_path, prompts):
    register()
    model = build().float()
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is TransformerDecoderConfig
    assert type(AutoModel.from_pretrained(tmp_path)) is TransformerDecoderModel
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(again) is TransformerForCausalLM
    assert torch.equal(again(**prompts).logits, model(**prompts).logits)


def test_does_not_see_later_tokens(lively):
    ids = torch.randint(4, 30, (2, 6))
    changed = ids.clone()
    changed[:, 3:] = 4
    found, other = lively(ids).logits, lively(changed).logits
    torch.testing.assert_close(other[:, :3], found[:, :3])
    assert not torch.allclose(other[:, 3:], found[:, 3:])


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}], ids=str)
def test_generates_as_without_cache_and_padding(lively, prompts, search):
    found = lively.generate(**prompts, **search, **NEVER, max_new_tokens=6)
    assert torch.equal(lively.generate(**prompts, **search, **NEVER, max_new_tokens=6, use_cache=False), found)
    for row, length in enumerate(prompts["attention_mask"].sum(1)):
        alone = lively.generate(prompts["input_ids"][row : row + 1, 4 - length :], **search, **NEVER, max_new_tokens=6)
        assert torch.equal(alone[0, length:], found[row, 4:])
    assert len(found.unique()) > 4, "outputs that hardly vary prove nothing"


def test_static_cache_changes_nothing(lively, prompts):
    plain = lively.generate(**prompts, **NEVER, max_new_tokens=6)
    found = lively.generate(**prompts, **NEVER, max_new_tokens=6, cache_implementation="static")
    assert torch.equal(found, plain)


def test_a_returned_cache_continues(lively):
    ids = torch.randint(4, 30, (2, 6))
    whole = lively(ids, use_cache=False)
    assert whole.past_key_values is None
    start = lively(ids[:, :2])
    rest = lively(ids[:, 2:], past_key_values=start.past_key_values)
    torch.testing.assert_close(torch.cat([start.logits, rest.logits], 1), whole.logits)


def test_positions_may_be_given():
    model, ids = build(position_embedding_type="learned"), torch.randint(4, 30, (2, 6))
    counted = model(ids).logits
    torch.testing.assert_close(model(ids, position_ids=torch.arange(6)[None]).logits, counted)
    assert not torch.allclose(model(ids, position_ids=torch.arange(6)[None] + 3).logits, counted)


def given_positions():
    """Positions of two rows of six tokens, and which keys each token may see: two branches after a prefix of two."""
    positions = torch.tensor([[0, 1, 2, 3, 2, 3], [5, 6, 9, 10, 11, 3]])
    mask = torch.ones(2, 1, 6, 6, dtype=torch.bool).tril()
    mask[:, :, 4:, 2:4] = False
    return positions, mask


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("steps", [(6,), (4, 2), (1, 2, 2, 1)])
def test_given_positions_hold_for_cached_keys(masked, kind, steps):
    model = build(position_embedding_type="relative_bias", attn_implementation=kind)
    ids = torch.randint(4, 30, (2, 6))
    positions, mask = given_positions()
    whole = mask if masked else torch.ones(2, 6)  # a mask, so that positions which go back do not start a document
    expected = model(ids, attention_mask=whole, position_ids=positions, use_cache=False).logits
    cache, found, done = DynamicCache(config=model.config), [], 0
    for step in steps:
        end = done + step
        seen = mask[:, :, done:end, :end] if masked else whole[:, :end]
        ids_, positions_ = ids[:, done:end], positions[:, done:end]
        found.append(model(ids_, attention_mask=seen, position_ids=positions_, past_key_values=cache).logits)
        done = end
    torch.testing.assert_close(torch.cat(found, 1), expected)


def test_positions_follow_their_rows_of_the_cache():
    model = build(position_embedding_type="relative_bias")
    ids, positions = torch.randint(4, 30, (2, 6)), given_positions()[0]
    mask = torch.ones(2, 6)
    expected = model(ids, attention_mask=mask, position_ids=positions).logits
    cache = model(ids[:, :5], attention_mask=mask[:, :5], position_ids=positions[:, :5]).past_key_values
    cache.crop(-1)
    cache.reorder_cache(torch.tensor([1, 0]))
    swapped = [part.flip(0) for part in (ids[:, 4:], mask, positions[:, 4:])]
    found = model(swapped[0], attention_mask=swapped[1], position_ids=swapped[2], past_key_values=cache).logits
    torch.testing.assert_close(found.flip(0), expected[:, 4:])


def test_loss_of_labels_that_are_shifted_already(prompts):
    model = build()
    labels = prompts["input_ids"].masked_fill(prompts["attention_mask"] == 0, -100)
    shifted = F.pad(labels[:, 1:], (0, 1), value=-100)
    torch.testing.assert_close(model(**prompts, shift_labels=shifted).loss, model(**prompts, labels=labels).loss)
    beyond = shifted.clone()
    beyond[:, -1] = 7  # the next token of each row, which another device holds
    logits = model(**prompts).logits
    found = model(**prompts, shift_labels=beyond, num_items_in_batch=10).loss
    torch.testing.assert_close(
        found, F.cross_entropy(logits.flatten(0, 1), beyond.flatten(), reduction="sum") / 10, check_dtype=False
    )


def test_loss_is_of_the_next_token(prompts):
    model = build()
    labels = prompts["input_ids"].masked_fill(prompts["attention_mask"] == 0, -100)
    output = model(**prompts, labels=labels)
    expected = F.cross_entropy(output.logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(model(**prompts, labels=labels, num_items_in_batch=10).loss, expected * 6 / 10)
    assert model(**prompts, logits_to_keep=1).logits.shape == (3, 1, 30)


def test_gives_attentions_and_hidden_states(prompts):
    output = build(attn_implementation="eager")(**prompts, output_attentions=True, output_hidden_states=True)
    assert len(output.attentions) == 2
    assert len(output.hidden_states) == 3
    assert not output.attentions[0].triu(1)[0].any()


def test_trains_with_checkpointing(lively, prompts):
    lively.train().activation_checkpointing_enable()
    lively(**prompts, labels=prompts["input_ids"]).loss.backward()
    assert all(parameter.grad is not None for parameter in lively.parameters())
    with pytest.raises(ValueError, match="give either input_ids or inputs_embeds"):
        lively()
