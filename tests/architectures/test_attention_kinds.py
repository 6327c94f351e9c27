"""Every attention in every decoder style: a cache, beams and padding change nothing."""

import pytest
import torch

from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

STYLES = {
    "luong": {},
    "input_feeding": {"input_feeding": True, "input_feeding_context": True},
    "bahdanau": {"decoder_style": "bahdanau"},
}
ATTENTIONS = {
    "additive": {},
    "dot": {"local_attention": "predictive", "attention_window": 2},
    "scaled_dot": {"local_attention": "monotonic", "attention_window": 1},
    "general": {"coverage": True},
    "location": {"coverage": True, "location_kernel": 3, "local_attention": "monotonic", "attention_window": 1},
    "multi_head": {"num_attention_heads": 4, "local_attention": "predictive", "attention_window": 1},
    "monotonic": {"monotonic_offset": 0.0},
}


@pytest.fixture(params=list(STYLES))
def style(request):
    return STYLES[request.param]


@pytest.fixture(params=list(ATTENTIONS))
def choices(request, style):
    return {"attention": request.param, **ATTENTIONS[request.param], **style}


def test_steps_from_reordered_rows_equal_whole_targets(build, batch, choices):
    """As beam search does it: each row continues another hypothesis for the same source."""
    model = build(**choices).double()
    source = {name: part[:2].repeat_interleave(3, 0) for name, part in batch.items()}
    ids, picked = torch.randint(13, (6, 6)), torch.tensor([1, 1, 0, 5, 4, 5])
    cache, chosen = None, ids[:, :0]
    for step in range(6):
        output = model(**source, decoder_input_ids=ids[:, step : step + 1], past_key_values=cache, use_cache=True)
        cache, chosen = output.past_key_values, torch.cat([chosen, ids[:, step : step + 1]], 1)
        whole = model(**source, decoder_input_ids=chosen, output_attentions=True)
        torch.testing.assert_close(output.logits[:, 0], whole.logits[:, -1])
        cache.reorder_cache(picked)
        chosen = chosen[picked]
    assert whole.cross_attentions[0].shape == (6, model.config.num_attention_heads, 6, 6)


def test_padding_anywhere_changes_nothing(build, batch, choices):
    model = build(**choices, dropout=0.0, monotonic_noise=0.0).double()
    places = torch.tensor([1, 2, 4, 7])
    ids, mask = torch.full((1, 9), 5), torch.zeros(1, 9, dtype=torch.long)
    ids[:, places], mask[:, places] = batch["input_ids"][1:2, :4], 1
    labels = torch.randint(4, 13, (1, 6))
    for training in (True, False):
        model.train(training)
        alone = model(batch["input_ids"][1:2, :4], labels=labels, output_attentions=True)
        padded = model(ids, mask, labels=labels, output_attentions=True)
        torch.testing.assert_close(padded.logits, alone.logits)
        torch.testing.assert_close(padded.loss, alone.loss)
        torch.testing.assert_close(padded.cross_attentions[0][..., places], alone.cross_attentions[0])


def test_a_missing_weight_gets_its_initial_value(tmp_path, build):
    for name, choices in {
        "style.attention.gain": {"attention": "monotonic", "monotonic_offset": -3.0},
        "style.attention.location.convolution.weight": {"attention": "location"},
    }.items():
        model = build(**choices)
        state = model.state_dict()
        del state[f"model.decoder.{name}"]
        model.save_pretrained(tmp_path, state_dict=state)
        again = RnnForConditionalGeneration.from_pretrained(tmp_path)
        for parameter, value in again.state_dict().items():
            if not parameter.endswith(name):
                assert torch.equal(value, model.state_dict()[parameter])
        found = again.state_dict()[f"model.decoder.{name}"]
        if choices["attention"] == "monotonic":
            assert found.item() == pytest.approx(8**-0.5)
        else:
            assert 0 < found.abs().max() <= (6 / (15 + 150)) ** 0.5


def test_a_new_monotonic_attention_starts_at_its_offset(build):
    attention = build(widen=1.0, attention="monotonic", monotonic_offset=-3.0).model.decoder.style.attention
    assert (attention.offset.item(), attention.gain.item()) == (-3.0, pytest.approx(8**-0.5))
    assert not attention.query_projection.bias.any()


def test_coverage_losses_are_given_for_whole_targets(build, batch):
    ids = torch.randint(13, (4, 5))
    model = build(attention="location", coverage=True, coverage_loss_weight=0.5)
    output = model(**batch, decoder_input_ids=ids, use_cache=False, output_attentions=True)
    weights = output.cross_attentions[0][:, 0]
    expected = [torch.minimum(weights[:, t], weights[:, :t].sum(1)).sum(1) / 2 for t in range(5)]
    torch.testing.assert_close(output.auxiliary_losses, torch.stack(expected, 1))
    assert model(**batch, decoder_input_ids=ids, use_cache=True).auxiliary_losses is None
    assert build()(**batch, decoder_input_ids=ids, use_cache=False).auxiliary_losses is None
