"""Options common to the recipes of one kind, and sections specific to one kind of model.

A recipe lists its sections itself, in the order of its help; these bases provide the types for code below the recipes.
Importing this module does not import torch.
"""

from dataclasses import dataclass

from hf_seq2seq import configs
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MOST_LAYERS, MOST_WEIGHT, Section, flag, option
from hf_seq2seq.training_options import VocabularyUpdate

PROBLEMS = ("single_label", "multi_label", "regression")
POOLINGS = ("cls", "mean", "last")


ATTENTIONS = ("none", "additive", "dot", "scaled_dot", "general", "location", "multi_head", "monotonic")


@dataclass(frozen=True, kw_only=True)
class RecurrentAttention(Section):
    """Attention: how a recurrent decoder weights the source."""

    attention: str = option("general", "Attention score.", choices=ATTENTIONS)
    num_attention_heads: int | None = option(
        None, "Heads of multi_head, which divide the hidden size; by default 4.", at_least=1
    )
    location_filters: int = option(
        10,
        "Features of the previous alignment at each position, for location.",
        at_least=1,
        needs=("attention", "location"),
    )
    location_kernel: int = option(
        15, "Kernel size of these features, an odd number.", at_least=1, needs=("attention", "location")
    )
    monotonic_offset: float = option(
        -1.0, "Initial offset of monotonic; lower for longer sources.", needs=("attention", "monotonic")
    )
    monotonic_noise: float = option(
        1.0, "Noise on the energies of monotonic in training.", at_least=0, needs=("attention", "monotonic")
    )
    local_attention: str = option(
        "none",
        "Attend only near one source position: that of the target step (monotonic) or a predicted one.",
        choices=("none", "monotonic", "predictive"),
    )
    attention_window: int | None = option(None, "Positions seen on each side, by default 10.", at_least=1)
    coverage: bool = option(False, "Let attention see the sum of past alignments.")
    coverage_loss_weight: float = option(
        1.0,
        "Weight of the coverage loss that comes with --coverage.",
        at_least=0,
        at_most=MOST_WEIGHT,
        needs=("coverage", True),
    )
    pointer_generator: bool = option(False, "Let each step copy a source token instead of generating one.")
    copy_vocab_size: int = option(
        0, "Unknown words per source that can be copied; needs --tokenizer-type word.", at_least=0
    )


@dataclass(frozen=True, kw_only=True)
class RecurrentStack(Section):
    """Recurrent layers: connections between them, and the source as one vector."""

    context_pooling: str = option(
        "last", "How to pool the source into one vector.", choices=("last", "mean", "max", "weighted")
    )
    context_feeding: bool = option(False, "Without attention: feed that vector into every step.")
    phrase_length: int | None = option(None, "Also read phrases of this many words.", at_least=1)
    phrase_separator: str | None = option(None, "Also read phrases that end at this source token.")
    sentence_separator: str | None = option(None, "Also read sentences that end at this source token.")
    document_separator: str | None = option(None, "Also read documents of sentences that end at this source token.")
    hierarchical_attention: bool = option(
        False, "Attend to documents if there are any, to sentences, and to the words within each."
    )
    residual: bool = option(False, "Skip connections between layers.")
    layer_norm: bool = option(False, "Layer norm on each layer's output.")
    embedding_dropout: float | None = option(None, "Dropout on embeddings, if different.", at_least=0, at_most=0.95)
    output_dropout: float | None = option(None, "Dropout on the output, if different.", at_least=0, at_most=0.95)
    recurrent_dropout: float = option(
        0.0, "Dropout on the recurrent state, one mask per sequence; slower.", at_least=0, at_most=0.95
    )


@dataclass(frozen=True, kw_only=True)
class HandBuiltStart(configs.Pretrained):
    """Model: the checkpoint or the word vectors to start from."""

    pretrained_embeddings: str | None = option(
        None, "Start the embeddings from word vectors: a file in the text format of word2vec, or of GloVe."
    )

    def __post_init__(self) -> None:
        """Rejects two starts."""
        super().__post_init__()
        for name in ("model_revision", "resize_embeddings"):
            if self.model_name_or_path is None and getattr(self, name) != getattr(HandBuiltStart, name):
                raise InputError(f"{flag(name)} needs --model-name-or-path")
        if self.pretrained_embeddings is not None and self.model_name_or_path is not None:
            raise InputError("--pretrained-embeddings: a checkpoint has embeddings already; give one of them")


@dataclass(frozen=True, kw_only=True)
class RecurrentSchedule(configs.Schedule):
    """Schedule: how long, how fast, when to evaluate, save and stop."""

    # Over few updates a rate that falls from the first one on learns less: see peers_batches.py in benchmarks.
    lr_scheduler_type: str = option("warmup_stable_decay", "Learning rate schedule.", choices=configs.SCHEDULES)


