import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, MarianConfig, MarianMTModel
from transformers.modeling_outputs import BaseModelOutput

from hf_seq2seq.architectures import register
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration, TransformerModel


@pytest.fixture
def labels():
    return torch.tensor([[4, 5, 6, 1], [7, 8, 1, -100], [1, -100, -100, -100], [9, 10, 11, 1]])


def test_auto_classes_know_the_family(tmp_path, build_transformer):
    register()
    register()
    build_transformer().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is TransformerSeq2SeqConfig
    assert type(AutoModel.from_pretrained(tmp_path)) is TransformerModel
    assert type(AutoModelForSeq2SeqLM.from_pretrained(tmp_path)) is TransformerForConditionalGeneration


def test_saved_model_gives_the_same_logits(tmp_path, build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant)
    model.save_pretrained(tmp_path)
    again = TransformerForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(**batch, labels=labels).logits, model(**batch, labels=labels).logits)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_tables_are_shared_as_configured_and_stay_so(tmp_path, build_transformer, batch, shared, tied):
    model = build_transformer(share_embeddings=shared, tie_word_embeddings=tied, source_vocab_size=13)
    model.save_pretrained(tmp_path)
    for each in (model, TransformerForConditionalGeneration.from_pretrained(tmp_path)):
        source, target = each.model.encoder.embed_tokens.weight, each.model.decoder.embed_tokens.weight
        assert (source is target) is shared
        assert (each.lm_head.weight is target) is tied
    each.resize_token_embeddings(20)
    assert (each.model.encoder.embed_tokens.weight is each.model.decoder.embed_tokens.weight) is shared
    assert (each.lm_head.weight is each.model.decoder.embed_tokens.weight) is tied
    assert each.config.source_vocab_size == (20 if shared else 13)
    assert each(**batch, decoder_input_ids=torch.tensor([[3, 19]] * 4)).logits.shape == (4, 2, 20)


def test_resizing_keeps_what_was_known(build_transformer, batch, labels):
    model = build_transformer()
    before = model(**batch, labels=labels).logits
    model.resize_token_embeddings(16)
    torch.testing.assert_close(model(**batch, labels=labels).logits[..., :13], before)
    model.resize_source_embeddings(30)
    assert model.config.source_vocab_size == model.model.encoder.embed_tokens.num_embeddings == 30
    torch.testing.assert_close(model(**batch, labels=labels).logits[..., :13], before)
    with pytest.raises(ValueError, match="resize_token_embeddings"):
        build_transformer(share_embeddings=True, source_vocab_size=13).resize_source_embeddings(20)


def test_decoder_reads_the_labels_one_step_late(build_transformer, labels):
    inputs = build_transformer().prepare_decoder_input_ids_from_labels(labels)
    assert inputs.tolist() == [[3, 4, 5, 6], [3, 7, 8, 1], [3, 1, 0, 0], [3, 9, 10, 11]]


def test_loss_is_the_mean_over_real_labels(build_transformer, batch, labels):
    model = build_transformer()
    output = model(**batch, labels=labels)
    losses = F.cross_entropy(output.logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100)
    real = labels.flatten() != -100
    torch.testing.assert_close(output.loss, losses[real].mean())
    torch.testing.assert_close(model(**batch, labels=labels, num_items_in_batch=40).loss, losses[real].sum() / 40)


def test_gives_only_what_is_asked_for(build_transformer, batch, labels):
    model = build_transformer()
    output = model(**batch, labels=labels)
    assert output.past_key_values is None
    ids = model.prepare_decoder_input_ids_from_labels(labels)
    assert model(**batch, decoder_input_ids=ids).past_key_values.get_seq_length() == 4
    last = model(**batch, decoder_input_ids=ids, logits_to_keep=2, use_cache=False)
    assert last.past_key_values is None
    torch.testing.assert_close(last.logits, output.logits[:, 2:])


