"""Generation with the cache against a decoder that is run again for every token."""

import pytest
import torch
from torch.nn import functional as F

NEVER = {"eos_token_id": None, "pad_token_id": 0}


def logits_anew(model, row, tokens):
    """Logits of the next token `(hypotheses, vocabulary)`, from the start and without a cache."""
    source = {name: part.expand(len(tokens), -1) for name, part in row.items()}
    return model(**source, decoder_input_ids=torch.tensor(tokens), use_cache=False).logits[:, -1]


def one(batch, row):
    return {name: part[row : row + 1] for name, part in batch.items()}


def beams_anew(model, row, beams, steps):
    """Plain beam search over hypotheses of one length; the best first."""
    found = [([3], 0.0)]
    for _ in range(steps):
        scores = logits_anew(model, row, [tokens for tokens, _ in found]).log_softmax(-1).tolist()
        longer = [
            ([*tokens, token], total + score)
            for (tokens, total), row_scores in zip(found, scores, strict=True)
            for token, score in enumerate(row_scores)
        ]
        found = sorted(longer, key=lambda item: -item[1])[:beams]
    return found


@pytest.fixture
def lively(build_transformer, transformer_variant, batch):
    """A model of the variant in float64: the first whose outputs vary."""
    for seed in range(30):
        torch.manual_seed(seed)
        model = build_transformer(**transformer_variant, widen=3.0, vocab_size=30, initializer_range=0.6).double()
        model.lm_head.weight.data /= 3  # or the best token has all the probability
        if len(model.generate(**batch, **NEVER, max_new_tokens=7, use_cache=False).unique()) > 5:
            return model
    raise AssertionError("every model repeats one token for ever")


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": 5}], ids=str)
def test_cache_changes_nothing(lively, batch, search):
    found = []
    for use_cache in (True, False):
        torch.manual_seed(1)
        found.append(lively.generate(**batch, **search, **NEVER, max_new_tokens=7, use_cache=use_cache))
    assert torch.equal(*found)
    assert len(found[0].unique()) > 4, "outputs that hardly vary prove nothing"


def test_static_cache_changes_nothing(lively, batch):
    prompt = F.pad(torch.tensor([[3, 7]] * 4), (1, 0), value=3)
    mask = torch.tensor([[0, 1, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]])
    for given in ({}, {"decoder_input_ids": prompt, "decoder_attention_mask": mask}):
        plain = lively.generate(**batch, **given, **NEVER, max_new_tokens=6)
        found = lively.generate(**batch, **given, **NEVER, max_new_tokens=6, cache_implementation="static")
        assert torch.equal(found, plain)


def test_steps_equal_teacher_forcing(lively, batch):
    lively.set_attn_implementation("eager")
    output = lively.generate(
        **batch, **NEVER, max_new_tokens=6, output_logits=True, return_dict_in_generate=True, output_attentions=True
    )
    whole = lively(**batch, decoder_input_ids=output.sequences[:, :-1], output_attentions=True)
    torch.testing.assert_close(torch.stack(output.logits, 1).double(), whole.logits, atol=1e-5, rtol=1e-5)
    for layer in range(2):
        steps = torch.cat([step[layer] for step in output.cross_attentions], 2)
        torch.testing.assert_close(steps, whole.cross_attentions[layer])
        for length, step in enumerate(output.decoder_attentions, start=1):
            torch.testing.assert_close(step[layer], whole.decoder_attentions[layer][:, :, length - 1 : length, :length])


