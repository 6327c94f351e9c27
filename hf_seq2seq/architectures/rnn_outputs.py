"""What the recurrent models give beyond the library's fields: losses other than that of the logits."""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import (
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)


@dataclass
class RnnDecoderOutput(BaseModelOutputWithPastAndCrossAttentions):
    """What the decoder gives.

    Attributes:
        auxiliary_losses: what each target position adds to the training loss beside its cross-entropy, `(batch,
            target)`: to be summed over the real positions, which only the labels know. None where there is nothing to
            add, and where a cache is kept, for then it may be a part of a target.
        pointer: of a pointer-generator, what `pointer.mix` takes beside the logits: gate, weights and copy ids.
    """

    auxiliary_losses: Tensor | None = None
    pointer: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass
class RnnModelOutput(Seq2SeqModelOutput):
    """What the model without its output projection gives; the fields as in `RnnDecoderOutput`."""

    auxiliary_losses: Tensor | None = None
    pointer: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass
class RnnLMOutput(Seq2SeqLMOutput):
    """What the model with its output projection gives; `auxiliary_losses` as in `RnnDecoderOutput`."""

    auxiliary_losses: Tensor | None = None
