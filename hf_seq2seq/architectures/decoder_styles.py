"""How a decoder step combines its cell and its attention; one class per style, each run over a whole target.

All tensors are time first. Dropout between layers is drawn for all steps at once, so that running a stack layer by
layer or step by step drops the same units.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .attention import Carried, Memory
from .attention_kinds import build_attention
from .cells import LAYERS, State
from .configuration_rnn import RnnSeq2SeqConfig
from .dropout import Dropout
from .stack import LayerOutput


@dataclass
class Decoded:
    """The result of running a decoder over a target.

    Attributes:
        outputs: input of the output projection, before dropout, `(target, batch, hidden)`.
        layers: each recurrent layer's output, of the same shape.
        states: each layer's state after the last step.
        weights: attention, `(batch, heads, target, source)`; None without.
        carried: attention's state and, with input feeding, the attentional vector of the last step, "fed",
            `(batch, hidden)`, with the context behind it where that is fed, too.
    """

    outputs: Tensor
    layers: list[Tensor]
    states: list[State]
    weights: Tensor | None = None
    carried: Carried = field(default_factory=dict)


class PlainDecoder(nn.Module):
    """No attention: s_t = f(s_{t-1}, e(y_{t-1})), and the output projection reads s_t.

    Paper: Sutskever et al., 2014, https://arxiv.org/abs/1409.3215

    Args:
        config: gives the sizes.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        assert config.embedding_size is not None
        hidden = config.hidden_size
        sizes = [config.embedding_size + self.extra_width(config)] + [hidden] * (config.decoder_layers - 1)
        self.layers = nn.ModuleList(LAYERS[config.cell](size, hidden) for size in sizes)
        self.after = nn.ModuleList(LayerOutput(config, hidden, depth) for depth in range(config.decoder_layers))
        self.dropout = Dropout(config.dropout)
        self.recurrent_dropout = Dropout(config.recurrent_dropout)

    @staticmethod
    def extra_width(config: RnnSeq2SeqConfig) -> int:
        """Width of the first layer's input besides the embedding."""
        return 0

    def forward(self, embedded: Tensor, states: list[State], memory: Memory | None, carried: Carried | None) -> Decoded:
        """Decodes a whole target, or one step of it.

        Args:
            embedded: embeddings of the decoder's inputs, `(target, batch, embedding)`.
            states: each layer's initial state.
            memory: the encoded source; None without attention.
            carried: the state from the previous step; None at the start.
        """
        layers, states = self._run(embedded, states)
        return Decoded(layers[-1], layers, states)

    def _run(self, hidden: Tensor, states: list[State], first: int = 0) -> tuple[list[Tensor], list[State]]:
        """Runs the layers from `first` on, each over the whole target in one call."""
        outputs, ends = [], []
        for depth, state in enumerate(states[first:], first):
            inputs = self.dropout(hidden) if depth else hidden
            output, end = self.layers[depth](inputs, state, kept=self._kept(state))
            hidden = self.after[depth](output, hidden)
            outputs.append(hidden)
            ends.append(end)
        return outputs, ends

    def _kept(self, state: State) -> Tensor | None:
        """The mask of a layer's previous output, the same at every step."""
        return self.recurrent_dropout.mask(state[0])


class ContextDecoder(PlainDecoder):
    """No attention, but the same context at every step: s_t = f(s_{t-1}, [e(y_{t-1}); c]).

    The output projection reads h_t = tanh(W [s_t; e(y_{t-1}); c] + b), where the paper has a maxout layer.

    Paper: Cho et al., 2014, section 2.2 and appendix A, https://aclanthology.org/D14-1179
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        assert config.embedding_size is not None
        width = config.hidden_size + config.embedding_size + config.encoder_output_size
        self.combine = nn.Linear(width, config.hidden_size)

    @staticmethod
    def extra_width(config: RnnSeq2SeqConfig) -> int:
        """Width of the context."""
        return config.encoder_output_size

    def forward(self, embedded: Tensor, states: list[State], memory: Memory | None, carried: Carried | None) -> Decoded:
        """As in the base class, but each embedding is concatenated with the context: `(target, batch, both widths)`."""
        layers, states = self._run(embedded, states)
        return Decoded(torch.tanh(self.combine(torch.cat([layers[-1], embedded], -1))), layers, states)


class LuongDecoder(PlainDecoder):
    """Attends with the new state: s_t = f(s_{t-1}, e(y_{t-1})), c_t = attention(s_t), h_t = tanh(W [c_t; s_t]).

    Paper: Luong et al., 2015, section 3 and equation 5, https://aclanthology.org/D15-1166
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        self.attention = build_attention(config)
        self.combine = nn.Linear(config.encoder_output_size + config.hidden_size, config.hidden_size, bias=False)

    def forward(self, embedded: Tensor, states: list[State], memory: Memory | None, carried: Carried | None) -> Decoded:
        """As in the base class; the whole target at once, because the next step does not depend on attention."""
        layers, states = self._run(embedded, states)
        assert memory is not None
        carried = self.attention.start(memory) if carried is None else carried
        contexts, weights, carried = self.attention.attend(layers[-1].transpose(0, 1), memory, carried)
        outputs = torch.tanh(self.combine(torch.cat([contexts.transpose(0, 1), layers[-1]], -1)))
        return Decoded(outputs, layers, states, weights, carried)


