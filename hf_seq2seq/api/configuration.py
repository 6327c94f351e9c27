"""A run's configuration: defaults, then the YAML file, then the flags; errors name the line or the flag."""

from collections.abc import Mapping
from typing import Any, TypeVar

from hf_seq2seq.sections import build, build_from_lines, canonical_names, options
from hf_seq2seq.settings_files import Setting, read_settings

C = TypeVar("C")
RIVALS = {
    "train_file": ("dataset_name", "dataset_config_name"),
    "dataset_name": ("train_file", "validation_file", "test_file"),
    "from_scratch": ("model_name_or_path",),
    "model_name_or_path": ("from_scratch",),
}
"""Options that take the place of others: a flag also replaces those of a file that cannot stand beside it."""


def replaced(settings: Mapping[str, Setting], flags: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a file that cannot stand beside flags, and the flag that each gives way to."""
    rivals = {rival: name for name, others in RIVALS.items() if flags.get(name) for rival in others}
    found = {key: rivals.get(key.replace("-", "_"), "") for key in settings}
    return {key: name for key, name in found.items() if name and settings[key].value not in (None, False)}


def resolve(config_class: type[C], flags: Mapping[str, Any], path: str | None = None) -> C:
    """Builds the configuration from a YAML file, if given, and the flags, which take precedence.

    Options that a run chose from its data keep their values when it is resumed.

    The key `recipe` of the file is handled by the command and is skipped here.

    Raises:
        InputError: a key is unknown, a value is invalid, or an option is given under two names; names file and line, or
            the flag.
    """
    settings = read_settings(path) if path else {}
    settings = {key: setting for key, setting in settings.items() if key != "recipe"}
    build_from_lines(config_class, settings, str(path))
    names = canonical_names(config_class)
    settings = {key: setting for key, setting in settings.items() if key not in replaced(settings, flags)}
    merged = {names[key.replace("-", "_")]: setting.value for key, setting in settings.items()} | dict(flags)
    config = build(config_class, merged, origin="options")
    run = getattr(config, "run", None)
    if run is None or run.resume_from_checkpoint is None or not hasattr(config, "given"):
        return config
    from hf_seq2seq.defaults.choosing import DERIVABLE
    from hf_seq2seq.saved.run_settings import RUN_FILE, read_run
    from hf_seq2seq.training.resuming import resume_point

    checkpoint = resume_point(run)
    begun = {} if checkpoint is None else read_run(checkpoint / RUN_FILE)
    typed = {names.get(key.replace("-", "_"), key) for key in merged}
    typed |= {"max_steps"} if "num_train_epochs" in typed else set()
    typed |= {"num_train_epochs"} if merged.get("stages") else set()  # which the stages settle again
    typed |= {"metric_for_best_model"} if "metrics" in typed else set()  # which a loss of rewards chooses again
    kept = {name: begun[name] for name in (DERIVABLE & begun.keys() & options(config_class).keys()) - typed}
    return build(config_class, kept | merged, origin=f"{checkpoint}/{RUN_FILE}")
