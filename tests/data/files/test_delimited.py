from pathlib import Path

import pytest

from hf_seq2seq.data.columns.headers import UNKNOWN, Header
from hf_seq2seq.data.files.delimited import delimited_rows
from hf_seq2seq.data.files.text_files import opened
from hf_seq2seq.errors import InputError


def read(path: str, header: Header = UNKNOWN) -> list[tuple[int, list[str]]]:
    with opened(Path(path)) as file:
        layout, rows = delimited_rows(file, Path(path).suffix[1:], "utf-8", header)
        return [(layout.line, layout.columns), *rows]


def test_quoted_cells_hold_separators_quotation_marks_and_line_ends(write):
    path = write("a.csv", 'source,target\r\n"a, ""b""","two\nlines"\r\n\r\nc,d\r\n')
    assert read(path) == [(1, ["source", "target"]), (2, ['a, "b"', "two\nlines"]), (5, ["c", "d"])]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_the_separator_is_seen_in_the_first_line(write, separator):
    path = write("a.csv", f"source{separator}target\na, b{separator}c\n")
    assert read(path)[1] == (2, ["a, b", "c"])


def test_quotation_marks_in_tsv_are_characters(write):
    path = write("a.tsv", 'label\ttext\nham\t"Hi" she said, 5" wide\nham\t"open\n')
    assert [cells for _, cells in read(path)[1:]] == [["ham", '"Hi" she said, 5" wide'], ["ham", '"open']]


def test_numbered_columns_keep_the_first_row(write):
    assert read(write("a.tsv", "aa\tb b\ncc\td d\n"), header=Header(False)) == [
        (1, ["1", "2"]),
        (1, ["aa", "b b"]),
        (2, ["cc", "d d"]),
    ]


def test_numbered_columns_of_a_file_with_a_known_header_are_refused(write):
    with pytest.raises(InputError, match=r"a\.tsv:1: this is a header \(Source, target\)"):
        read(write("a.tsv", "Source\ttarget\na\tb\n"), header=Header(False))


def test_a_byte_order_mark_and_blanks_are_no_part_of_a_name(write):
    assert read(write("a.csv", b"\xef\xbb\xbfsource, target\na,b\n"))[0] == (1, ["source", "target"])


def test_a_column_of_row_numbers_needs_no_name(write):
    assert read(write("a.csv", ",source\n0,a\n"))[0] == (1, ["Unnamed: 0", "source"])


def test_a_cell_may_be_larger_than_the_csv_modules_limit(write):
    assert len(read(write("a.csv", f"source,target\n{'x' * 300_000},b\n"))[1][1][0]) == 300_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'source,target\n"a\nb",c\nd,e,f\n', "a.csv:4: found 3 fields, the header has 2"),
        ("a.tsv", "source\ttarget\na\n", "a.tsv:2: found 1 field, the header has 2"),
        ("a.csv", 'source,target\na,b\nc,"d\ne,f\n', "a.csv:3: a quotation mark is opened and never closed"),
        ("a.csv", 'source,target\n"a"b,c\n', "a.csv:2: broken csv"),
        ("a.csv", "source,source\na,b\n", "a.csv:1: the header names column 'source' twice"),
        ("a.csv", "", "a.csv: is empty"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(write, name, content, message):
    with pytest.raises(InputError) as error:
        read(write(name, content))
    assert message in str(error.value)


def test_a_ragged_row_without_a_header_is_measured_by_the_first(write):
    with pytest.raises(InputError, match=":2: found 3 fields, the first row has 2"):
        read(write("a.tsv", "a\tb\nc\td\te\n"), header=Header(False))


@pytest.mark.parametrize(
    ("content", "separator"),
    [
        ("Ja, gut;yes good\nNein;no\n", ";"),
        ("source\ttarget\nJa, gut\tyes good\n", "\t"),
        ("sep=;\nsource;target\nJa, gut;yes good\n", ";"),
        ("sep=|\r\nsource|target\r\nJa, gut|yes, good\r\n", "|"),
        ('"source, de";"target"\nJa, gut;yes good\n', ";"),
        ("\n\nsource;target\nJa, gut;yes good\n", ";"),
    ],
)
def test_the_separator_is_found_over_several_rows(write, content, separator):
    with opened(Path(write("a.csv", content))) as file:
        layout, rows = delimited_rows(file, "csv", "utf-8")
        assert layout.separator == separator
        assert next(rows)[1][0] == "Ja, gut"


def test_a_row_of_another_width_is_named_with_the_separator(write):
    with pytest.raises(InputError, match=r"a\.csv:4: found 3 fields, the header has 2; .*separator, ';', in double"):
        read(write("a.csv", "source;target\na;b\nc, d;e\nf;g;h\n"))


def test_commas_between_the_names_of_a_tsv_file_are_reported(write):
    with pytest.raises(InputError, match=r"a\.tsv:1: the columns 'source;target' are separated by ';'.*call the file"):
        read(write("a.tsv", "source;target\na;b\n"))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_file_of_one_column_keeps_its_first_row(write, caplog, name):
    assert read(write(name, "Hello\nHow are you\n")) == [(1, ["1"]), (1, ["Hello"]), (2, ["How are you"])]
    assert "the first row (Hello) is treated as data, so the column is called 1" in caplog.text
    assert read(write(name, "Hello\nHow\n"), Header.of("Hello"))[0] == (1, ["Hello"])


@pytest.mark.parametrize(("name", "content"), [("a.tsv", "a\tb\n\nc\td\n\n\n"), ("a.csv", "a,b\n\nc,d\n\n")])
def test_blank_lines_are_rows_where_rows_are_to_stay_in_step(write, name, content):
    with opened(Path(write(name, content))) as file:
        rows = delimited_rows(file, name[2:], "utf-8", Header(False), in_step=True)[1]
        assert [cells for _, cells in rows] == [["a", "b"], ["", ""], ["c", "d"]]
    assert [cells for _, cells in read(write(name, content), Header(False))[1:]] == [["a", "b"], ["c", "d"]]


def test_blank_lines_between_rows_are_told(write, caplog):
    assert len(read(write("a.tsv", "source\ttarget\n\na\tb\n\n\nc\td\n\n"))) == 3
    assert "a.tsv:2: skipped a blank line and 2 more" in caplog.text
    caplog.clear()
    read(write("b.csv", "source,target\na,b\n\n\n"))
    assert not caplog.text


def test_a_header_without_a_usual_name_is_reported(write, caplog):
    rows = "".join(f"good day {n}\tguten Tag {n}\n" for n in range(9))
    assert read(write("a.tsv", "Hi\tHallo\n" + rows))[0] == (1, ["Hi", "Hallo"])
    assert (
        "a.tsv: the first row (Hi | Hallo) is treated as names of columns; if it is data, name a column" in caplog.text
    )
    caplog.clear()
    read(write("a.tsv", "german\tenglish\n" + rows), Header(None, frozenset({"german"})))
    read(write("a.tsv", "source\tmine\n" + rows))
    assert not caplog.text
