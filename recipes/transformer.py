"""Train a Transformer from scratch.

    hf-seq2seq train transformer --train-file train.tsv --validation-file dev.tsv --output-dir outputs/transformer

Encoder and decoder are stacks of attention and feed-forward networks, as in Vaswani et al., 2017,
https://arxiv.org/abs/1706.03762.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_seq2seq import configs, run_configs
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MOST_LAYERS, Section, option

if TYPE_CHECKING:
    from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
    from hf_seq2seq.task import Task


@dataclass(frozen=True, kw_only=True)
class Model(Section):
    """Model: the Transformer."""

    d_model: int = option(256, "Width of embeddings and layers.", at_least=1)
    encoder_layers: int = option(3, "Layers of the encoder.", at_least=1, at_most=MOST_LAYERS)
    decoder_layers: int = option(3, "Layers of the decoder.", at_least=1, at_most=MOST_LAYERS)
    encoder_attention_heads: int = option(4, "Attention heads of an encoder layer.", at_least=1)
    decoder_attention_heads: int = option(4, "Attention heads of a decoder layer.", at_least=1)
    encoder_ffn_dim: int = option(1024, "Inner width of the encoder's feed-forward networks.", at_least=1)
    decoder_ffn_dim: int = option(1024, "Inner width of the decoder's feed-forward networks.", at_least=1)
    activation_function: str = option(
        "relu", "Activation of the feed-forward networks.", choices=("relu", "gelu", "swiglu")
    )
    position_embedding_type: str = option(
        "sinusoidal", "Positional encoding.", choices=("sinusoidal", "learned", "rotary", "relative_bias", "none")
    )
    attention_window: int | None = option(None, "Tokens to each side that the encoder sees.", at_least=1)
    norm_placement: str = option("pre", "Layer norm before or after a sublayer.", choices=("post", "pre", "none"))
    initialization: str = option("default", "Glorot, or for deep stacks.", choices=("default", "deepnet", "tfixup"))
    dropout: float = option(0.1, "Dropout on embeddings and sublayers.", at_least=0, at_most=0.95)
    attention_dropout: float = option(0.0, "Dropout on attention weights.", at_least=0, at_most=0.95)
    activation_dropout: float = option(0.0, "Dropout inside feed-forward networks.", at_least=0, at_most=0.95)
    tie_word_embeddings: bool = option(True, "One matrix for the target embeddings and the output layer.")


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.HandBuiltRun):
    """All options of `transformer`."""

    start: run_configs.HandBuiltStart = field(default_factory=run_configs.HandBuiltStart)
    model: Model = field(default_factory=Model)
    data: configs.PairsOrDialogue = field(default_factory=configs.PairsOrDialogue)
    mixture: configs.Mixing = field(default_factory=configs.Mixing)
    tokens: configs.NewTokenizer = field(default_factory=configs.NewTokenizer)


def prepare(config: Config) -> "Task":
    """Reads pairs or conversations, trains the tokenizers, builds the model, or loads both from a checkpoint."""
    from hf_seq2seq.defaults.pairs import transformer_choices
    from hf_seq2seq.tasks.kept import start_tokenizers
    from hf_seq2seq.tasks.mixtures import check_mixed_run, mixed_task, open_mixed
    from hf_seq2seq.tasks.own_checkpoints import load_own
    from hf_seq2seq.tasks.pretrained_embeddings import start_embeddings
    from hf_seq2seq.tasks.stages import texts_to_learn

    members, new = check_mixed_run(config, "transformer-seq2seq"), config.start.model_name_or_path is None
    config, pairs, mixture = open_mixed(config, members, transformer_choices if new else None)
    if not new:
        return mixed_task("transformer", *load_own("transformer", "transformer-seq2seq", config), pairs, mixture)
    tokenizers = start_tokenizers(config, *texts_to_learn(pairs["train"]))
    model = start_embeddings(build_model(config, tokenizers), tokenizers, config)
    return mixed_task("transformer", config, model, tokenizers, pairs, mixture, new=True)


def build_model(config: Config, tokenizers: "Tokenizers") -> "TransformerForConditionalGeneration":
    """A model with random weights for the tokenizers' vocabularies."""
    from dataclasses import asdict

    from transformers import set_seed

    from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
    from hf_seq2seq.tasks.fresh import build_fresh

    set_seed(config.run.seed)
    try:
        settings = TransformerSeq2SeqConfig(**tokenizers.model_settings(), **asdict(config.model))
        return build_fresh(lambda: TransformerForConditionalGeneration(settings))
    except ValueError as error:
        raise InputError(str(error)) from error


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
