"""Flags made from dataclasses."""

from pathlib import Path

import pytest

from hf_seq2seq.cli.options import as_arguments, spell_out
from hf_seq2seq.errors import InputError

SWITCHES = {"--bf16", "--echo"}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], {}),
        (["--word", "hi", "--count", "3"], {"word": "hi", "count": 3}),
        (["--word=a b, c", "--pitch=1e-3"], {"word": "a b, c", "pitch": 1e-3}),
        (["--term", "hi"], {"word": "hi"}),
        (["--loud"], {"loud": True}),
        (["--no-echo"], {"echo": False}),
        (["--no_echo", "--num_processes", "1"], {"echo": False, "num_processes": 1}),
        (["--loud", "True", "--echo=false"], {"loud": True, "echo": False}),
        (["--langs", "fr,it", "--langs", "es"], {"langs": ["fr", "it", "es"]}),
        (["--word", "--loud"], {"word": "--loud"}),
        (["--count", "2", "--count", "4"], {"count": 4}),
    ],
)
def test_flags_reach_the_recipe(command, recipe: Path, flags: list[str], expected: dict[str, object]) -> None:
    plain = eval(command("train", recipe).out)
    assert eval(command("train", recipe, *flags).out) == plain | expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--wrd", "x"], "unknown flag '--wrd'; did you mean '--word'?"),
        (["--zzz"], "unknown flag '--zzz'; `hf-seq2seq train RECIPE --help` lists the flags"),
        (["--count", "many"], "--count: 'many' is not an integer"),
        (["--count", "0"], "--count: 0 is too small; the minimum is 1"),
        (["--tone", "lod"], "--tone: unknown value 'lod'; did you mean 'loud'?"),
        (["--word", "a", "--term", "b"], "--word and --term exclude each other"),
        (["--echo", "--no-echo"], "--echo and --no-echo exclude each other"),
        (["--echo=maybe"], "--echo: 'maybe' is not true or false"),
        (["--count"], "requires an argument"),
        (["hello"], "unexpected extra argument"),
    ],
)
def test_wrong_flags_are_refused(command, recipe: Path, flags: list[str], message: str) -> None:
    result = command("train", recipe, *flags)
    assert result.code == 2
    assert message in result.err.replace(str(recipe), "RECIPE")
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1
    assert not result.out


def test_the_help_tells_all(command, recipe: Path) -> None:
    result = command("train", recipe, "--help")
    assert result.code == 0
    shown = " ".join(result.out.split())  # whatever the width
    for text in (
        "Says what it was told.",
        " Talk: --",
        " Run: --",
        "--word",
        "The word [in brackets]. Also --term.",
        "--tone [plain|loud]",
        "[default: plain]",
        "INTEGER",
        "NUMBER",
        "On unless --no-echo.",
        "[default: de, en]",
        "--config",
    ):
        assert text in shown, text
    assert "--no-loud" not in result.out


def test_switches_take_true_and_false() -> None:
    assert spell_out(["--bf16", "True", "x"], SWITCHES) == ["--bf16", "x"]
    assert spell_out(["--bf16=FALSE", "--echo", "false", "--echo"], SWITCHES) == ["--no-bf16", "--no-echo", "--echo"]
    assert spell_out(["--word", "true", "--a=b=c"], SWITCHES) == ["--word", "true", "--a=b=c"]
    with pytest.raises(InputError, match="--echo: '' is not true or false"):
        spell_out(["--echo="], SWITCHES)


def test_values_can_be_handed_to_another_process(command, recipe: Path) -> None:
    values = {"word": "--odd = one, two", "count": "3", "loud": True, "echo": False, "langs": "a,b"}
    found = eval(command("train", recipe, *as_arguments(values)).out)
    assert found == eval(command("train", recipe).out) | values | {"count": 3, "langs": ["a", "b"]}
