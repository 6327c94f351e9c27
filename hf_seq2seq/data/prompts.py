"""How a decoder without an encoder reads a text: a token that starts it and, where a target follows, a separator.

Both are written into the tokenizer, so that a plain `tokenizer(text)` gives what the model was trained to go on from,
in this package and, from the saved files, everywhere else.
"""

from typing import TYPE_CHECKING

from tokenizers.processors import TemplateProcessing

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def wrap_texts(tokenizer: "PreTrainedTokenizerBase", separator: str | None) -> None:
    """Makes a tokenizer put its start token before every text, and a separator behind.

    The start is BOS or, where there is none, EOS, which ends the text before. Batches are padded on the left, where
    `generate` needs it. A text that is to be continued is cut at its beginning, a source at its end.

    Args:
        tokenizer: changed in place.
        separator: text between source and target, for a tokenizer without a separator token; None for no separator.

    Raises:
        InputError: a tokenizer in Python code, one without EOS, or a separator that has no tokens.
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
    # What is saved is in `init_kwargs`.
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
