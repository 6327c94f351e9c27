"""`chat` and `generate --interactive` in a pseudo-terminal: what a person types, and what appears."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.api.models import load
from hf_seq2seq.cli.chat import chat
from hf_seq2seq.cli.talking import completions
from hf_seq2seq.errors import InputError
from hf_seq2seq.serving.messages_file import read_messages
from hf_seq2seq.serving.talk_settings import changed

PASTE = "\x1b[200~{}\x1b[201~\r"
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


class Screen:
    """A program in a terminal."""

    def __init__(self, handle: int, process: subprocess.Popen[bytes]) -> None:
        self.handle, self.process, self.seen = handle, process, ""

    def type(self, keys: str) -> None:
        os.write(self.handle, keys.encode())

    def wait(self, pattern: str, seconds: float = 120) -> str:
        """Waits until a pattern appears, and returns all up to its end."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.handle], [], [], max(0, until - time.monotonic()))
            assert ready, f"{pattern!r} is not in {self.seen!r}"
            try:
                self.seen += os.read(self.handle, 4096).decode()
            except OSError:
                raise AssertionError(f"ended without {pattern!r}: {self.seen!r}") from None
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def interrupt(self, pattern: str) -> None:
        """Types Ctrl-C at the prompt until it is seen: Python's readline misses a signal right before its select()."""
        for attempt in range(6):
            self.type("\x03")
            try:
                self.wait(pattern, 20)
                return
            except AssertionError:
                if attempt == 5:
                    raise

    def ask(self, line: str, answer: str) -> str:
        """Types a line, and returns what appears up to the next prompt; it must contain the answer."""
        self.type(line + "\r")
        self.wait(re.escape(line[-20:]) + r".*\n")
        found = self.wait(r"> $")
        assert re.search(answer, found), found
        return found


def own_terminal() -> None:
    """Lets Ctrl-C reach the program, which may have been started where it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def talking(python: str, *words: str) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [python, "-m", "hf_seq2seq", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=os.environ | {"TERM": "dumb"},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    try:
        screen = Screen(ours, process)
        screen.wait("> $")
        yield screen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture(scope="module")
def talker(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The T5 as a model that answers conversations."""
    folder: Path = tmp_path_factory.mktemp("talker") / "t5"
    shutil.copytree(folders["t5"], folder)
    for file in folder.rglob("tokenizer_config.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": TEMPLATE}))
    return str(folder)


def test_lines_are_answered_at_once(folders: dict[str, Path], models: dict[str, Any], forked_python: str) -> None:
    expected = models["t5"].generate(["the dog", "a cat", "the old man\nsees"], max_new_tokens=9)
    beams = models["t5"].generate(["the dog"], num_beams=3, max_new_tokens=9)
    words = ("generate", str(folders["t5"]), "--interactive", "--max-new-tokens", "9")
    with talking(forked_python, *words) as screen:
        screen.ask("the dog", re.escape(expected[0]))
        screen.ask("/show attention", r"dog \d\.\d\d")
        screen.ask("/beam 3", "no such command; did you mean '/beams'")
        screen.ask("/set temprature 0.7", "no such setting; did you mean 'temperature'")
        screen.ask("/set temperature hot", "temperature: 'hot' is not a number")
        screen.ask("/beams 3", r"\(num_beams 3\)")
        screen.ask("the dog", re.escape(beams[0]))
        screen.ask("/set temperature 0.7", r"\(num_beams default, temperature 0.7, do_sample true\)")
        screen.ask("/set temperature 0", r"num_beams 1")
        screen.type(PASTE.format("the dog\ra cat"))
        found = screen.wait(re.escape(expected[0]) + r"[^>]*" + re.escape(expected[1]) + r"[^>]*> $")
        assert "\x1b" not in found.split(expected[0])[-1].replace("\x1b[?2004h", "")
        screen.type('"""the old man\r')
        screen.type('sees"""\r')
        screen.wait(re.escape(expected[2]) + r"[^>]*> $")
        screen.type("\x04")
        assert screen.process.wait(30) == 0


def test_a_conversation_is_continued(talker: str, tmp_path: Path, forked_python: str) -> None:
    file, copy = tmp_path / "talk.jsonl", tmp_path / "copy.jsonl"
    model = load(talker)
    said = [{"role": "user", "content": "the dog"}]
    (first,) = model.generate([said], max_new_tokens=6)
    said += [{"role": "assistant", "content": first}, {"role": "user", "content": "a\ncat"}]
    (second,) = model.generate([said], max_new_tokens=6)
    words = ("chat", talker, "--max-new-tokens", "6", "--history", str(file))
    with talking(forked_python, *words) as screen:
        screen.ask("the dog", re.escape(first))
        screen.type("\x04")
        assert screen.process.wait(30) == 0
    with talking(forked_python, *words) as screen:
        screen.type(PASTE.format("a\rcat"))
        screen.wait(re.escape(second) + r"[^>]*> $")
        screen.ask(f"/save {copy}", "4 messages in")
        screen.ask("/reset", "forgotten")
        screen.ask("the dog", re.escape(first))
    roles = ["user", "assistant", "user", "assistant"]
    expected = [
        {"role": role, "content": text} for role, text in zip(roles, ["the dog", first, "a\ncat", second], strict=True)
    ]
    assert read_messages(copy) == expected
    assert read_messages(file) == expected[:2]


def test_ctrl_c_stops_the_answer_alone(folders: dict[str, Path], forked_python: str) -> None:
    long = ("--max-new-tokens", "20000", "--min-new-tokens", "20000")
    with talking(forked_python, "generate", str(folders["rnn"]), "--interactive", *long) as screen:
        screen.type("the dog\r")
        screen.wait(r"the dog\r\n[^>]*?(\w+ ){9}")
        screen.type("\x03")
        screen.wait(r"kept\)\s+.*> $")
        screen.type("half a line")
        screen.wait("half a line")
        screen.interrupt(r"Ctrl-D ends.*\s+.*> $")
        screen.ask("/set min_new_tokens 0", r"min_new_tokens 0")
        screen.ask("/set max_new_tokens 4", r"max_new_tokens 4")
        screen.ask("a cat", r"\w+ \w+")
        screen.type("/quit\r")
        assert screen.process.wait(30) == 0


def test_what_cannot_be_talked_to(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reads texts, not conversations; hf-seq2seq generate .* --interactive"):
        chat(str(folders["t5"]), values={})
    with pytest.raises(InputError, match="contains a classifier"):
        chat(str(folders["labels"]), values={})
    file = tmp_path / "talk.jsonl"
    for text, message in [
        ("{", r"talk.jsonl:1: '{' is not JSON"),
        ('{"role": "user", "content": "hi"}', "has no answer"),
        ('\n{"role": "usr", "content": "hi"}', "talk.jsonl:2: message 1: unknown role 'usr'; did you mean 'user'"),
    ]:
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            chat("no such model", values={"history": str(file)})


def test_settings_follow_each_other() -> None:
    sampled = changed({"num_beams": 5, "force_words": ("a",), "seed": 1}, "temperature", "0.5")
    assert sampled == {"temperature": 0.5, "do_sample": True, "seed": 1}
    assert changed(sampled, "num_beams", "4") == {"num_beams": 4, "seed": 1}
    assert changed(sampled, "temperature", "0") == {"num_beams": 1, "seed": 1}
    assert changed(sampled, "seed", "default") == {"temperature": 0.5, "do_sample": True}
    with pytest.raises(InputError, match="seed: -1 is too small"):
        changed({}, "seed", "-1")
    assert completions("/set temp") == ["/set temperature"]
