import json

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM
from transformers.modeling_outputs import BaseModelOutput

from hf_seq2seq.architectures import register
from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration, RnnModel


@pytest.fixture
def labels():
    return torch.tensor([[4, 5, 6, 1], [7, 8, 1, -100], [1, -100, -100, -100], [9, 10, 11, 1]])


def test_auto_classes_know_the_family(tmp_path, build):
    register()
    register()
    build().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is RnnSeq2SeqConfig
    assert type(AutoModel.from_pretrained(tmp_path)) is RnnModel
    assert type(AutoModelForSeq2SeqLM.from_pretrained(tmp_path)) is RnnForConditionalGeneration


def test_saved_model_gives_the_same_logits(tmp_path, build, variant, batch, labels):
    model = build(**variant)
    model.save_pretrained(tmp_path)
    again = RnnForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(**batch, labels=labels).logits, model(**batch, labels=labels).logits)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_tables_are_shared_as_configured_and_stay_so(tmp_path, build, batch, shared, tied):
    model = build(share_embeddings=shared, tie_word_embeddings=tied, source_vocab_size=13)
    model.save_pretrained(tmp_path)
    for each in (model, RnnForConditionalGeneration.from_pretrained(tmp_path)):
        source, target = each.model.encoder.embed_tokens.weight, each.model.decoder.embed_tokens.weight
        assert (source is target) is shared
        assert (each.lm_head.weight is target) is tied
    each.resize_token_embeddings(20)
    assert (each.model.encoder.embed_tokens.weight is each.model.decoder.embed_tokens.weight) is shared
    assert (each.lm_head.weight is each.model.decoder.embed_tokens.weight) is tied
    assert each.config.source_vocab_size == (20 if shared else 13)
    assert each(**batch, decoder_input_ids=torch.tensor([[3, 19]] * 4)).logits.shape == (4, 2, 20)
    each.save_pretrained(tmp_path)
    assert RnnForConditionalGeneration.from_pretrained(tmp_path).lm_head.weight.shape[0] == 20


def test_names_as_tied_only_what_is_tied(build):
    names = {"lm_head.weight", "model.encoder.embed_tokens.weight"}
    tied = build(tie_word_embeddings=True, share_embeddings=True, source_vocab_size=13)
    assert build()._tied_weights_keys == {}
    assert set(tied.get_expanded_tied_weights_keys(all_submodels=True)) == names
    assert set(tied._tied_weights_keys) <= names


def test_resizing_keeps_what_was_known(build, batch, labels):
    model = build()
    before = model(**batch, labels=labels).logits
    model.resize_token_embeddings(16)
    torch.testing.assert_close(model(**batch, labels=labels).logits[..., :13], before)
    model.resize_source_embeddings(30)
    assert model.config.source_vocab_size == model.model.encoder.embed_tokens.num_embeddings == 30
    torch.testing.assert_close(model(**batch, labels=labels).logits[..., :13], before)


def test_source_of_a_shared_table_cannot_be_resized_alone(build):
    with pytest.raises(ValueError, match="resize_token_embeddings"):
        build(share_embeddings=True, source_vocab_size=13).resize_source_embeddings(20)


