"""Spans replaced by numbered sentinels: shared by T5's two objectives with spans."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.noise import Noised
from hf_seq2seq.noising.rows import counts_within, keep, offsets_of
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class Sentinels:
    """The ids that replace spans, the first for a row's first span, and so on.

    Attributes:
        ids: ids of `<extra_id_0>`, `<extra_id_1>`, …; used for nothing else.
        final: whether a target ends with the sentinel after the last one used.

    Raises:
        InputError: an id occurs twice.
    """

    ids: tuple[int, ...]
    final: bool = True

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise InputError("sentinels: the same id is given twice")

    def check_number(self, spans: np.ndarray) -> None:
        """Raises `InputError` if a row has more spans than there are sentinels."""
        needed = int(spans.max(initial=0)) + self.final
        if needed > len(self.ids):
            raise InputError(
                f"sentinels: {len(self.ids)} are too few, a row needs {needed};"
                " add sentinels to the tokenizer, shorten the rows, or noise fewer or longer spans"
            )

    def replace(self, tokens: Ragged, noised: np.ndarray) -> Noised:
        """Replaces each run of noised tokens in the source by a sentinel; the target has each sentinel and its run.

        Thank you [for inviting] me to your party [last] week: source `Thank you <X> me to your party <Y> week`, target
        `<X> for inviting <Y> last <Z>`.

        Args:
            tokens: the rows.
            noised: `(tokens,)` bool.

        Raises:
            InputError: a row has too many runs, or already contains a sentinel.
        """
        ids = np.array(self.ids, dtype=np.int32)
        collisions = np.flatnonzero(np.isin(tokens.values, ids))
        if len(collisions):
            row = int(np.searchsorted(tokens.offsets, collisions[0], side="right"))
            raise InputError(
                f"sentinels: row {row} already contains one, so its text could not be distinguished from the noise"
            )
        first = _run_starts(tokens, noised)
        places = np.flatnonzero(first)
        spans = counts_within(places, tokens.offsets)
        self.check_number(spans)
        marks = ids[np.arange(len(places)) - np.repeat(offsets_of(spans)[:-1], spans)]
        marked = tokens.values.copy()
        marked[places] = marks
        source = keep(Ragged(marked, tokens.offsets), ~noised | first)
        removed = np.flatnonzero(noised)
        places = np.flatnonzero(first[removed])
        ends = np.searchsorted(removed, tokens.offsets)
        added = spans
        if self.final:
            # At equal positions those in front come first, so that a row's last sentinel stays before the next row.
            places, marks = np.append(ends[1:], places), np.append(ids[spans], marks)
            added = spans + 1
        return Noised(source, Ragged(np.insert(tokens.values[removed], places, marks), ends + offsets_of(added)))


def _run_starts(tokens: Ragged, flags: np.ndarray) -> np.ndarray:
    """Where a run of true flags starts, `(tokens,)` bool; no run crosses the end of a row."""
    starts = flags.copy()
    starts[1:] &= ~flags[:-1]
    begins = tokens.offsets[:-1][tokens.lengths > 0]
    starts[begins] = flags[begins]
    return starts
