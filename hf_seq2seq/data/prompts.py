"""The prompt format of decoder-only models: a start token and, if a target follows, a separator.

Both are part of the tokenizer, so that a plain `tokenizer(text)` gives the prompt that the model was trained on, in
this package and, from the saved files, everywhere else.
"""

from typing import TYPE_CHECKING

from tokenizers.processors import TemplateProcessing

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def wrap_texts(tokenizer: "PreTrainedTokenizerBase", separator: str | None) -> None:
    """Makes a tokenizer prepend its start token to every text and append a separator.

    The start is BOS or, if there is none, EOS, which ends the previous text. Batches are padded on the left, as
    `generate` requires. A text to be continued is truncated at its beginning, a source at its end.

    Args:
        tokenizer: modified in place.
        separator: text between source and target, for a tokenizer without a separator token; None for no separator.

    Raises:
        InputError: the tokenizer is not a fast one or has no EOS, or the separator has no tokens.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{tokenizer.name_or_path}: needs a fast tokenizer (tokenizer.json)")
    if tokenizer.eos_token_id is None:
        raise InputError(f"{tokenizer.name_or_path}: its tokenizer has no end-of-text token")
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    parts = {"START": [start], "SEPARATOR": _separator(tokenizer, separator)}
    used = [name for name in ("START", "$A", "SEPARATOR") if parts.get(name, True)]
    tokens = [
        {"id": name, "ids": ids, "tokens": tokenizer.convert_ids_to_tokens(ids)} for name, ids in parts.items() if ids
    ]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=" ".join(used), special_tokens=tokens)
    # `init_kwargs` is what is saved.
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"
    cut = "left" if separator is None else "right"
    tokenizer.truncation_side = tokenizer.init_kwargs["truncation_side"] = cut


def _separator(tokenizer: "PreTrainedTokenizerBase", separator: str | None) -> list[int]:
    if separator is None:
        return []
    if tokenizer.sep_token_id is not None:
        return [tokenizer.sep_token_id]
    ids: list[int] = tokenizer(separator, add_special_tokens=False, split_special_tokens=False)["input_ids"]
    if not ids:
        raise InputError(f"--separator: {separator!r} has no tokens in this vocabulary; give another text")
    return ids
