"""The Transformer of Vaswani et al. (2017) as a Hugging Face model.

`TransformerForConditionalGeneration` is the model to train and to generate with; `TransformerModel` is the same
without the output projection.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput, Seq2SeqModelOutput
from transformers.utils import can_return_tuple

from .configuration_transformer import TransformerSeq2SeqConfig
from .encoder_decoder import EncoderDecoderModel
from .losses import mean_loss
from .pretrained_transformer import TransformerPreTrainedModel, resolve
from .transformer_decoder import TransformerDecoder
from .transformer_encoder import TransformerEncoder


class TransformerSeq2SeqPreTrainedModel(EncoderDecoderModel, TransformerPreTrainedModel):
    """What both models share."""

    config: TransformerSeq2SeqConfig
    config_class = TransformerSeq2SeqConfig


class TransformerModel(TransformerSeq2SeqPreTrainedModel):
    """Encoder and decoder, without the output projection.

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModel"  # a saved model includes its code
    _tied_weights_keys = {"encoder.embed_tokens.weight": "decoder.embed_tokens.weight"}

    def __init__(self, config: TransformerSeq2SeqConfig) -> None:
        super().__init__(config)
        assert config.source_vocab_size is not None
        self.encoder = TransformerEncoder(config, config.source_vocab_size)
        self.decoder = TransformerDecoder(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Sequence[Tensor] | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        input_features: Tensor | None = None,
        feature_ids: Tensor | None = None,
    ) -> Seq2SeqModelOutput:
        """Encodes the source and decodes the target.

        Args:
            input_ids: the source, `(batch, source)`.
            attention_mask: `(batch, source)`, zero at padding, which may be anywhere.
            decoder_input_ids: the target shifted right, `(batch, target)`; only what `past_key_values` has not seen.
            decoder_attention_mask: `(batch, past + target)`, zero at padding, which may be anywhere.
            encoder_outputs: from an earlier call of the encoder, in place of `input_ids`.
            past_key_values: from an earlier step.
            inputs_embeds: `(batch, source, width)`, in place of `input_ids`.
            decoder_inputs_embeds: `(batch, target, width)`, in place of `decoder_input_ids`.
            use_cache: return a cache.
            output_attentions: return all attention weights, which requires `attn_implementation="eager"`.
            output_hidden_states: return the embeddings and each layer's output.
            input_features: feature matrices, `(batch, source, input width)`, in place of `input_ids`.
            feature_ids: features of each source token, `(batch, source, slots)`, 0 for none.

        Raises:
            ValueError: inputs are missing or given twice.
        """
        attend = resolve(output_attentions, self.config.output_attentions)
        hidden = resolve(output_hidden_states, self.config.output_hidden_states)
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                *(input_ids, attention_mask, inputs_embeds, attend, hidden),
                input_features=input_features,
                feature_ids=feature_ids,
            )
        encoded = as_model_output(encoder_outputs)
        if past_key_values is None and resolve(use_cache, self.config.use_cache):
            past_key_values = EncoderDecoderCache(DynamicCache(), DynamicCache())
        decoded = self.decoder(
            self.decoder.embed(decoder_input_ids, decoder_inputs_embeds),
            decoder_attention_mask,
            encoded.last_hidden_state,
            attention_mask,
            past_key_values,
            output_hidden_states=hidden,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=decoded.last_hidden_state,
            past_key_values=decoded.past_key_values,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions if attend else None,
            cross_attentions=decoded.cross_attentions if attend else None,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )


def as_model_output(given: BaseModelOutput | Sequence[Tensor]) -> BaseModelOutput:
    """The given `encoder_outputs`; the first item of a tuple is the last hidden state."""
    return given if isinstance(given, BaseModelOutput) else BaseModelOutput(*given)  # type: ignore[arg-type]


class TransformerForConditionalGeneration(TransformerSeq2SeqPreTrainedModel, GenerationMixin):
    """The Transformer with its output projection, `logits = W h`.

    Paper: Vaswani et al., 2017, section 3.4, https://arxiv.org/abs/1706.03762

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModelForSeq2SeqLM"  # a saved model includes its code
    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    accepts_loss_kwargs = True  # the loss divides by `num_items_in_batch`, so `Trainer` must not divide again

    def __init__(self, config: TransformerSeq2SeqConfig) -> None:
        super().__init__(config)
        self.model = TransformerModel(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(  # noqa: D417  # the others are documented where they are passed on to
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Sequence[Tensor] | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int = 0,
        num_items_in_batch: Tensor | int | None = None,
        input_features: Tensor | None = None,
        feature_ids: Tensor | None = None,
    ) -> Seq2SeqLMOutput:
        """Returns the logits and, with `labels`, the loss; for other arguments and `Raises` see `TransformerModel`.

        Args:
            labels: `(batch, target)`, -100 where ignored; without decoder inputs they are shifted right to serve as
                such.
            logits_to_keep: return logits only for this many last target positions; 0 for all.
            num_items_in_batch: divisor of the summed loss; None divides by the number of labels that are not -100.
        """
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            input_features=input_features,
            feature_ids=feature_ids,
            return_dict=True,
        )
        logits = self.lm_head(outputs.last_hidden_state[:, -logits_to_keep:])
        loss = None if labels is None else mean_loss(logits, labels, num_items_in_batch)
        rest = {name: part for name, part in outputs.items() if name != "last_hidden_state"}
        return Seq2SeqLMOutput(loss=loss, logits=logits, **rest)