def test_output_bias_is_added_to_every_logit(build, batch, labels):
    model = build(output_bias=True)
    torch.nn.init.normal_(model.lm_head.bias)
    inputs = model.prepare_decoder_input_ids_from_labels(labels)
    states = model.model(**batch, decoder_input_ids=inputs).last_hidden_state
    weight, bias = model.lm_head.weight.tolist(), model.lm_head.bias.tolist()
    expected = [
        [[sum(w * s for w, s in zip(row, state, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
         for state in target] for target in states.tolist()
    ]  # fmt: skip
    torch.testing.assert_close(model(**batch, labels=labels).logits, torch.tensor(expected))
    assert not RnnForConditionalGeneration(model.config).lm_head.bias.any()


def test_a_configuration_without_the_newer_fields_builds_the_same_model(tmp_path, build, batch, labels):
    model = build(input_feeding=True)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    kept = json.loads(path.read_text())
    newer = ("input_feeding_context", "encoder_output_dropout", "output_bias")
    assert [kept.pop(name) for name in newer] == [False, 0.0, False]
    path.write_text(json.dumps(kept))
    again = RnnForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(**batch, labels=labels).logits, model(**batch, labels=labels).logits)


def test_decoder_reads_the_labels_one_step_late(build, labels):
    inputs = build().prepare_decoder_input_ids_from_labels(labels)
    assert inputs.tolist() == [[3, 4, 5, 6], [3, 7, 8, 1], [3, 1, 0, 0], [3, 9, 10, 11]]


def test_loss_is_the_mean_over_real_labels(build, batch, labels):
    model = build()
    output = model(**batch, labels=labels)
    losses = F.cross_entropy(output.logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100)
    real = labels.flatten() != -100
    torch.testing.assert_close(output.loss, losses[real].mean())
    torch.testing.assert_close(model(**batch, labels=labels, num_items_in_batch=40).loss, losses[real].sum() / 40)


def test_logits_do_not_see_later_inputs(build, variant, batch, labels):
    model = build(**variant)
    inputs = model.prepare_decoder_input_ids_from_labels(labels)
    changed = inputs.clone()
    changed[:, 2:] = 12
    found = [model(**batch, decoder_input_ids=ids).logits for ids in (inputs, changed)]
    torch.testing.assert_close(found[0][:, :2], found[1][:, :2])
    assert not torch.allclose(found[0][:, 2], found[1][:, 2])


def test_every_parameter_learns(build, variant, batch, labels):
    model = build(**variant).train()
    model(**batch, labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_padding_changes_neither_logits_nor_gradient(build, variant, batch, labels):
    model = build(**variant, dropout=0.0, monotonic_noise=0.0).double().train()
    wider = {
        "input_ids": F.pad(batch["input_ids"], (0, 3), value=5),
        "attention_mask": F.pad(batch["attention_mask"], (0, 3)),
    }
    runs = []
    for inputs, targets in ((batch, labels), (wider, F.pad(labels, (0, 2), value=-100))):
        model.zero_grad()
        output = model(**inputs, labels=targets)
        output.loss.backward()
        runs.append((output.logits[:, :4], {name: p.grad.clone() for name, p in model.named_parameters()}))
    torch.testing.assert_close(runs[1][0], runs[0][0])
    for name, gradient in runs[0][1].items():
        torch.testing.assert_close(runs[1][1][name], gradient, msg=name)


def test_a_row_does_not_depend_on_its_neighbours(build, variant, batch, labels):
    model = build(**variant)
    together = model(**batch, labels=labels).logits
    order = torch.tensor([2, 0, 3, 1])
    shuffled = model(**{name: part[order] for name, part in batch.items()}, labels=labels[order]).logits
    torch.testing.assert_close(shuffled, together[order])
    for row, length in enumerate(batch["attention_mask"].sum(1)):
        alone = model(input_ids=batch["input_ids"][row : row + 1, :length], labels=labels[row : row + 1]).logits
        torch.testing.assert_close(alone[0], together[row], msg=f"row {row}")


def test_alignments_are_distributions_over_real_tokens(build, variant, batch, labels):
    output = build(**variant)(**batch, labels=labels, output_attentions=True)
    if variant.get("attention") == "none":
        assert output.cross_attentions is None
        return
    (alignment,) = output.cross_attentions
    heads = variant.get("num_attention_heads", 1)
    assert alignment.shape == (4, heads, 4, 6)
    if variant.get("attention") == "monotonic" or variant.get("local_attention") == "predictive":
        assert (alignment.sum(-1) < 1 + 1e-6).all()
        assert alignment.sum() > 1
    else:
        torch.testing.assert_close(alignment.sum(-1), torch.ones(4, heads, 4))
    assert not alignment[(batch["attention_mask"] == 0)[:, None, None].expand_as(alignment)].any()


def test_hidden_states_are_embeddings_and_layers(build, variant, batch, labels):
    model = build(**variant)
    output = model(**batch, labels=labels, output_hidden_states=True)
    assert len(output.encoder_hidden_states) == model.config.encoder_layers + 1
    assert len(output.decoder_hidden_states) == model.config.decoder_layers + 1
    assert {tuple(layer.shape) for layer in output.decoder_hidden_states} == {(4, 4, 8)}
    assert torch.equal(output.encoder_hidden_states[-1], output.encoder_last_hidden_state)
    assert model(**batch, labels=labels).decoder_hidden_states is None


def test_output_projection_may_be_left_out(build, variant, batch, labels):
    """A loss may take the projection's input and give it no positions."""
    model = build(**variant)
    expected = model(**batch, labels=labels).logits
    kept = []

    def take(_, inputs):
        kept.append(inputs[0])
        return (inputs[0][:, :0],)

    handle = model.get_output_embeddings().register_forward_pre_hook(take)
    decoder_input_ids = model.prepare_decoder_input_ids_from_labels(labels=labels)
    assert model(**batch, decoder_input_ids=decoder_input_ids, use_cache=False).logits.shape == (4, 0, 13)
    handle.remove()
    torch.testing.assert_close(model.lm_head(kept[0]), expected)


def test_encoder_outputs_and_embeddings_may_be_given(build, variant, batch, labels):
    model = build(**variant)
    ids = model.prepare_decoder_input_ids_from_labels(labels)
    expected = model(**batch, decoder_input_ids=ids).logits
    mask = batch["attention_mask"]
    encoded = model.get_encoder()(**batch)
    embedded = {"inputs_embeds": model.model.encoder.embed_tokens(batch["input_ids"]), "attention_mask": mask}
    if model.config.has_sentences:  # where they end, only the ids tell
        embedded = batch
    found = [
        model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=ids).logits,
        model(**embedded, decoder_inputs_embeds=model.get_input_embeddings()(ids)).logits,
        model(**batch, decoder_input_ids=ids, return_dict=False)[0],
    ]
    if model.config.decoder_start != "transfer" and not model.config.has_levels:
        plain = BaseModelOutput(last_hidden_state=encoded.last_hidden_state)
        for given in (plain, (encoded.last_hidden_state,)):
            found.append(model(encoder_outputs=given, attention_mask=mask, decoder_input_ids=ids).logits)
    for logits in found:
        torch.testing.assert_close(logits, expected)


def test_says_what_is_missing(build, batch):
    model = build()
    with pytest.raises(ValueError, match="decoder_input_ids"):
        model(**batch)
    ids = torch.tensor([[3, 4]] * 4)
    with pytest.raises(ValueError, match="on the right"):
        model(**batch, decoder_input_ids=ids, decoder_attention_mask=torch.tensor([[0, 1]] * 4))
    transfer = build(decoder_start="transfer")
    with pytest.raises(ValueError, match="final_state"):
        transfer(encoder_outputs=(torch.zeros(4, 6, 8),), decoder_input_ids=ids)


def test_dropout_lies_on_embeddings_and_output(build, batch, labels):
    model = build(dropout=0.5, attention="none")
    model.model.encoder.eval()
    decoder, read = model.model.decoder.train(), []
    decoder.style.register_forward_hook(lambda _, inputs, found: read.append((inputs[0], found.outputs)))
    found = model.model(**batch, decoder_input_ids=labels.clamp(min=0)).last_hidden_state.transpose(0, 1)
    embedded, outputs = read[0]
    assert 0.3 < (embedded == 0).float().mean() < 0.7
    assert 0.3 < (found == 0).float().mean() < 0.7
    torch.testing.assert_close(found[found != 0], (outputs * 2)[found != 0])


def test_initial_values(build):
    model = build(
        widen=1.0, hidden_size=64, vocab_size=500, decoder_style="bahdanau", attention="additive", initializer_range=0.1
    )
    layer = model.model.decoder.style.layers[0]
    for gate in layer.weight_hh_l0.split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)
    assert layer.bias_ih_l0.view(4, 64).mean(1).tolist() == [0, 1, 0, 0]
    assert not layer.bias_hh_l0.any()
    assert abs(model.get_input_embeddings().weight.std() - 0.1) < 0.01
    bound = (6 / (64 + 500)) ** 0.5
    assert 0.9 * bound < model.lm_head.weight.abs().max() <= bound


def test_loading_keeps_the_siblings_of_a_missing_weight(tmp_path, build):
    model = build()
    state = model.state_dict()
    del state["model.decoder.style.layers.0.bias_ih_l0"]
    model.save_pretrained(tmp_path, state_dict=state)
    again = RnnForConditionalGeneration.from_pretrained(tmp_path).model.decoder.style.layers[0]
    assert torch.equal(again.weight_hh_l0, model.model.decoder.style.layers[0].weight_hh_l0)
    assert again.bias_ih_l0.view(4, 8)[1].tolist() == [1.0] * 8


def test_half_precision_trains(build, batch, labels):
    model = build(input_feeding=True).to(torch.bfloat16).train()
    output = model(**batch, labels=labels)
    output.loss.backward()
    assert output.logits.dtype == torch.bfloat16
    assert output.loss.isfinite()


def test_mixed_precision_trains_and_generates(build, variant, batch, labels):
    model = build(**variant, recurrent_dropout=0.1).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**batch, labels=labels).loss
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert model.eval().generate(**batch, num_beams=2, max_new_tokens=3).shape[0] == 4


def test_fits_a_small_task(build, batch, labels):
    model = build(widen=1.0, hidden_size=32, dropout=0.0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_a_step_leaves_no_tensors_to_the_garbage_collector(build, variant, batch, labels, leaving_nothing):
    model = build(**variant).train()
    with leaving_nothing():
        model(**batch, labels=labels).loss.backward()
