"""Texts that a person types: a line each, with editing and history in a terminal, or several lines between quotes."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any

QUOTES = '"""'
"""Begins and ends a text of several lines."""
CONTROLS = {number: None for number in (*range(32), *range(127, 160)) if chr(number) not in "\n\t"}


@dataclass(frozen=True)
class Typed:
    """A text, and whether quotes begin and end it."""

    text: str
    is_quoted: bool = False


class Terminal:
    """Standard input and output.

    Args:
        complete: the words that may stand for a beginning of a line, for the tabulator key.
    """

    def __init__(self, complete: Callable[[str], list[str]]) -> None:
        for stream in (sys.stdin, sys.stdout):
            with suppress(OSError):  # a stream that was put in another's place
                if isinstance(stream, TextIOWrapper):
                    stream.reconfigure(errors="replace")
        self.is_live = sys.stdin.isatty() and sys.stdout.isatty()
        if self.is_live:
            with suppress(ImportError):
                _edit_lines(complete)

    def read(self) -> Typed | None:
        """The next text, without the line break at its end; None at the end of the input.

        A text pasted into a terminal keeps its line breaks.
        """
        line = self._line("> ")
        if line is None or not line.lstrip().startswith(QUOTES):
            return None if line is None else Typed(line)
        lines = [line.lstrip().removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            more = self._line("... ")
            if more is None:
                break
            lines.append(more)
        return Typed("\n".join(lines).rstrip().removesuffix(QUOTES).strip("\n"), is_quoted=True)

    def _line(self, prompt: str) -> str | None:
        if self.is_live:
            try:
                return input(prompt)
            except EOFError:
                return None
        line = sys.stdin.readline()
        return line.removesuffix("\n") if line else None

    def write(self, text: str) -> None:
        """Shows a part of a text at once, without characters that would steer the terminal."""
        sys.stdout.write(text.translate(CONTROLS))
        sys.stdout.flush()

    def say(self, text: str = "") -> None:
        """Shows a line."""
        self.write(text + "\n")

    def remark(self, text: str) -> None:
        """Shows a line beside the outputs, on standard error."""
        sys.stdout.flush()
        print(text.translate(CONTROLS), file=sys.stderr, flush=True)


def _edit_lines(complete: Callable[[str], list[str]]) -> None:
    """Gives `input` history, editing, pasted blocks and completion."""
    import readline

    def nth(text: str, number: int) -> Any:
        start = readline.get_line_buffer()[: readline.get_begidx()]
        found = [word[len(start) :] for word in complete(start + text)]
        return found[number] if number < len(found) else None

    readline.set_completer_delims(" ")
    readline.set_completer(nth)
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    if not is_libedit:
        readline.parse_and_bind("set enable-bracketed-paste on")
