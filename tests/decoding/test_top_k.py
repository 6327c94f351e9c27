"""The highest scores, found in blocks or at once."""

import pytest
import torch

from hf_seq2seq.decoding.rules import FORBIDDEN
from hf_seq2seq.decoding.top_k import best, gather_or_forbid, largest


@pytest.mark.parametrize("size", [8000, 8009, 640, 40])
@pytest.mark.parametrize("count", [1, 10, 30])
def test_blocks_give_what_topk_gives(size: int, count: int) -> None:
    scores = torch.randn(7, size)
    scores[2, 17:] = FORBIDDEN
    found = largest(scores, count)
    assert torch.equal(scores.gather(1, found), scores.topk(count).values)
    assert all(len(set(row)) == count for row in found.tolist())


def test_places_beyond_the_scores_are_forbidden() -> None:
    scores = torch.tensor([[[1.0, 3.0], [2.0, 0.0]]])
    index = best(scores, 6)
    assert index[0, :4].tolist() == [1, 2, 0, 3]
    assert gather_or_forbid(scores, index)[0].tolist() == [3.0, 2.0, 1.0, 0.0, FORBIDDEN, FORBIDDEN]
