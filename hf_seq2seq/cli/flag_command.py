"""A command whose flags are the options of a configuration.

Simple command lines are parsed here, because importing Typer and creating a command's flags takes longer than many a
command. Simple are words, `--flag value`, `--flag=value` and switches, each spelled out and given once. Everything
else, including help and mistakes, is left to Typer, which parses simple lines in the same way.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from hf_seq2seq.cli.options import NO, given_values, switches_of
from hf_seq2seq.sections import canonical_names


@dataclass(frozen=True)
class FlagCommand:
    """A command.

    Attributes:
        function: receives the positional words, with each parameter annotated with its `Argument`, and as `values` the
            given flags, by the names of their options.
        config: a class of sections.
    """

    function: Callable[..., None]
    config: type

    def build(self, name: str, help: str) -> Any:
        """Typer's command, with help."""
        from hf_seq2seq.cli.commands import make_command
        from hf_seq2seq.cli.flags import with_flags

        return make_command(name, with_flags(self.function, self.config), help)

    def run_plain(self, line: Sequence[str]) -> bool:
        """Runs a simple line; for any other, does nothing and returns False."""
        found = self.read_plain(line)
        if found is None:
            return False
        words, values = found
        self.function(**words, values=values)
        return True

    def read_plain(self, line: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The words of a simple line by the function's parameters, and the values of its flags; None for any other."""
        names, switches = canonical_names(self.config), switches_of(self.config)
        words: list[str] = []
        typed: dict[str, Any] = {}
        taken: set[str | None] = set()
        rest = list(line)
        while rest:
            word = rest.pop(0)
            if not word.startswith("-"):
                words.append(word)
                continue
            spelled, equals, value = word.removeprefix("--").partition("=")
            name = spelled.replace("-", "_")
            option = names.get(name) or names.get(name.removeprefix(NO))
            is_switch = option in switches
            spellings = (*names, NO + str(option)) if is_switch else names
            if name not in spellings or not word.startswith("--"):
                return None
            if option in taken or (is_switch and equals) or not (is_switch or equals or rest):
                return None
            taken.add(option)
            typed[name] = True if is_switch else value if equals else rest.pop(0)
            if str(typed[name]).startswith("--"):
                return None
        given = _by_parameter(words, signature(self.function).parameters)
        return None if given is None else (given, given_values(typed, names))


def _by_parameter(words: list[str], parameters: Mapping[str, Parameter]) -> dict[str, Any] | None:
    """Words by parameter, the last of which may take several; None if they do not fit."""
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name == "values":
            continue
        kind, *_ = typing.get_args(parameter.annotation)
        several = list[str] in (kind, *typing.get_args(kind))
        if words:
            found[name], words = (words, []) if several else (words[0], words[1:])
        elif parameter.default is Parameter.empty:
            return None
    return None if words else found
