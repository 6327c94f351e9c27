"""Word alignments from attention, and replacement of unknown words by the aligned source words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOWHERE = -1


def words_of(ids: Sequence[int], tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The index of the whitespace-separated word that each token belongs to; -1 for special tokens.

    Args:
        ids: ids of a text.
        tokenizer: decodes them.
    """
    special, found = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}, []
    kept: list[int] = []
    for token in map(int, ids):
        if token in special:
            found.append(NOWHERE)
            continue
        kept.append(token)
        found.append(len(str(tokenizer.decode(kept)).split()) - 1)
    return found


def align(attention: np.ndarray, source: Sequence[int], target: Sequence[int]) -> list[tuple[int, int]]:
    """For each target word the source word that it attends to most, as pairs of indices.

    Attention between words is summed over the source word's tokens and averaged over the target word's.

    Args:
        attention: `(target tokens, source tokens)`.
        source: word of each source token, -1 for none; attention on those is ignored.
        target: word of each target token.
    """
    words = max(source, default=NOWHERE) + 1
    sums = np.zeros((max(target, default=NOWHERE) + 1, words))
    for row, word in enumerate(target):
        for column, other in enumerate(source):
            if word > NOWHERE and other > NOWHERE:
                sums[word, other] += attention[row, column]
    return [(int(weights.argmax()), word) for word, weights in enumerate(sums) if weights.any()]


def pharaoh(pairs: Sequence[tuple[int, int]]) -> str:
    """Alignment in Pharaoh's format: source-target, counted from 0."""
    return " ".join(f"{source}-{target}" for source, target in sorted(pairs))


def replace_unknown(
    ids: Sequence[int],
    attention: np.ndarray,
    source: Sequence[int],
    words: Sequence[str],
    tokenizer: "PreTrainedTokenizerBase",
) -> str:
    """The text of an output whose unknown tokens are the source words that they attend to most.

    Paper: Luong et al., 2015, https://aclanthology.org/P15-1002, where the model is trained with an alignment.

    Args:
        ids: the output.
        attention: `(target tokens, source tokens)`.
        source: word of each source token, -1 for none.
        words: words of the source.
        tokenizer: decodes the output.
    """
    allowed = np.array([0 <= word < len(words) for word in source])
    pieces: list[str] = []
    known: list[int] = []
    for token, weights in zip([*ids, None], [*attention[: len(ids)], None], strict=True):
        if token is not None and token != tokenizer.unk_token_id:
            known.append(token)
            continue
        pieces.append(str(tokenizer.decode(known, skip_special_tokens=True)))
        known = []
        if weights is not None and allowed.any():
            pieces.append(words[source[int(np.where(allowed, weights[: len(source)], -1).argmax())]])
    return " ".join(piece.strip() for piece in pieces if piece.strip())