class InputFeedingDecoder(LuongDecoder):
    """Luong's decoder whose first layer also reads the attentional vector of the previous step, zeros at the start.

    With `input_feeding_context` it reads that step's context, too: s_t = f(s_{t-1}, [e(y_{t-1}); h_{t-1}; c_{t-1}]).

    Paper: Luong et al., 2015, section 3.3, https://aclanthology.org/D15-1166
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        self.feeds_context = config.input_feeding_context
        self.fed_width = self.extra_width(config)

    @staticmethod
    def extra_width(config: RnnSeq2SeqConfig) -> int:
        """Width of the attentional vector, and of the context where it is fed."""
        return config.hidden_size + (config.encoder_output_size if config.input_feeding_context else 0)

    def forward(self, embedded: Tensor, states: list[State], memory: Memory | None, carried: Carried | None) -> Decoded:
        """As in the base class; step by step, with the projection of the embeddings hoisted out of the loop."""
        assert memory is not None
        states = list(states)
        if carried is None:
            start = states[-1][0]
            carried = self.attention.start(memory) | {"fed": start.new_zeros(len(start), self.fed_width)}
        fed = carried["fed"]
        known = [embedded] + [None] * (len(states) - 1)
        cells = [
            layer(part, stepwise=True, kept=self._kept(state))
            for layer, part, state in zip(self.layers, known, states, strict=True)
        ]
        shape = (*embedded.shape[:2], self.combine.out_features)
        kept = [self.dropout(embedded.new_ones(shape)).unbind(0) for _ in cells[1:]]
        steps, weights = [], []
        for time in range(len(embedded)):
            below, heights = fed, []
            for depth, cell in enumerate(cells):
                states[depth] = cell.step(time, below * kept[depth - 1][time] if depth else below, states[depth])
                below = self.after[depth](states[depth][0], below)
                heights.append(below)
            context, weight, carried = self.attention.attend(below[:, None], memory, carried)
            fed = attentional = torch.tanh(self.combine(torch.cat([context[:, 0], below], 1)))
            if self.feeds_context:
                fed = torch.cat([attentional, context[:, 0]], 1)
            steps.append([attentional, *heights])
            weights.append(weight)
        outputs, *layers = (torch.stack(part) for part in zip(*steps, strict=True))
        return Decoded(outputs, layers, states, torch.cat(weights, 2), carried | {"fed": fed})


class BahdanauDecoder(PlainDecoder):
    """Attends with the previous state: c_t = attention(s_{t-1}), s_t = f(s_{t-1}, [e(y_{t-1}); c_t]).

    The output projection reads h_t = tanh(W [s_t; c_t; e(y_{t-1})] + b), where the paper has a maxout layer over
    s_{t-1}. With several layers the first one attends, as in Wu et al., 2016, section 3.1,
    https://arxiv.org/abs/1609.08144, so that the others run over the whole target at once.

    Paper: Bahdanau et al., 2015, section 3.1 and appendix A.2.2, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        self.attention = build_attention(config)
        assert config.embedding_size is not None
        width = config.hidden_size + config.encoder_output_size + config.embedding_size
        self.combine = nn.Linear(width, config.hidden_size)

    @staticmethod
    def extra_width(config: RnnSeq2SeqConfig) -> int:
        """Width of the context."""
        return config.encoder_output_size

    def forward(self, embedded: Tensor, states: list[State], memory: Memory | None, carried: Carried | None) -> Decoded:
        """As in the base class; only the first layer runs step by step."""
        assert memory is not None
        carried = self.attention.start(memory) if carried is None else carried
        state, cell = states[0], self.layers[0](embedded, stepwise=True, kept=self._kept(states[0]))
        outputs, contexts, weights = [], [], []
        for time in range(len(embedded)):
            context, weight, carried = self.attention.attend(state[0][:, None], memory, carried)
            state = cell.step(time, context[:, 0], state)
            outputs.append(state[0])
            contexts.append(context[:, 0])
            weights.append(weight)
        first = self.after[0](torch.stack(outputs), embedded)
        above, ends = self._run(first, states, first=1)
        layers = [first, *above]
        combined = torch.tanh(self.combine(torch.cat([layers[-1], torch.stack(contexts), embedded], -1)))
        return Decoded(combined, layers, [state, *ends], torch.cat(weights, 2), carried)


def build_style(config: RnnSeq2SeqConfig) -> PlainDecoder:
    """The decoder selected by `config`'s attention, `decoder_style`, `input_feeding` and `context_feeding`."""
    if config.attention == "none":
        return ContextDecoder(config) if config.context_feeding else PlainDecoder(config)
    if config.decoder_style == "bahdanau":
        return BahdanauDecoder(config)
    return InputFeedingDecoder(config) if config.input_feeding else LuongDecoder(config)
