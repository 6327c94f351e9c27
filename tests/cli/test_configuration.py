"""YAML files: precedence, and errors that name the line."""

from pathlib import Path

import pytest
import yaml

from hf_seq2seq.errors import InputError
from hf_seq2seq.settings_files import read_settings, yaml_text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"


def test_default_then_file_then_flag(command, recipe: Path, file: Path) -> None:
    file.write_text("word: file\ncount: 7\nlangs: [fr, it]\nloud: true\npitch: 3e-4\necho: False\ntone: null\n")
    file.write_text(file.read_text().replace("tone: null\n", ""))
    found = eval(command("train", recipe, "-c", file, "--word", "flag", "--no-loud").out)
    assert found["word"] == "flag"
    assert (found["count"], found["langs"], found["pitch"]) == (7, ["fr", "it"], 3e-4)
    assert (found["loud"], found["echo"]) == (False, False)
    assert (found["tone"], found["seed"]) == ("plain", 42)


def test_an_alias_in_the_file_gives_way_to_the_flag_s_own_name(command, recipe: Path, file: Path) -> None:
    file.write_text("term: file\n")
    assert eval(command("train", recipe, "-c", file).out)["word"] == "file"
    assert eval(command("train", recipe, "-c", file, "--word", "flag").out)["word"] == "flag"


def test_dashes_and_words_that_other_yaml_readers_take_for_false(command, recipe: Path, file: Path) -> None:
    file.write_text("num-processes: 1\nword: no\nlangs: de, en\n")
    found = eval(command("train", recipe, "-c", file).out)
    assert (found["num_processes"], found["word"], found["langs"]) == (1, "no", ["de", "en"])


@pytest.mark.parametrize(
    ("typed", "count", "word"),
    [
        ("010", 10, "010"),
        ("1_000", 1000, "1_000"),
        ("1e3", 1000, "1e3"),
        ("+5", 5, "+5"),
        ("0x10", 16, "16"),
        ("3.00", 3, "3.00"),
        ("1:30", None, "1:30"),
        ("2024-01-02", None, "2024-01-02"),
        ("1.10", None, "1.10"),
    ],
)
def test_numbers_are_what_they_look_like(
    command, recipe: Path, file: Path, typed: str, count: int | None, word: str
) -> None:
    file.write_text(f"word: {typed}\nlangs: [{typed}, de]\n" + (f"count: {typed}\n" if count else ""))
    found = eval(command("train", recipe, "-c", file).out)
    assert (found["word"], found["langs"], found["count"]) == (word, [word, "de"], count or 1)
    if count and typed != "0x10":
        assert eval(command("train", recipe, "--count", typed).out)["count"] == count


def test_small_numbers_in_any_spelling(command, recipe: Path, file: Path) -> None:
    for typed in ("1e-4", "1.0e-4", "1E-4", ".0001"):
        file.write_text(f"pitch: {typed}\n")
        assert eval(command("train", recipe, "-c", file).out)["pitch"] == 1e-4


def test_an_empty_file_changes_nothing(command, recipe: Path, file: Path) -> None:
    file.write_text("# nothing\n")
    assert command("train", recipe, "-c", file).out == command("train", recipe).out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word: a\nwrd: b\n", "run.yaml:2: unknown option 'wrd'; did you mean 'word'?"),
        ("\ncount: many\n", "run.yaml:2: --count: 'many' is not an integer"),
        ("count: 1.5\n", "run.yaml:1: --count: 1.5 is not an integer"),
        ("count:\n", "run.yaml:1: --count: needs a value"),
        ("loud: yes\n", "run.yaml:1: --loud: 'yes' is not true or false"),
        ("tone: plan\n", "run.yaml:1: --tone: unknown value 'plan'; did you mean 'plain'?"),
        ("langs: {a: b}\n", "run.yaml:1: 'langs' contains a section"),
        ("talk:\n  word: a\n", "run.yaml:1: 'talk' contains a section; write its options flat"),
        ("seed: 1\nword: a\nseed: 2\n", "run.yaml:3: 'seed' is already on line 1"),
        ("word: a\nterm: b\n", "run.yaml: 'word' is given twice"),
        ("word: [a\ncount: 3\n", "run.yaml:2: not YAML"),
        ("word: a\n\tcount: 3\n", "run.yaml:2: not YAML"),
        ("- word\n", "run.yaml:1: needs lines such as"),
        ("word: !thing a\n", "run.yaml:1: 'word' is not a plain value"),
    ],
)
def test_wrong_lines_are_named(command, recipe: Path, file: Path, text: str, message: str) -> None:
    file.write_text(text)
    result = command("train", recipe, "-c", file)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b"word: \xff")
    with pytest.raises(InputError, match=r"run.yaml: not UTF-8 text, at byte 6"):
        read_settings(str(file))
    with pytest.raises(InputError, match=r"none.yaml: No such file"):
        read_settings(str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match="Is a directory"):
        read_settings(str(tmp_path))


