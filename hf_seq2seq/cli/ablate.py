"""`hf-seq2seq ablate -c BASE --vary NAME=VALUES`: trains a grid of settings and reports what each part is worth."""

from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.cli.commands import make_command
from hf_seq2seq.cli.flags import with_flags
from hf_seq2seq.cli.options import Values
from hf_seq2seq.cli.recipe_group import ConfigFile
from hf_seq2seq.errors import InputError
from hf_seq2seq.tuning.ablation_config import AblateConfig


def build_command(name: str, help: str) -> Any:
    """Typer's command."""
    return make_command(name, with_flags(run, AblateConfig), help)


def run(values: Values, config_file: ConfigFile = None) -> None:
    """Trains what is not trained yet, and prints the comparison."""
    from hf_seq2seq.sections import build

    config = build(AblateConfig, values, origin="ablate")
    if config_file is None:
        raise InputError("ablate: give the base of all runs: -c FILE, with a line 'recipe: NAME'")
    from hf_seq2seq.tuning.ablation import ablate

    found = ablate(config_file, values)
    print(strict_json.dumps(found.figures) if config.comparing.json else f"{found.table}\n\n{found.page}")