def test_logits_do_not_see_later_inputs(build_transformer, transformer_variant, batch, labels):
    for implementation in ("sdpa", "eager"):
        model = build_transformer(**transformer_variant, attn_implementation=implementation)
        inputs = model.prepare_decoder_input_ids_from_labels(labels)
        changed = inputs.clone()
        changed[:, 2:] = 12
        found = [model(**batch, decoder_input_ids=ids).logits for ids in (inputs, changed)]
        torch.testing.assert_close(found[0][:, :2], found[1][:, :2])
        assert not torch.allclose(found[0][:, 2], found[1][:, 2])


def test_order_matters(build_transformer, transformer_variant):
    """Without positions an encoder takes its source for a bag of words."""
    model = build_transformer(**transformer_variant)
    ids = torch.tensor([[4, 5, 6, 7, 8]])
    start = torch.tensor([[3, 4, 5, 6]])
    logits = model(input_ids=ids, decoder_input_ids=start).logits
    assert not torch.allclose(model(input_ids=ids.flip(1), decoder_input_ids=start).logits, logits, atol=1e-3)
    swapped = model(input_ids=ids, decoder_input_ids=start[:, [1, 0, 2, 3]]).logits
    assert not torch.allclose(swapped[:, 3], logits[:, 3], atol=1e-3)


def test_every_parameter_learns(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant).train()
    model(**batch, labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # A key's bias adds the same to all scores of a query, which softmax does not see, unless it is rotated.
        if "k_proj.bias" not in name:
            assert parameter.grad.abs().sum() > 0, name


def padded(ids, mask, width, side):
    """More padding, in front, behind or in between; the ids of padding are anything."""
    if side == "between":
        keep = torch.arange(ids.shape[1]) * 2
        wide = torch.full((len(ids), 2 * ids.shape[1]), 5)
        wide_mask = torch.zeros_like(wide)
        wide[:, keep], wide_mask[:, keep] = ids, mask
        return wide, wide_mask
    amount = (width, 0) if side == "left" else (0, width)
    return F.pad(ids, amount, value=5), F.pad(mask, amount)


@pytest.mark.parametrize("side", ["left", "right", "between"])
def test_padding_changes_neither_logits_nor_gradient(build_transformer, transformer_variant, batch, labels, side):
    for implementation in ("sdpa", "eager"):
        model = build_transformer(**transformer_variant, attn_implementation=implementation).double()
        target = model.prepare_decoder_input_ids_from_labels(labels)
        real = (labels != -100).long()
        runs = []
        for pad in (False, True):
            source, source_mask = batch["input_ids"], batch["attention_mask"]
            inputs, mask, answers = target, real, labels
            if pad:
                source, source_mask = padded(source, source_mask, 3, side)
                inputs, mask = padded(target, real, 2, side)
                answers = padded(labels, real, 2, side)[0].masked_fill(mask == 0, -100)
            model.zero_grad()
            output = model(input_ids=source, attention_mask=source_mask, decoder_input_ids=inputs,
                           decoder_attention_mask=mask, labels=answers)  # fmt: skip
            output.loss.backward()
            gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
            runs.append((output.logits[answers != -100], gradients))
        torch.testing.assert_close(runs[1][0], runs[0][0])
        for name, gradient in runs[0][1].items():
            torch.testing.assert_close(runs[1][1][name], gradient, msg=name)


def test_a_row_does_not_depend_on_its_neighbours(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant)
    together = model(**batch, labels=labels).logits
    order = torch.tensor([2, 0, 3, 1])
    shuffled = model(**{name: part[order] for name, part in batch.items()}, labels=labels[order]).logits
    torch.testing.assert_close(shuffled, together[order], atol=1e-4, rtol=1e-4)
    for row, length in enumerate(batch["attention_mask"].sum(1)):
        alone = model(input_ids=batch["input_ids"][row : row + 1, :length], labels=labels[row : row + 1]).logits
        torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-4)


