"""Cross-entropy of target tokens, computed at real positions only and in chunks.

The straightforward way stores a `(batch, target, vocabulary)` tensor of float32 logits, its log-softmax and its
gradient, including padding. Here the output projection never sees a padded position, and at most `CHUNK_ELEMENTS`
logits exist at once; the gradient of a chunk is computed while its logits exist, so nothing is computed twice.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hf_seq2seq.decoding.float32 import limit_caches
from hf_seq2seq.objectives.family_losses import asked_outputs, with_family_losses
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.label_smoothing import smoothed_loss
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.saved.start_tokens import shifted_labels
from hf_seq2seq.sections import Section

Term = Callable[["TokenCrossEntropy", dict[str, Tensor], Tensor, Tensor, Any], Tensor]
BESIDES = ("labels", "source_labels", "rows", "chosen", "rejected")
"""What a batch has besides the model's inputs."""
CHUNK_ELEMENTS = 2**22  # 16 MiB of float32 logits


def chunk_rows(weight: Tensor) -> int:
    """Positions per chunk.

    Every chunk reads and writes the whole gradient of the weight, which costs more than its products if a large
    vocabulary leaves few rows per chunk; so a chunk may always have half as many logits as the layer has weights.
    """
    vocabulary = weight.shape[0]
    return max(1, max(CHUNK_ELEMENTS, weight.numel() // 2) // vocabulary)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of token losses of `hidden @ weight.T + bias`, computed in chunks of positions.

    Losses, sums and gradients of a bfloat16 layer are float32, the products are bfloat16.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, smoothing: float
    ) -> Tensor:
        exact = torch.promote_types(weight.dtype, torch.float32)
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        total = hidden.new_zeros((), dtype=exact)
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad = torch.zeros_like(weight, dtype=exact) if wants_weight else None
        bias_grad = torch.zeros_like(bias, dtype=exact) if wants_bias and bias is not None else None
        size = chunk_rows(weight)
        for start in range(0, len(labels), size):
            part = slice(start, start + size)
            logits = (hidden[part] @ weight.T).to(exact)
            if bias is not None:
                logits += bias
            loss, error = _loss_and_error(logits, labels[part], smoothing)
            total += loss
            if bias_grad is not None:
                bias_grad += error.sum(0)
            error = error.to(weight.dtype)
            if hidden_grad is not None:
                hidden_grad[part] = error @ weight
            if weight_grad is not None:
                _add_product(weight_grad, error, hidden[part])
        ctx.grads = (hidden_grad, weight_grad, bias_grad)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.grads
        ctx.grads = None
        return (
            None if hidden is None else hidden.mul_(scale.to(hidden.dtype)),
            None if weight is None else weight.mul_(scale).to(ctx.weight_dtype),
            None if bias is None else bias.mul_(scale),
            None,
            None,
        )


def _loss_and_error(logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The chunk's loss, and its gradient with respect to the logits, which are overwritten."""
    column = labels[:, None]
    logits.sub_(logits.amax(dim=1, keepdim=True))
    target = logits.gather(1, column) * (1 - smoothing)
    if smoothing:
        target += logits.mean(dim=1, keepdim=True) * smoothing
    partition = logits.exp_().sum(dim=1, keepdim=True)
    loss = (partition.log() - target).sum()
    error = logits.div_(partition)
    if smoothing:
        error.sub_(smoothing / logits.shape[1])
    error.scatter_add_(1, column, torch.full_like(column, -(1 - smoothing), dtype=error.dtype))
    return loss, error


def _add_product(total: Tensor, error: Tensor, hidden: Tensor) -> None:
    """Adds `error.T @ hidden` in the total's precision."""
    if hidden.dtype == total.dtype:
        total.addmm_(error.T, hidden)
    else:
        total += error.T @ hidden


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, labels: Tensor, *, bias: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Sum of the cross-entropies of a linear output layer, with label smoothing as in `torch.nn.CrossEntropyLoss`.

    Args:
        hidden: inputs of the output layer, `(positions, width)`.
        weight: its weight, `(vocabulary, width)`.
        labels: target tokens, `(positions,)`, without padding.
        bias: its bias, `(vocabulary,)`.
        label_smoothing: share of the probability that is spread over the whole vocabulary.

    Returns:
        A float32 scalar in nats.

    Paper: Szegedy et al., 2016, section 7 (label smoothing), https://arxiv.org/abs/1512.00567
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    if not torch.is_grad_enabled():
        # An autograd function considers a parameter to require a gradient even here.
        hidden, weight, bias = hidden.detach(), weight.detach(), None if bias is None else bias.detach()
    with torch.autocast(device, enabled=False):
        inputs = (hidden.to(dtype), weight.to(dtype), bias, labels, label_smoothing)
        return _ChunkedCrossEntropy.apply(*inputs)


class OutputProjection:
    """Bypasses the last linear layer of a text-generating model and returns its input.

    A hook stores the layer's input and replaces it by one of zero positions, so everything before the layer (T5 scales
    its states) is done by the model itself, and the layer costs nothing.

    Args:
        model: a model with such a layer.
        options: arguments for every call of the model.
    """

    def __init__(self, model: nn.Module, **options: Any) -> None:
        self._options = options
        self._layer = model.get_output_embeddings()  # type: ignore[operator]
        self._model = model
        self._wanted = False
        self._kept: Tensor | None = None
        # Registered once and switched by a flag: adding and removing a hook makes torch.compile recompile.
        self._layer.register_forward_pre_hook(self._keep)

    @property
    def weight(self) -> Tensor:
        """`(vocabulary, width)`."""
        return self._layer.weight

    @property
    def bias(self) -> Tensor | None:
        """The layer's own bias and the model's `final_logits_bias` (BART, PEGASUS, Marian), `(vocabulary,)`."""
        own, more = getattr(self._layer, "bias", None), self._model_bias
        if more is None:
            return own
        return more[0] if own is None else own + more[0]

    @property
    def _model_bias(self) -> Tensor | None:
        """Looked up at every call: a buffer is another tensor once the model is on another device."""
        return getattr(self._model, "final_logits_bias", None)

    def run(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """Runs the model up to the layer: the layer's input, `(batch, target, width)`, and other outputs."""
        self._wanted = True
        try:
            outputs = model(**self._options | batch)
        finally:
            self._wanted = False
        kept, self._kept = self._kept, None
        assert kept is not None
        return kept, outputs

    def _keep(self, _: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
        if not self._wanted:
            return None
        self._kept = args[0]
        return (args[0][:, :0],)

    @torch.no_grad()
    def is_exact(self, model: nn.Module) -> bool:
        """Whether the model's logits are exactly this layer's output: false for, say, capped or scaled logits."""
        if not isinstance(self._layer, nn.Linear):
            return False
        limit_caches()  # here, for this is the first time that the model runs
        training, device = model.training, self.weight.device
        ids = torch.arange(4, device=device)[None]  # the special tokens: every source and target vocabulary has them
        width = getattr(model.config, "input_width", None)
        batch = {"input_ids": ids} if width is None else {"input_features": torch.zeros(1, 4, width, device=device)}
        batch["attention_mask"] = torch.ones_like(ids)
        if model.config.is_encoder_decoder:  # type: ignore[union-attr]
            batch["decoder_input_ids"] = ids
        seen: dict[str, Tensor] = {}

        def replace(_: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
            """Substitutes large values for the layer's output: a cap would not change a new model's small ones."""
            seen["found"] = F.linear(args[0], self._layer.weight, self._layer.bias)
            seen["expected"] = output
            seen["loud"] = torch.linspace(-100, 100, output.numel(), device=device).view_as(output).to(output.dtype)
            return seen["loud"]

        model.eval()
        with self._layer.register_forward_hook(replace):
            logits = token_logits(model(**batch, **self._options))
        model.train(training)
        if not seen or logits.shape != seen["loud"].shape:
            return False
        bias = 0 if self._model_bias is None else self._model_bias[0]
        is_linear = torch.allclose(seen["expected"].float(), seen["found"].float(), rtol=1e-4, atol=1e-5)
        return is_linear and torch.allclose(logits.float(), (seen["loud"] + bias).float(), rtol=1e-4, atol=1e-4)


def token_logits(outputs: Any) -> Tensor:
    """The logits of tokens, which have another name in models that also classify sentence pairs."""
    return outputs.prediction_logits if "prediction_logits" in outputs else outputs.logits


class TokenCrossEntropy(Objective):
    """Cross-entropy of the target tokens under teacher forcing.

    Labels of -100 are padding, or tokens of a prompt. Those of an encoder-decoder are its targets; those of a
    decoder-only model are the tokens after each input, already shifted unlike for transformers' own loss, so that the
    last token of a sequence is never an input. For a model whose logits are not a plain linear layer's output, the
    logits are computed directly.

    The losses of a model's family (`family_losses.py`) are added only in training, like label smoothing: the
    evaluation loss is cross-entropy.

    Args:
        model: the model to train.
        label_smoothing: in training.
        options: an `Options`; None for the defaults.
        context: needed only by objectives that generate and score.

    Attributes:
        Options: section of the options in `--loss-args`; a subclass sets its own.
        terms: change the loss in training, one after another: a function of this objective, the batch, the states of
            its real tokens, the loss and the model's other outputs. One with `reads_attention` finds attention there.
        needs_encoder: whether it is only for encoder-decoders.
        has_encoder: whether the model is an encoder-decoder.
        decoder_inputs: name of the tokens that the decoder reads, among the model's inputs.
    """

    Options: type[Section] = Section
    terms: tuple[Term, ...] = ()
    needs_encoder = False

    def __init__(
        self,
        model: nn.Module,
        label_smoothing: float = 0.0,
        options: Any = None,
        context: GenerationContext | None = None,
    ) -> None:
        super().__init__(model)
        self.label_smoothing = label_smoothing
        self.options = self.Options() if options is None else options
        self.context = GenerationContext() if context is None else context
        self.has_encoder = bool(model.config.is_encoder_decoder)  # type: ignore[union-attr]
        self.decoder_inputs = "decoder_input_ids" if self.has_encoder else "input_ids"
        projection = OutputProjection(model, use_cache=False)
        self._projection = projection if projection.is_exact(model) else None

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Real target tokens."""
        return (batch["labels"] != IGNORE).sum().double()

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's inputs: the source, and the shifted labels or those set by `augment`.

        Those of a decoder-only model are the sequence with its mask, or with positions that restart in each document.
        Padding is on the right, where no real token sees it. A model separates documents by their positions only if it
        is given no mask.
        """
        if not self.has_encoder:
            mask = "position_ids" if "position_ids" in batch else "attention_mask"
            return {name: batch[name] for name in ("input_ids", mask)}
        inputs = {name: value for name, value in batch.items() if name not in BESIDES}
        return inputs if "decoder_input_ids" in inputs else inputs | {"decoder_input_ids": self.shifted(batch)}

    def shifted(self, batch: dict[str, Tensor]) -> Tensor:
        """The decoder's inputs under teacher forcing, `(batch, target)`."""
        if not self.has_encoder:
            return batch["input_ids"]
        return shifted_labels(self.model, batch["labels"])

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over real target tokens, in nats."""
        return self.run(batch)[0]

    def run(self, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """The summed loss with its `terms`, and the model's other outputs."""
        loss, states, outputs = self.pass_once(batch)
        for term in self.terms if self.training else ():
            loss = term(self, batch, states, loss, outputs)
        return loss, outputs

    def pass_once(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Any]:
        """The summed loss of one pass, the states of its real tokens as `states_of` returns them, and other outputs."""
        labels = batch["labels"]
        real = labels != IGNORE
        smoothing = self.label_smoothing if self.training else 0.0
        states, outputs = self.states_of(self.inputs(batch), real)
        if self._projection is None:
            loss = smoothed_loss(states.float(), labels[real], smoothing, self.model)
        else:
            weight, bias = self._projection.weight, self._projection.bias
            loss = chunked_cross_entropy(states, weight, labels[real], bias=bias, label_smoothing=smoothing)
        return self.with_auxiliary(loss, outputs, batch), states, outputs

    def with_auxiliary(self, loss: Tensor, outputs: Any, batch: dict[str, Tensor]) -> Tensor:
        """Adds the losses of the model's family in training."""
        if not self.training:
            return loss
        return with_family_losses(self.model, loss, outputs, batch, self.label_smoothing)

    def states_of(self, inputs: dict[str, Tensor], real: Tensor) -> tuple[Tensor, Any]:
        """The output layer's inputs, or else logits, of real positions, `(tokens, width)`, and other outputs."""
        attends = self.training and any(getattr(term, "reads_attention", False) for term in self.terms)
        options: dict[str, Any] = {"output_attentions": True} if attends else {}
        options |= asked_outputs(self.model) if self.training else {}
        return output_states(self.model, self._projection, inputs | options, real)

    def logits_of(self, states: Tensor) -> Tensor:
        """The logits of such states, `(tokens, vocabulary)`, at least float32."""
        return output_logits(self._projection, states)

    @property
    def chunk_size(self) -> int:
        """The number of tokens whose logits may exist at once."""
        return chunk_rows(self.model.get_output_embeddings().weight)  # type: ignore[operator]

    def sum_in_chunks(self, function: Callable[..., Tensor], *parts: Tensor) -> Tensor:
        """The sum of a function over chunks of tokens, whose logits the backward pass computes again.

        Args:
            function: returns a scalar for chunks of the parts.
            parts: the first dimension of each is that of tokens.
        """
        chunks = zip(*(part.split(self.chunk_size) for part in parts), strict=True)
        return torch.stack([checkpoint(function, *chunk, use_reentrant=False) for chunk in chunks]).sum()

    @torch.no_grad()
    def token_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The token losses that `forward` sums in evaluation, `(tokens,)`, at least float32; row by row."""
        return self.losses(self.inputs(batch), batch["labels"])

    def losses(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Cross-entropies of the real labels, `(tokens,)`, row by row, without label smoothing.

        The backward pass recomputes the logits chunk by chunk, and so never has all of them in memory.
        """
        real = labels != IGNORE
        states, _ = self.states_of(inputs, real)
        parts = zip(states.split(self.chunk_size), labels[real].split(self.chunk_size), strict=True)
        return torch.cat([checkpoint(self._chunk_losses, *part, use_reentrant=False) for part in parts])

    def _chunk_losses(self, states: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.logits_of(states), labels, reduction="none")

    def logits(self, inputs: dict[str, Tensor], wanted: Tensor) -> Iterator[Tensor]:
        """Logits where `wanted`, `(batch, target)`, is true, row by row in chunks of `(positions, vocabulary)`."""
        if self._projection is None:
            yield self.model(**inputs, use_cache=False).logits[wanted]
            return
        weight, bias = self._projection.weight, self._projection.bias
        for states in self._projection.run(self.model, inputs)[0][wanted].split(chunk_rows(weight)):
            yield F.linear(states, weight, bias)


def output_states(
    model: nn.Module, projection: OutputProjection | None, inputs: dict[str, Tensor], real: Tensor
) -> tuple[Tensor, Any]:
    """The inputs of a model's output layer, or else its logits, of real positions, and its other outputs."""
    if projection is None:
        outputs = model(**{"use_cache": False} | inputs)
        return outputs.logits[real], outputs
    hidden, outputs = projection.run(model, inputs)
    return hidden[real], outputs


def output_logits(projection: OutputProjection | None, states: Tensor) -> Tensor:
    """The logits of such states, `(tokens, vocabulary)`, at least float32."""
    logits = states if projection is None else F.linear(states, projection.weight, projection.bias)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
