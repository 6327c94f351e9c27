"""`hf-seq2seq baseline NAME`: train a classical baseline in seconds and score it as models are scored."""

import sys
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.cli.commands import make_command, make_group
from hf_seq2seq.cli.flags import with_flags
from hf_seq2seq.cli.help_page import Command, Group
from hf_seq2seq.cli.options import Values, spell_out, switches_of
from hf_seq2seq.cli.recipe_group import ConfigFile
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

SHOWN = 8
"""Keys of a file that are named, of those that a baseline does not use."""


def build_command(name: str, help: str) -> Any:
    """The group of one command a baseline."""
    from hf_seq2seq.baselines import BASELINES

    class BaselineGroup(Group):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(BASELINES)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """A stand-in with name and help alone: listing the baselines must not build all their flags."""
            found = BASELINES.get(cmd_name)
            return found and make_command(cmd_name, lambda: None, found.summary)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            try:
                return args[0], _baseline_command(args[0]), args[1:]
            except InputError:
                if ctx.resilient_parsing:  # completing a half-written line
                    return None, None, args[1:]
                raise

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            named = bool(args) and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
            if not named and not ctx.resilient_parsing:
                raise InputError(f"name a baseline first: {', '.join(BASELINES)}")
            return super().parse_args(ctx, args)

    return make_group(name, help, {}, BaselineGroup, "NAME [FLAGS]...")


def _baseline_command(name: str) -> Any:
    from hf_seq2seq.evaluation.baseline_runs import config_class, find

    config = config_class(find(name))
    flags_without_value = {flag(name) for name in switches_of(config)}

    class BaselineCommand(Command):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, spell_out(args, flags_without_value))

    def command(values: Values, config_file: ConfigFile = None) -> None:
        run_baseline(name, values, config_file)

    return make_command(name, with_flags(command, config), find(name).summary, BaselineCommand)


def run_baseline(name: str, values: Values, config_file: str | None) -> None:
    """Trains the baseline and prints its scores."""
    from hf_seq2seq.api.baselines import resolve_baseline
    from hf_seq2seq.evaluation.baseline_runs import run
    from hf_seq2seq.evaluation.significance import print_table

    config, skipped = resolve_baseline(name, values, config_file)
    if skipped:
        more = f" and {len(skipped) - SHOWN:,} more" if len(skipped) > SHOWN else ""
        print(f"{config_file}: of a recipe, and not used here: {', '.join(skipped[:SHOWN])}{more}", file=sys.stderr)
    outcome = run(name, config)
    if config.output.json:
        print(strict_json.dumps(outcome.shown))
        return
    print_table(outcome.shown)
    train = outcome.train
    print(f"trained on {train['samples']} rows in {train['runtime']:.1f} s", file=sys.stderr)
