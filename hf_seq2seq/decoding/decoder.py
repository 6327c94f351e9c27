"""The interface between models and search: next-token logits for many hypotheses, with Hugging Face's cache."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import EncoderDecoderCache, PreTrainedModel

from hf_seq2seq.architectures.cache import RecurrentCache
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.inputs import searched, source_of
from hf_seq2seq.decoding.beam_attention import attending_together, folds
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.saved.start_tokens import start_token


class Decoder(Protocol):
    """The interface that a search needs from a model or an ensemble.

    Attributes:
        prompt: tokens before the output: the start token, or the source of a decoder-only model; -1 at padding,
            `(sources, length)`.
        lengths: real tokens of each source, `(sources,)`.
    """

    prompt: Tensor
    lengths: Tensor

    @property
    def attention(self) -> Tensor | None:
        """Attention of the last token on the source, `(rows, source)`, -1 at padding; None unless requested."""
        ...

    def start(self) -> Tensor:
        """Logits of the first token, `(sources, vocabulary)` float32."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Reads one token per row, `(rows,)`, and returns logits of the next, `(rows, vocabulary)` float32."""
        ...

    def keep(self, rows: Tensor | None, sources: Tensor | None) -> None:
        """Continues with these rows.

        Args:
            rows: the current row that each new row continues; the rows of a source are adjacent. None if every row goes
                on.
            sources: the current sources that remain; None if all do, with as many rows as before.
        """
        ...


