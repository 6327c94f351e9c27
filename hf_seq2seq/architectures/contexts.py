"""The decoder's context: the whole source in one vector."""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from .configuration_rnn import RnnSeq2SeqConfig
from .pooling import POOLINGS, Segments, one_segment


class Context(nn.Module):
    """Pools the encoder's outputs; with levels above the words, c = sum over levels of W_l c_l.

    Args:
        config: the pooling and the levels.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        self.levels = [name for name in ("phrases", "sentences", "documents") if getattr(config, f"has_{name}")]
        self.poolings = nn.ModuleList(POOLINGS[config.context_pooling](config) for _ in ["words", *self.levels])
        width = config.encoder_output_size
        if self.levels:
            self.combine = nn.Linear(width * len(self.poolings), width, bias=False)

    def forward(self, encoder: BaseModelOutput, mask: Tensor | None) -> Tensor:
        """The context, `(batch, encoder width)`.

        Args:
            encoder: the encoder's output.
            mask: `(batch, source)`, zero at padding; None where there is none.

        Raises:
            ValueError: `encoder_outputs` were given without the levels.
        """
        words = encoder.last_hidden_state
        assert words is not None
        contexts = [self.poolings[0](words, one_segment(words, mask))[:, 0]]
        for name, pooling in zip(self.levels, self.poolings[1:], strict=True):
            level, segments = level_of(encoder, name)
            contexts.append(pooling(level, one_segment(level, segments.mask))[:, 0])
        return self.combine(torch.cat(contexts, -1)) if self.levels else contexts[0]


def level_of(encoder: BaseModelOutput, name: str) -> tuple[Tensor, Segments]:
    """Outputs of "phrases", "sentences" or "documents", `(batch, segments, width)`, and the words they consist of.

    Raises:
        ValueError: `encoder_outputs` were given without them.
    """
    level, index = encoder.get(name), encoder.get(f"{name[:-1]}_index")
    if level is None or index is None:
        raise ValueError(f"the configuration requires {name}: pass encoder_outputs exactly as returned by the encoder")
    return level, Segments(index, level.shape[1])
