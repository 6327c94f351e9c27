"""Options common to the recipes of one kind, and sections specific to one kind of model.

A recipe lists its sections itself, in the order of its help; these bases provide the types for code below the recipes.
Importing this module does not import torch.
"""

from dataclasses import dataclass

from hf_seq2seq import configs
from hf_seq2seq.sections import MOST_LAYERS, Section, option

PROBLEMS = ("single_label", "multi_label", "regression")
POOLINGS = ("cls", "mean", "last")


@dataclass(frozen=True, kw_only=True)
class HandBuiltRun(configs.TextRunConfig):
    """A run of a hand-built encoder-decoder: from scratch, or from a checkpoint of the same architecture."""

    start: configs.Pretrained
    model: Section
    tokens: configs.NewTokenizer


@dataclass(frozen=True, kw_only=True)
class PretrainedRun(configs.RunConfig):
    """A run of a family that transformers has: from a checkpoint, or from a size with random weights."""

    model: configs.PretrainedOrNew
    tokens: configs.OneTokenizer
    adaptation: configs.Adaptation


@dataclass(frozen=True, kw_only=True)
class Seq2SeqRun(configs.TextRunConfig, PretrainedRun):
    """A run of an encoder-decoder of such a family, on pairs, conversations, raw text or a mixture."""

    denoising: configs.Denoising
    mixture: configs.Mixing
    tokens: configs.NewTokenizer


@dataclass(frozen=True, kw_only=True)
class DecoderModel(configs.PretrainedOrNew):
    """Model: a checkpoint, or an architecture and a size."""

    architecture: str = option("gpt2", "From scratch: the architecture.", choices=("gpt2", "transformer-decoder"))
    num_hidden_layers: int | None = option(None, "Layers, if not the size's.", at_least=1, at_most=MOST_LAYERS)
    num_attention_heads: int | None = option(None, "Attention heads per layer, if not the size's.", at_least=1)
    hidden_size: int | None = option(None, "Width, if not the size's.", at_least=1)
    dropout: float = option(0.1, "From scratch: dropout.", at_least=0, at_most=0.95)


@dataclass(frozen=True, kw_only=True)
class DecoderData(configs.PairData):
    """Data: pairs of source and target text, conversations, or raw text."""

    objective: str = option("pairs", "Learn targets, replies, or raw text.", choices=("pairs", "dialogue", "causal"))
    one_document: bool = option(False, "Causal: treat a file as one document, rather than one document per line.")


@dataclass(frozen=True, kw_only=True)
class DecoderTokens(configs.NewTokenizer):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    block_size: int = option(256, "Causal: tokens per block, into which documents are packed.", at_least=2)
    separator: str = option("\n", "Text between source and target, for a tokenizer without separator token.")


@dataclass(frozen=True, kw_only=True)
class DecoderRun(configs.TextRunConfig, PretrainedRun):
    """A run of a decoder-only model."""

    model: DecoderModel
    data: DecoderData
    tokens: DecoderTokens


@dataclass(frozen=True, kw_only=True)
class EncoderModel(configs.PretrainedOrNew):
    """Model: the encoder, a checkpoint or a size to train from scratch, and its head."""

    architecture: str = option("bert", "Architecture of a model from scratch.", choices=("bert", "transformer-encoder"))
    problem_type: str = option("single_label", "Kind of labels.", choices=PROBLEMS)
    pooling: str | None = option(None, "Pooling for the head; by default the model's own.", choices=POOLINGS)
    class_weights: str = option("none", "Weight classes in the loss.", choices=("none", "balanced"))
    classifier_dropout: float = option(0.1, "Dropout before the linear layer.", at_least=0, at_most=0.95)


@dataclass(frozen=True, kw_only=True)
class EncoderRun(PretrainedRun):
    """A run of an encoder: a classifier of labelled texts, or raw text whose masked tokens are predicted."""

    model: EncoderModel
    masking: configs.Masking
    data: configs.LabelledData
