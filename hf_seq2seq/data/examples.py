"""One split, encoded: what batches are cut from and predictions are compared with."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class Dialogues:
    """How conversations became rows, and what of them is in no row.

    Attributes:
        conversations: read.
        replies: in them.
        rows: made of them.
        tokens: of all conversations.
        left_out: tokens that no row holds.
        cut: replies whose end was cut.
    """

    conversations: int
    replies: int
    rows: int
    tokens: int
    left_out: int
    cut: int

    def __str__(self) -> str:
        return (
            f"{self.conversations:,} conversations with {self.replies:,} replies in {self.rows:,} rows; "
            f"{self.left_out / max(1, self.tokens):.1%} of their tokens left out, {self.cut:,} replies cut"
        )


@dataclass(frozen=True)
class Documents:
    """How texts became rows, and what gave none.

    Attributes:
        texts: read.
        rows: made of them.
        left_out: rows, and texts without a token, that nothing can be learnt from.
        reason: what they lack.
    """

    texts: int
    rows: int
    left_out: int
    reason: str

    def __str__(self) -> str:
        lost = f"; {self.left_out:,} left out, of {self.reason}" if self.left_out else ""
        return f"{self.texts:,} texts in {self.rows:,} rows{lost}"


@dataclass(frozen=True)
class Examples:
    """Encoded rows beside their text.

    Attributes:
        source: source ids of every row, special tokens included, already cut to the limit.
        texts: the source text of every row, as the user wrote it (no prefix).
        target: target ids of every row, ending in EOS; None where the task has labels.
        references: for pairs, the acceptable target texts of every row (the first is trained on).
        source_labels: what source tokens were before they were masked, -100 where none is predicted; they line up with
            `source`. None where an encoder predicts nothing.
        labels: for classification, `(rows,)` int64 class ids, `(rows, classes)` float32 for several labels a row,
            or `(rows,)` float32 for regression; for pairs of sentences, `(rows,)` int64, 0 where the second follows the
            first, else 1; None for other rows.
        token_types: segment ids that line up with `source`, for text pairs; None otherwise.
        unknown: the source words of every row that the vocabulary lacks but a model may copy, as `data.copying` numbers
            them; None where nothing is copied.
        truncated: rows whose source and whose target were cut.
        joined: source and target are one sequence, as a decoder without an encoder reads them.
        learnt: 1 on each source token that is learnt as the target is: replies that came before, in a dialogue; None
            where no source is learnt.
        positions: place of every source token in its document, from 0, where rows are blocks that documents are packed
            into; `texts` are the documents then. None otherwise.
        made_of: of conversations and of raw text, how they became rows; None for other rows.
    """

    source: Ragged
    texts: list[str]
    target: Ragged | None = None
    references: list[list[str]] | None = None
    labels: np.ndarray | None = None
    token_types: Ragged | None = None
    unknown: list[tuple[str, ...]] | None = None
    truncated: tuple[int, int] = (0, 0)
    joined: bool = False
    learnt: Ragged | None = None
    positions: Ragged | None = None
    source_labels: Ragged | None = None
    made_of: Dialogues | Documents | None = None

    def __len__(self) -> int:
        return len(self.source)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, `(rows, sides)`: source, and target where there is one; joined, they are one side."""
        sides = [self.source.lengths] + ([] if self.target is None else [self.target.lengths])
        if self.joined:
            sides = [np.sum(sides, axis=0)]
        return np.stack(sides, axis=1)
