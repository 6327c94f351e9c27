"""Generation with the recurrent cache against a decoder that is run again for every token."""

import pytest
import torch

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


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": 5}], ids=str)
def test_cache_changes_nothing(build, variant, batch, search):
    model = build(**variant, hidden_size=16, vocab_size=30)
    found = []
    for use_cache in (True, False):
        torch.manual_seed(1)
        found.append(model.generate(**batch, **search, **NEVER, max_new_tokens=7, use_cache=use_cache))
    assert torch.equal(*found)
    assert len(found[0].unique()) > 4, "outputs that hardly vary prove nothing"


def test_steps_equal_teacher_forcing(build, variant, batch):
    model = build(**variant).double()
    output = model.generate(
        **batch, **NEVER, max_new_tokens=6, output_logits=True, return_dict_in_generate=True, output_attentions=True
    )
    whole = model(**batch, decoder_input_ids=output.sequences[:, :-1], output_attentions=True)
    torch.testing.assert_close(torch.stack(output.logits, 1).double(), whole.logits, atol=1e-5, rtol=1e-5)
    if variant.get("attention") != "none":
        steps = torch.cat([alignment for (alignment,) in output.cross_attentions], 2)
        torch.testing.assert_close(steps, whole.cross_attentions[0])


def test_beam_search_equals_plain_beam_search(build, variant, batch):
    model = build(**variant)
    output = model.generate(
        **batch, **NEVER, max_new_tokens=6, num_beams=4, num_return_sequences=4, length_penalty=0.0,
        output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    reordered = 0
    for row in range(4):
        expected = beams_anew(model, one(batch, row), beams=4, steps=6)
        assert output.sequences[row * 4 : row * 4 + 4].tolist() == [tokens for tokens, _ in expected]
        assert output.sequences_scores[row * 4 : row * 4 + 4].tolist() == pytest.approx(
            [s for _, s in expected], abs=1e-4
        )
        reordered += len({tuple(tokens[:3]) for tokens, _ in expected}) < 4
    assert reordered, "no hypothesis was dropped for another's continuation, so nothing was reordered"


def test_wide_beam_search_finds_the_best_of_all(build, batch):
    """With a beam for every hypothesis, beam search is exhaustive: the best mean log-probability, EOS counted."""
    model = build(vocab_size=6, input_feeding=True)
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


def test_a_row_does_not_depend_on_its_neighbours(build, variant, batch):
    model = build(**variant)
    for search in ({}, {"num_beams": 3}):
        together = model.generate(**batch, **search, **NEVER, max_new_tokens=6)
        order = torch.tensor([2, 0, 3, 1])
        shuffled = model.generate(**{n: part[order] for n, part in batch.items()}, **search, **NEVER, max_new_tokens=6)
        assert torch.equal(shuffled, together[order])
        for row, length in enumerate(batch["attention_mask"].sum(1)):
            alone = model.generate(batch["input_ids"][row : row + 1, :length], **search, **NEVER, max_new_tokens=6)
            assert torch.equal(alone[0], together[row])


def test_continues_from_a_prompt(build, variant, batch):
    model = build(**variant)
    whole = model.generate(**batch, **NEVER, max_new_tokens=6)
    rest = model.generate(**batch, **NEVER, decoder_input_ids=whole[:, :4], max_new_tokens=3)
    assert torch.equal(rest, whole)


def test_a_returned_cache_continues(build, variant, batch):
    model = build(**variant).double()
    ids = torch.randint(13, (4, 5))
    whole = model(**batch, decoder_input_ids=ids).logits
    start = model(**batch, decoder_input_ids=ids[:, :2], use_cache=True)
    assert start.past_key_values.get_seq_length() == 2
    rest = model(**batch, decoder_input_ids=ids[:, 2:], past_key_values=start.past_key_values)
    torch.testing.assert_close(torch.cat([start.logits, rest.logits], 1), whole)


def test_refuses_caches_of_other_kinds(build, batch):
    from transformers import DynamicCache

    model = build()
    with pytest.raises(ValueError, match="cache_implementation='static'"):
        model.generate(**batch, cache_implementation="static", max_new_tokens=2)
    with pytest.raises(ValueError, match="DynamicCache"):
        model(**batch, decoder_input_ids=torch.tensor([[3]] * 4), past_key_values=DynamicCache())
    with pytest.raises(ValueError, match="stateful"):
        model.generate(**one(batch, 0), assistant_model=build(), max_new_tokens=2)
