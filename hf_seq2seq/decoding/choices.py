"""A closed list of outputs, as a prefix tree of their tokens.

The entries are sorted, so that a node of the tree is a range of them that share their first tokens: 100,000 entries are
a table of ids, and nothing is built before a search asks for it.

Paper: De Cao et al., 2021, section 3.2, https://arxiv.org/abs/2010.00904
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.decoding.rules import FORBIDDEN, PADDING, Prefixes
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.settings_files import nearest_file
from hf_seq2seq.text_lines import read_lines

KEPT = 2**14  # nodes whose children are remembered


class Children(NamedTuple):
    """The nodes below a node, in the order of their tokens; each array is `(children,)`.

    Attributes:
        tokens: the next token.
        first: index of the first entry.
        end: index after the last one.
        shortest: tokens of the shortest entry.
        longest: tokens of the longest entry.
    """

    tokens: np.ndarray
    first: np.ndarray
    end: np.ndarray
    shortest: np.ndarray
    longest: np.ndarray


class Choices:
    """Outputs to choose from.

    Args:
        ids: the tokens of each, special tokens and EOS included.
        texts: the text of each, which stands for its tokens in outputs.
    """

    def __init__(self, ids: Ragged, texts: Sequence[str]) -> None:
        table = np.full((len(ids), int(ids.lengths.max())), PADDING, dtype=np.int64)
        rows = np.repeat(np.arange(len(ids)), ids.lengths)
        table[rows, np.arange(len(ids.values)) - np.repeat(ids.offsets[:-1], ids.lengths)] = ids.values
        order = np.lexsort(table.T[::-1])
        table = table[order]
        new = np.ones(len(table), dtype=bool)
        new[1:] = (table[1:] != table[:-1]).any(1)
        self.table, order = table[new], order[new]
        self.lengths = (self.table != PADDING).sum(1)
        self.left_out = len(new) - len(order)
        self._texts = {tuple(ids[row].tolist()): texts[row] for row in order.tolist()}
        self.children = lru_cache(KEPT)(self._children)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def longest(self) -> int:
        """Tokens of the longest entry."""
        return int(self.lengths.max())

    def text(self, ids: Sequence[int]) -> str:
        """The entry with these tokens, EOS included."""
        return self._texts[tuple(ids)]

    def _children(self, first: int, end: int, depth: int) -> Children:
        """The nodes that follow the node of these entries, which share their first `depth` tokens and go on."""
        column = self.table[first:end, depth]
        starts = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
        lengths = self.lengths[first:end]
        return Children(
            tokens=column[starts],
            first=first + starts,
            end=first + np.append(starts[1:], end - first),
            shortest=np.minimum.reduceat(lengths, starts),
            longest=np.maximum.reduceat(lengths, starts),
        )

    def allowed(self, ids: Sequence[int]) -> np.ndarray:
        """The tokens that may follow the first tokens of an entry."""
        first, end = 0, len(self)
        for depth, token in enumerate(ids):
            found = self.children(first, end, depth)
            place = int(np.searchsorted(found.tokens, token))
            first, end = int(found.first[place]), int(found.end[place])
        return self.children(first, end, len(ids)).tokens


class OnlyChoices:
    """A rule that leaves only the tokens with which an output becomes one of the choices.

    Args:
        choices: the choices.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`; an output that is complete may go on with anything, as nothing reads it."""
        outside = torch.ones_like(scores, dtype=torch.bool)
        for row, ids in enumerate(prefixes.outputs()):
            try:
                outside[row, torch.from_numpy(self.choices.allowed(ids)).to(scores.device)] = False
            except IndexError:  # the output of a row has ended
                outside[row] = False
        return scores.masked_fill(outside, FORBIDDEN)


def listed(texts: Sequence[str]) -> str:
    """The value of `--choices` that holds these choices itself, none of which has a line break."""
    return "".join(f"{text}\n" for text in texts)


def name_of(given: str) -> str:
    """What messages call a value of `--choices`."""
    return "--choices" if "\n" in given else f"--choices {given}"


def read_choices(given: str, encode: Callable[[list[str]], Ragged]) -> Choices:
    """The choices of a file, one per line; empty lines and repeated ones are left out.

    Args:
        given: its path, or choices as `listed` gives them.
        encode: encodes outputs as in training.

    Raises:
        InputError: it cannot be read, or has no line.
    """
    try:
        lines = given.split("\n") if "\n" in given else read_lines(given)
    except (OSError, UnicodeDecodeError) as error:
        hint = nearest_file(Path(given)) if isinstance(error, FileNotFoundError) else ""
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--choices {given}: {why}{hint}") from None
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise InputError(f"{name_of(given)}: holds no choice; write one output per line")
    return Choices(encode(texts), texts)