def test_beam_search_equals_plain_beam_search(lively, batch):
    output = lively.generate(
        **batch, **NEVER, max_new_tokens=6, num_beams=4, num_return_sequences=4, length_penalty=0.0,
        output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    reordered = 0
    for row in range(4):
        expected = beams_anew(lively, one(batch, row), beams=4, steps=6)
        assert output.sequences[row * 4 : row * 4 + 4].tolist() == [tokens for tokens, _ in expected]
        assert output.sequences_scores[row * 4 : row * 4 + 4].tolist() == pytest.approx(
            [score for _, score in expected], rel=1e-5, abs=1e-4
        )
        reordered += len({tuple(tokens[:3]) for tokens, _ in expected}) < 4
    assert reordered, "no hypothesis was dropped for another's continuation, so nothing was reordered"


def test_wide_beam_search_finds_the_best_of_all(build_transformer, batch):
    """With a beam for every hypothesis, beam search is exhaustive: the best mean log-probability, EOS counted."""
    model = build_transformer(vocab_size=6).double()
    for row in range(4):
        source = one(batch, row)
        scores = {(3,): 0.0}
        for length in (1, 2, 3):
            open_ended = [tokens for tokens in scores if len(tokens) == length and tokens[-1] != 1]
            following = logits_anew(model, source, [list(tokens) for tokens in open_ended]).log_softmax(-1).tolist()
            for tokens, row_scores in zip(open_ended, following, strict=True):
                scores |= {(*tokens, token): scores[tokens] + score for token, score in enumerate(row_scores)}
        complete = {tokens: score for tokens, score in scores.items() if len(tokens) == 4 or tokens[-1] == 1}
        best = max(complete, key=lambda tokens: complete[tokens] / (len(tokens) - 1))
        found = model.generate(**source, num_beams=40, max_new_tokens=3, length_penalty=1.0)
        assert found[0].tolist() == list(best)


def test_a_row_does_not_depend_on_its_neighbours(lively, batch):
    for search in ({}, {"num_beams": 3}):
        together = lively.generate(**batch, **search, **NEVER, max_new_tokens=6)
        order = torch.tensor([2, 0, 3, 1])
        shuffled = lively.generate(**{n: part[order] for n, part in batch.items()}, **search, **NEVER, max_new_tokens=6)
        assert torch.equal(shuffled, together[order])
        for row, length in enumerate(batch["attention_mask"].sum(1)):
            alone = lively.generate(batch["input_ids"][row : row + 1, :length], **search, **NEVER, max_new_tokens=6)
            assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize("side", [(3, 0), (0, 3)], ids=["left", "right"])
def test_padding_of_the_source_changes_nothing(lively, batch, side):
    wide = {
        "input_ids": F.pad(batch["input_ids"], side, value=5),
        "attention_mask": F.pad(batch["attention_mask"], side),
    }
    for search in ({}, {"num_beams": 3}):
        expected = lively.generate(**batch, **search, **NEVER, max_new_tokens=6)
        assert torch.equal(lively.generate(**wide, **search, **NEVER, max_new_tokens=6), expected)


def test_padding_before_a_prompt_changes_nothing(lively, batch):
    """Prompts of different lengths, padded on the left, continue as each does alone."""
    prompts = [[3, 7, 9], [3], [3, 12], [3, 4, 4]]
    ids = torch.tensor([[3] * (3 - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (3 - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    for search in ({}, {"num_beams": 3}):
        found = lively.generate(
            **batch, **search, **NEVER, decoder_input_ids=ids, decoder_attention_mask=mask, max_new_tokens=5
        )
        for row, prompt in enumerate(prompts):
            alone = lively.generate(
                **one(batch, row), **search, **NEVER, decoder_input_ids=torch.tensor([prompt]), max_new_tokens=5
            )
            assert found[row, 3:].tolist() == alone[0, len(prompt) :].tolist()


def test_continues_from_a_prompt(lively, batch):
    whole = lively.generate(**batch, **NEVER, max_new_tokens=6)
    rest = lively.generate(**batch, **NEVER, decoder_input_ids=whole[:, :4], max_new_tokens=3)
    assert torch.equal(rest, whole)


def test_a_returned_cache_continues_by_several_tokens(lively, batch):
    for implementation in ("sdpa", "eager"):
        lively.set_attn_implementation(implementation)
        ids = torch.randint(13, (4, 6))
        mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6, [1, 0, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1]])
        for given in (None, mask):
            whole = lively(**batch, decoder_input_ids=ids, decoder_attention_mask=given).logits
            cache, parts = None, []
            for start, end in ((0, 2), (2, 5), (5, 6)):
                seen = None if given is None else given[:, :end]
                output = lively(**batch, decoder_input_ids=ids[:, start:end], decoder_attention_mask=seen,
                                past_key_values=cache, use_cache=True)  # fmt: skip
                cache = output.past_key_values
                parts.append(output.logits)
            assert cache.get_seq_length() == 6
            real = mask != 0 if given is not None else torch.ones_like(mask).bool()
            torch.testing.assert_close(torch.cat(parts, 1)[real], whole[real])


def test_a_reordered_cache_continues_as_the_rows_it_was_given(lively, batch):
    ids, order = torch.randint(13, (4, 5)), torch.tensor([2, 0, 0, 1])
    whole = lively(**batch, decoder_input_ids=ids).logits
    cache = lively(**batch, decoder_input_ids=ids[:, :3], use_cache=True).past_key_values
    lively(**batch, decoder_input_ids=ids.flip(0), use_cache=True)  # another cache between the two steps
    cache.reorder_cache(order)
    shuffled = {name: part[order] for name, part in batch.items()}
    rest = lively(**shuffled, decoder_input_ids=ids[order, 3:], past_key_values=cache).logits
    torch.testing.assert_close(rest, whole[order, 3:])


def test_assistants_do_not_change_the_output(lively, batch):
    model = lively
    expected = model.generate(**one(batch, 0), **NEVER, max_new_tokens=8)
    assert torch.equal(model.generate(**one(batch, 0), **NEVER, max_new_tokens=8, prompt_lookup_num_tokens=2), expected)
