import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from hf_seq2seq.architectures import register
from hf_seq2seq.architectures.configuration_transformer import TransformerEncoderConfig
from hf_seq2seq.architectures.modeling_transformer_encoder import (
    TransformerEncoderModel,
    TransformerForMaskedLM,
    TransformerForSequenceClassification,
)


def settings(**choices):
    sizes = {"vocab_size": 13, "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 24}
    return TransformerEncoderConfig(**(sizes | choices))


@pytest.fixture
def encoder_variant(transformer_variant):
    if transformer_variant.get("initialization") == "tfixup":
        pytest.skip("derived for encoder-decoders alone")
    return transformer_variant


@pytest.mark.parametrize(
    ("auto", "kind"),
    [
        (AutoModel, TransformerEncoderModel),
        (AutoModelForMaskedLM, TransformerForMaskedLM),
        (AutoModelForSequenceClassification, TransformerForSequenceClassification),
    ],
)
def test_auto_classes_know_the_family(tmp_path, auto, kind, batch):
    register()
    model = kind(settings()).eval()
    model.save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is TransformerEncoderConfig
    assert type(again) is kind
    assert torch.equal(again(**batch)[0], model(**batch)[0])


def test_sees_both_sides_and_no_padding(encoder_variant, batch):
    model = TransformerForMaskedLM(settings(**encoder_variant, initializer_range=0.5)).eval().double()
    logits = model(**batch).logits
    assert logits.shape == (4, 6, 13)
    changed = batch["input_ids"].clone()
    changed[0, -1] = (changed[0, -1] + 1) % 11
    assert not torch.allclose(model(changed, batch["attention_mask"]).logits[0, 0], logits[0, 0])
    real = batch["attention_mask"] != 0
    left = model(F.pad(batch["input_ids"], (3, 0), value=5), F.pad(batch["attention_mask"], (3, 0))).logits[:, 3:]
    torch.testing.assert_close(left[real], logits[real])


def test_masked_loss_counts_masked_tokens_alone(batch):
    model = TransformerForMaskedLM(settings()).eval()
    assert model.lm_head.weight is model.get_input_embeddings().weight
    labels = torch.full((4, 6), -100)
    labels[0, 2], labels[3, 1] = 7, 9
    output = model(**batch, labels=labels)
    expected = F.cross_entropy(torch.stack([output.logits[0, 2], output.logits[3, 1]]), torch.tensor([7, 9]))
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(model(**batch, labels=labels, num_items_in_batch=8).loss, expected / 4)


def test_classifies_by_the_first_real_token(batch):
    model = TransformerForSequenceClassification(settings(num_labels=3)).eval()
    logits = model(**batch).logits
    first = model.model(**batch).last_hidden_state[:, 0]
    torch.testing.assert_close(logits, model.classifier(first))
    left = model(F.pad(batch["input_ids"], (3, 0), value=5), F.pad(batch["attention_mask"], (3, 0))).logits
    torch.testing.assert_close(left, logits)
    torch.testing.assert_close(model(batch["input_ids"][:1]).logits, logits[:1])


def test_dropout_lies_before_the_classifier(batch):
    model = TransformerForSequenceClassification(settings(num_labels=3, dropout=0.5)).train()
    read = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    model(**batch)
    assert 0.3 < (read[0] == 0).float().mean() < 0.7


@pytest.mark.parametrize(
    ("count", "labels", "expected"),
    [
        (3, torch.tensor([0, 2, 1, 1]), F.cross_entropy),
        (3, torch.tensor([[0.0, 1, 1]] * 4), F.binary_cross_entropy_with_logits),
        (1, torch.tensor([0.5, -1, 2, 0]), lambda found, wanted: F.mse_loss(found[:, 0], wanted)),
    ],
)
def test_loss_follows_from_the_labels(batch, count, labels, expected):
    model = TransformerForSequenceClassification(settings(num_labels=count)).eval()
    output = model(**batch, labels=labels)
    torch.testing.assert_close(output.loss, expected(output.logits, labels))
    items = 2 * labels.numel()
    torch.testing.assert_close(model(**batch, labels=labels, num_items_in_batch=items).loss, output.loss / 2)


def test_weights_fit_a_seq2seq_models_encoder(build_transformer, batch):
    seq2seq = build_transformer(norm_placement="pre")
    alone = TransformerEncoderModel(
        settings(vocab_size=11, encoder_layers=1, norm_placement="pre", attn_implementation="sdpa")
    ).eval()
    alone.encoder.load_state_dict(seq2seq.model.encoder.state_dict())
    torch.testing.assert_close(
        alone(**batch).last_hidden_state, seq2seq.get_encoder()(**batch).last_hidden_state, atol=1e-6, rtol=0
    )


def test_resizes_and_trains(encoder_variant, batch):
    model = TransformerForMaskedLM(settings(**encoder_variant)).train()
    model.resize_token_embeddings(20)
    assert model(**batch).logits.shape == (4, 6, 20)
    model.activation_checkpointing_enable()
    model(**batch, labels=torch.where(batch["attention_mask"] != 0, batch["input_ids"], -100)).loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(ValueError, match="input_ids or inputs_embeds"):
        model()


def test_gives_attentions_and_hidden_states(batch):
    model = TransformerForMaskedLM(settings(attn_implementation="eager")).eval()
    output = model(**batch, output_attentions=True, output_hidden_states=True)
    assert len(output.attentions) == 2
    assert len(output.hidden_states) == 3
    assert output.attentions[0].shape == (4, 4, 6, 6)
