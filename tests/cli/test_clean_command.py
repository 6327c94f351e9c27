"""`clean`: every format in, the same format out, nothing dropped in silence."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

ROWS = [
    ("Ein Hund schläft.", "A dog sleeps."),
    ("Ein Hund schläft", "a dog sleeps"),
    ("", "Nothing."),
    ("Eine Katze, die schläft.", 'A "cat" sleeps.'),
    ("SchlÃ¤ft", "Asleep"),
    ("Same", "Same"),
]
KEPT = [ROWS[0], ROWS[3]]
DROPPED = [(2, "duplicate"), (3, "empty"), (5, "broken_encoding"), (6, "identical")]


def run(command, *arguments: object) -> dict:
    found = command("clean", *arguments, "--json")
    assert found.code == 0, found.err
    return json.loads(found.out)


def test_every_reference_of_a_test_set_is_one_side_of_it(command, tmp_path: Path) -> None:
    rows = [("etwas", "the first"), ("anderes", "the second"), ("neues", "the third")]
    (tmp_path / "in.tsv").write_text("source\ttarget\n" + "".join(f"{s}\t{t}\n" for s, t in rows))
    test = {"source": "unseen", "target": ["the first", "the second"]}
    (tmp_path / "test.jsonl").write_text(json.dumps(test) + "\n")
    files = ["--against", tmp_path / "test.jsonl", "--output-file", tmp_path / "out.tsv"]
    run(command, "--input-file", tmp_path / "in.tsv", *files)
    assert (tmp_path / "out.tsv").read_text() == "source\ttarget\nneues\tthe third\n"


def test_tsv_without_a_header_and_the_dropped_rows(command, tmp_path: Path) -> None:
    file, out, dropped = tmp_path / "in.tsv", tmp_path / "out.tsv", tmp_path / "dropped.jsonl"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in ROWS))
    counts = run(command, "--input-file", file, "--output-file", out, "--dropped-file", dropped)
    assert out.read_text() == "".join(f"{source}\t{target}\n" for source, target in KEPT)
    assert (counts["rows"], counts["kept"], counts["dropped"]["duplicate"]) == (6, 2, 1)
    assert sum(counts["dropped"].values()) == 4
    told = [json.loads(line) for line in dropped.read_text().splitlines()]
    assert [(row["row"], row["rule"]) for row in told] == DROPPED
    assert told[1] == {"row": 3, "rule": "empty", "reason": "the source is empty", "source": "", "target": "Nothing."}
    shown = command("clean", "--input-file", file).out
    assert "2 of 6 rows are kept (33.3 %), 4 dropped" in shown
    assert "--skip-rules identical" in shown


def test_csv_keeps_its_separator_columns_and_quotes(command, tmp_path: Path) -> None:
    lines = ["id;german;english", *(f'{i};{s};"{t.replace(chr(34), chr(34) * 2)}"' for i, (s, t) in enumerate(ROWS))]
    with gzip.open(tmp_path / "in.csv.gz", "wt") as stream:
        stream.write("\n".join(lines) + "\n")
    flags = ["--source-column", "german", "--target-column", "english"]
    run(command, "--input-file", tmp_path / "in.csv.gz", "--output-file", tmp_path / "out.csv.gz", *flags)
    with gzip.open(tmp_path / "out.csv.gz", "rt") as stream:
        assert stream.read().splitlines() == ["id;german;english", "0;Ein Hund schläft.;A dog sleeps.", lines[4]]


def test_json_forms_keep_objects_and_other_columns(command, tmp_path: Path) -> None:
    rows = [{"id": i, "translation": {"de": s, "en": t}, "note": [1]} for i, (s, t) in enumerate(ROWS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "in.json").write_text(json.dumps(rows))
    for name in ("in.jsonl", "in.json"):
        out = tmp_path / f"out{Path(name).suffix}"
        flags = ["--source-lang", "de", "--target-lang", "en", "--output-file", out]
        run(command, "--input-file", tmp_path / name, *flags)
        text = out.read_text()
        found = json.loads(text) if name == "in.json" else [json.loads(line) for line in text.splitlines()]
        assert found == [rows[0], rows[3]]


def test_parallel_files(command, tmp_path: Path) -> None:
    for side, suffix in enumerate(("de", "en")):
        (tmp_path / f"in.{suffix}").write_text("".join(row[side] + "\n" for row in ROWS))
    languages = ["--source-lang", "de", "--target-lang", "en"]
    run(command, "--input-file", tmp_path / "in", "--output-file", tmp_path / "out", *languages)
    for side, suffix in enumerate(("de", "en")):
        assert (tmp_path / f"out.{suffix}").read_text() == "".join(row[side] + "\n" for row in KEPT)


def test_parquet_arrow_and_saved_data_sets(command, tmp_path: Path) -> None:
    table = pa.table(
        {"source": [s for s, _ in ROWS], "n": pa.array(range(6), pa.int8()), "target": [t for _, t in ROWS]}
    )
    pq.write_table(table, tmp_path / "in.parquet")
    with pa.ipc.new_stream(str(tmp_path / "in.arrow"), table.schema) as writer:
        writer.write_table(table)
    Dataset(table).save_to_disk(tmp_path / "saved")
    for name in ("in.parquet", "in.arrow", "saved"):
        out = tmp_path / f"out-{name.removeprefix('in')}.parquet"
        run(command, "--input-file", tmp_path / name, "--output-file", out)
        assert pq.read_table(out).cast(table.schema).equals(table.take([0, 3])), name
    run(command, "--input-file", tmp_path / "in.arrow", "--output-file", tmp_path / "out.arrow")
    assert pa.ipc.open_stream(str(tmp_path / "out.arrow")).read_all().equals(table.take([0, 3]))


def test_templates_and_lists_of_references(command, tmp_path: Path) -> None:
    rows = [{"lemma": "go", "tags": "V;PST", "form": ["went", "goed"]}, {"lemma": "", "tags": "", "form": ["x"]}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--source-template", "{lemma}{tags:tags}", "--target-column", "form"]
    run(command, "--input-file", tmp_path / "in.jsonl", "--output-file", tmp_path / "out.jsonl", *flags)
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == rows[:1]


def test_overlap_with_test_sets_of_one_and_of_two_columns(command, tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text("source\ttarget\nEin Hund\tA dog\nEine Katze\tA cat\nEin Haus\tA house\n")
    (tmp_path / "test.csv").write_text("source,target\nein hund!,Some dog\n")
    (tmp_path / "test.en").write_text("a CAT.\n")
    files = f"{tmp_path / 'test.csv'},{tmp_path / 'test.en'}"
    run(command, "--input-file", tmp_path / "in.tsv", "--against", files, "--output-file", tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text() == "source\ttarget\nEin Haus\tA house\n"


def test_overlap_is_found_by_the_names_of_columns_in_any_order(command, tmp_path: Path) -> None:
    (tmp_path / "in.de").write_text("Ein Hund\nEine Katze\nEin Haus\n")
    (tmp_path / "in.en").write_text("A dog\nA cat\nA house\n")
    (tmp_path / "test.csv").write_text("en,de\na dog,ein anderer Hund\nsome cat,eine Katze\n")
    counts = run(
        command, "--input-file", f"{tmp_path / 'in.de'},{tmp_path / 'in.en'}", "--against", tmp_path / "test.csv"
    )
    assert counts["kept"] == 1


def test_overlap_with_a_file_of_other_columns(command, tmp_path: Path) -> None:
    """Flags name columns of the input; a file that lacks them is read by its own."""
    (tmp_path / "in.csv").write_text("Deutsch,English\nEin Hund,A dog\nEin Haus,A house\n")
    (tmp_path / "test.csv").write_text("source,target\nein hund,one dog\n")
    flags = ["--source-column", "Deutsch", "--target-column", "English"]
    counts = run(command, "--input-file", tmp_path / "in.csv", *flags, "--against", tmp_path / "test.csv")
    assert (counts["kept"], counts["dropped"]["overlap"]) == (1, 1)


def test_a_carriage_return_is_read_again(command, tmp_path: Path) -> None:
    row = {"source": "one two\rthree four", "target": "eins zwei drei vier"}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    run(command, "--input-file", tmp_path / "in.jsonl", "--output-file", tmp_path / "out.csv")
    run(command, "--input-file", tmp_path / "out.csv", "--output-file", tmp_path / "again.jsonl")
    assert json.loads((tmp_path / "again.jsonl").read_text()) == row


def test_a_cell_that_is_not_text_is_counted(command, tmp_path: Path) -> None:
    rows = [{"source": "a b", "target": "c"}, {"source": ["c"], "target": "c"}, {"source": "d", "target": None}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--source-column", "source", "--target-column", "target"]
    counts = run(command, "--input-file", tmp_path / "in.jsonl", *flags)
    assert counts["kept"] == 1
    assert counts["dropped"]["not_text"] == 1
    assert counts["dropped"]["empty"] == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output-file", "in.tsv"], "--output-file in.tsv: is the input file"),
        (["--output-file", "./test.tsv", "--against", "test.tsv"], "--output-file test.tsv: is read by --against"),
        (["--dropped-file", "test.tsv", "--against", "test.tsv"], "--dropped-file test.tsv: is read by --against"),
        (
            ["--output-file", "out.tsv", "--dropped-file", "out.tsv"],
            "--dropped-file out.tsv: is written by another flag",
        ),
        (["--output-file", "missing/out.tsv"], "there is no folder 'missing'"),
        (["--output-file", "a.de,b.en,c.fr"], "3 files, but rows of 2 columns: source, target"),
        (["--target-column", "english"], "no column 'english' (--target-column)"),
        (["--skip-rules", "lenght"], "--skip-rules: unknown value 'lenght'; did you mean 'length'?"),
        (["--check-language"], "--check-language: give --source-lang, --target-lang or both"),
        (["--against", "none.txt"], "none.txt"),
    ],
)
def test_bad_input_leaves_nothing_written(command, tmp_path: Path, monkeypatch, flags: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.tsv", "test.tsv"):
        Path(name).write_text("source\ttarget\nEin Hund\tA dog\n")
    found = command("clean", "--input-file", "in.tsv", *flags)
    assert found.code == 2
    assert message in found.err
    assert {path.read_text() for path in tmp_path.iterdir()} == {"source\ttarget\nEin Hund\tA dog\n"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tsv", "test.tsv"]


def test_a_cell_that_does_not_fit_the_format(command, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"source": "a\tb", "target": "c"}) + "\n")
    found = command("clean", "--input-file", tmp_path / "in.jsonl", "--output-file", tmp_path / "out.tsv")
    assert found.code == 2
    assert "contains a tab; write .jsonl or .csv" in found.err
    assert not (tmp_path / "out.tsv").exists()


def test_labels_are_not_compared_with_their_texts(command, tmp_path: Path, caplog) -> None:
    rows = [
        ("ham" if row % 2 else "spam", f"a message of many more words than its label has, {row}") for row in range(30)
    ]
    rows += [("ham", "Ham"), ("spam", ""), rows[0]]
    (tmp_path / "in.tsv").write_text("".join(f"{label}\t{text}\n" for label, text in rows))
    flags = ["--input-file", tmp_path / "in.tsv", "--min-words", "1", "--against", tmp_path / "in.txt"]
    (tmp_path / "in.txt").write_text("ham\n" + rows[1][1])
    dropped = run(command, *flags)["dropped"]
    assert {rule: count for rule, count in dropped.items() if count} == {"empty": 1, "overlap": 2, "duplicate": 1}
    assert "in.tsv: the sources are few different texts, as labels are" in caplog.text


def test_lines_of_dialogues_are_no_pairs(command, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("1 hi\thello\n2 a table for two\tok\n3 bye\tbye\n\n" * 3)
    found = command("clean", "--input-file", tmp_path / "in.txt", "--output-file", tmp_path / "out.txt")
    assert found.code == 2
    assert "lines with numbers (1, 2, 3, …) seem to be dialogues" in found.err
    assert not (tmp_path / "out.txt").exists()
