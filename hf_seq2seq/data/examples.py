"""An encoded split, from which batches are made and with which predictions are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hf_seq2seq.data.messages import Messages
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class Dialogues:
    """How conversations became rows, and what was dropped.

    Attributes:
        conversations: number of conversations read.
        replies: number of replies in them.
        rows: made of them.
        tokens: of all conversations.
        left_out: tokens that are in no row.
        cut: number of truncated replies.
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
            f"{self.left_out / max(1, self.tokens):.1%} of their tokens dropped, {self.cut:,} replies truncated"
        )


@dataclass(frozen=True)
class Documents:
    """How texts became rows, and what was dropped.

    Attributes:
        texts: number of texts read.
        rows: made of them.
        left_out: rows, and texts without tokens, from which nothing can be learned.
        reason: what is missing in them.
    """

    texts: int
    rows: int
    left_out: int
    reason: str

    def __str__(self) -> str:
        lost = f"; {self.left_out:,} dropped, of {self.reason}" if self.left_out else ""
        return f"{self.texts:,} texts in {self.rows:,} rows{lost}"


@dataclass(frozen=True)
class Examples:
    """Encoded rows with their texts.

    Attributes:
        source: source ids of every row, including special tokens, already truncated.
        texts: the source text of every row, as the user wrote it (no prefix).
        target: target ids of every row, ending in EOS; None if the task has labels.
        references: for pairs, the acceptable target texts of every row (the first is trained on).
        source_labels: original ids of masked source tokens, -100 where none is predicted; aligned with `source`. None
            if the encoder predicts nothing.
        labels: for classification, `(rows,)` int64 class ids, `(rows, classes)` float32 for multiple labels per row,
            or `(rows,)` float32 for regression; for pairs of sentences, `(rows,)` int64, 0 where the second follows the
            first, else 1; None for other rows.
        token_types: segment ids aligned with `source`, for text pairs; None otherwise.
        chosen: ids of the better of two outputs of every row, ending in EOS, with `rejected`; None without preferences.
        rejected: ids of the worse.
        histories: for replies of a conversation, the messages before each, of which `texts` are the transcripts; None
            for other rows.
        unknown: the out-of-vocabulary source words of every row that a model may copy, numbered by `data.copying`; None
            without copying.
        truncated: numbers of rows with a truncated source and with a truncated target.
        joined: source and target form one sequence, as for decoder-only models.
        learned: 1 on each source token learned like the target, e.g. earlier replies of a dialogue; None without any.
        positions: position of every source token in its document, from 0, if rows are blocks of packed documents;
            `texts` are then the documents. None otherwise.
        made_of: for conversations and raw text, how they became rows; None for other rows.
    """

    source: Ragged
    texts: Sequence[str]
    target: Ragged | None = None
    references: Sequence[list[str]] | None = None
    labels: np.ndarray | None = None
    token_types: Ragged | None = None
    unknown: list[tuple[str, ...]] | None = None
    truncated: tuple[int, int] = (0, 0)
    joined: bool = False
    learned: Ragged | None = None
    positions: Ragged | None = None
    source_labels: Ragged | None = None
    made_of: Dialogues | Documents | None = None
    chosen: Ragged | None = None
    rejected: Ragged | None = None
    histories: list[Messages] | None = None

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, `(rows, sides)`: source, and target if there is one; if joined, they are one side.

        Where there are several targets, it is the longest.
        """
        targets = [ids.lengths for ids in (self.target, self.chosen, self.rejected) if ids is not None]
        sides = [self.source.lengths] + ([np.max(targets, axis=0)] if targets else [])
        if self.joined:
            sides = [np.sum(sides, axis=0)]
        return np.stack(sides, axis=1)
