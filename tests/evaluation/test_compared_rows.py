from pathlib import Path

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.compared_rows import rows_of_run
from hf_seq2seq.evaluation.compared_systems import ComparedRun


def test_a_run_without_rows_to_compare_on_says_so(tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("source,target\na,b\n")
    run = ComparedRun("mine", settings={"recipe": "rnn", "train_file": str(train)})
    with pytest.raises(InputError, match=r"^mine: its test rows: there are none, nor validation rows; "):
        rows_of_run(run)
