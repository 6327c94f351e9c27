"""The command `hf-seq2seq`."""

import os
import sys
import time
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from hf_seq2seq import __version__
from hf_seq2seq.cli.classify import ClassifyConfig, classify
from hf_seq2seq.cli.evaluate import EvaluateConfig, evaluate
from hf_seq2seq.cli.generate import GenerateConfig, generate
from hf_seq2seq.cli.launch import rank
from hf_seq2seq.cli.options import with_flags
from hf_seq2seq.cli.preview import preview
from hf_seq2seq.cli.recipe_group import Request, recipe_group
from hf_seq2seq.cli.recipes import recipes_app
from hf_seq2seq.cli.tokenizer import TokenizerConfig, show_pieces, train_tokenizer
from hf_seq2seq.cli.train import train
from hf_seq2seq.errors import InputError

SECONDS_FOR_RANK_0 = 5.0

app = typer.Typer(
    pretty_exceptions_enable=False, context_settings={"token_normalize_func": lambda name: name.replace("_", "-")}
)


def _add_recipe_group(name: str, action: Callable[[Request], None], help: str) -> None:
    app.add_typer(
        typer.Typer(), name=name, cls=recipe_group(action), help=help, subcommand_metavar="RECIPE [FLAGS]..."
    )


tokenizer_app = typer.Typer()
tokenizer_app.command("train")(with_flags(train_tokenizer, TokenizerConfig))
tokenizer_app.command("show")(show_pieces)

_add_recipe_group("train", train, "Train a model by a recipe, evaluate it and save it.")
_add_recipe_group("preview", preview, "Show what a recipe would train on, and train nothing.")
app.command("generate")(with_flags(generate, GenerateConfig))
app.command("classify")(with_flags(classify, ClassifyConfig))
app.command("evaluate")(with_flags(evaluate, EvaluateConfig))
app.add_typer(tokenizer_app, name="tokenizer", help="Train a tokenizer; see what one does to a text.")
app.add_typer(recipes_app, name="recipes", help="List the recipes, read one, copy one to change it.")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Sequence-to-sequence learning on Hugging Face: one command from text pairs to a model that others can load."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> NoReturn:
    """Runs the command line and ends the process: 0, 2 after bad input, 130 after Ctrl-C, 1 after an error of ours."""
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except InputError as error:
        code = _refuse(str(error))
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except Exception as error:
        # Typer brings its own copy of click from some version on, so its errors have no class that one can name.
        if not hasattr(error, "format_message"):
            raise
        code = _refuse(_usage_message(error))
    sys.exit(code)


def _refuse(message: str) -> int:
    """Prints bad input once: of several processes the first one speaks, unless it is still alive and well."""
    if rank():
        time.sleep(SECONDS_FOR_RANK_0)
    print(f"error: {message}", file=sys.stderr)
    return 2


def _usage_message(error: Exception) -> str:
    command = getattr(getattr(error, "ctx", None), "command_path", "hf-seq2seq")
    wrong = getattr(error, "option_name", None)
    if wrong is not None and hasattr(error, "possibilities"):
        near = ", ".join(map(repr, error.possibilities or ()))
        hint = f"did you mean {near}?" if near else f"`{command} --help` lists them"
        return f"unknown flag {wrong!r}; {hint}"
    return f"{command}: {error.format_message()}"  # type: ignore[attr-defined]
