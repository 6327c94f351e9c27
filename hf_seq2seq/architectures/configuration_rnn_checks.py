"""Combinations of a recurrent configuration that cannot be built, each refused with the fields and the way out.

Every function takes an `RnnSeq2SeqConfig` whose derived sizes are known, and raises `ValueError`.
"""

from transformers import PreTrainedConfig


def check_combinations(config: PreTrainedConfig) -> None:
    """Refuses what cannot be built.

    Raises:
        ValueError: the message names the fields and the way out.
    """
    for check in (
        _check_embeddings, _check_attention, _check_scores, _check_start, _check_context, _check_levels, _check_pointer,
        _check_frames,
    ):  # fmt: skip
        check(config)


def _check_embeddings(config: PreTrainedConfig) -> None:
    if config.share_embeddings and config.source_vocab_size != config.vocab_size:
        raise ValueError(
            f"share_embeddings needs one vocabulary, but source_vocab_size={config.source_vocab_size} and "
            f"vocab_size={config.vocab_size}; use a shared tokenizer or share_embeddings=False"
        )
    if config.tie_word_embeddings and config.embedding_size != config.hidden_size:
        raise ValueError(
            f"tie_word_embeddings needs equal widths, but embedding_size={config.embedding_size} and "
            f"hidden_size={config.hidden_size}; make them equal or set tie_word_embeddings=False"
        )


def _check_frames(config: PreTrainedConfig) -> None:
    separated = config.phrase_separator_token_id is not None or config.sentence_separator_token_id is not None
    if config.input_width is not None and (separated or config.pointer_generator):
        name = "pointer_generator" if config.pointer_generator else "phrase_separator or sentence_separator"
        raise ValueError(f"{name} needs source tokens, and a source of input_width={config.input_width} has frames")


def _check_attention(config: PreTrainedConfig) -> None:
    if config.attention == "none" and config.decoder_style != "luong":
        raise ValueError(
            "decoder_style='bahdanau' with attention='none': the cell would have no context to read; "
            "choose an attention or decoder_style='luong'"
        )
    if config.input_feeding and (config.attention == "none" or config.decoder_style != "luong"):
        raise ValueError(
            f"input_feeding=True with attention={config.attention!r} and decoder_style={config.decoder_style!r}: "
            "it feeds back the luong style's attentional vector; choose that with an attention, or input_feeding=False"
        )
    if config.input_feeding_context and not config.input_feeding:
        raise ValueError(
            "input_feeding_context=True with input_feeding=False: the context is fed with the attentional vector; "
            "set input_feeding=True or input_feeding_context=False"
        )
    if config.attention in ("dot", "scaled_dot") and config.encoder_output_size != config.hidden_size:
        raise ValueError(
            f"attention={config.attention!r} needs equal widths, but the encoder gives {config.encoder_output_size} "
            f"and hidden_size={config.hidden_size}; leave encoder_hidden_size unset or use attention='general'"
        )


def _check_scores(config: PreTrainedConfig) -> None:
    heads = config.num_attention_heads
    if heads != 1 and config.attention != "multi_head":
        raise ValueError(
            f"num_attention_heads={heads}: attention={config.attention!r} has 1 head; use attention='multi_head'"
        )
    if config.hidden_size % heads:
        raise ValueError(
            f"num_attention_heads={heads} does not divide hidden_size={config.hidden_size}; make one a multiple"
        )
    if not config.location_kernel % 2:
        raise ValueError(
            f"location_kernel={config.location_kernel} is even, so it has no middle; use {config.location_kernel + 1}"
        )
    if config.coverage and config.attention == "none":
        raise ValueError(
            "coverage=True with attention='none': nothing is covered; choose an attention or coverage=False"
        )
    if config.local_attention != "none" and config.attention in ("none", "monotonic"):
        raise ValueError(
            f"local_attention={config.local_attention!r} with attention={config.attention!r}: there is no softmax to "
            "narrow down; use another attention or local_attention='none'"
        )
    if config.local_attention == "none" and config.attention_window is not None:
        raise ValueError(
            f"attention_window={config.attention_window} with local_attention='none': the whole source is seen; "
            "use local_attention='monotonic' or 'predictive', or leave attention_window unset"
        )


