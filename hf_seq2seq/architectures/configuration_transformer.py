"""Configurations of the Transformers: encoder-decoder, encoder-only, decoder-only; every choice is one field.

The files of this folder are copied into model repositories, so they import only each other, `torch` and `transformers`.
"""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_source_inputs import check_source_inputs

CHOICES = {
    "activation_function": ("relu", "gelu", "swiglu"),
    "norm_placement": ("post", "pre", "none"),
    "position_embedding_type": ("sinusoidal", "learned", "rotary", "relative_bias", "none"),
    "initialization": ("default", "deepnet", "tfixup"),
}


@strict
class TransformerConfig(PreTrainedConfig):
    """The fields that all three share.

    Attributes:
        vocab_size: vocabulary size; the target's, if there are two.
        tie_word_embeddings: the output projection is the embedding table. Papers: Press and Wolf, 2017,
            https://aclanthology.org/E17-2025; Vaswani et al., 2017, section 3.4
        d_model: width of embeddings, layers and outputs.
        activation_function: between the two linear maps of the feed-forward network: "relu", "gelu" or "swiglu".
        position_embedding_type: "sinusoidal", "learned", "rotary", "relative_bias" or "none". With "none" an encoder
            knows no order: permuting its input permutes its output. A decoder still sees how many tokens came before.
        max_position_embeddings: rows of the "learned" table; the other types have no limit.
        relative_attention_num_buckets, relative_attention_max_distance: of "relative_bias": number of distance buckets,
            and the distance from which all share one.
        norm_placement: "post" normalizes the sum of input and sublayer (Vaswani et al., 2017), "pre" the sublayer's
            input, and once more the stack's output (Xiong et al., 2020, https://arxiv.org/abs/2002.04745); "none" has
            no normalization, which "tfixup" is designed for.
        layer_norm_eps: added to the variance.
        initialization: "default" (Glorot), or, for deep stacks, "deepnet" (post-norm) or "tfixup" (no norm).
        scale_embedding: embeddings are multiplied by sqrt(d_model). Paper: Vaswani et al., 2017, section 3.4
        initializer_range: standard deviation of the embeddings' initial values; None means d_model ** -0.5.
        dropout: probability, on the sum of embeddings and positions and on each sublayer's output. Paper: Vaswani et
            al., 2017, section 5.4
        attention_dropout: on attention weights.
        activation_dropout: between the two maps of the feed-forward network.

    Raises:
        ValueError: the combination is impossible; the message names the fields and a fix.
    """

    _auto_class = "AutoConfig"  # a saved model includes its code
    sides: ClassVar[tuple[str, ...]] = ()  # the model's stacks
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 8000
    tie_word_embeddings: bool = True
    d_model: int = 512
    activation_function: str = "relu"
    position_embedding_type: str = "sinusoidal"
    max_position_embeddings: int = 1024
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    norm_placement: str = "post"
    layer_norm_eps: float = 1e-5
    initialization: str = "default"
    scale_embedding: bool = True
    initializer_range: float | None = None
    dropout: float | int = 0.1
    attention_dropout: float | int = 0.0
    activation_dropout: float | int = 0.0
    use_cache: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 3

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # first: a size may be given under its name in `attribute_map`
        _check_choices(self)
        _check_sizes(self)
        _check_heads(self)
        _check_initialization(self)
        if self.initializer_range is None:
            self.initializer_range = self.d_model**-0.5


@strict
class TransformerSeq2SeqConfig(TransformerConfig):
    """An encoder-decoder; the defaults are the base model of Vaswani et al., 2017, table 3.

    Attributes:
        source_vocab_size: source vocabulary; None means one as large as the target's.
        share_embeddings: source and target use one embedding table; needs equal vocabularies.
        encoder_layers, decoder_layers: layers of each stack.
        encoder_attention_heads, decoder_attention_heads: attention heads in each layer.
        encoder_ffn_dim, decoder_ffn_dim: inner width of the feed-forward networks.
        attention_window: how many tokens to each side the encoder's self-attention sees; None for all. Its cost grows
            with the length, not with its square. Paper: Beltagy et al., 2020, https://arxiv.org/abs/2004.05150
        decoder_start_token_id: first input of the decoder; None means `bos_token_id`.
        input_width: numbers per frame of feature matrices, which are read in place of tokens; None for tokens.
        feature_names: features of tokens, "COLUMN=VALUE", whose ids are 1, 2 and so on; None if there are none.
        feature_columns, feature_of_words: the columns that they come from, and those of these that have one per word.
        feature_joining: "add" adds their embeddings to the tokens', "concatenate" maps both to the tokens' width.

    Raises:
        ValueError: as for `TransformerConfig`.
    """

    model_type = "transformer-seq2seq"
    sides = ("encoder", "decoder")
    attribute_map = {
        "num_hidden_layers": "encoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
    }

    source_vocab_size: int | None = None
    share_embeddings: bool = False
    encoder_layers: int = 6
    decoder_layers: int = 6
    encoder_attention_heads: int = 8
    decoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    decoder_ffn_dim: int = 2048
    is_encoder_decoder: bool = True
    attention_window: int | None = None
    decoder_start_token_id: int | None = None
    input_width: int | None = None
    feature_names: list[str] | None = None
    feature_columns: list[str] | None = None
    feature_of_words: list[str] | None = None
    feature_joining: str = "add"

    def __post_init__(self, **kwargs: Any) -> None:
        if self.source_vocab_size is None:
            self.source_vocab_size = self.vocab_size
        if self.decoder_start_token_id is None:
            self.decoder_start_token_id = self.bos_token_id
        if self.share_embeddings and self.source_vocab_size != self.vocab_size:
            raise ValueError(
                f"share_embeddings needs one vocabulary, but source_vocab_size={self.source_vocab_size} and "
                f"vocab_size={self.vocab_size}; use a shared tokenizer or share_embeddings=False"
            )
        if self.attention_window is not None and self.attention_window < 1:
            raise ValueError(f"attention_window={self.attention_window} is too small; the minimum is 1")
        if self.attention_window is not None and self.position_embedding_type == "relative_bias":
            raise ValueError(
                f"attention_window={self.attention_window} with position_embedding_type='relative_bias': choose "
                "position_embedding_type='rotary', which knows distances, too"
            )
        check_source_inputs(self)
        super().__post_init__(**kwargs)


