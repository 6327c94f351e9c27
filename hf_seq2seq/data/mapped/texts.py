"""Texts that stay in Arrow's memory, or in a mapped file, until each is read.

Arrow is imported only where such texts are made, because whatever encodes a text imports this module.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, reduce
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hf_seq2seq.data.mapped.files import release_pages

if TYPE_CHECKING:
    import pyarrow as pa

LARGE = 100_000
"""Rows from which on texts and ids are kept outside of memory."""
LEARNED = 250_000
"""The most rows that a tokenizer learns from."""
PART, PARTS_IN_MEMORY = 10_000, 16


class ArrowTexts(Sequence[str]):
    """A column of texts, or some rows of it; nothing is a Python string until it is read.

    Args:
        chunks: the column, no cell of which is null.
        rows: the numbers of the rows that count, in order; None for all.
        prefix: in front of every text.
    """

    def __init__(self, chunks: "Sequence[pa.Array]", rows: np.ndarray | None = None, prefix: str = "") -> None:
        self._chunks = [chunk for chunk in chunks if len(chunk)]
        self._starts = np.cumsum([0, *map(len, self._chunks)])
        self._rows = rows
        self._prefix = prefix

    def behind(self, prefix: str) -> "ArrowTexts":
        """The same texts behind a prefix."""
        return ArrowTexts(self._chunks, self._rows, prefix + self._prefix) if prefix else self

    def select(self, rows: np.ndarray) -> "ArrowTexts":
        """The texts of these rows, in their order."""
        return ArrowTexts(self._chunks, rows if self._rows is None else self._rows[rows], self._prefix)

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            places = range(*index.indices(len(self)))
            return [text for part in self._parts(places) for text in part.to_pylist()]
        return str(self._part(np.array([range(len(self))[index]]))[0])

    def __iter__(self) -> Iterator[str]:
        for part in self.parts():
            yield from part.to_pylist()

    def parts(self) -> "Iterator[pa.Array]":
        """All texts in order, in arrays of a size that fits in memory."""
        for number, part in enumerate(self._parts(range(len(self)))):
            yield part
            if number % PARTS_IN_MEMORY == 0:
                release_pages()
        release_pages()

    @cached_property
    def digest(self) -> str:
        """A digest of all texts in order."""
        import pyarrow as pa

        found = hashlib.blake2b(digest_size=16)
        for part in self.parts():
            _, places, content = part.cast(pa.large_binary()).buffers()
            offsets = np.frombuffer(places, dtype=np.int64)[part.offset : part.offset + len(part) + 1]
            found.update(np.diff(offsets).tobytes())
            found.update(content[int(offsets[0]) : int(offsets[-1])] if content else b"")
        return found.hexdigest()

    def _parts(self, places: range) -> "Iterator[pa.Array]":
        for start in range(0, len(places), PART):
            few = places[start : start + PART]
            yield self._part(np.arange(few.start, few.stop, few.step))

    def _part(self, places: np.ndarray) -> "pa.Array":
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = places if self._rows is None else self._rows[places]
        order = None if (np.diff(rows) > 0).all() else np.argsort(rows, kind="stable")
        ordered = rows if order is None else rows[order]
        joined = pa.concat_arrays(self._slices(ordered)) if len(rows) else pa.array([], pa.string())
        if order is not None:
            joined = joined.take(pa.array(np.argsort(order)))
        return pc.binary_join_element_wise(self._prefix, joined, "") if self._prefix else joined

    def _slices(self, rows: np.ndarray) -> "list[pa.Array]":
        """The texts of rows in ascending order, chunk by chunk."""
        import pyarrow as pa

        first, last = np.searchsorted(self._starts, rows[[0, -1]], side="right") - 1
        bounds = np.searchsorted(rows, self._starts[first : last + 2])
        return [
            self._chunks[owner].take(pa.array(rows[begin:end] - self._starts[owner]))
            for owner, (begin, end) in enumerate(pairwise(bounds), start=first)
        ]


class OneReference(Sequence[list[str]]):
    """One acceptable target per row, each as a list of its own.

    Args:
        texts: the targets.
    """

    def __init__(self, texts: ArrowTexts) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[str]]: ...
    def __getitem__(self, index: int | slice) -> list[str] | list[list[str]]:
        return [[text] for text in self.texts[index]] if isinstance(index, slice) else [self.texts[index]]

    def __iter__(self) -> Iterator[list[str]]:
        return ([text] for text in self.texts)


def first_references(references: Sequence[list[str]]) -> Sequence[str]:
    """The first reference of every row."""
    return references.texts if isinstance(references, OneReference) else [texts[0] for texts in references]


def containing(texts: Iterable[str], tokens: Sequence[str]) -> Iterator[str]:
    """The texts that contain one of some tokens."""
    if not isinstance(texts, ArrowTexts):
        yield from (text for text in texts if any(token in text for token in tokens))
        return
    import pyarrow.compute as pc

    for part in texts.parts() if tokens else ():
        yield from part.filter(reduce(pc.or_, [pc.match_substring(part, token) for token in tokens])).to_pylist()


def longest_texts(texts: Iterable[str], count: int) -> Iterable[str]:
    """So many of many texts with most characters, the later ones of equal length, in their order; of few, all."""
    if not isinstance(texts, ArrowTexts):
        return texts
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.array([], pa.string())
    for part in texts.parts():
        found = pa.concat_arrays([found, part.cast(pa.string())])
        longest = np.argsort(pc.utf8_length(found).to_numpy(), kind="stable")[-count:]
        found = found.take(pa.array(np.sort(longest)))
    return found.to_pylist()


def sampled(texts: Sequence[str]) -> Sequence[str]:
    """The texts that a tokenizer learns from: all of them, but of very many `LEARNED`, evenly spaced."""
    if not isinstance(texts, ArrowTexts):
        return texts
    return [*texts.select(np.arange(LEARNED) * len(texts) // LEARNED)] if len(texts) > LEARNED else [*texts]


def behind(prefix: str, texts: Sequence[str]) -> Sequence[str]:
    """The texts, each behind a prefix."""
    return texts.behind(prefix) if isinstance(texts, ArrowTexts) else [prefix + text for text in texts]


def add_texts(digest: Any, texts: Iterable[str]) -> None:
    """Adds texts to a digest: each with a zero byte behind it, or the digest of very many."""
    texts = iter([texts.digest] if isinstance(texts, ArrowTexts) else texts)
    while block := "".join(f"{text}\0" for text in islice(texts, PART)):
        digest.update(block.encode("utf-8", "surrogatepass"))