class CausalDecoder:
    """A decoder-only model, which continues its prompt.

    Args:
        model: the model, in evaluation mode.
        batch: `input_ids` and `attention_mask`, `(sources, length)`, padded on the left.
    """

    attention: Tensor | None = None

    def __init__(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
        self.model: Any = model
        ids, self.mask = batch["input_ids"], batch["attention_mask"]
        self.ids = ids
        self.prompt = ids.masked_fill(self.mask == 0, -1)
        self.lengths = self.mask.sum(1)
        self.places = self.lengths
        self.cache: Any = None
        self.takes_places = takes_places(model)

    def start(self) -> Tensor:
        """As `Decoder` says."""
        return self._read(self.ids, (self.mask.cumsum(1) - 1).clamp(min=0))

    def step(self, tokens: Tensor) -> Tensor:
        """As `Decoder` says."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        logits = self._read(tokens[:, None], self.places[:, None])
        self.places = self.places + 1
        return logits

    def _read(self, ids: Tensor, places: Tensor) -> Tensor:
        given: dict[str, Any] = {"position_ids": places} if self.takes_places else {}
        output = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            return_dict=True,
            **given,
        )
        self.cache = output.past_key_values
        return output.logits[:, -1].float()

    def keep(self, rows: Tensor | None, sources: Tensor | None) -> None:
        """As `Decoder` says."""
        if rows is None:
            return
        self.cache.reorder_cache(rows)
        self.mask, self.places = self.mask[rows], self.places[rows]


class CrossDecoder:
    """The decoder of an encoder-decoder; the source is encoded once.

    If the model folds (`beam_attention.py`) the source stays one row, otherwise it is repeated for every hypothesis.

    Args:
        model: the model, in evaluation mode.
        batch: `input_ids` and `attention_mask`, `(sources, length)`; it may have `start_tokens` and `first_tokens`, as
            `data.inputs.searched` gives them.
        watch: return the attention on the source, averaged over heads and layers.
    """

    def __init__(self, model: PreTrainedModel, batch: dict[str, Tensor], watch: bool = False) -> None:
        self.model: Any = model
        self.mask = batch["attention_mask"]
        self.encoded: Any = self.model.get_encoder()(**source_of(batch))
        self.prompt, self.first_tokens = start_tokens(model, batch), batch.get("first_tokens")
        self.lengths = self.mask.sum(1)
        self.attention: Tensor | None = None
        self.watch, self.repeats = watch, not folds(model)
        self.cache: Any = None

    def start(self) -> Tensor:
        """As `Decoder` says."""
        return self.step(self.prompt[:, 0])

    def step(self, tokens: Tensor) -> Tensor:
        """As `Decoder` says."""
        output = self.model(
            encoder_outputs=self.encoded,
            attention_mask=self.mask,
            decoder_input_ids=tokens[:, None],
            past_key_values=self.cache,
            use_cache=True,
            output_attentions=self.watch,
            return_dict=True,
            **self.padding(),
        )
        self.cache = output.past_key_values
        if self.watch:
            rows = mean_attention(output.cross_attentions)[:, -1].unflatten(0, (len(self.mask), -1))
            self.attention = rows.masked_fill(self.mask[:, None] == 0, -1).flatten(0, 1)
        return output.logits[:, -1].float()

    def padding(self) -> dict[str, Tensor]:
        """Tells the model which of its previous tokens are padding: none, as all rows have the same length."""
        return {}

    def keep(self, rows: Tensor | None, sources: Tensor | None) -> None:
        """As `Decoder` says."""
        if rows is None:
            return
        both = isinstance(self.cache, EncoderDecoderCache)
        own: Any = self.cache.self_attention_cache if both else self.cache
        kept = rows if self.repeats else sources
        if sources is None or kept is None:
            own.reorder_cache(rows)
            return
        if isinstance(own, RecurrentCache):
            own.state.select(rows, kept)
        else:
            own.reorder_cache(rows)
            self.cache.cross_attention_cache.reorder_cache(kept)
        self.mask = self.mask[kept]
        for name, part in self.encoded.items():
            if isinstance(part, Tensor):
                self.encoded[name] = part[kept]


def takes_places(model: PreTrainedModel) -> bool:
    """Whether a model accepts `position_ids`; others derive positions from the mask."""
    return "position_ids" in inspect.signature(model.forward).parameters


def mean_attention(layers: tuple[Tensor, ...]) -> Tensor:
    """Weights averaged over layers and heads, `(batch, target, source)`."""
    return torch.stack(layers).mean((0, 2))


def batch_of(model: PreTrainedModel, sources: Ragged, rows: np.ndarray, pad: int) -> dict[str, Tensor]:
    """Some sources as searches and scores read them, on the model's device, with what is known of their languages.

    Args:
        model: an encoder-decoder, or a decoder-only model, for which sources are padded on the left.
        sources: all sources.
        rows: indices of those in the batch.
        pad: id at padding.
    """
    batch = source_batch(sources, rows, pad, left=not model.config.is_encoder_decoder) | searched(sources, rows)
    return {name: part.to(model.device) for name, part in batch.items()}


def start_tokens(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """The first input of the decoder for each source, `(sources, 1)`: that of the batch, or else the model's."""
    mask, given = batch["attention_mask"], batch.get("start_tokens")
    if given is None:
        return mask.new_full((len(mask), 1), start_token(model))
    if (given < 0).any():
        given = given.where(given >= 0, start_token(model))
    return given[:, None]


def as_list(tokens: Any) -> list[int]:
    """The ids of a setting that may be one id, a list or None."""
    return [] if tokens is None else list(tokens) if isinstance(tokens, list | tuple) else [int(tokens)]


@contextmanager
def decoding(
    models: Sequence[PreTrainedModel], batch: dict[str, Tensor], watch: bool = False
) -> Iterator[list[Decoder]]:
    """Context manager with the models ready to decode a batch; their attention is restored on exit.

    Args:
        models: the models, in evaluation mode.
        batch: `input_ids` and `attention_mask`, `(sources, length)`; padded on the left for decoder-only models.
        watch: return the attention on the source.
    """
    decoders: list[Decoder] = [
        CrossDecoder(model, batch, watch) if model.config.is_encoder_decoder else CausalDecoder(model, batch)
        for model in models
    ]
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(attending_together(model))
        yield decoders