def test_the_file_may_name_the_recipe(command, recipe: Path, file: Path) -> None:
    file.write_text(f"recipe: {recipe}\ncount: 5\n")
    expected = command("train", recipe, "--count", "5", "--word", "x").out
    assert expected
    assert command("train", "-c", file, "--word", "x").out == expected
    assert command("train", "-c", file, recipe, "--word", "x").out == expected
    assert command("train", "--word", "x", "--config", file).out == expected


def test_a_file_of_another_recipe_is_refused(command, file: Path) -> None:
    file.write_text("seed: 1\nrecipe: t5\n")
    result = command("train", "rnn", "-c", file)
    assert (result.code, result.err) == (2, f"error: {file}:2: written for recipe 't5', not 'rnn'\n")


def test_a_recipe_must_be_named_somewhere(command, file: Path) -> None:
    file.write_text("seed: 1\n")
    for arguments in ([], ["--seed", "3"], ["-c", file]):
        result = command("train", *arguments)
        assert result.code == 2
        assert "name a recipe first: bart, bert_classifier, " in result.err


@pytest.mark.parametrize(
    "text", ["é 你好", "😀", "\\U", "a: b", " x ", "~", "yes", "\u2028", "x " * 90, "1\n\n2", "\x07"]
)
def test_settings_are_written_as_they_look(text: str) -> None:
    values = {"b": text, "a": [text, 1.5, None, True]}
    written = yaml_text(values)
    assert yaml.safe_load(written) == values
    assert list(yaml.safe_load(written)) == ["b", "a"]
    assert (text in written) == (text in yaml.safe_dump(values, allow_unicode=True))


@pytest.mark.parametrize("name", ["inflection", "inflection.yaml", "recipes/configs/inflection.yaml", "studies/scores"])
def test_ready_made_files_are_found_by_name_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inflection").mkdir()  # such as one of data
    monkeypatch.chdir(tmp_path)
    assert read_settings(name)["recipe"].value == "rnn"
    for own in ("inflection.yaml", "studies"):
        (tmp_path / own).write_text("recipe: transformer\n")
    assert read_settings("inflection.yaml")["recipe"].value == "transformer"


def test_a_name_that_is_nearly_ready_made(command, tmp_path: Path) -> None:
    result = command("train", "-c", "inflexion", "--output-dir", tmp_path / "x")
    assert result.code == 2
    assert result.err.strip() == (
        "error: inflexion: no such file, and none of this name is ready-made; did you mean 'inflection'?"
    )
    assert not list(tmp_path.iterdir())


def test_a_flag_replaces_what_cannot_stand_beside_it(command, tmp_path: Path) -> None:
    settings = tmp_path / "own.yaml"
    settings.write_text(
        "recipe: t5\ndataset_name: some/set\ndataset_config_name: de-en\nmodel_name_or_path: t5-small\n"
    )
    rows = tmp_path / "rows.tsv"
    rows.write_text("source\ttarget\n" + "a b\tb a\n" * 8)
    sizes = "d_model=8,d_kv=4,d_ff=8,num_layers=1,num_heads=2"
    flags = ("--train-file", rows, "--from-scratch", "--tokenizer-type", "word", "--config-overrides", sizes)
    result = command("preview", "t5", "-c", settings, *flags)
    assert result.code == 0
    told = [line.split(": ", 1)[1] for line in result.err.splitlines() if "gives way to" in line]
    assert told == [
        "dataset_name gives way to --train-file",
        "dataset_config_name gives way to --train-file",
        "model_name_or_path gives way to --from-scratch",
    ]