def test_attention_functions_agree(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant)
    fused = model(**batch, labels=labels).logits
    model.set_attn_implementation("eager")
    torch.testing.assert_close(model(**batch, labels=labels).logits, fused, atol=1e-4, rtol=1e-4)


def test_attentions_are_distributions_over_what_may_be_seen(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant, attn_implementation="eager")
    output = model(**batch, labels=labels, output_attentions=True)
    unseen = batch["attention_mask"] == 0
    assert [len(part) for part in (output.encoder_attentions, output.decoder_attentions, output.cross_attentions)] == [
        1,
        2,
        2,
    ]
    assert output.encoder_attentions[0].shape == (4, 4, 6, 6)
    for weights in output.cross_attentions:
        assert weights.shape == (4, 2, 4, 6)
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, 2, 4))
        assert not weights[unseen[:, None, None].expand_as(weights)].any()
    for weights in output.decoder_attentions:
        assert not weights.triu(1).any()
    assert model(**batch, labels=labels).cross_attentions is None


def test_hidden_states_are_embeddings_and_layers(build_transformer, transformer_variant, batch, labels):
    output = build_transformer(**transformer_variant)(**batch, labels=labels, output_hidden_states=True)
    assert len(output.encoder_hidden_states) == 2
    assert [tuple(state.shape) for state in output.decoder_hidden_states] == [(4, 4, 16)] * 3
    assert torch.equal(output.encoder_hidden_states[-1], output.encoder_last_hidden_state)


def test_output_projection_may_be_left_out(build_transformer, transformer_variant, batch, labels):
    """A loss may take the projection's input and give it no positions."""
    model = build_transformer(**transformer_variant)
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


def test_encoder_outputs_and_embeddings_may_be_given(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant)
    ids = model.prepare_decoder_input_ids_from_labels(labels)
    expected = model(**batch, decoder_input_ids=ids).logits
    mask = batch["attention_mask"]
    encoded = model.get_encoder()(**batch).last_hidden_state
    found = [
        model(
            inputs_embeds=model.model.encoder.embed_tokens(batch["input_ids"]),
            attention_mask=mask,
            decoder_inputs_embeds=model.get_input_embeddings()(ids),
        ).logits,
        model(**batch, decoder_input_ids=ids, return_dict=False)[0],
    ]
    for given in (BaseModelOutput(last_hidden_state=encoded), (encoded,)):
        found.append(model(encoder_outputs=given, attention_mask=mask, decoder_input_ids=ids).logits)
    for logits in found:
        torch.testing.assert_close(logits, expected)


def test_without_positions_an_encoder_knows_no_order(build_transformer, batch):
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    moved = {name: tensor[:, order] for name, tensor in batch.items()}
    for kind, equal in (("none", True), ("sinusoidal", False), ("relative_bias", False)):
        encoder = build_transformer(position_embedding_type=kind).model.encoder.double().eval()
        with torch.no_grad():
            plain, permuted = (encoder(**given).last_hidden_state for given in (batch, moved))
        real = moved["attention_mask"].bool()
        assert torch.allclose(permuted[real], plain[:, order][real], atol=1e-12) == equal, kind


def test_says_what_is_missing(build_transformer, batch):
    model = build_transformer()
    with pytest.raises(ValueError, match="decoder_input_ids"):
        model(**batch)
    with pytest.raises(ValueError, match="input_ids or inputs_embeds"):
        model(decoder_input_ids=torch.tensor([[3]]))
    model = build_transformer(position_embedding_type="relative_bias")
    model.config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(ValueError, match="relative_bias"):
        model.model.encoder.bias(None, torch.zeros(1, 1), torch.zeros(1, 1), torch.float32)


