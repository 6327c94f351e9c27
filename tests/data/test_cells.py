from datasets import Dataset

from hf_seq2seq.data.cells import row_sample


def test_a_sample_of_wide_rows_has_fewer_of_them() -> None:
    rows = Dataset.from_dict({f"c{number}": ["x"] * 9 for number in range(30_000)})
    assert [len(row_sample(each)) for each in (rows, rows.select([7, 2, 5, 1]))] == [3, 3]
    assert len(row_sample(Dataset.from_dict({"a": ["x"] * 200}))) == 100