def _check_start(config: PreTrainedConfig) -> None:
    if config.decoder_start == "zeros" and config.attention == "none" and not config.context_feeding:
        raise ValueError(
            "decoder_start='zeros' with attention='none': the decoder would never see the source; "
            "use decoder_start='bridge', context_feeding=True or an attention"
        )
    if config.decoder_start != "transfer":
        return
    if config.encoder_layers != config.decoder_layers:
        raise ValueError(
            f"decoder_start='transfer' needs as many layers on both sides, but encoder_layers="
            f"{config.encoder_layers} and decoder_layers={config.decoder_layers}; make them equal or use 'bridge'"
        )
    if config.encoder_output_size != config.hidden_size:
        raise ValueError(
            f"decoder_start='transfer' needs equal widths, but the encoder gives {config.encoder_output_size} and "
            f"hidden_size={config.hidden_size}; leave encoder_hidden_size unset or use 'bridge'"
        )


def _check_context(config: PreTrainedConfig) -> None:
    if config.context_feeding and config.attention != "none":
        raise ValueError(
            f"context_feeding=True with attention={config.attention!r}: each step has attention's context already; "
            "choose attention='none' or context_feeding=False"
        )
    if config.context_pooling != "last" and not config.has_context and not config.hierarchical_attention:
        raise ValueError(
            f"context_pooling={config.context_pooling!r} with decoder_start={config.decoder_start!r} and "
            "context_feeding=False: nothing reads the context; use decoder_start='bridge' or context_feeding=True"
        )


def _check_levels(config: PreTrainedConfig) -> None:
    if config.phrase_length is not None and config.phrase_separator_token_id is not None:
        raise ValueError(
            f"phrase_length={config.phrase_length} and phrase_separator_token_id={config.phrase_separator_token_id} "
            "both say where phrases end; set one of them"
        )
    for name in ("phrase_separator_token_id", "sentence_separator_token_id", "document_separator_token_id"):
        token, size = getattr(config, name), config.source_vocab_size or 0
        if token is not None and not 0 <= token < size:
            raise ValueError(f"{name}={token} is not in the source vocabulary; choose from 0 to {size - 1}")
    if config.has_documents and not config.has_sentences:
        raise ValueError(
            f"document_separator_token_id={config.document_separator_token_id} with sentence_separator_token_id=None: "
            "documents consist of sentences; set sentence_separator_token_id to the source token that ends one"
        )
    if config.has_levels and not config.has_context and not config.hierarchical_attention:
        raise ValueError(
            f"phrases or sentences with decoder_start={config.decoder_start!r} and context_feeding=False: nothing "
            "reads them; use decoder_start='bridge', context_feeding=True or hierarchical_attention=True"
        )
    if not config.hierarchical_attention:
        return
    if not config.has_sentences:
        raise ValueError(
            "hierarchical_attention=True with sentence_separator_token_id=None: there are no sentences to attend to; "
            "set sentence_separator_token_id to the source token that ends one"
        )
    if config.attention in ("none", "monotonic") or config.local_attention != "none":
        raise ValueError(
            f"hierarchical_attention=True with attention={config.attention!r} and local_attention="
            f"{config.local_attention!r}: it needs a softmax over the whole source; choose another score and "
            "local_attention='none'"
        )


def _check_pointer(config: PreTrainedConfig) -> None:
    if not config.pointer_generator:
        if config.copy_vocab_size or config.source_to_target_ids is not None:
            name = "copy_vocab_size" if config.copy_vocab_size else "source_to_target_ids"
            raise ValueError(f"{name} with pointer_generator=False: nothing is copied; set pointer_generator=True")
        return
    if config.attention in ("none", "monotonic") or config.local_attention != "none":
        raise ValueError(
            f"pointer_generator=True with attention={config.attention!r} and local_attention="
            f"{config.local_attention!r}: it copies by weights that sum to 1; choose another score and "
            "local_attention='none'"
        )
    if not config.share_embeddings and config.source_to_target_ids is None:
        raise ValueError(
            "pointer_generator=True with share_embeddings=False: which target token a source token is, is not known; "
            "use a shared tokenizer and share_embeddings=True, or give source_to_target_ids"
        )
    ids = config.source_to_target_ids
    if ids is not None and (len(ids) != config.source_vocab_size or not 0 <= min(ids) <= max(ids) < config.vocab_size):
        raise ValueError(
            f"source_to_target_ids has {len(ids)} ids from {min(ids)} to {max(ids)}; it needs one for each of "
            f"source_vocab_size={config.source_vocab_size}, from 0 to {config.vocab_size - 1}"
        )
    if config.copy_vocab_size < 0 or (config.copy_vocab_size and config.unk_token_id is None):
        raise ValueError(
            f"copy_vocab_size={config.copy_vocab_size} with unk_token_id={config.unk_token_id}: it is 0 or more, and "
            "copied words are read as the unknown token; set both"
        )
