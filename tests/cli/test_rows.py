"""What commands write: a line for each row."""

import io
from pathlib import Path

from hf_seq2seq.cli.rows import report_joined, write_text
from hf_seq2seq.data.files.readers import iterate_rows


def test_a_text_is_a_line_and_stays_what_it_is_but_for_line_ends(tmp_path: Path, capsys) -> None:
    texts = ["a\nb\r\nc\rd", "e\u2028f\x0bg\x85h\x1ci", " j ", "", "مرحبا\u2029"]
    stream = io.StringIO()
    joined = sum(write_text(stream, text) for text in texts)
    path = tmp_path / "out.txt"
    path.write_bytes(stream.getvalue().encode())
    assert [row["text"] for row in iterate_rows(path)] == ["a b c d", *texts[1:]]
    report_joined(joined)
    assert capsys.readouterr().err == "1 outputs have line breaks, written as spaces; --json-lines keeps them\n"
    report_joined(0)
    assert capsys.readouterr().err == ""
