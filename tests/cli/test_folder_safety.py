"""Every command that writes a folder keeps what it has not written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
WRITERS = {
    "average": ["average", "{model}", "{model}", "--output-dir", "{folder}"],
    "tokenizer": ["tokenizer", "train", "--train-file", "{rows}", "--output-dir", "{folder}"],
    "rate": ["rate", "a={rows}", "--references", "{rows}", "--source-column", "reference", "--output-dir", "{folder}"],
    "export": ["export", "{model}", "{folder}", "--format", "safetensors", "--check-rows", "1"],
    "pull": ["pull", "me/none", "{folder}"],
}
REPLACING = ("average", "tokenizer", "rate")


@pytest.fixture
def arguments(model_folder: Path, tmp_path: Path) -> Callable[[str, Path], list[str]]:
    rows = tmp_path / "rows.tsv"
    rows.write_text("prediction\treference\n" + "".join(f"dog {n}\tcat {n}\n" for n in range(20)))

    def fill(name: str, folder: Path) -> list[str]:
        return [word.format(model=model_folder, rows=rows, folder=folder) for word in WRITERS[name]]

    return fill


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_with_anything_in_it_is_refused(
    command: Command, arguments: Callable[[str, Path], list[str]], tmp_path: Path, name: str
) -> None:
    thesis = tmp_path / "thesis"
    (thesis / "old").mkdir(parents=True)
    (thesis / "chapter1.txt").write_text("x")
    (thesis / "old" / ".hidden").write_text("y")
    before = content(thesis)
    for place in (thesis, thesis / "chapter1.txt", thesis / "chapter1.txt" / "below"):
        result = command(*arguments(name, place))
        assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1), result
        assert str(place if place == thesis else thesis / "chapter1.txt") in result.err
    assert content(thesis) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.tsv", "thesis"]


@pytest.mark.parametrize("name", REPLACING)
def test_what_is_replaced_is_what_is_written(
    command: Command, arguments: Callable[[str, Path], list[str]], tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()  # an empty one is as good as none
    first = command(*arguments(name, folder))
    assert first.code == 0, first.err
    written = content_names(folder)
    (folder / "chapter1.txt").write_text("x")
    again = command(*arguments(name, folder), "--overwrite-output-dir")
    assert again.code == 0, again.err
    assert content_names(folder) == sorted([*written, "chapter1.txt"])
    assert (folder / "chapter1.txt").read_text() == "x"
    assert len({path.stat().st_mode for path in folder.iterdir() if path.is_file()}) == 1


def content_names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_export_fills_an_empty_folder(
    command: Command, arguments: Callable[[str, Path], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    result = command(*arguments("export", tmp_path / "out"))
    assert result.code == 0, result.err
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1


def test_an_average_in_its_own_folder_is_refused(
    command: Command, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model_folder.parent)
    before = content_names(model_folder.parent)
    for place in (".", model_folder.name, str(model_folder.parent)):
        flags = ["--output-dir", place, "--overwrite-output-dir"]
        result = command("average", model_folder, model_folder, *flags)
        assert (result.code, "contains the input" in result.err) == (2, True)
    assert content_names(model_folder.parent) == before


def test_a_recipe_is_not_copied_over_a_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "rnn.py").write_text("mine")
    for place in (tmp_path, tmp_path / "rnn.py"):
        result = command("recipes", "copy", "rnn", place)
        assert (result.code, "already exists" in result.err) == (2, True)
    assert (tmp_path / "rnn.py").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place where nobody can make a file")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("compare a.txt b.txt --output-dir /proc/x", "--output-dir: /proc/x cannot be written"),
        ("clean --input-file a.tsv --output-file /proc/x.tsv", "/proc/x.tsv: cannot be written"),
        ("clean --input-file a.tsv --dropped-file /proc/x.jsonl", "--dropped-file /proc/x.jsonl: cannot be written"),
        ("clean --input-file a.tsv --dropped-file no/x.jsonl", "--dropped-file no/x.jsonl: there is no folder 'no'"),
        (
            "rounds rnn --train-file a.txt,b.txt --source-lang a --target-lang b --target-mono-file a.txt "
            "--output-dir /proc/x",
            "--output-dir: /proc/x cannot be written",
        ),
    ],
)
def test_no_output_can_be_made(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt"):
        Path(name).write_text(f"{name}\n" * 2)
    Path("a.tsv").write_text("a\tb\n")
    result = command(*words.split())
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith(f"error: {message}")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place where nobody can make a file")
def test_a_recipe_is_not_copied_to_where_nothing_can_be_written(command: Command) -> None:
    result = command("recipes", "copy", "rnn", "/proc/rnn.py")
    assert (result.code, result.err.splitlines()) == (
        2,
        ["error: /proc/rnn.py: cannot be written: No such file or directory"],
    )
