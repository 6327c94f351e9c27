"""Trained tokenizers, kept by what they were trained from."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import tokenizers
from huggingface_hub import constants

from hf_seq2seq.data.tokenizers.training import Plan, train_tokenizer
from hf_seq2seq.data.tokenizers.unicode_text import valid_text
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError

FORMAT = 3
"""Part of every key: to be raised when the same text and plan are trained into something else than before."""


def trained_once(texts: Sequence[str], side: str, plan: Plan) -> tokenizers.Tokenizer:
    """Trains a tokenizer, or takes the one that the same texts and plan gave before.

    Kept in `$HF_HOME/hf_seq2seq/tokenizers`, one file each. Processes that train the same one at once write the same
    file; each sees the whole file or none.

    Args:
        texts: what to train on.
        side: names the texts in an error, such as "source".
        plan: what to train.

    Raises:
        InputError: all texts are empty, or the vocabulary is too small for their characters.
    """
    texts = [valid_text(text) for text in texts]
    if not any(text.strip() for text in texts):
        raise InputError(f"no text to train a tokenizer on: every {side} is empty")
    path = Path(constants.HF_HOME) / "hf_seq2seq" / "tokenizers" / f"{_key(texts, plan)}.json"
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception:  # absent or damaged; tokenizers raises a bare Exception for both
        content = train_tokenizer(texts, plan).to_str()
    _keep(content, path)
    return tokenizers.Tokenizer.from_str(content)


def _key(texts: Sequence[str], plan: Plan) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, tokenizers.__version__, asdict(plan)]).encode())
    for text in texts:
        coded = text.encode()
        digest.update(len(coded).to_bytes(8, "little") + coded)
    return digest.hexdigest()


def _keep(content: str, path: Path) -> None:
    """Writes the file beside and renames it; a full or read-only disk costs the next run a training, not this one."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_draft(path) as stream:
            stream.write(content)
