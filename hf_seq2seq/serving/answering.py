"""Lets models compute in the engine that all share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from hf_seq2seq.api.models import ONLY, Model
from hf_seq2seq.decoding.counts import Counted, Counts
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.serving.sessions import Session

Result = TypeVar("Result")


SLICE = 4096
"""Characters of the texts that are scored or classified between two steps of the searches."""


def in_slices(
    session: Session, work: Callable[[slice], Counted[Result]], *columns: Sequence[Any] | None
) -> Counted[Result]:
    """The results of all rows, of a few at a time, so that searches take steps in between.

    Args:
        session: where to compute.
        work: computes those of some rows.
        columns: the texts of every row.
    """
    found, counts = list[Result](), Counts()
    for part in slices([column for column in columns if column is not None]):
        results = session.call(partial(work, part))
        found, counts = found + results, counts + results.counts
    return Counted.of(found, counts)


def slices(columns: Sequence[Sequence[Any]]) -> Iterator[slice]:
    """Rows that are read together: their texts have `SLICE` characters at most, or there is only one."""
    start, size, row = 0, 0, -1
    for row, texts in enumerate(zip(*columns, strict=True)):
        length = sum(len(text) if isinstance(text, str) else SLICE for text in texts)
        if start < row and size + length > SLICE:
            yield slice(start, row)
            start, size = row, 0
        size += length
    if start <= row:
        yield slice(start, row + 1)


def outputs_of(
    session: Session, model: Model, generator: TextGenerator, sources: list[Any], first: int = 0
) -> Counted[list[Output]]:
    """The outputs of every source; for other arguments see `TextGenerator.outputs`.

    Args:
        session: where to compute. It hears nothing where texts are read in pieces, which grow side by side.
        model: the model.
        generator: its generator.
        sources: what the generator reads.
        first: index of the first source in a longer input.
    """
    if generator.splitting is not None and generator.splitting.kind:
        session.listen = None
    if model.flags.engine == ONLY:
        return session.call(lambda: generator.outputs(sources, first))
    return replace(generator, runner=session).outputs(sources, first)
