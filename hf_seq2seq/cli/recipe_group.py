"""`train RECIPE` and `preview RECIPE`: one command per recipe, created on demand."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import replaced, resolve
from hf_seq2seq.api.recipe_files import Recipe
from hf_seq2seq.cli.commands import make_command, make_group
from hf_seq2seq.cli.flags import with_flags
from hf_seq2seq.cli.help_page import Command, Group
from hf_seq2seq.cli.options import Values, as_arguments, spell_out, switches_of
from hf_seq2seq.configs import RunConfig
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build, canonical_names, flag
from hf_seq2seq.settings_files import read_settings
from hf_seq2seq.training.processes import rank

ConfigFile = Annotated[
    str | None, typer.Option("-c", "--config", metavar="FILE", help="YAML file of flags, without dashes.")
]


@dataclass(frozen=True, kw_only=True)
class NoConfig:
    """Without further flags."""


@dataclass(frozen=True)
class Request:
    """The user's request.

    Attributes:
        recipe: the recipe's module.
        config: its `Config`, resolved.
        arguments: recipe, YAML file and flags as words, to pass to another process.
        given: the options that the YAML file and the flags give.
        own: the command's own flags besides the recipe's, as sections.
    """

    recipe: Recipe
    config: RunConfig
    arguments: tuple[str, ...]
    given: dict[str, Any]
    own: Any


def recipe_group(name: str, help: str, action: Callable[[Request], None], own: type = NoConfig) -> Any:
    """A group whose commands are the recipes; each resolves its configuration and calls `action`.

    Args:
        name: of the group.
        help: its line.
        action: what a command does.
        own: sections of flags that the commands have besides those of their recipes.
    """

    class RecipeGroup(Group):
        def list_commands(self, ctx: Any) -> list[str]:
            return recipe_files.names()

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """A stub with only name and help: listing the recipes must not build all their flags."""
            if cmd_name not in recipe_files.names():
                return None
            return make_command(cmd_name, lambda: None, recipe_files.describe(recipe_files.find(cmd_name)))

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, args if ctx.resilient_parsing else _recipe_first(args))

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            try:
                return args[0], _recipe_command(args[0], action, own), args[1:]
            except InputError:
                if ctx.resilient_parsing:  # shell completion
                    return None, None, args[1:]
                raise

    return make_group(name, help, {}, RecipeGroup, "RECIPE [FLAGS]...")


def _recipe_command(name: str, action: Callable[[Request], None], own: type) -> Any:
    recipe = recipe_files.load(name)
    # The recipe's sections, and the command's own.
    every: type = dataclass(frozen=True, kw_only=True)(type("Config", (own, recipe.Config), {}))
    flags_without_value = {flag(name) for name in switches_of(every)}

    class RecipeCommand(Command):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, spell_out(args, flags_without_value))

    def run(values: Values, config_file: ConfigFile = None) -> None:
        if config_file:
            _check_recipe(name, config_file)
            _tell_code(config_file, values)
            _tell_replaced(config_file, values)
        known = canonical_names(own)
        added: Any = build(own, {key: values.pop(key) for key in list(values) if key in known}, origin="command line")
        words = (name, *(("--config", config_file) if config_file else ()), *as_arguments(values))
        config: Any = resolve(recipe.Config, values, config_file)
        action(Request(recipe, config, words, _given(recipe, values, config_file), added))

    return make_command(name, with_flags(run, every), recipe.__doc__ or name, RecipeCommand)


def _given(recipe: Recipe, values: Values, config_file: str | None) -> dict[str, Any]:
    """The options that a YAML file and the flags, which win, give, by their own names."""
    names = canonical_names(recipe.Config)
    settings = read_settings(config_file) if config_file else {}
    left = [key for key in settings if key != "recipe" and key not in replaced(settings, values)]
    return {names[key.replace("-", "_")]: settings[key].value for key in left} | values


def _check_recipe(name: str, config_file: str) -> None:
    """A recipe of the package must be the one that the file was written for; a custom recipe may replace it."""
    setting = read_settings(config_file).get("recipe")
    if setting and not name.endswith(".py") and setting.value != name.replace("-", "_"):
        raise InputError(f"{config_file}:{setting.line}: written for recipe {setting.value!r}, not {name!r}")


def _tell_code(config_file: str, typed: Values) -> None:
    """Prints to standard error what code a file of flags will run, because others may have written it."""
    for key, (value, line) in read_settings(config_file).items():
        name = key.replace("-", "_")
        if name in typed or rank():
            continue
        if name == "metrics" and (scripts := _scripts(value)):
            print(f"{config_file}:{line}: runs the code of the metric {', '.join(scripts)}", file=sys.stderr)
        elif name == "trust_remote_code" and str(value).lower() == "true":
            print(f"{config_file}:{line}: trust_remote_code: runs the model's own code", file=sys.stderr)


def _tell_replaced(config_file: str, typed: Values) -> None:
    """Prints to standard error which settings of a file give way to flags of other names."""
    settings = read_settings(config_file)
    for key, name in replaced(settings, typed).items() if not rank() else ():
        print(f"{config_file}:{settings[key].line}: {key} gives way to {flag(name)}", file=sys.stderr)


def _scripts(metrics: Any) -> list[str]:
    from hf_seq2seq.metrics import runs_code

    words = [str(word).strip() for word in (metrics if isinstance(metrics, list) else str(metrics).split(","))]
    return [word for word in words if runs_code(word)]


def _config_files(args: list[str]) -> list[str]:
    """The files of flags, in any spelling: `-c FILE`, `-cFILE`, `--config FILE`, `--config=FILE`."""
    files = []
    for word, after in zip(args, [*args[1:], ""], strict=True):
        if word in ("-c", "--config"):
            files.append(after)
        elif word.startswith("--config=") or (word.startswith("-c") and not word.startswith("--")):
            files.append(word.removeprefix("--config=").removeprefix("-c"))
    return files


def _recipe_first(args: list[str]) -> list[str]:
    """Moves the recipe to the front: it may follow `-c FILE`, or be in the file as `recipe: NAME`.

    Raises:
        InputError: no recipe is named, or there are several files of flags.
    """
    choices = f"name a recipe first: {', '.join(recipe_files.names())}, or a path ending in .py"
    choices += "\nrnn and transformer learn from your rows alone; `hf-seq2seq auto` tries several"
    if not args:
        raise InputError(choices)
    files = _config_files(args)
    if len(files) > 1:
        raise InputError(f"--config: given {len(files)} times, {' and '.join(files[:2])}; put all flags in one file")
    if not args[0].startswith("-") or "--help" in args[:1]:
        return args
    if args[0] in ("-c", "--config") and len(args) > 2 and not args[2].startswith("-"):
        return [args[2], *args[:2], *args[3:]]
    named = read_settings(files[0]).get("recipe") if files else None
    if named is None:
        raise InputError(choices + ("" if not files else f"; {files[0]} has no line 'recipe: NAME'"))
    path = str(named.value)
    if path.endswith(".py") and Path(path).is_file() and not rank():  # printed before it is imported
        print(f"{files[0]}:{named.line}: runs the code of the recipe {named.value}", file=sys.stderr)
    return [str(named.value), *args]
