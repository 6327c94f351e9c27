"""The model of COMET and CometKiwi, written out: a multilingual encoder, a mix of its layers, a feed-forward estimator.

The names of weights and settings are those of the published checkpoints (unbabel-comet 2).

Paper: Rei et al. 2020, COMET: a neural framework for MT evaluation, https://aclanthology.org/2020.emnlp-main.213
Paper: Rei et al. 2022, CometKiwi, https://aclanthology.org/2022.wmt-1.60
Paper: Martins and Astudillo 2016, From softmax to sparsemax, algorithm 1, https://arxiv.org/abs/1602.02068
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from hf_seq2seq.errors import InputError, shorten

REGRESSION, REFERENCE_FREE, UNIFIED = "regression_metric", "referenceless_regression_metric", "unified_metric"
CLASSES = (REGRESSION, REFERENCE_FREE, UNIFIED)
POOLS = ("avg", "cls", "default", "max")
TRANSFORMATIONS = ("softmax", "sparsemax", "sparsemax_patch")
SEGMENTS = (["mt", "src"], ["mt", "ref"], ["mt", "src", "ref"])


@dataclass(frozen=True)
class CometSettings:
    """Settings of a checkpoint, from its hparams.yaml.

    Attributes:
        class_identifier: `regression_metric` embeds source, output and reference separately,
            `referenceless_regression_metric` source and output; `unified_metric` reads them as one sequence.
        pretrained_model: the encoder whose configuration and tokenizer it has, unless its folder has its own.
        layer: the encoder's layer that is read, from 0, or "mix".
        sent_layer: the same for `unified_metric`.
        layer_transformation: how the weights of the mix are normalized; "sparsemax_patch" is a softmax.
        layer_norm: whether each layer is normalized over a text's tokens and units before it is mixed.
        pool: how tokens become one vector; `unified_metric` takes the first token.
        hidden_sizes: of the estimator.
        activations: of its hidden layers, a class of `torch.nn`.
        final_activation: of its output; None for none.
        input_segments: what `unified_metric` reads.
    """

    class_identifier: str
    pretrained_model: str = "xlm-roberta-large"
    layer: str | int = "mix"
    sent_layer: str | int = "mix"
    layer_transformation: str = "softmax"
    layer_norm: bool = True
    pool: str = "avg"
    hidden_sizes: tuple[int, ...] = (3072, 1024)
    activations: str = "Tanh"
    final_activation: str | None = None
    input_segments: tuple[str, ...] = ("mt", "src", "ref")

    @classmethod
    def of(cls, values: Mapping[str, Any], place: str) -> "CometSettings":
        """The settings that a model is built from; those of its training are left out.

        Raises:
            InputError: one of them is not known here.
        """
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        closed = {"class_identifier": CLASSES, "pool": POOLS, "layer_transformation": TRANSFORMATIONS}
        for name, choices in closed.items():
            value = known.get(name, choices[0] if name != "class_identifier" else None)
            if value not in choices:
                raise InputError(f"{place}: {name}: {shorten(repr(value))}; supported are {', '.join(choices)}")
        for name in ("hidden_sizes", "input_segments"):
            if name in known:
                known[name] = tuple(known[name])
        found = cls(**known)
        if found.class_identifier == UNIFIED and list(found.input_segments) not in SEGMENTS:
            raise InputError(f"{place}: input_segments: {found.input_segments}; supported are {SEGMENTS}")
        return found

    @property
    def read_layer(self) -> str | int:
        """The layer that is read, or "mix"."""
        return self.sent_layer if self.class_identifier == UNIFIED else self.layer

    @property
    def needs_references(self) -> bool:
        """Whether it compares with references."""
        unified = self.class_identifier == UNIFIED and "ref" in self.input_segments
        return unified or self.class_identifier == REGRESSION


def sparsemax(scores: Tensor) -> Tensor:
    """The Euclidean projection of scores, `(n,)`, onto the simplex."""
    ranked = scores.sort(descending=True).values
    sums = ranked.cumsum(0)
    ranks = torch.arange(1, len(scores) + 1, dtype=scores.dtype, device=scores.device)
    support = int((1 + ranks * ranked > sums).sum())
    return (scores - (sums[support - 1] - 1) / support).clamp(min=0)


class LayerwiseAttention(nn.Module):
    """A weighted sum of the encoder's layers, each optionally normalized.

    Args:
        layers: how many, embeddings included.
        settings: the transformation of the weights, and whether layers are normalized.
    """

    def __init__(self, layers: int, settings: CometSettings) -> None:
        super().__init__()
        self.scalar_parameters = nn.ParameterList([nn.Parameter(torch.zeros(1)) for _ in range(layers)])
        self.gamma = nn.Parameter(torch.ones(1))
        self.sparse = settings.layer_transformation == "sparsemax"
        self.normalized = settings.layer_norm

    def forward(self, layers: Sequence[Tensor], mask: Tensor) -> Tensor:
        """The mix, `(batch, tokens, width)`, of layers of this shape; `mask` `(batch, tokens)` is 1 on real tokens."""
        scores = torch.cat(list(self.scalar_parameters))
        weights = sparsemax(scores) if self.sparse else scores.softmax(0)
        parts = (
            weight * (_normalized(layer, mask) if self.normalized else layer)
            for weight, layer in zip(weights, layers, strict=True)
        )
        return self.gamma * sum(parts)


def _normalized(layer: Tensor, mask: Tensor) -> Tensor:
    """Zero mean and unit variance over the real tokens and all units of each text."""
    real = mask[..., None].to(layer.dtype)
    count = real.sum((1, 2), keepdim=True) * layer.shape[-1]
    mean = (layer * real).sum((1, 2), keepdim=True) / count
    variance = (((layer - mean) * real) ** 2).sum((1, 2), keepdim=True) / count
    return (layer - mean) / (variance + 1e-12).sqrt()


class Estimator(nn.Module):
    """Feed-forward layers from features to a score.

    Args:
        width: of the features.
        settings: sizes and activations.
    """

    def __init__(self, width: int, settings: CometSettings) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for size in settings.hidden_sizes:
            # The third is where dropout stands in training, so that the weights keep their numbers.
            parts += [nn.Linear(width, size), _activation(settings.activations), nn.Identity()]
            width = size
        parts.append(nn.Linear(width, 1))
        if settings.final_activation is not None:
            parts.append(_activation(settings.final_activation))
        self.ff = nn.Sequential(*parts)

    def forward(self, features: Tensor) -> Tensor:
        """Scores, `(batch,)`, of features `(batch, width)`."""
        scores: Tensor = self.ff(features)[:, 0]
        return scores


def _activation(name: str) -> nn.Module:
    kinds = {kind.__name__: kind for kind in (nn.Tanh, nn.Sigmoid, nn.ReLU, nn.GELU, nn.LeakyReLU)}
    if name not in kinds:
        raise InputError(f"hparams.yaml: activation {shorten(repr(name))}; supported are {', '.join(kinds)}")
    return kinds[name]()


class Wrapped(nn.Module):
    """The encoder under the name that it has in checkpoints, `encoder.model`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class CometModel(nn.Module):
    """A metric of translations.

    Args:
        settings: its settings.
        encoder: a model of transformers that returns the states of all layers.
    """

    def __init__(self, settings: CometSettings, encoder: Any) -> None:
        super().__init__()
        width, self.settings = encoder.config.hidden_size, settings
        self.encoder = Wrapped(encoder)
        self.layerwise_attention = None
        if settings.read_layer == "mix":
            self.layerwise_attention = LayerwiseAttention(encoder.config.num_hidden_layers + 1, settings)
        self.estimator = Estimator(
            width * {REGRESSION: 6, REFERENCE_FREE: 4, UNIFIED: 1}[settings.class_identifier], settings
        )

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts, `(batch, width)`; `ids` and `mask` are `(batch, tokens)`, special tokens included."""
        layers = self.encoder.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        if self.layerwise_attention is not None:
            states = self.layerwise_attention(layers, mask)
        else:
            states = layers[int(self.settings.read_layer)]
        pool = "cls" if self.settings.class_identifier == UNIFIED else self.settings.pool
        if pool == "avg":
            real = mask[..., None].to(states.dtype)
            return (states * real).sum(1) / real.sum(1)
        if pool == "max":
            return states.masked_fill(mask[..., None] == 0, -torch.inf).amax(1)
        return layers[-1][:, 0] if pool == "default" else states[:, 0]

    def compare(self, output: Tensor, source: Tensor, reference: Tensor | None = None) -> Tensor:
        """Scores, `(batch,)`, of outputs from the vectors of output, source and reference, each `(batch, width)`."""
        to_source = [output * source, (output - source).abs()]
        if reference is None:
            return self.estimator(torch.cat([output, source, *to_source], 1))
        to_reference = [output * reference, (output - reference).abs()]
        return self.estimator(torch.cat([output, reference, *to_reference, *to_source], 1))
