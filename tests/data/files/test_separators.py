import pytest

from hf_seq2seq.data.files.separators import NONE, declared_separator, find_separator


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("source,target\na,b\n", ","),
        ("Ja, gut;yes good\n", ";"),
        ("Ja, gut;yes good\nNein, danke;no thanks\n", ";"),
        ("Ja;yes\nNein, danke;no\n", ";"),
        ("a, b;c\nd;e, f, g\n", ";"),
        ("source\ttarget\na, b\tc; d\n", "\t"),
        ("Hello, world\tBonjour, monde\nBye, all\tAdieu, tous\n", "\t"),
        ("1,000\t2,000\n", "\t"),
        ("3,5;2,1\n4,5;7,2\n", ";"),
        ("3,5\n4,5\n", ","),
        ('"a;b",c\n"d;e",f\n', ","),
        ('"source, long";"target"\n"a, b";"c"\n', ";"),
        ('"source;x","target"\na,b\n', ","),
        ('source;target\n"two\nlines; and, more";b\n', ";"),
        ("\n\nsource;target\na, b;c\n", ";"),
        ("source,target\na;b,c;d\ne;f,g;h\n", ","),
        ("source;target\na;b\nc;d;e\n", ";"),
        ("a|b\nc|d\n", "|"),
        ("text\nHello, world\nBye\nOne, two, three\n", NONE),
        ("text\none\ntwo\n", NONE),
        ("A title\na,b\nc,d\n", ","),
    ],
)
def test_the_separator_is_found_over_the_rows(text, separator):
    assert find_separator(text.splitlines(keepends=True), whole=True) == separator


def test_a_row_that_is_cut_does_not_count():
    lines = ["a;b, c\n", "d;e, f\n", 'g;"h\n']
    assert find_separator(lines, whole=False) == ";"


@pytest.mark.parametrize(("line", "found"), [("sep=;\n", ";"), ('"sep=\t"\r\n', "\t"), ("SEP=|", "|"), ("sep\n", None)])
def test_a_first_line_may_declare_it(line, found):
    assert declared_separator(line) == found