def test_checkpointing_changes_no_gradient(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant, dropout=0.0).double().train()
    runs = []
    for kind in (None, {"use_reentrant": False}, {"use_reentrant": True}):
        if kind is not None:
            model.activation_checkpointing_enable(kind)
        model.zero_grad()
        model(**batch, labels=labels).loss.backward()
        runs.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    for found in runs[1:]:
        for name, gradient in runs[0].items():
            torch.testing.assert_close(found[name], gradient, msg=name)


def test_dropout_lies_on_embeddings_and_positions(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant, dropout=0.5).train()
    output = model(**batch, labels=labels, output_hidden_states=True)
    for states in (output.encoder_hidden_states, output.decoder_hidden_states):
        assert 0.35 < (states[0] == 0).float().mean() < 0.65


def test_buckets_of_a_decoder_are_all_for_the_past(build_transformer):
    model = build_transformer(position_embedding_type="relative_bias").model
    assert model.encoder.relative_bias.bidirectional
    assert not model.decoder.relative_bias.bidirectional


def test_initial_values(build_transformer):
    model = build_transformer(widen=1.0, d_model=64, vocab_size=500, encoder_ffn_dim=100)
    layer = model.model.encoder.layers[0]
    bound = (6 / (64 + 100)) ** 0.5
    assert 0.95 * bound < layer.feed_forward.fc1.weight.abs().max() <= bound
    assert abs(model.get_input_embeddings().weight.std() - 64**-0.5) < 0.002
    assert not layer.feed_forward.fc1.bias.any()
    assert model.config.initializer_range == 64**-0.5


def spread(module):
    return module.weight.std().item() * (sum(module.weight.shape) / 2) ** 0.5


def test_deepnet_starts_small_and_weights_residuals(build_transformer):
    model = build_transformer(
        widen=1.0, initialization="deepnet", d_model=128, encoder_layers=3, decoder_layers=5, encoder_ffn_dim=256,
        decoder_ffn_dim=256,
    )  # fmt: skip
    for layers, alpha, beta in (
        (model.model.encoder.layers, 0.81 * (3**4 * 5) ** (1 / 16), 0.87 * (3**4 * 5) ** (-1 / 16)),
        (model.model.decoder.layers, (3 * 5) ** 0.25, (12 * 5) ** -0.25),
    ):
        layer = layers[-1]
        assert layer.self_attn_residual.residual == pytest.approx(alpha)
        assert layer.feed_forward_residual.residual == pytest.approx(alpha)
        attention = layer.self_attn
        for module in (attention.v_proj, attention.out_proj, layer.feed_forward.fc1, layer.feed_forward.fc2):
            assert spread(module) == pytest.approx(beta, rel=0.05)
        assert spread(attention.q_proj) == pytest.approx(1, rel=0.05)
        assert spread(attention.k_proj) == pytest.approx(1, rel=0.05)
        weight = attention.q_proj.weight
        assert weight.abs().max() > 3 * weight.std(), "a normal distribution, not a uniform one"
    assert spread(layer.cross_attn.v_proj) == pytest.approx(beta, rel=0.05)


def test_tfixup_starts_small_and_has_no_norm(build_transformer):
    model = build_transformer(
        widen=1.0, initialization="tfixup", norm_placement="none", d_model=128, encoder_layers=3, decoder_layers=5,
        vocab_size=500, source_vocab_size=500,
    )  # fmt: skip
    assert not [name for name, _ in model.named_parameters() if "norm" in name]
    small = (9 * 5) ** -0.25
    for layers, gain in ((model.model.encoder.layers, 0.67 * 3**-0.25), (model.model.decoder.layers, small)):
        attention = layers[-1].self_attn
        for module in (attention.v_proj, attention.out_proj, layers[-1].feed_forward.fc1):
            assert spread(module) == pytest.approx(gain, rel=0.08)
        assert spread(attention.q_proj) == pytest.approx(1, rel=0.05)
    for stack in (model.model.encoder, model.model.decoder):
        assert stack.embed_tokens.weight.std().item() == pytest.approx(small * 128**-0.5, rel=0.02)


