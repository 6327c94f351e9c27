"""The types of a model's own settings, which transformers does not check."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.saved.joined_pairs import decoder_of

GENERATION = "generation_config.json"
CONFIG = "config.json"


def _whole(value: Any) -> bool:
    return type(value) is int


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _ids(value: Any) -> bool:
    return isinstance(value, list) and all(map(_whole, value))


def _id_or_ids(value: Any) -> bool:
    return _whole(value) or (_ids(value) and bool(value))


def _phrases(value: Any) -> bool:
    return isinstance(value, list) and all(map(_ids, value))


Kind = tuple[Callable[[Any], bool], str]
_KINDS: dict[Kind, tuple[str, ...]] = {
    (_whole, "an integer"): (
        *("max_new_tokens", "max_length", "min_length", "min_new_tokens", "num_beams", "no_repeat_ngram_size"),
        *("encoder_no_repeat_ngram_size", "top_k", "num_return_sequences", "num_beam_groups"),
    ),
    (_number, "a number"): (
        *("length_penalty", "repetition_penalty", "encoder_repetition_penalty", "diversity_penalty"),
        *("temperature", "top_p", "min_p", "typical_p"),
    ),
    (_whole, "a token id"): ("decoder_start_token_id", "pad_token_id", "bos_token_id", "forced_bos_token_id"),
    (_id_or_ids, "a token id or a list of them"): ("eos_token_id", "forced_eos_token_id"),
    (_ids, "a list of ids"): ("suppress_tokens", "begin_suppress_tokens"),
    (_phrases, "a list of lists of ids"): ("bad_words_ids", "force_words_ids"),
    (lambda value: isinstance(value, list | dict), "a list of phrases and numbers"): ("sequence_bias",),
    (lambda value: isinstance(value, str) or _names(value), "a text or a list of texts"): ("stop_strings",),
}
_IDS = (
    *("decoder_start_token_id", "pad_token_id", "bos_token_id", "forced_bos_token_id", "eos_token_id"),
    *("forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"),
)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def check_config(path: str, config: Any) -> None:
    """Rejects a configuration with values of types that this package does not expect.

    Args:
        path: the model's path, for the error.
        config: the loaded configuration.

    Raises:
        InputError: a type is wrong; names the setting.
    """
    kinds: dict[str, Kind] = {
        "architectures": (_names, "a list of names"),
        "max_position_embeddings": (_whole, "an integer"),
        "is_encoder_decoder": (lambda value: isinstance(value, bool), "true or false"),
        "id2label": (lambda value: isinstance(value, dict) and _names(list(value.values())), "names by number"),
    }
    for name, (fits, words) in kinds.items():
        value = getattr(config, name, None)
        if value is not None and not fits(value):
            raise InputError(f"{path}: {CONFIG}: {name}: {shorten(repr(value))} is not {words}")


def check_generation(path: str, model: Any) -> None:
    """Rejects generation settings of wrong types, and token ids outside the vocabulary.

    Args:
        path: the model's path, for the error.
        model: the loaded model.

    Raises:
        InputError: a type is wrong; names the setting.
    """
    own, file = getattr(model, "generation_config", None), Path(path).expanduser() / GENERATION
    if own is None:
        return
    if file.is_file():  # transformers takes a damaged one for none
        try:
            strict_json.loads(file.read_bytes())
        except ValueError as error:
            raise InputError(f"{file}: is not valid JSON: {error}") from None
    for (fits, words), names in _KINDS.items():
        for name in names:
            value = getattr(own, name, None)
            if value is not None and not fits(value):
                raise InputError(f"{path}: {GENERATION}: {name}: {shorten(repr(value))} is not {words}")
    size = decoder_of(model).get_input_embeddings().num_embeddings
    for name in _IDS:
        ids = getattr(own, name, None)
        for number in ids if isinstance(ids, list) else [] if ids is None else [ids]:
            if not -1 <= number < size:
                raise InputError(f"{path}: {GENERATION}: {name}: {number} is not the id of one of {size} tokens")
