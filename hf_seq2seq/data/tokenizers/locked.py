"""One thread at a time in a tokenizer, whose failures are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from hf_seq2seq.errors import InputError, reason_of_panic

TOKENIZING = Lock()
"""Held while encoding: truncation is a setting of the tokenizer itself."""


@contextmanager
def tokenizing() -> Iterator[None]:
    """Encodes while no other thread does.

    Raises:
        InputError: the tokenizer's library gave up, as on a pattern that tries endless ways to match a text.
    """
    with TOKENIZING:
        try:
            yield
        except BaseException as error:
            if reason := reason_of_panic(error):
                raise InputError(reason) from None
            raise
