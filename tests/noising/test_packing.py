import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.packing import pack


@pytest.mark.parametrize("block", [1, 7, 128, 1_000_000])
@pytest.mark.parametrize("end", [None, 3])
def test_every_document_comes_back(split, block: int, end: int | None) -> None:
    packed = pack(split.tokens, block, end)
    lengths = packed.tokens.lengths
    assert (lengths[:-1] == block).all()
    assert 0 < lengths[-1] <= block
    for document in range(len(split.tokens.offsets) - 1):
        tokens = packed.tokens.values[packed.documents == document].tolist()
        assert tokens == split.tokens.row(document).tolist() + ([] if end is None else [end])


def test_positions_and_segments_by_loops(split) -> None:
    block = 50
    packed = pack(split.tokens, block, 3)
    position = segment = 0
    for place, document in enumerate(packed.documents.tolist()):
        if place % block == 0:
            position = segment = 0
        elif document != packed.documents[place - 1]:
            position, segment = 0, segment + 1
        assert (packed.positions[place], packed.segments[place]) == (position, segment)
        position += 1


def test_by_hand(make_rows) -> None:
    packed = pack(make_rows([[10, 11], [], [12, 13, 14, 15], [16]]), 4)
    assert [packed.tokens.row(i).tolist() for i in range(2)] == [[10, 11, 12, 13], [14, 15, 16]]
    assert packed.positions.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert packed.segments.tolist() == [0, 0, 1, 1, 0, 0, 1]
    assert packed.documents.tolist() == [0, 0, 2, 2, 2, 2, 3]


def test_nothing_to_pack(make_rows) -> None:
    packed = pack(make_rows([]), 4)
    assert packed.tokens.offsets.tolist() == [0]
    with pytest.raises(InputError, match="block size: 0 is less than one token"):
        pack(make_rows([[1]]), 0)


def test_attention_inside_segments_sees_one_document_alone(split) -> None:
    packed = pack(split.tokens, 64, 3)
    for begin, end in zip(packed.tokens.offsets[:-1], packed.tokens.offsets[1:], strict=True):
        segments, documents = packed.segments[begin:end], packed.documents[begin:end]
        assert np.array_equal(segments[:, None] == segments, documents[:, None] == documents)
