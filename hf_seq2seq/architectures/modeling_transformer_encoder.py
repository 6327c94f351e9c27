"""The encoder-only Transformer with BERT's heads: it reads in both directions and is trained to fill in masks.

Paper: Devlin et al., 2019, https://aclanthology.org/N19-1423
"""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .configuration_transformer import TransformerEncoderConfig
from .dropout import Dropout
from .losses import classification_loss, mean_loss
from .pretrained_transformer import TransformerPreTrainedModel, resolve
from .transformer_encoder import TransformerEncoder


class TransformerEncoderPreTrainedModel(TransformerPreTrainedModel):
    """What the encoder's models share."""

    config: TransformerEncoderConfig
    config_class = TransformerEncoderConfig


class TransformerEncoderModel(TransformerEncoderPreTrainedModel):
    """The encoder without a head.

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModel"  # a saved model includes its code

    def __init__(self, config: TransformerEncoderConfig) -> None:
        super().__init__(config)
        self.encoder = TransformerEncoder(config, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding table."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the embedding table."""
        assert isinstance(value, nn.Embedding)
        self.encoder.embed_tokens = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutput:
        """Encodes a batch.

        Args:
            input_ids: `(batch, length)`.
            attention_mask: `(batch, length)`, zero at padding, which may be anywhere.
            inputs_embeds: `(batch, length, width)`, in place of `input_ids`.
            output_attentions: return each layer's weights, which requires `attn_implementation="eager"`.
            output_hidden_states: return the embeddings and each layer's output.

        Raises:
            ValueError: unless exactly one of `input_ids` and `inputs_embeds` is given.
        """
        attend = resolve(output_attentions, self.config.output_attentions)
        hidden = resolve(output_hidden_states, self.config.output_hidden_states)
        return self.encoder(input_ids, attention_mask, inputs_embeds, attend, hidden)


class TransformerForMaskedLM(TransformerEncoderPreTrainedModel):
    """The encoder with an output projection, `logits = W h`, trained to predict masked tokens.

    Paper: Devlin et al., 2019, section 3.1, https://aclanthology.org/N19-1423

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModelForMaskedLM"  # a saved model includes its code
    _tied_weights_keys = {"lm_head.weight": "model.encoder.embed_tokens.weight"}
    accepts_loss_kwargs = True  # the loss divides by `num_items_in_batch`, so `Trainer` must not divide again

    def __init__(self, config: TransformerEncoderConfig) -> None:
        super().__init__(config)
        self.model = TransformerEncoderModel(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedLMOutput:
        """Returns the logits and, with `labels`, the loss.

        Args:
            input_ids: see `TransformerEncoderModel.forward`, also for arguments not listed here.
            attention_mask: see there.
            inputs_embeds: see there.
            labels: `(batch, length)`, -100 where no token was masked.
            output_attentions: see there.
            output_hidden_states: see there.
            num_items_in_batch: divisor of the summed loss; None divides by the number of labels that are not -100.
        """
        outputs = self.model(
            input_ids, attention_mask, inputs_embeds, output_attentions, output_hidden_states, return_dict=True
        )
        logits = self.lm_head(outputs.last_hidden_state)
        return MaskedLMOutput(
            loss=None if labels is None else mean_loss(logits, labels, num_items_in_batch),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class TransformerForSequenceClassification(TransformerEncoderPreTrainedModel):
    """The encoder with a linear classifier on its output at the first token that is not padding.

    Paper: Devlin et al., 2019, section 4.1, https://aclanthology.org/N19-1423

    Args:
        config: the configuration; `num_labels` classes.
    """

    _auto_class = "AutoModelForSequenceClassification"  # a saved model includes its code
    accepts_loss_kwargs = True

    def __init__(self, config: TransformerEncoderConfig) -> None:
        super().__init__(config)
        self.num_labels = int(config.num_labels or 0)
        self.model = TransformerEncoderModel(config)
        self.dropout = Dropout(config.dropout)
        self.classifier = nn.Linear(config.d_model, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> SequenceClassifierOutput:
        """Returns the logits `(batch, labels)` and, with `labels`, the loss.

        Args:
            input_ids: see `TransformerEncoderModel.forward`, also for arguments not listed here.
            attention_mask: see there.
            inputs_embeds: see there.
            labels: classes `(batch,)`, or as required by `config.problem_type`: see `classification_loss`.
            output_attentions: see there.
            output_hidden_states: see there.
            num_items_in_batch: divisor of the summed loss; None divides by the number of labels.
        """
        outputs = self.model(
            input_ids, attention_mask, inputs_embeds, output_attentions, output_hidden_states, return_dict=True
        )
        logits = self.classifier(self.dropout(first_token(outputs.last_hidden_state, attention_mask)))
        problem = self.config.problem_type
        return SequenceClassifierOutput(
            loss=None if labels is None else classification_loss(logits, labels, problem, num_items_in_batch),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def first_token(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The vector at each row's first token that is not padding: `(batch, width)` of `(batch, length, width)`."""
    if mask is None:
        return hidden[:, 0]
    return hidden[torch.arange(len(hidden), device=hidden.device), (mask != 0).int().argmax(1)]
