"""What the start of a run says of the columns of its training file."""

from pathlib import Path

import pytest

from hf_seq2seq.recipes import rnn
from hf_seq2seq.sections import build
from hf_seq2seq.training.unused_columns import describe_found, describe_unused

FOUND, UNUSED = ["source: german, target: target"], ["domain"]


@pytest.mark.parametrize(
    ("left_out", "options", "found", "unused"),
    [
        (None, {"source_column": "german"}, [], UNUSED),
        (None, {}, FOUND, UNUSED),
        ("domain", {}, [], []),
    ],
)
def test_columns_that_were_guessed_among_others_are_told(
    tmp_path: Path, left_out: str | None, options: dict[str, str], found: list[str], unused: list[str]
) -> None:
    rows = [{"domain": str(number), "german": "ab" * number, "target": "ba" * number} for number in range(1, 9)]
    names = [name for name in rows[0] if name != left_out]
    lines = ["\t".join(names), *("\t".join(row[name] for name in names) for row in rows)]
    (tmp_path / "train.tsv").write_text("\n".join(lines))
    values = {"train_file": str(tmp_path / "train.tsv"), "output_dir": str(tmp_path / "run"), "max_steps": 1}
    task = rnn.prepare(build(rnn.Config, values | {"tokenizer_type": "char", "hidden_size": 8} | options))
    assert (describe_found(task, describe_unused(task)), describe_unused(task)) == (found, unused)
