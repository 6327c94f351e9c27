import numpy as np
import torch

from hf_seq2seq.data.collation import LabelCollator, Seq2SeqCollator
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.ragged import Ragged


def test_pairs_are_padded_on_the_right() -> None:
    examples = Examples(
        source=Ragged.of([[5, 6, 1], [7, 1], [8, 1]]), texts=["a", "b", "c"], target=Ragged.of([[9, 1], [4, 4, 1], [1]])
    )
    batch = Seq2SeqCollator(pad_token_id=0)(examples, np.array([1, 0]))
    assert batch["input_ids"].tolist() == [[7, 1, 0], [5, 6, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["labels"].tolist() == [[4, 4, 1], [9, 1, -100]]


def test_a_real_token_equal_to_the_padding_is_not_masked() -> None:
    examples = Examples(source=Ragged.of([[0, 5, 0], [7, 1]]), texts=["a", "b"], target=Ragged.of([[0, 1], [1]]))
    batch = Seq2SeqCollator(pad_token_id=0)(examples, np.array([0, 1]))
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[0, 1], [1, -100]]


def test_labels_and_segments() -> None:
    examples = Examples(
        source=Ragged.of([[5, 6, 1], [7, 1]]),
        texts=["a", "b"],
        labels=np.array([3, 1]),
        token_types=Ragged.of([[0, 1, 1], [0, 0]]),
    )
    batch = LabelCollator(pad_token_id=9)(examples, np.array([1, 0]))
    assert batch["input_ids"].tolist() == [[7, 1, 9], [5, 6, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0], [0, 1, 1]]
    assert batch["labels"].dtype == torch.int64
    assert batch["labels"].tolist() == [1, 3]


def test_ragged_rows_come_back() -> None:
    rows = [[1, 2, 3], [], [4]]
    packed = Ragged.of(rows)
    assert [packed[i].tolist() for i in range(3)] == rows
    assert packed.lengths.tolist() == [3, 0, 1]
    assert [row.tolist() for row in (packed.select(np.array([2, 0]))[i] for i in range(2))] == [[4], [1, 2, 3]]
    assert len(Ragged.of([])) == 0
