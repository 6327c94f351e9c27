import pytest

from hf_seq2seq.data.files import tables
from hf_seq2seq.data.files.tables import Misfit, object_table, text_table


@pytest.fixture(autouse=True, params=[2, 10_000])
def block(request, monkeypatch):
    """Every test with rows in several blocks and in one."""
    monkeypatch.setattr(tables.batched, "__defaults__", (request.param,))


def table(cells: list) -> tables.Table:
    return object_table([(number, {"c": cell}) for number, cell in enumerate(cells, 1)], "line")


@pytest.mark.parametrize(
    "cells",
    [
        ["a", None, "b", None, None, "c"],
        [None, None, None, "late"],
        [1, 2, 3, 2.5],
        [["a"], [], ["b", "c"]],
        [[], [], [], ["a"]],
        [True, False, None],
        ["2020-01-01", "2020-01-02"],
    ],
)
def test_cells_come_back_as_they_were(cells):
    assert table(cells).arrow.column("c").to_pylist() == cells
    assert not table(cells).misfits


def test_objects_gather_their_keys():
    assert table([{"de": "a"}, {}, {"en": "b"}]).arrow.column("c").to_pylist() == [
        {"de": "a", "en": None},
        {"de": None, "en": None},
        {"de": None, "en": "b"},
    ]


def test_a_missing_key_is_null_wherever_it_is_missing():
    rows = [{"a": 1}, {"a": 2}, {"a": 3, "b": "x"}, {"b": "y"}, {"b": "z"}, {"a": 4}]
    arrow = object_table(enumerate(rows, 1), "line").arrow
    assert arrow.column_names == ["a", "b"]
    assert arrow.to_pylist() == [{"a": row.get("a"), "b": row.get("b")} for row in rows]


@pytest.mark.parametrize(
    ("cells", "misfit"),
    [
        (["a", "b", None, "c", 7, "d"], Misfit(5, 7, "text")),
        ([1, 2, None, "c"], Misfit(4, "c", "number")),
        (["a", "b", "c", ["d"]], Misfit(4, ["d"], "text")),
        ([True, False, True, 1], Misfit(4, 1, "true or false")),
        ([["a"], ["b"], "c"], Misfit(3, "c", "list")),
        ([1, 2, 2**70], Misfit(3, 2**70, "number")),
        (["\ud800", "a"], Misfit(1, "\ud800", "null")),
    ],
)
def test_a_cell_of_another_kind_is_found_and_its_column_left_out(cells, misfit):
    found = table(cells)
    assert found.misfits == {"c": misfit}
    assert found.arrow.column_names == []


def test_one_misfit_leaves_the_other_columns():
    rows = [(1, {"a": "x", "b": 1}), (2, {"a": "y", "b": "z"}), (3, {"a": "w", "b": 3})]
    found = object_table(rows, "line")
    assert found.arrow.to_pylist() == [{"a": "x"}, {"a": "y"}, {"a": "w"}]
    assert list(found.misfits) == ["b"]


def test_text_stays_text():
    rows = [["1", "null"], ["", "2.5"], ["true", "x"]]
    assert [list(row.values()) for row in text_table(["a", "b"], rows).to_pylist()] == rows
