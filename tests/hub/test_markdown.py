"""Markdown that no text can break."""

from hf_seq2seq.hub.markdown import code, fence, table


def test_code_and_fences_are_longer_than_what_they_hold():
    assert code("a") == "`a`"
    assert code("a`b\nc") == "``a`b c``"
    assert code("`a``") == "``` `a`` ```"
    assert fence("x\n````\ny\n", "python") == "`````python\nx\n````\ny\n`````"


def test_table_cells_hold_pipes_and_lines():
    assert table(["A", "B"], [["x|y", 1], ["a\nb", 2.5]]).splitlines() == [
        "| A | B |",
        "| --- | ---: |",
        "| x\\|y | 1 |",
        "| a b | 2.5 |",
    ]
