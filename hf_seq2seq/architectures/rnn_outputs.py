"""Outputs of the recurrent models beyond the library's fields: losses other than that of the logits."""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import (
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)


@dataclass
class RnnDecoderOutput(BaseModelOutputWithPastAndCrossAttentions):
    """The decoder's output.

    Attributes:
        auxiliary_losses: what each target position adds to the training loss besides its cross-entropy, `(batch,
            target)`: to be summed over the real positions, which only the labels show. None if there is nothing to add,
            and with a cache, because then the input may be only part of a target.
        pointer: of a pointer-generator, the inputs of `pointer.mix` besides the logits: gate, weights and copy ids.
    """

    auxiliary_losses: Tensor | None = None
    pointer: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass
class RnnModelOutput(Seq2SeqModelOutput):
    """Output of the model without its output projection; fields as in `RnnDecoderOutput`."""

    auxiliary_losses: Tensor | None = None
    pointer: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass
class RnnLMOutput(Seq2SeqLMOutput):
    """Output of the model with its output projection; `auxiliary_losses` as in `RnnDecoderOutput`."""

    auxiliary_losses: Tensor | None = None
