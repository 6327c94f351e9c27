"""An encoder-decoder joined from any two checkpoints, whose attention on the source is new.

Paper: Rothe, Narayan and Severyn, 2020, https://aclanthology.org/2020.tacl-1.18
"""

import inspect
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.encoding import end_of
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import AnySeq2SeqRun, CheckpointOrPair
from hf_seq2seq.saved.joined_pairs import MODEL_TYPE, settle_joined
from hf_seq2seq.saved.loading import explained, load_config
from hf_seq2seq.saved.model_paths import find_model
from hf_seq2seq.tasks.pretrained import fresh_modules, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def check_pair(source: CheckpointOrPair) -> str:
    """Rejects a pair that cannot be joined, before weights are read; returns the type of the joined model.

    Raises:
        InputError: a checkpoint is an encoder-decoder itself, the decoder cannot attend to a source, or two different
            architectures are to be tied.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_MAPPING

    configs = {side: _read_config(side, source) for side in ("encoder", "decoder")}
    encoder, decoder = configs["encoder"], configs["decoder"]
    if type(encoder) not in MODEL_MAPPING or not getattr(encoder, "hidden_size", None):
        raise InputError(f"--encoder: {source.encoder} contains {encoder.model_type!r}, which encodes no text")
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(decoder), None)
    if kind is None or "encoder_hidden_states" not in inspect.signature(kind.forward).parameters:
        raise InputError(
            f"--decoder: {source.decoder} contains {decoder.model_type!r}, which cannot attend to a source; "
            "bert, roberta, xlm-roberta, electra and gpt2 can"
        )
    if source.tie_encoder_decoder and _shape(encoder) != _shape(decoder):
        raise InputError(
            f"--tie-encoder-decoder: {source.encoder} and {source.decoder} differ in architecture or sizes"
        )
    return MODEL_TYPE


def _read_config(side: str, source: CheckpointOrPair) -> "PreTrainedConfig":
    place: str = getattr(source, side)
    config = load_config(place, source.trust_remote_code, source.model_revision)
    if config.is_encoder_decoder:
        raise InputError(
            f"--{side}: {place} is an encoder-decoder itself ({config.model_type}); --model-name-or-path fine-tunes it"
        )
    return config


def _shape(config: "PreTrainedConfig") -> tuple[Any, ...]:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    return (config.model_type, *(getattr(config, name, None) for name in names))


def join_tokenizers(config: AnySeq2SeqRun) -> Tokenizers:
    """The tokenizers of both checkpoints, one if they are the same.

    Raises:
        InputError: a checkpoint has no tokenizer, or the decoder's has no token that ends a text.
    """
    source = config.model
    assert source.encoder is not None
    assert source.decoder is not None
    if config.tokens.tokenizer_name is not None:
        raise InputError("--tokenizer-name: each checkpoint of a pair has its own; leave it out")
    reads = load_tokenizer(source.encoder, source, pad_by_eos=True)
    writes = load_tokenizer(source.decoder, source, pad_by_eos=True)
    if None in (start_of(writes), end_of(writes)):
        raise InputError(f"--decoder: {source.decoder}: its tokenizer has no token that starts or ends a text")
    same = reads.get_vocab() == writes.get_vocab() and reads("a b")["input_ids"] == writes("a b")["input_ids"]
    return Tokenizers(reads, reads if same else writes)


def start_of(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The token that a decoder starts with: the tokenizer's own for the start of a text, or else its end."""
    ids = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id)
    return next((number for number in ids if number is not None), None)


def join_pair(config: AnySeq2SeqRun, tokenizers: Tokenizers) -> "tuple[PreTrainedModel, list[str]]":
    """Loads both checkpoints and joins them; also returns the names of modules with random weights.

    Raises:
        InputError: a checkpoint cannot be loaded, or they cannot be joined.
    """
    from transformers import AutoModel, AutoModelForCausalLM, EncoderDecoderModel, set_seed

    source = config.model
    assert source.encoder is not None
    assert source.decoder is not None
    set_seed(config.run.seed)  # the attention on the source is new
    encoder, _ = _load_part(AutoModel, source.encoder, source, is_decoder=False)
    decoder, fresh = _load_part(AutoModelForCausalLM, source.decoder, source, is_decoder=True)
    with explained(f"--encoder {source.encoder} --decoder {source.decoder}"):
        model: Any = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    _settle_tokens(model, tokenizers.target)
    model.config.tie_encoder_decoder = source.tie_encoder_decoder
    settle_joined(model)
    more = ["enc_to_dec_proj"] if hasattr(model, "enc_to_dec_proj") else []
    return model, [*(f"decoder.{name}" for name in fresh), *more]


def _load_part(
    auto: Any, place: str, source: CheckpointOrPair, is_decoder: bool
) -> "tuple[PreTrainedModel, list[str]]":
    import torch

    where = find_model(place) | {"revision": source.model_revision, "trust_remote_code": source.trust_remote_code}
    config = load_config(place, source.trust_remote_code, source.model_revision)
    config.is_decoder = config.add_cross_attention = is_decoder
    options = {"config": config, "dtype": torch.float32, "output_loading_info": True, "use_safetensors": True}
    with explained(place):
        model, report = auto.from_pretrained(place, **where, **options)
    return model, fresh_modules(model, report["missing_keys"])


def _settle_tokens(model: Any, tokenizer: "PreTrainedTokenizerBase") -> None:
    """The ids that a joined model starts, ends and pads outputs with."""
    ids = {"decoder_start_token_id": start_of(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    ends = {"eos_token_id": end_of(tokenizer), "bos_token_id": start_of(tokenizer)}
    model.config.vocab_size = model.config.decoder.vocab_size
    for name, number in (ids | ends).items():
        setattr(model.config, name, number)
        setattr(model.generation_config, name, number)