@strict
class TransformerEncoderConfig(TransformerConfig):
    """An encoder-only model, as in BERT; the defaults are the sizes of its base model.

    Paper: Devlin et al., 2019, section 3, https://aclanthology.org/N19-1423

    Attributes:
        encoder_layers: layers.
        encoder_attention_heads: attention heads in each.
        encoder_ffn_dim: inner width of the feed-forward networks.

    Raises:
        ValueError: as for `TransformerConfig`.
    """

    model_type = "transformer-encoder"
    sides = ("encoder",)
    attribute_map = {
        "num_hidden_layers": "encoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "intermediate_size": "encoder_ffn_dim",
        "hidden_size": "d_model",
    }

    d_model: int = 768
    encoder_layers: int = 12
    encoder_attention_heads: int = 12
    encoder_ffn_dim: int = 3072


@strict
class TransformerDecoderConfig(TransformerConfig):
    """A decoder-only model, as in GPT; the defaults are the sizes of GPT-1.

    Paper: Radford et al., 2018, section 4.1,
    https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    Attributes:
        decoder_layers: layers.
        decoder_attention_heads: attention heads in each.
        decoder_ffn_dim: inner width of the feed-forward networks.

    Raises:
        ValueError: as for `TransformerConfig`.
    """

    model_type = "transformer-decoder"
    sides = ("decoder",)
    attribute_map = {
        "num_hidden_layers": "decoder_layers",
        "num_attention_heads": "decoder_attention_heads",
        "intermediate_size": "decoder_ffn_dim",
        "hidden_size": "d_model",
    }

    d_model: int = 768
    decoder_layers: int = 12
    decoder_attention_heads: int = 12
    decoder_ffn_dim: int = 3072


def _check_choices(config: TransformerConfig) -> None:
    for name, known in CHOICES.items():
        if getattr(config, name) not in known:
            raise ValueError(f"{name}={getattr(config, name)!r} is unknown; choose from {', '.join(known)}")
    for name in ("dropout", "attention_dropout", "activation_dropout"):
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name}={getattr(config, name)} is not a probability below 1; 0 switches it off")


def _check_sizes(config: TransformerConfig) -> None:
    names = ["vocab_size", "source_vocab_size", "d_model", "max_position_embeddings"]
    names += [f"{side}_{name}" for side in config.sides for name in ("layers", "attention_heads", "ffn_dim")]
    for name in names:
        if getattr(config, name, 1) < 1:
            raise ValueError(f"{name}={getattr(config, name)} is too small; the minimum is 1")
    buckets, furthest = config.relative_attention_num_buckets, config.relative_attention_max_distance
    if buckets < 4 or buckets % 2:
        raise ValueError(f"relative_attention_num_buckets={buckets}: choose an even number from 4 on")
    if furthest <= buckets // 2:
        raise ValueError(
            f"relative_attention_max_distance={furthest} must exceed half of relative_attention_num_buckets={buckets}, "
            "which cover one distance each; raise it, or choose fewer buckets"
        )


def _check_heads(config: TransformerConfig) -> None:
    for side in config.sides:
        heads = getattr(config, f"{side}_attention_heads")
        if config.d_model % heads:
            raise ValueError(
                f"d_model={config.d_model} cannot be cut into {side}_attention_heads={heads} equal heads; "
                "choose a d_model that is a multiple of the heads"
            )
        if config.position_embedding_type == "rotary" and config.d_model // heads % 2:
            raise ValueError(
                f"position_embedding_type='rotary' rotates pairs of numbers, but d_model={config.d_model} with "
                f"{side}_attention_heads={heads} makes heads of odd width; choose fewer heads or another d_model"
            )
    if config.position_embedding_type == "sinusoidal" and config.d_model % 2:
        raise ValueError(f"d_model={config.d_model} is odd; sinusoidal positions are pairs of a sine and a cosine")


def _check_initialization(config: TransformerConfig) -> None:
    needed = {"deepnet": "post", "tfixup": "none"}.get(config.initialization)
    if needed is not None and config.norm_placement != needed:
        raise ValueError(
            f"initialization={config.initialization!r} with norm_placement={config.norm_placement!r}: "
            f"it is derived for norm_placement={needed!r}; set that, or initialization='default'"
        )
    if config.initialization == "tfixup" and len(config.sides) == 1:
        raise ValueError(
            f"initialization='tfixup' is derived for an encoder-decoder, not for {config.model_type!r}; "
            "use initialization='deepnet' with norm_placement='post', or norm_placement='pre'"
        )
    if config.norm_placement == "none" and config.initialization != "tfixup":
        raise ValueError(
            f"norm_placement='none' with initialization={config.initialization!r} does not train; "
            "set initialization='tfixup', or norm_placement='pre'"
        )
