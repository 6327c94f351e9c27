"""Cache of trained tokenizers, keyed by their training data."""

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

FORMAT = 4
"""Part of every key: increase when training with the same text and plan gives a different result."""


def trained_once(texts: Sequence[str], side: str, plan: Plan) -> tokenizers.Tokenizer:
    """Trains a tokenizer, or returns a cached one for the same texts and plan.

    Cached in `$HF_HOME/hf_seq2seq/tokenizers`, one file each. Concurrent processes may write the same file; each sees
    either the complete file or none.

    Args:
        texts: the training texts.
        side: name of the texts in errors, such as "source".
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
    """Writes a temporary file and renames it; a full or read-only disk only costs the next run another training."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_draft(path) as stream:
            stream.write(content)
