"""`rate` and `ratings`: from files of predictions to a sheet, and from saved ratings to a report."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.cli.ratings import Report
from hf_seq2seq.metrics.agreement import LEVELS

SHEET = Path("outputs/rating/rating_sheet.html")
KEY = Path("outputs/rating/rating_key.json")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("source.de").write_text("ein Hund\neine Katze\nein Haus\n")
    Path("right.en").write_text("a dog\na cat\na house\n")
    Path("theirs.txt").write_text("one dog\none cat\none house\n")
    Path("run").mkdir()
    Path("run/generated_predictions.txt").write_text("dog\none cat\nhome\n")
    return tmp_path


def rows_of_sheet() -> list[dict[str, Any]]:
    data = SHEET.read_text().split('id="sheet">')[1].split("</script>")[0]
    return json.loads(data)["rows"]


def saved(name: str, **other: Any) -> str:
    """A file as the page saves it."""
    content = {"sheet": json.loads(KEY.read_text())["sheet"], "ratings": {"1A": {"fluency": 3}}, "rater": name}
    Path(f"{name}.json").write_text(json.dumps(content | other))
    return f"{name}.json"


def by_system(**values: int) -> dict[str, dict[str, int]]:
    """Fluency of every text, by the first of its systems."""
    return {text["id"]: {"fluency": values[text["systems"][0]]} for text in json.loads(KEY.read_text())["texts"]}


def test_from_predictions_to_a_report(command, folder: Path) -> None:
    made = command("rate", "run", "other=theirs.txt", "--source-file", "source.de", "--references", "right.en")
    assert made.code == 0, made.err
    assert f"{SHEET}: 3 rows, 5 texts of 2 systems" in made.out
    rows = {row["source"]: row for row in rows_of_sheet()}
    assert rows["ein Hund"]["references"] == ["a dog"]
    assert {text["text"] for text in rows["ein Hund"]["texts"]} == {"dog", "one dog"}
    assert [text["text"] for text in rows["eine Katze"]["texts"]] == ["one cat"]
    files = [saved("Ann", ratings=by_system(run=2, other=4)), saved("Bob", ratings=by_system(run=3, other=4))]
    found = json.loads(command("ratings", KEY, *files, "--json").out)
    fluency = found["criteria"]["fluency"]
    assert {name: system["mean"] for name, system in fluency["systems"].items()} == {"run": 3.0, "other": 4.0}
    assert fluency["differences"][0]["difference"] == -1.0
    assert found["raters"] == {"Ann": 5, "Bob": 5}
    assert found["resampling"] == {"confidence": 95, "bs": 1000, "ar": 10000, "seed": 12345}
    few = ["--paired-ar-n", "99", "--confidence-n", "50"]
    printed = command("ratings", KEY, *files, *few).out.splitlines()
    assert "Ann: 5 of 10 ratings" in printed
    assert next(line for line in printed if line.startswith("run - other")).split()[3] == "-1.0000"
    assert command("ratings", KEY.parent, *files, *few).out.splitlines() == printed
    assert "resampling  confidence:95|bs:50|ar:99|seed:12345" in printed


def test_rows_of_other_files(command, folder: Path) -> None:
    """What `generate --json-lines` writes holds both sides; a summary has questions of its own."""
    lines = [{"article": f"text {n}", "prediction": f"summary {n}"} for n in range(4)]
    Path("summaries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = [
        "--source-file",
        "summaries.jsonl",
        "--source-column",
        "article",
        "--criteria",
        "informativeness,readability",
    ]
    assert command("rate", "summaries.jsonl", *flags, "--sample", "2", "--scale", "1-7").code == 0
    rows = rows_of_sheet()
    assert len(rows) == 2
    assert all(row["source"].replace("text", "summary") == row["texts"][0]["text"] for row in rows)
    key = json.loads(KEY.read_text())
    assert (key["criteria"], key["high"]) == (["informativeness", "readability"], 7)
    lists = [{"reference": ["a", "b"]}, {"reference": ["c"]}, {"reference": "d"}]
    Path("several.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lists))
    flags = ["--references", "several.jsonl,right.en", "--overwrite-output-dir"]
    assert command("rate", "theirs.txt", *flags).code == 0
    assert {tuple(row["references"]) for row in rows_of_sheet()} == {
        ("a", "b", "a dog"),
        ("c", "a cat"),
        ("d", "a house"),
    }
    assert {row["source"] for row in rows_of_sheet()} == {None}


def test_a_sheet_is_not_replaced_unasked(command, folder: Path) -> None:
    flags = ["rate", "theirs.txt", "--source-file", "source.de"]
    assert command(*flags).code == 0
    before = SHEET.read_bytes()
    again = command(*flags, "--seed", "7")
    assert again.code == 2
    assert "--overwrite-output-dir" in again.err
    assert SHEET.read_bytes() == before
    assert command(*flags, "--seed", "7", "--overwrite-output-dir").code == 0
    assert SHEET.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["theirs.txt"], "give --source-file or --references"),
        (["theirs.txt", "--source-file", "short.de"], "short.de: 1 sources for 3 in theirs.txt"),
        (["theirs.txt", "short.de", "--source-file", "source.de"], "short.de: 1 predictions for 3 in theirs.txt"),
        (["theirs.txt", "--references", "short.de"], "short.de: 1 references for 3 in theirs.txt"),
        (["their.txt", "--source-file", "source.de"], "their.txt: no such file; did you mean 'theirs.txt'?"),
        (["theirs.txt", "--source-file", "source.de", "--criteria", "fluncy"], "'fluncy'; did you mean 'fluency'?"),
        (["theirs.txt", "--source-file", "source.de", "--criteria", ""], "--criteria: none given"),
        (["theirs.txt", "--source-file", "source.de", "--scale", "5"], "--scale: '5' is not LOW-HIGH"),
        (["theirs.txt", "--source-file", "source.de", "--sample", "0"], "--sample: 0 is too small"),
        (["theirs.txt", "theirs.txt", "--source-file", "source.de"], "theirs.txt is given twice"),
        (["theirs.txt", "run/theirs.txt", "--source-file", "source.de"], "both named 'theirs'; name them: NAME="),
        (["empty", "--source-file", "source.de"], "empty: contains no generated_predictions.txt; give the file"),
        (["theirs.txt", "--source-file", "source.de", "--output-dir", "right.en"], "--output-dir: right.en is a file"),
    ],
)
def test_bad_input(command, folder: Path, arguments: list[str], message: str) -> None:
    Path("short.de").write_text("one\n")
    Path("empty").mkdir()
    Path("run/theirs.txt").write_text("a\nb\nc\n")
    result = command("rate", *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ann": {"sheet": "0123"}}, "ann.json: rates the sheet '0123', but the key is that of "),
        ({"ann": {"ratings": {"1A": {"fluncy": 3}}}}, "text 1A: unknown criterion 'fluncy'; did you mean 'fluency'?"),
        ({"ann": {"ratings": {"9A": {"fluency": 3}}}}, "the sheet has no text '9A'"),
        ({"ann": {"ratings": {"1A": {"fluency": 6}}}}, "text 1A, fluency: 6 is not on the scale 1-5"),
        ({"ann": {"ratings": {"1A": {"fluency": 2.5}}}}, "2.5 is not on the scale"),
        ({"ann": {"ratings": {"1A": {"fluency": True}}}}, "True is not on the scale"),
        ({"ann": {"ratings": {"1A": {"fluency": "3"}}}}, "'3' is not on the scale"),
        ({"ann": {"ratings": {}}}, "ann.json: contains no rating"),
        ({"ann": {"ratings": {"1A": {}}}}, "ann.json: contains no rating"),
        ({"ann": {"rater": " "}}, "no rater is named"),
        ({"ann": {"rater": 3}}, "not a file of ratings"),
        ({"ann": {}, "bob": {"rater": " ann"}}, "bob.json: the rater 'ann' is also in ann.json"),
    ],
)
def test_bad_ratings(command, folder: Path, files: dict[str, dict[str, Any]], message: str) -> None:
    command("rate", "theirs.txt", "--source-file", "source.de")
    names = [saved(name, **content) for name, content in files.items()]
    result = command("ratings", KEY, *names)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_bad_keys(command, folder: Path) -> None:
    command("rate", "run", "theirs.txt", "--source-file", "source.de")
    ann = saved("ann")
    Path("text.json").write_text("no JSON")
    Path("list.json").write_text("[]")
    key = json.loads(KEY.read_text())
    Path("cut.json").write_text(json.dumps({**key, "texts": key["texts"][1:]}))
    Path("other.json").write_text(json.dumps({**key, "texts": [{**key["texts"][0], "systems": ["nobody"]}]}))
    for place, message in {
        ann: "not a key of a rating sheet; it contains ratings, and the key comes first",
        "list.json": "not a JSON object",
        "text.json": "not valid JSON",
        "cut.json": "damaged key; texts of a system are missing",
        "other.json": "not a key of a rating sheet",
        "kay.json": "no such file",
    }.items():
        result = command("ratings", place, ann)
        assert result.code == 2
        assert f"{place}: {message}" in result.err
    assert "--confidence: 100 must be below 100" in command("ratings", KEY, ann, "--confidence", "100").err


def test_captions_are_rated_beside_their_pictures(command, folder: Path) -> None:
    Path("pictures").mkdir()
    picture = b"\x89PNG\r\n\x1a\n" + b"pixels"
    for name in "abc":
        Path(f"pictures/{name}.png").write_bytes(picture + name.encode())
    Path("rows.tsv").write_text("image\tplace\n" + "".join(f"pictures/{name}.png\tin {name}\n" for name in "abc"))
    flags = ["--source-file", "rows.tsv", "--image-column", "image", "--criteria", "relevance,accuracy"]
    made = command("rate", "theirs.txt", *flags)
    assert made.code == 0, made.err
    data = {row["texts"][0]["text"]: row for row in rows_of_sheet()}
    assert base64.b64decode(data["one cat"]["image"].removeprefix("data:image/png;base64,")) == picture + b"b"
    assert {row["source"] for row in data.values()} == {None}
    assert "img-src data:" in SHEET.read_text()
    command("rate", "theirs.txt", *flags, "--source-column", "place", "--overwrite-output-dir")
    assert {row["source"] for row in rows_of_sheet()} == {"in a", "in b", "in c"}
    Path("pictures/b.png").write_text("<svg>")
    again = command("rate", "theirs.txt", *flags, "--overwrite-output-dir")
    assert (again.code, len(again.err.splitlines())) == (2, 1)
    assert "rows.tsv: row 2: image pictures/b.png: is neither PNG, JPEG, GIF nor WebP" in again.err
    Path("pictures/c.png").unlink()
    Path("pictures/b.png").write_bytes(picture)
    assert "row 3: image pictures/c.png: No such file" in command("rate", "theirs.txt", *flags, "--output-dir", "o").err
    assert (
        "--image-column: is a column of --source-file"
        in command("rate", "theirs.txt", "--references", "right.en", "--image-column", "image", "--output-dir", "o").err
    )


def test_content_units_make_a_pyramid(command, folder: Path) -> None:
    Path("other.en").write_text("the dog\nthe cat\nthe house\n")
    made = command("rate", "run", "theirs.txt", "--references", "right.en,other.en", "--pyramid")
    assert made.code == 0, made.err
    sheet = Path("outputs/rating/pyramid_sheet.csv")
    assert not SHEET.exists()
    key = json.loads(KEY.read_text())
    authors = {text["id"]: text["systems"] for text in key["texts"]}
    lines = sheet.read_text().splitlines()
    assert "run" not in sheet.read_text().partition("rows")[2]
    dogs = next(line for line in lines if line.endswith("reference,R1,a dog")).partition(",")[0]
    ours = next(name for name, systems in authors.items() if name.startswith(dogs) and systems == ["run"])[len(dogs) :]
    theirs = "B" if ours == "A" else "A"
    units = [f"{dogs},unit,R1 R2 {ours} {theirs},a dog", f"{dogs},unit,R1,one", f"{dogs},unit,{theirs},noise"]
    Path("Ann.csv").write_text("\n".join([*lines, *units]) + "\n")
    found = json.loads(command("ratings", KEY, "Ann.csv", "--json", "--paired-ar-n", "10").out)["criteria"]
    means = {name: {system: mean["mean"] for system, mean in found[name]["systems"].items()} for name in found}
    assert means["pyramid"] == {"run": 1, "theirs": pytest.approx(2 / 3)}
    assert means["pyramid_modified"] == {"run": pytest.approx(2 / 3), "theirs": pytest.approx(2 / 3)}
    for text, message in {
        "\n".join(lines): "contains no content unit",
        "\n".join([*lines, f"{dogs},unit,R3,x"]): "the row has no reference or text 'R3'",
        "\n".join([*lines, units[0]]).replace(key["sheet"], "0123"): "is the sheet '0123'",
        "a,b\n": "not a pyramid sheet",
    }.items():
        Path("Bob.csv").write_text(text + "\n")
        refused = command("ratings", KEY, "Bob.csv")
        assert (refused.code, len(refused.err.splitlines())) == (2, 1)
        assert message in refused.err
    assert "--pyramid: content units" in command("rate", "run", "--source-file", "source.de", "--pyramid").err


def test_metrics_are_compared_with_ratings_or_tested_on_damage(command, folder: Path) -> None:
    systems = ["run", "theirs.txt", "right.en"]
    command("rate", *systems, "--source-file", "source.de", "--sample", "2")
    ann = saved("ann", ratings=by_system(generated_predictions=2, run=2, theirs=3, right=5))
    flags = ["--metrics", "chrf,word_error_rate", "--confidence-n", "20", "--paired-ar-n", "20"]
    refused = command("ratings", KEY, ann, *flags)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "rating_sheet.html shows no references; give --references FILE" in refused.err
    found = json.loads(command("ratings", KEY, ann, *flags, "--references", "right.en", "--json").out)
    chrf = found["metrics"]["fluency"]["chrf"]
    assert chrf["systems"]["n"] == 3
    assert 0 < chrf["rows"]["pearson"] < 1
    assert found["metrics"]["fluency"]["word_error_rate"]["systems"]["kendall"] > 0
    printed = command("ratings", KEY, ann, *flags, "--references", "right.en").out
    assert "metrics and fluency" in printed
    assert "too few" in printed.partition("metrics and adequacy")[2]
    damage = json.loads(command("ratings", KEY, "--metrics", "chrf", "--references", "right.en", "--json").out)
    assert (damage["rows"], damage["damage"]["empty texts"]["metrics"]["chrf"]["scores"][-1]) == (2, 0)
    alone = command("ratings", "--metrics", "chrf", "--references", "right.en").out
    assert "empty texts (3 of 3 texts)" in alone
    assert "wrong numbers (0 of 3 texts)\nno text has any" in alone


def test_metrics_and_sheets_that_do_not_fit(command, folder: Path) -> None:
    command("rate", "theirs.txt", "--references", "right.en")
    ann = saved("ann")
    Path("short.en").write_text("a\n")
    for arguments, message in {
        (): "give KEY and the files that raters saved, or --metrics",
        ("--metrics", "chrf"): "without a sheet's KEY, give --references FILE",
        (KEY, ann, "--references", "right.en"): "--references: are for --metrics",
        (KEY, ann, "--metrics", "chrg"): "unknown metric 'chrg'; did you mean 'chrf'?",
        (KEY, ann, "--metrics", "chrf", "--references", "short.en"): "short.en: has 1 rows, but the sheet shows row 3",
    }.items():
        result = command("ratings", *arguments)
        assert (result.code, len(result.err.splitlines())) == (2, 1), result.err
        assert message in result.err
    key = json.loads(KEY.read_text())
    KEY.write_text(json.dumps(key | {"sheet": "0123"}))
    assert "but the key is that of '0123'" in command("ratings", KEY, "--metrics", "chrf").err
    SHEET.write_text("<p>")
    assert "not the rating sheet of the key beside it" in command("ratings", KEY, "--metrics", "chrf").err
    SHEET.unlink()
    assert "no such file" in command("ratings", KEY, "--metrics", "chrf").err


def test_the_help_names_every_level_of_measurement() -> None:
    assert set(Report.__dataclass_fields__["alpha_level"].metadata["choices"]) == set(LEVELS)
