"""`rounds`: reverse model, synthetic pairs, forward model, better reverse model; continued where it was ended."""

import json
import os
import select
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.cli import rounds as module
from hf_seq2seq.cli.app import run

WORDS = {
    "a": "ein",
    "dog": "Hund",
    "cat": "Kater",
    "sleeps": "schläft",
    "runs": "rennt",
    "red": "roter",
    "old": "alter",
}
ENGLISH = [
    f"a {size} {noun} {verb}" for size in ("red", "old") for noun in ("dog", "cat") for verb in ("sleeps", "runs")
]
GERMAN = [" ".join(WORDS[word] for word in text.split()) for text in ENGLISH]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flags that name the files."""
    monkeypatch.chdir(tmp_path)
    for name, texts in (("train.en", ENGLISH), ("train.de", GERMAN), ("mono.en", ENGLISH[::-1]), ("mono.de", GERMAN)):
        Path(name).write_text("".join(f"{text}\n" for text in texts))
    Path("small.yaml").write_text(
        "max_steps: 2\nhidden_size: 8\nembedding_size: 8\ntokenizer_type: word\nvalidation_split_percentage: 0\n"
    )
    flags = "--train-file train.de,train.en --source-lang de --target-lang en --target-mono-file mono.en"
    return [*flags.split(), "--train-config", "small.yaml"]


def test_the_steps_of_two_rounds(data: list[str], monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    started = []
    monkeypatch.setattr(module, "execute", lambda words: started.append(words) or 0)
    flags = ["--source-mono-file", "mono.de", "--rounds", "2", "--noise", "--num-beams", "4", "--upsample", "3"]
    result = command("rounds", "rnn", *data, *flags)
    assert result.code == 0, result.err
    outputs = [words[words.index("--output-dir" if words[0] == "train" else "--mixed-file") + 1] for words in started]
    assert [Path(output).name for output in outputs] == [
        *("reverse-0", "forward-1-train.jsonl", "forward-1", "reverse-1-train.jsonl", "reverse-1"),
        *("forward-2-train.jsonl", "forward-2"),
    ]
    writers = [words[1:4:2] for words in started if words[0] == "back-translate"]
    assert writers == [
        ["outputs/rounds/reverse-0", "mono.en"],
        ["outputs/rounds/forward-1", "mono.de"],
        ["outputs/rounds/reverse-1", "mono.en"],
    ]
    languages = [" ".join(words[words.index("--source-lang") :][:4:1]) for words in started]
    forward, reverse = "--source-lang de --target-lang en", "--source-lang en --target-lang de"
    assert languages == [reverse, forward, forward, reverse, reverse, forward, forward]
    assert all(words[words.index("--added-tokens") + 1] == "<BT>,<blank>" for words in started[2::2])


def test_rounds_train_and_continue(data: list[str], monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    calls = []

    def execute(words: list[str]) -> int:
        calls.append(words[0])
        return 3 if len(calls) == 3 else run(words)

    monkeypatch.setattr(module, "execute", execute)
    failed = command("rounds", "rnn", *data)
    assert failed.code == 3
    assert "training forward-1: failed; the same command continues here" in failed.err
    assert command("rounds", "rnn", *data, "--seed", "3").code == 2
    result = command("rounds", "rnn", *data)
    assert result.code == 0, result.err
    assert calls == ["train", "back-translate", "train", "train"]
    assert "outputs/rounds/forward-1: the forward model of round 1" in result.out
    rows = [json.loads(line) for line in Path("outputs/rounds/forward-1-train.jsonl").read_text().splitlines()]
    assert [row["en"] for row in rows[:8]] == ENGLISH
    assert {row["en"] for row in rows[8:]} <= set(ENGLISH)
    assert rows[8]["de"].startswith("<BT>")
    assert command("rounds", "rnn", *data).code == 0
    assert len(calls) == 4  # nothing is done twice
    Path("small.yaml").write_text(Path("small.yaml").read_text().replace("max_steps: 2", "max_steps: 3"))
    other = command("rounds", "rnn", *data)
    assert other.code == 2
    assert "rounds.json: was begun when small.yaml was another" in other.err


def test_nothing_of_others_is_continued_or_replaced(
    data: list[str], monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(module, "execute", lambda words: started.append(words) or 3)
    for name in ("forward-1/checkpoint-2", "forward-1-train.jsonl"):
        there = Path("outputs/rounds", name)
        there.mkdir(parents=True)
        found = command("rounds", "rnn", *data)
        assert found.code == 2
        assert "was there before; name another --output-dir, or delete it" in found.err
        there.rmdir()
        if there.parent.name == "forward-1":
            there.parent.rmdir()
    assert not started
    assert command("rounds", "rnn", *data, "--seed", "4").code == 3  # nothing was written, so other flags may follow
    monkeypatch.setattr(module, "execute", lambda words: Path("outputs/rounds/reverse-0").mkdir() or 3)
    Path("bad.yaml").write_text("hidden_size: 8\nseed: 7\n")
    taken = command("rounds", "rnn", *data[:-1], "bad.yaml")
    assert "bad.yaml:2: seed: rounds gives it to each training" in taken.err
    assert command("rounds", "rnn", *data).code == 3
    other = command("rounds", "rnn", *data, "--seed", "3")  # begun, though not done
    assert other.code == 2
    assert "was begun with other flags" in other.err


def test_marks_are_added_to_the_tokens_and_embeddings_of_the_training_file(
    data: list[str], monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(module, "execute", lambda words: started.append(words) or 0)
    Path("small.yaml").write_text("model_name_or_path: start\nadded-tokens: [<X>, <BT>]\n")
    assert command("rounds", "rnn", *data, "--noise").code == 0
    last = started[-1]
    assert last[last.index("--added-tokens") + 1] == "<X>,<BT>,<blank>"
    assert "--resize-embeddings" in last
    assert "--resize-embeddings" not in started[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--rounds 2", "--rounds 2: a better reverse model needs text of the source side; add --source-mono-file"),
        ("--source-lang en", "--source-lang and --target-lang: are both en"),
        ("--source-mono-file none.de", "--source-mono-file none.de: is for a better reverse model, and one round"),
        ("--target-mono-file none.en", "--target-mono-file none.en: no such file"),
        ("--top-k 5", "--top-k: only applies to sampling; add --do-sample"),
        ("--train-file pairs.csv", "--train-file pairs.csv: has no columns 'de' and 'en', by which both directions"),
        ("--validation-file pairs.csv", "--validation-file pairs.csv: has no columns 'de' and 'en'"),
        ("--rounds 0", "--rounds: 0 is too small"),
    ],
)
def test_bad_input(data: list[str], command: Any, flags: str, message: str) -> None:
    Path("pairs.csv").write_text("source,target\nein Hund,a dog\n")
    given = dict(zip(data[::2], data[1::2], strict=True)) | dict([shlex.split(flags)])
    found = command("rounds", "rnn", *(word for pair in given.items() for word in pair))
    assert found.code == 2
    assert message in found.err
    assert not Path("outputs").exists()


def test_a_step_ends_with_the_command_that_began_it(tmp_path: Path, forked_python: str) -> None:
    step = tmp_path / "step"
    step.write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    step.chmod(0o755)
    program = f"import sys; from hf_seq2seq.cli import rounds; sys.executable = {str(step)!r}; rounds.execute([])"
    with subprocess.Popen([forked_python, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ending = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        assert select.select([ending], [], [], 20.0)[0], "the step goes on without the command"
        os.close(ending)
