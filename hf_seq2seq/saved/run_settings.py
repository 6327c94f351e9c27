"""Settings of a model's training run that also apply when using it: prefix, lengths, columns, search."""

from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from hf_seq2seq import configs, run_configs
from hf_seq2seq.configs import Decoding, Inference, PairTokenization
from hf_seq2seq.data.columns.templates import template_columns
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.positions import longest_of_sides
from hf_seq2seq.sections import Section, checked, flag
from hf_seq2seq.settings_files import read_yaml_object

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RUN_FILE = "run.yaml"
UNBOUNDED = 1_000_000  # a tokenizer without a limit says 1e30


@dataclass(frozen=True)
class RunSettings:
    """How a model's input is prepared, and its default decoding options.

    Attributes:
        prefix: prepended to every source.
        max_source_length: maximum source length in tokens; None if unlimited.
        max_target_length: maximum output length in tokens.
        positions: rows of the model's table of positions, which limits outputs; None if it has none.
        source_positions: the same for sources, which differs where encoder and decoder have tables of their own.
        joined: whether source and output share one sequence with these positions.
        decoding: flags of `Decoding` set by the run, or else by the model's generation settings.
        run: the run's whole configuration by flat name; empty for a model saved by another tool.
    """

    prefix: str = ""
    max_source_length: int | None = None
    max_target_length: int = PairTokenization.max_target_length
    positions: int | None = None
    source_positions: int | None = None
    joined: bool = False
    decoding: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def numbered(self) -> bool:
        """Whether the training rows had no header, so that the run names a column by its number."""
        return any(name.isdecimal() for name in _columns(self.run))


def read_settings(
    path: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", writes: bool = True
) -> RunSettings:
    """Reads the settings of a folder's run, or the model's own if there is no run file.

    Args:
        path: the folder.
        model: has the positions and the generation settings.
        tokenizer: may also have a limit.
        writes: whether the model generates text, for which a decoder-only model must reserve room; a classifier does
            not.

    Raises:
        InputError: the run's file is not YAML.
    """
    run = read_run(Path(path) / RUN_FILE)
    generation = getattr(model, "generation_config", None)
    source_positions, positions = longest_of_sides(model)
    target, room = _smallest(_longest_target(run, generation), positions) or 1, source_positions
    joined = writes and not model.config.is_encoder_decoder
    if joined and positions:
        target = target if target < positions else positions // 2
        room = positions - target
    return RunSettings(
        prefix=run.get("source_prefix") or "",
        max_source_length=_smallest(run.get("max_source_length") or tokenizer.model_max_length, room),
        max_target_length=target,
        positions=positions,
        source_positions=source_positions,
        joined=joined,
        decoding=search_of(run, generation),
        run=run,
    )


def search_of(run: dict[str, Any], generation: Any) -> dict[str, Any]:
    """Flags of `Decoding` set by a run, or else by the model's generation settings."""
    names = [item.name for item in fields(Decoding) if item.name not in {other.name for other in fields(Inference)}]
    found = {name: run.get(name, getattr(generation, name, None)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _smallest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None and limit < UNBOUNDED), default=None)


def read_run(path: Path) -> dict[str, Any]:
    """The configuration of a run by flat name; empty if there is no such file.

    Raises:
        InputError: it is not YAML, or a value is invalid for its option.
    """
    if not path.is_file():
        return {}
    run = read_yaml_object(path)
    known = _options()
    for name in set(run) & set(known):
        if run[name] is not None and (wrong := _why_not(name, run[name], known[name])):
            raise InputError(f"{path}: {wrong}")
    return run


def trained_names(path: str) -> list[str]:
    """The names of the columns and languages given to the run in a folder; empty for a model from elsewhere.

    Raises:
        InputError: its configuration is not YAML.
    """
    return [name for name in _columns(read_run(Path(path).expanduser() / RUN_FILE)) if not name.isdecimal()]


def numbered_columns(path: str) -> bool:
    """Whether the rows of the run in a folder had no header, so that its columns are numbers.

    Raises:
        InputError: its configuration is not YAML.
    """
    return RunSettings(run=read_run(Path(path).expanduser() / RUN_FILE)).numbered


def _columns(run: dict[str, Any]) -> list[str]:
    found = [value for name, value in run.items() if name.endswith(("_column", "_lang"))]
    template = run.get("source_template")
    found += template_columns(template) if isinstance(template, str) else []
    return [name for name in found if isinstance(name, str)]


@cache
def _options() -> dict[str, list[tuple[Any, dict[str, Any]]]]:
    """The types and limits of every option, by name; all of them if several sections have it."""
    found: dict[str, list[tuple[Any, dict[str, Any]]]] = {}
    for section in (vars(configs) | vars(run_configs)).values():
        if isinstance(section, type) and issubclass(section, Section):
            hints = get_type_hints(section)
            for item in fields(section):
                # A user-defined recipe may offer other choices.
                limits = {name: limit for name, limit in item.metadata.items() if name != "choices"}
                found.setdefault(item.name, []).append((hints[item.name], limits))
    return found


def _why_not(name: str, value: Any, known: list[tuple[Any, dict[str, Any]]]) -> str:
    """Why every section rejects a value; empty if one accepts it."""
    for hint, limits in known:
        try:
            checked(name, value, hint, limits)
            return ""
        except InputError as error:
            wrong = str(error).removeprefix(flag(name))
    return name + wrong


def _longest_target(run: dict[str, Any], generation: Any) -> int:
    """Generation settings take precedence over the run's file: other tools use them, and they can be edited."""
    if getattr(generation, "max_new_tokens", None):
        return int(generation.max_new_tokens)
    if run.get("max_target_length"):
        return int(run["max_target_length"])
    longest = getattr(generation, "max_length", None)
    # 20 is transformers' own default, which no model intends.
    return int(longest) if longest and longest != 20 else RunSettings.max_target_length
