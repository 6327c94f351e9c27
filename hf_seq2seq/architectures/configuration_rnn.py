"""Configuration of the recurrent encoder-decoders: every choice is one field.

The files of this folder are copied into model repositories, so they import only each other, `torch` and `transformers`.
"""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_rnn_checks import check_combinations
from .configuration_source_inputs import check_source_inputs

CELLS = ("lstm", "gru", "rnn")
ATTENTIONS = ("additive", "dot", "scaled_dot", "general", "location", "multi_head", "monotonic", "none")
LOCAL_ATTENTIONS = ("none", "monotonic", "predictive")
DECODER_STYLES = ("luong", "bahdanau")
DECODER_STARTS = ("bridge", "transfer", "zeros")
CONTEXT_POOLINGS = ("last", "mean", "max", "weighted")


@strict
class RnnSeq2SeqConfig(PreTrainedConfig):
    """Configuration of a recurrent encoder-decoder.

    Attributes:
        vocab_size: target vocabulary.
        source_vocab_size: source vocabulary; None means one as large as the target's.
        share_embeddings: source and target use one embedding table; needs equal vocabularies.
        tie_word_embeddings: the output projection is the target embedding table; needs `embedding_size` equal to
            `hidden_size`. Paper: Press and Wolf, 2017, https://aclanthology.org/E17-2025
        embedding_size: width of the embeddings; None means `hidden_size`.
        hidden_size: width of the decoder's layers and of the input of the output projection.
        encoder_hidden_size: width of each direction of the encoder; None makes the encoder's output, with both
            directions concatenated, as wide as the decoder.
        encoder_layers, decoder_layers: stacked recurrent layers.
        bidirectional: the encoder reads the source in both directions.
        cell: "lstm", "gru" or "rnn" (a plain tanh network).
        attention: the score function: "additive", "dot", "scaled_dot", "general", "location" (additive, and sees the
            previous alignment), "multi_head" or "monotonic" (each step continues from where the last one stopped);
            "none" gives the decoder only its initial state to see the source through.
        num_attention_heads: heads of attention="multi_head", which share `hidden_size`; None for 4, or 2 or 1 if 4 do
            not divide it. The others have 1.
        location_filters, location_kernel: of attention="location": features per position, and the number of positions
            of the previous alignment that each sees, which is odd.
        monotonic_offset: of attention="monotonic", the initial value of r; the longer the sources, the further below 0.
        monotonic_noise: of attention="monotonic", standard deviation of the noise added to the energies in training.
        local_attention: "monotonic" and "predictive" keep the alignment near one source position, the index of the
            target step or a predicted one; "none" sees the whole source.
        attention_window: source positions that local attention sees on each side; None means 10 if it is on.
        coverage: attention also sees the sum of its past alignments: within the tanh of "additive" and "location", and
            a learned multiple of it added to the other scores. Paper: See et al., 2017, section 2.3,
            https://aclanthology.org/P17-1099
        coverage_loss_weight: weight of the coverage loss in the training loss; 0 turns it off. Used from the first
            step, it may keep alignments from forming: the paper first trains with 0, then continues with 1.
        decoder_style: "luong" attends with the new state, after the cell; "bahdanau" with the previous state, and the
            cell reads the context.
        input_feeding: the attentional vector of a step is part of the next step's input (luong style only).
        input_feeding_context: so is the attention context of that step.
        decoder_start: "bridge" is tanh(W c + b) of the context c, "transfer" hands the encoder's final state over layer
            by layer, "zeros".
        context_pooling: how the encoder's outputs become one vector, the context: "last", each direction's last
            output; "mean"; "max"; "weighted", a mean with learned weights.
        context_feeding: the context is part of the input of every decoder step and of the output projection, in
            addition to the embedding; only with attention="none". Paper: Cho et al., 2014, section 2.2,
            https://aclanthology.org/D14-1179
        phrase_length, phrase_separator_token_id: add an encoder level above the words that reads phrases: of a fixed
            number of words, or up to a source token. Segments are pooled to vectors by `context_pooling`, and learned
            matrices combine the levels' contexts.
        sentence_separator_token_id: adds a level that reads sentences, which end at that source token.
        document_separator_token_id: adds a level above them that reads documents, which end at that source token.
        hierarchical_attention: any softmax attention over the words within each sentence, bilinear attention over the
            sentences, within each document if there are documents, and bilinear attention over these; the weights are
            multiplied. Paper: Yang et al., 2016, https://aclanthology.org/N16-1174
        pointer_generator: each step may copy a source token instead of generating one; the logits are then
            log-probabilities. Paper: See et al., 2017, section 2.2, https://aclanthology.org/P17-1099
        copy_vocab_size: number of ids beyond the vocabulary, which stand for the unknown words of a row's source.
        source_to_target_ids: the target id of each source id, if the vocabularies differ.
        dropout: probability, on embeddings, between layers and on the input of the output projection. Paper: Zaremba et
            al., 2014, section 3.1, https://arxiv.org/abs/1409.2329
        embedding_dropout, output_dropout: separate values for the embeddings and for the input of the output
            projection; None means `dropout`.
        encoder_output_dropout: on the encoder's outputs, as attention and the context read them.
        recurrent_dropout: on the previous output as input to a step, with one mask for all steps of a sequence; each
            layer then runs step by step in training. Paper: Gal and Ghahramani, 2016, section 4,
            https://arxiv.org/abs/1512.05287
        residual: each layer above the first adds its input to its output. Paper: Wu et al., 2016, section 3.1,
            https://arxiv.org/abs/1609.08144
        layer_norm: each layer's output is normalized, outside the cell. Paper: Ba et al., 2016,
            https://arxiv.org/abs/1607.06450
        initializer_range: standard deviation of the embeddings' initial values.
        output_bias: the output projection has a bias, softmax(W_o h + b_o).
        decoder_start_token_id: first input of the decoder; None means `bos_token_id`.
        input_width: numbers per frame of feature matrices, which are read in place of tokens; None for tokens.
        feature_names: features of tokens, "COLUMN=VALUE", whose ids are 1, 2 and so on; None if there are none.
        feature_columns, feature_of_words: the columns that they come from, and those of these that have one per word.
        feature_joining: "add" adds their embeddings to the tokens', "concatenate" maps both to the tokens' width.

    Raises:
        ValueError: the combination is impossible; the message names the fields and a fix.
    """

    model_type = "rnn-seq2seq"
    _auto_class = "AutoConfig"  # a saved model includes its code
    keys_to_ignore_at_inference = ["past_key_values", "auxiliary_losses"]
    attribute_map = {"num_hidden_layers": "encoder_layers"}

    vocab_size: int = 8000
    source_vocab_size: int | None = None
    share_embeddings: bool = False
    tie_word_embeddings: bool = False
    embedding_size: int | None = None
    hidden_size: int = 256
    encoder_hidden_size: int | None = None
    encoder_layers: int = 1
    decoder_layers: int = 1
    bidirectional: bool = True
    cell: str = "lstm"
    attention: str = "general"
    num_attention_heads: int | None = None
    location_filters: int = 10
    location_kernel: int = 15
    monotonic_offset: float | int = -1.0
    monotonic_noise: float | int = 1.0
    local_attention: str = "none"
    attention_window: int | None = None
    coverage: bool = False
    coverage_loss_weight: float | int = 1.0
    decoder_style: str = "luong"
    input_feeding: bool = False
    input_feeding_context: bool = False
    decoder_start: str = "bridge"
    context_pooling: str = "last"
    context_feeding: bool = False
    phrase_length: int | None = None
    phrase_separator_token_id: int | None = None
    sentence_separator_token_id: int | None = None
    document_separator_token_id: int | None = None
    hierarchical_attention: bool = False
    pointer_generator: bool = False
    copy_vocab_size: int = 0
    source_to_target_ids: list[int] | None = None
    dropout: float | int = 0.2
    embedding_dropout: float | int | None = None
    output_dropout: float | int | None = None
    encoder_output_dropout: float | int = 0.0
    recurrent_dropout: float | int = 0.0
    residual: bool = False
    layer_norm: bool = False
    initializer_range: float = 0.1
    output_bias: bool = False
    use_cache: bool = True
    is_encoder_decoder: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 3
    unk_token_id: int | None = 2
    decoder_start_token_id: int | None = None
    input_width: int | None = None
    feature_names: list[str] | None = None
    feature_columns: list[str] | None = None
    feature_of_words: list[str] | None = None
    feature_joining: str = "add"

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # first, because it also sets fields given under another library's names
        _check_values(self)
        if self.source_vocab_size is None:
            self.source_vocab_size = self.vocab_size
        if self.embedding_size is None:
            self.embedding_size = self.hidden_size
        if self.num_attention_heads is None:
            self.num_attention_heads = math.gcd(self.hidden_size, 4) if self.attention == "multi_head" else 1
        if self.encoder_hidden_size is None:
            self.encoder_hidden_size = _half(self.hidden_size) if self.bidirectional else self.hidden_size
        if self.decoder_start_token_id is None:
            self.decoder_start_token_id = self.bos_token_id
        if self.local_attention != "none" and self.attention_window is None:
            self.attention_window = 10
        check_combinations(self)
        check_source_inputs(self)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in the base class; a saved model whose file does not say how many heads it has, has one."""
        return super().from_dict({"num_attention_heads": 1} | config_dict, **kwargs)

    @property
    def encoder_output_size(self) -> int:
        """Width of the encoder's output, all directions together."""
        assert self.encoder_hidden_size is not None
        return self.encoder_hidden_size * (2 if self.bidirectional else 1)

    def probability(self, name: str) -> float:
        """The dropout of that name, or the general one if it is None."""
        value = getattr(self, name)
        return self.dropout if value is None else value

    @property
    def reads_source_afresh(self) -> bool:
        """Whether each decoder step reads the source only through its state, so that hypotheses can share a source."""
        carries = self.attention in ("location", "monotonic") or self.coverage or self.local_attention == "monotonic"
        return not (carries or self.context_feeding or self.pointer_generator)

    @property
    def has_context(self) -> bool:
        """Whether the decoder reads the source as one vector."""
        return self.context_feeding or self.decoder_start == "bridge"

    @property
    def has_phrases(self) -> bool:
        """Whether the encoder has a level of phrases."""
        return self.phrase_length is not None or self.phrase_separator_token_id is not None

    @property
    def has_sentences(self) -> bool:
        """Whether the encoder has a level of sentences."""
        return self.sentence_separator_token_id is not None

    @property
    def has_documents(self) -> bool:
        """Whether the encoder has a level of documents."""
        return self.document_separator_token_id is not None

    @property
    def has_levels(self) -> bool:
        """Whether the encoder has a level above the words."""
        return self.has_phrases or self.has_sentences


