"""The decoder-only Transformer, as in GPT: it reads left to right and is trained to predict the next token.

Paper: Radford et al., 2018,
https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
"""

from torch import Tensor, nn
from torch.nn import functional
from transformers import Cache, DynamicCache, GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from .configuration_transformer import TransformerDecoderConfig
from .losses import mean_loss
from .pretrained_transformer import TransformerPreTrainedModel, resolve
from .transformer_decoder import TransformerDecoder


class TransformerDecoderPreTrainedModel(TransformerPreTrainedModel):
    """What the decoder's models share."""

    config: TransformerDecoderConfig
    config_class = TransformerDecoderConfig


class TransformerDecoderModel(TransformerDecoderPreTrainedModel):
    """The decoder without a head.

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModel"  # a saved model includes its code

    def __init__(self, config: TransformerDecoderConfig) -> None:
        super().__init__(config)
        self.decoder = TransformerDecoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding table."""
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the embedding table."""
        assert isinstance(value, nn.Embedding)
        self.decoder.embed_tokens = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPast:
        """Reads a batch.

        Args:
            input_ids: `(batch, length)`; only what `past_key_values` has not seen.
            attention_mask: `(batch, past + length)`, zero at padding, which may be anywhere.
            position_ids: `(batch, length)`; None counts the real tokens. Without mask and cache, positions that restart
                mark a new document, which does not see those before it.
            past_key_values: from an earlier step.
            inputs_embeds: `(batch, length, width)`, in place of `input_ids`.
            use_cache: return a cache.
            output_attentions: return each layer's weights, which requires `attn_implementation="eager"`.
            output_hidden_states: return the embeddings and each layer's output.

        Raises:
            ValueError: unless exactly one of `input_ids` and `inputs_embeds` is given.
        """
        attend = resolve(output_attentions, self.config.output_attentions)
        hidden = resolve(output_hidden_states, self.config.output_hidden_states)
        if past_key_values is None and resolve(use_cache, self.config.use_cache):
            past_key_values = DynamicCache()
        decoded = self.decoder(
            self.decoder.embed(input_ids, inputs_embeds),
            attention_mask,
            cache=past_key_values,
            position_ids=position_ids,
            output_hidden_states=hidden,
        )
        return BaseModelOutputWithPast(
            last_hidden_state=decoded.last_hidden_state,
            past_key_values=decoded.past_key_values,
            hidden_states=decoded.hidden_states,
            attentions=decoded.attentions if attend else None,
        )


class TransformerForCausalLM(TransformerDecoderPreTrainedModel, GenerationMixin):
    """The decoder with an output projection, `logits = W h`.

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModelForCausalLM"  # a saved model includes its code
    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    accepts_loss_kwargs = True  # the loss divides by `num_items_in_batch`, so `Trainer` must not divide again

    def __init__(self, config: TransformerDecoderConfig) -> None:
        super().__init__(config)
        self.model = TransformerDecoderModel(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(  # noqa: D417  # the others are documented where they are passed on to
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        shift_labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int = 0,
        num_items_in_batch: Tensor | int | None = None,
    ) -> CausalLMOutputWithPast:
        """Returns the logits and, with `labels`, the loss; for other arguments see `TransformerDecoderModel`.

        Args:
            labels: `(batch, length)`, a copy of the inputs, -100 where ignored; each token is predicted from those
                before it.
            shift_labels: `(batch, length)`, instead of `labels`: the token after each input, for when a row's next
                token is on another device.
            logits_to_keep: return logits only for this many last positions; 0 for all.
            num_items_in_batch: divisor of the summed loss; None divides by the number of predicted labels.
        """
        learns = labels is not None or shift_labels is not None
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=False if learns else use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = self.lm_head(outputs.last_hidden_state[:, -logits_to_keep:])
        if shift_labels is None and labels is not None:
            shift_labels = functional.pad(labels, (0, 1), value=-100)[:, 1:]
        return CausalLMOutputWithPast(
            loss=None if shift_labels is None else mean_loss(logits, shift_labels, num_items_in_batch),
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
