"""Recurrent encoder-decoders as Hugging Face models: LSTM, GRU or tanh cells, with the classic attentions.

`RnnForConditionalGeneration` is the model to train and to generate with; `RnnModel` is the same without the output
projection.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import GenerationMixin
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import can_return_tuple

from .cache import RecurrentCache
from .configuration_rnn import RnnSeq2SeqConfig
from .coverage_attention import CoverageAttention
from .decoders import RnnDecoder, check_target_padding
from .encoder_decoder import EncoderDecoderModel
from .encoders import RnnEncoder, RnnEncoderOutput
from .losses import mean_loss
from .monotonic_attention import MonotonicAttention
from .pointer import known_ids, mix
from .rnn_outputs import RnnDecoderOutput, RnnLMOutput, RnnModelOutput


class RnnPreTrainedModel(EncoderDecoderModel):
    """What both models share: initial values, activation checkpointing."""

    config: RnnSeq2SeqConfig
    config_class = RnnSeq2SeqConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _is_stateful = True  # a recurrent state cannot be rewound, so assisted generation is refused
    supports_gradient_checkpointing = True  # each encoder layer, and the decoder with its attention
    _no_split_modules = ["EncoderLayer", "RnnDecoder"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Input matrices: Glorot uniform; recurrent matrices: orthogonal, gate by gate; embeddings: normal.

        Biases are zero, except an LSTM's forget gate, which starts at 1.

        Papers: Glorot and Bengio, 2010, equation 16, https://proceedings.mlr.press/v9/glorot10a.html; Saxe et al.,
        2014, https://arxiv.org/abs/1312.6120; Jozefowicz et al., 2015, https://proceedings.mlr.press/v37/jozefowicz15
        """
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.Linear | nn.Conv1d):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.RNNBase):
            for name, parameter in module.named_parameters():
                init.copy_(parameter, _initial(name, parameter, isinstance(module, nn.LSTM)))
        elif isinstance(module, MonotonicAttention):
            init.constant_(module.gain, module.first_gain)
            init.constant_(module.offset, module.first_offset)
        elif isinstance(module, CoverageAttention):
            init.zeros_(module.coverage_weight)

    def _set_gradient_checkpointing(  # type: ignore[override]  # what older releases lack is passed on
        self, enable: bool = True, gradient_checkpointing_func: Any = checkpoint, **kwargs: Any
    ) -> None:
        """As in the base class, but never reentrant, which loses the gradients of anything but plain tensors."""
        options = {**getattr(gradient_checkpointing_func, "keywords", {}), "use_reentrant": False}
        run = getattr(gradient_checkpointing_func, "func", gradient_checkpointing_func)
        super()._set_gradient_checkpointing(enable, partial(run, **options), **kwargs)


def _initial(name: str, parameter: Tensor, is_lstm: bool) -> Tensor:
    """The initial value of a recurrent layer's parameter, whose rows are the concatenated gates."""
    hidden = parameter.shape[0] // 4 if is_lstm else parameter.shape[-1]
    value = torch.zeros(parameter.shape, dtype=torch.float32, device=parameter.device)
    if name.startswith("weight_hh"):
        for gate in value.split(hidden):
            nn.init.orthogonal_(gate)
    elif name.startswith("weight_ih"):
        nn.init.xavier_uniform_(value)
    elif is_lstm and name.startswith("bias_ih"):
        value[hidden : 2 * hidden] = 1.0
    return value