def _half(width: int) -> int:
    if width % 2:
        raise ValueError(
            f"hidden_size={width} is odd, so two encoder directions cannot split it; "
            "choose an even hidden_size, set encoder_hidden_size, or bidirectional=False"
        )
    return width // 2


def _check_values(config: RnnSeq2SeqConfig) -> None:
    choices = {"cell": CELLS, "attention": ATTENTIONS, "decoder_style": DECODER_STYLES, "decoder_start": DECODER_STARTS}
    choices["context_pooling"] = CONTEXT_POOLINGS
    choices["local_attention"] = LOCAL_ATTENTIONS
    for name, known in choices.items():
        if getattr(config, name) not in known:
            raise ValueError(f"{name}={getattr(config, name)!r} is unknown; choose from {', '.join(known)}")
    sizes = ("vocab_size", "source_vocab_size", "embedding_size", "hidden_size", "encoder_hidden_size")
    counts = ("num_attention_heads", "location_filters", "location_kernel", "attention_window", "phrase_length")
    for name in (*sizes, *counts, "encoder_layers", "decoder_layers"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} is too small; the minimum is 1")
    for name in ("dropout", "embedding_dropout", "output_dropout", "encoder_output_dropout", "recurrent_dropout"):
        if not 0 <= config.probability(name) < 1:
            raise ValueError(f"{name}={getattr(config, name)} is not a probability below 1; 0 switches it off")
    for name in ("coverage_loss_weight", "monotonic_noise"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name}={getattr(config, name)} is below 0; 0 switches it off")
    if config.residual and config.encoder_layers == config.decoder_layers == 1:
        raise ValueError(
            "residual=True with encoder_layers=1 and decoder_layers=1: skip connections start at the second layer; "
            "add layers or set residual=False"
        )