def test_loading_keeps_the_siblings_of_a_missing_weight(tmp_path, build_transformer):
    for choices in ({}, {"initialization": "deepnet"}):
        model = build_transformer(**choices)
        state = model.state_dict()
        del state["model.encoder.layers.0.self_attn.v_proj.weight"]
        model.save_pretrained(tmp_path, state_dict=state)
        again = TransformerForConditionalGeneration.from_pretrained(tmp_path).model.encoder.layers[0]
        first = model.model.encoder.layers[0]
        assert torch.equal(again.self_attn.out_proj.weight, first.self_attn.out_proj.weight)
        assert torch.equal(again.feed_forward.fc1.weight, first.feed_forward.fc1.weight)
        assert not torch.equal(again.self_attn.v_proj.weight, first.self_attn.v_proj.weight)


def test_half_precision_trains(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant).to(torch.bfloat16).train()
    output = model(**batch, labels=labels)
    output.loss.backward()
    assert output.logits.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    assert output.loss.isfinite()


def test_fits_a_small_task(build_transformer, transformer_variant, batch, labels):
    model = build_transformer(**transformer_variant, widen=1.0, dropout=0.0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_compiles(build_transformer, batch, labels):
    model = build_transformer(position_embedding_type="relative_bias")
    expected = model(**batch, labels=labels)
    found = torch.compile(model, backend="aot_eager", fullgraph=True)(**batch, labels=labels)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
    found.loss.backward()
    torch._dynamo.reset()


@torch.no_grad()
def test_equals_marian(batch, labels):
    sides = ("encoder", "decoder")
    sizes = {f"{side}_{name}": value for side in sides for name, value in (("layers", 2), ("ffn_dim", 24))}
    sizes |= {"encoder_attention_heads": 4, "decoder_attention_heads": 2, "d_model": 16, "vocab_size": 13}
    theirs = MarianMTModel(
        MarianConfig(**sizes, scale_embedding=True, activation_function="gelu", max_position_embeddings=20,
                     pad_token_id=0, decoder_start_token_id=0, init_std=0.3)
    ).eval()  # fmt: skip
    config = TransformerSeq2SeqConfig(**sizes, activation_function="gelu", share_embeddings=True)
    ours = TransformerForConditionalGeneration(config).eval()
    renamed = {"encoder_attn": "cross_attn", "encoder_attn_layer_norm": "cross_attn_residual.norm"}
    renamed |= {"self_attn_layer_norm": "self_attn_residual.norm", "final_layer_norm": "feed_forward_residual.norm"}
    renamed |= {"fc1": "feed_forward.fc1", "fc2": "feed_forward.fc2"}
    state = {}
    for name, value in theirs.state_dict().items():
        if "embed_positions" not in name and name not in ("final_logits_bias", "model.shared.weight"):
            state[".".join(renamed.get(part, part) for part in name.split("."))] = torch.randn_like(value) * 0.3
    table = theirs.model.shared.weight
    state |= {name: table for name in state if "embed_tokens" in name or name == "lm_head.weight"}
    ours.load_state_dict(state)
    for name, parameter in theirs.named_parameters():
        if "embed" in name or "shared" in name or "lm_head" in name:
            continue
        mine = ".".join(renamed.get(part, part) for part in name.split("."))
        parameter.copy_(state[mine])
    inputs = ours.prepare_decoder_input_ids_from_labels(labels)
    found = ours(**batch, decoder_input_ids=inputs).logits
    torch.testing.assert_close(found, theirs(**batch, decoder_input_ids=inputs).logits, atol=1e-5, rtol=0)


def test_a_step_leaves_no_tensors_to_the_garbage_collector(
    build_transformer, transformer_variant, batch, leaving_nothing
):
    model = build_transformer(**transformer_variant).train()
    with leaving_nothing():
        model(**batch, labels=batch["input_ids"]).loss.backward()