@dataclass(frozen=True, kw_only=True)
class HandBuiltRun(configs.TextRunConfig):
    """A run of a hand-built encoder-decoder: from scratch, or from a checkpoint of the same architecture."""

    start: HandBuiltStart
    model: Section
    mixture: configs.Mixing
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
class CheckpointOrPair(configs.Pretrained):
    """Model: a checkpoint to fine-tune, or an encoder and a decoder to join."""

    encoder: str | None = option(None, "Checkpoint whose encoder reads the source: a Hub id or a folder.")
    decoder: str | None = option(None, "Checkpoint that becomes the decoder, with new attention on the source.")
    tie_encoder_decoder: bool = option(False, "One set of weights for both; they have the same architecture.")
    config_overrides: tuple[str, ...] = option((), "Other fields of the model's configuration: dropout=0.1.")

    def __post_init__(self) -> None:
        """Rejects two starts, and half a pair."""
        super().__post_init__()
        given = [name for name in ("encoder", "decoder") if getattr(self, name) is not None]
        if given and self.model_name_or_path is not None:
            raise InputError(f"--{given[0]} and --model-name-or-path are two starts; give one")
        if len(given) == 1:
            raise InputError(f"--{given[0]}: also give {'--decoder' if given == ['encoder'] else '--encoder'}")
        if self.tie_encoder_decoder and not given:
            raise InputError("--tie-encoder-decoder: needs --encoder and --decoder")
        if self.config_overrides and given:
            raise InputError("--config-overrides: changes one checkpoint, not a pair; leave it out")


@dataclass(frozen=True, kw_only=True)
class CheckpointTokens(VocabularyUpdate, configs.PairTokenization):
    """Tokens: limits, and the tokenizer if it is not the checkpoint's."""

    tokenizer_name: str | None = option(None, "Tokenizer (Hub id or folder), if not the checkpoint's.")
    added_tokens: tuple[str, ...] = option(
        (), "Marks in the text that are one token each, such as the tag <BT> of back-translation."
    )
    added_languages: tuple[str, ...] = option(
        (),
        "New languages of NLLB or of a model with tags: kbd_Cyrl, which starts at the mean of all languages, or "
        "kbd_Cyrl=rus_Cyrl+kaz_Cyrl.",
        aliases=("add_language",),
    )


@dataclass(frozen=True, kw_only=True)
class AnySeq2SeqRun(configs.TextRunConfig):
    """A run of any encoder-decoder checkpoint, or of a joined pair, on pairs, conversations or a mixture."""

    model: CheckpointOrPair
    data: configs.PairsOrDialogue
    mixture: configs.Mixing
    tokens: CheckpointTokens
    adaptation: configs.Adaptation


@dataclass(frozen=True, kw_only=True)
class DecoderModel(configs.PretrainedOrNew):
    """Model: a checkpoint, or an architecture and a size."""

    architecture: str = option(
        "gpt2", "From scratch: the architecture.", choices=("gpt2", "transformer-decoder"), needs=("from_scratch", True)
    )
    num_hidden_layers: int | None = option(
        None, "Layers, if not the size's.", at_least=1, at_most=MOST_LAYERS, needs=("from_scratch", True)
    )
    num_attention_heads: int | None = option(
        None, "Attention heads per layer, if not the size's.", at_least=1, needs=("from_scratch", True)
    )
    hidden_size: int | None = option(None, "Width, if not the size's.", at_least=1, needs=("from_scratch", True))
    dropout: float = option(
        0.1, "From scratch: dropout, of no attention weights.", at_least=0, at_most=0.95, needs=("from_scratch", True)
    )


@dataclass(frozen=True, kw_only=True)
class DecoderData(configs.PairData):
    """Data: pairs of source and target text, conversations, or raw text."""

    objective: str = option("pairs", "Learn targets, replies, or raw text.", choices=("pairs", "dialogue", "causal"))
    one_document: bool = option(
        False, "Causal: treat a file as one document, rather than one document per line.", needs=("objective", "causal")
    )


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

    architecture: str = option(
        "bert",
        "Architecture of a model from scratch.",
        choices=("bert", "transformer-encoder"),
        needs=("from_scratch", True),
    )
    problem_type: str = option("single_label", "Kind of labels.", choices=PROBLEMS)
    pooling: str | None = option(None, "Pooling for the head; by default the model's own.", choices=POOLINGS)
    class_weights: str = option("none", "Weight classes in the loss.", choices=("none", "balanced"))
    stride: int | None = option(
        None, "Read longer texts in windows of --max-source-length that overlap by this many tokens.", at_least=0
    )
    window_pooling: str = option("mean", "How to pool the windows' logits.", choices=("mean", "max", "first"))
    r_drop: float = option(
        0.0,
        "Weight of the divergence between two passes with different dropout; 0 is one pass.",
        at_least=0,
        at_most=MOST_WEIGHT,
    )
    classifier_dropout: float = option(0.1, "Dropout before the linear layer.", at_least=0, at_most=0.95)


@dataclass(frozen=True, kw_only=True)
class EncoderRun(PretrainedRun):
    """A run of an encoder: a classifier of labelled texts, or raw text whose masked tokens are predicted."""

    model: EncoderModel
    masking: configs.Masking
    data: configs.LabelledData