class RnnModel(RnnPreTrainedModel):
    """Encoder and decoder, without the output projection.

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModel"  # a saved model includes its code
    _tied_weights_keys = {"encoder.embed_tokens.weight": "decoder.embed_tokens.weight"}

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        self.encoder = RnnEncoder(config)
        self.decoder = RnnDecoder(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Sequence[Tensor] | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        input_features: Tensor | None = None,
        feature_ids: Tensor | None = None,
    ) -> RnnModelOutput:
        """Encodes the source and decodes the target.

        Args:
            input_ids: the source, `(batch, source)`.
            attention_mask: `(batch, source)`, zero at padding.
            decoder_input_ids: the target shifted right, `(batch, target)`; only what `past_key_values` has not seen.
            decoder_attention_mask: `(batch, target)`; padding may only follow the real tokens.
            encoder_outputs: from an earlier call of the encoder, in place of `input_ids`.
            past_key_values: from an earlier step.
            inputs_embeds: `(batch, source, embedding)`, in place of `input_ids`.
            decoder_inputs_embeds: `(batch, target, embedding)`, in place of `decoder_input_ids`.
            use_cache: return a cache.
            output_attentions: return the alignment of every target token, `cross_attentions`.
            output_hidden_states: return the embeddings and each layer's output.
            input_features: feature matrices, `(batch, source, input width)`, in place of `input_ids`.
            feature_ids: features of each source token, `(batch, source, slots)`, 0 for none.

        Raises:
            ValueError: inputs are missing or given twice, there is padding before a target token, or the cache is of
                another type.
        """
        check_target_padding(decoder_attention_mask)
        hidden = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids, attention_mask, inputs_embeds, hidden, input_features=input_features, feature_ids=feature_ids
            )
        encoded = as_model_output(encoder_outputs)
        decoded = self.decoder(
            encoded,
            attention_mask,
            self._embed_target(decoder_input_ids, decoder_inputs_embeds),
            self._cache(past_key_values, use_cache),
            hidden,
        )
        attend = self.config.output_attentions if output_attentions is None else output_attentions
        return join_outputs(encoded, decoded, bool(attend))

    def _embed_target(self, ids: Tensor | None, embedded: Tensor | None) -> Tensor:
        if (ids is None) == (embedded is None):
            raise ValueError("give either decoder_input_ids or decoder_inputs_embeds (or labels)")
        if ids is None:
            assert embedded is not None
            return embedded
        return self.decoder.embed_tokens(known_ids(ids, self.config, target=True))

    def _cache(self, past: RecurrentCache | None, wanted: bool | None) -> RecurrentCache | None:
        if past is not None and not isinstance(past, RecurrentCache):
            raise ValueError(f"past_key_values is a {type(past).__name__}; this model uses a RecurrentCache")
        wanted = self.config.use_cache if wanted is None else wanted
        return RecurrentCache() if past is None and wanted else past


def as_model_output(given: BaseModelOutput | Sequence[Tensor]) -> BaseModelOutput:
    """The given `encoder_outputs`; the first item of a tuple is the last hidden state."""
    return given if isinstance(given, BaseModelOutput) else RnnEncoderOutput(last_hidden_state=given[0])


def join_outputs(encoded: BaseModelOutput, decoded: RnnDecoderOutput, attend: bool) -> RnnModelOutput:
    """Combines the outputs of encoder and decoder, including the alignment only if `attend`."""
    return RnnModelOutput(
        last_hidden_state=decoded.last_hidden_state,
        past_key_values=decoded.past_key_values,  # type: ignore[arg-type]  # annotated for keys and values only
        decoder_hidden_states=decoded.hidden_states,
        cross_attentions=decoded.cross_attentions if attend else None,
        encoder_last_hidden_state=encoded.last_hidden_state,
        encoder_hidden_states=encoded.hidden_states,
        auxiliary_losses=decoded.auxiliary_losses,
        pointer=decoded.pointer,
    )


class RnnForConditionalGeneration(RnnPreTrainedModel, GenerationMixin):
    """The recurrent encoder-decoder with its output projection, `logits = W h`, or with `output_bias` W h + b.

    With `pointer_generator` the logits are log-probabilities of the mixture of generating and copying.

    Paper: Luong et al., 2015, equation 6, https://aclanthology.org/D15-1166

    Args:
        config: the configuration.
    """

    _auto_class = "AutoModelForSeq2SeqLM"  # a saved model includes its code
    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    accepts_loss_kwargs = True  # the loss divides by `num_items_in_batch`, so `Trainer` must not divide again

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        self.model = RnnModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=config.output_bias)
        self.post_init()

    @can_return_tuple
    def forward(  # noqa: D417  # the others are documented where they are passed on to
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Sequence[Tensor] | None = None,
        past_key_values: RecurrentCache | None = None,
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
    ) -> RnnLMOutput:
        """Returns the logits and, with `labels`, the loss; for other arguments and `Raises` see `RnnModel.forward`.

        The loss is the labels' mean cross-entropy and, in training alone, their mean auxiliary loss (`coverage`); in
        evaluation mode it does not contain the latter.

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
        if outputs.pointer is not None:
            gate, weights, copy_ids = outputs.pointer
            kept = gate[:, -logits_to_keep:], weights[:, -logits_to_keep:]
            logits = mix(logits, *kept, copy_ids, self.config.copy_vocab_size)
        auxiliary = outputs.auxiliary_losses if self.training else None
        loss = None if labels is None else mean_loss(logits, labels, num_items_in_batch, auxiliary)
        rest = {name: part for name, part in outputs.items() if name not in ("last_hidden_state", "pointer")}
        return RnnLMOutput(loss=loss, logits=logits, **rest)

    def _prepare_cache_for_generation(  # type: ignore[override]  # the base's annotation differs from what it returns
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Keeps `generate` from creating a key-value cache: the first step creates a recurrent one."""
        if generation_config.cache_implementation is not None:
            raise ValueError(
                f"cache_implementation={generation_config.cache_implementation!r} stores keys and values; unset it"
            )
