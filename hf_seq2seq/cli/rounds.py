"""`hf-seq2seq rounds RECIPE`: iterative back-translation, in which either model writes the other's synthetic sources.

Paper: Hoang et al., 2018, "Iterative Back-Translation for Neural Machine Translation", https://aclanthology.org/W18-2703
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hf_seq2seq.cli.back_translate import BackTranslateConfig
from hf_seq2seq.cli.back_translate import check as check_back_translation
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cleaning.options import BACK_TRANSLATED
from hf_seq2seq.data.evaluation_sets import named_files
from hf_seq2seq.data.files.digests import files_in
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.python_modules import module_command
from hf_seq2seq.sections import LARGEST_SEED, Section, build, flag, option
from hf_seq2seq.settings_files import read_settings
from hf_seq2seq.tuning.train_server import end_with_parent

OF_THE_ROUNDS = (
    *("train_file", "validation_file", "test_file", "source_lang", "target_lang", "seed", "output_dir"),
    *("overwrite_output_dir", "resume_from_checkpoint"),
)
"""Flags of every training that are set here."""
DONE = "rounds.json"
"""The commands that are begun and the number of those done, in the folder of the rounds."""


@dataclass(frozen=True, kw_only=True)
class Rounds(Section):
    """Rounds."""

    rounds: int = option(
        1, "How often both models improve each other; the last round trains the forward model only.", at_least=1
    )
    train_file: str | None = option(None, "Real pairs, as for `train`: train.de,train.en.")
    validation_file: str | None = option(None, "Real pairs for validation; both models are validated on them.")
    test_file: str | None = option(None, "Real pairs for the scores of each model.")
    source_lang: str | None = option(None, "Source language of the forward model.")
    target_lang: str | None = option(None, "Its target language.")
    target_mono_file: str | None = option(None, "Monolingual text of the target side.")
    source_mono_file: str | None = option(None, "Monolingual text of the source side, for better reverse models.")
    train_config: str | None = option(None, "YAML file of other flags of every training.")
    output_dir: str = option("outputs/rounds", "Folder of all models and pairs.")


@dataclass(frozen=True, kw_only=True)
class Synthesis(Section):
    """Synthetic pairs: the flags of `back-translate`."""

    upsample: int = option(1, "How often each real pair is among the synthetic ones.", at_least=1)
    tag: str = option(BACK_TRANSLATED, "Tag put before every synthetic source; '' for none.")
    num_beams: int | None = option(None, "Beams; by default as the model was trained to.", at_least=1)
    do_sample: bool = option(False, "Sample tokens at random.")
    top_k: int | None = option(None, "Sample from the k most probable tokens.", at_least=1)
    noise: bool = option(False, "Delete, blank and shuffle words of synthetic sources.")
    seed: int = option(42, "Seed of trainings and samples.", at_least=0, at_most=LARGEST_SEED)
    against: tuple[str, ...] = option((), "Files such as test sets that no synthetic pair may overlap.")


@dataclass(frozen=True)
class RoundsConfig:
    """The flags of `rounds`."""

    rounds: Rounds = field(default_factory=Rounds)
    synthesis: Synthesis = field(default_factory=Synthesis)


@dataclass(frozen=True)
class Step:
    """A command of the rounds.

    Attributes:
        name: of the step.
        words: the command, without the program's name.
        files: what it writes.
        folder: what a training saves to; None for a translation, which continues by itself.
    """

    name: str
    words: tuple[str, ...]
    files: tuple[Path, ...]
    folder: Path | None = None


Recipe = Annotated[str, Argument(metavar="RECIPE", help="Recipe of all models, such as transformer.")]


def rounds(recipe: Recipe, *, values: Values) -> None:
    """Trains a reverse model, back-translates, trains a forward model, and repeats; after a kill, it continues."""
    config = build(RoundsConfig, values, origin="rounds")
    check(config)
    folder = Path(config.rounds.output_dir)
    steps = plan(recipe, config)
    digests = {name: list(found) for name, found in files_in(asdict(config)).items()}
    with locked_folder(folder):
        begun, done = read_done(folder / DONE, steps, digests)
        for number, step in enumerate(steps[done:], start=done + 1):
            print(f"{step.name} ({number} of {len(steps)}): {shlex.join(['hf-seq2seq', *step.words])}", flush=True)
            if number > begun:
                write_done(folder / DONE, steps[:number], number - 1, digests)
            try:
                run_step(step)
            except SystemExit:
                if not any(file.exists() for file in step.files):  # refused: other flags may follow
                    write_done(folder / DONE, steps[: number - 1], number - 1, digests)
                raise
            write_done(folder / DONE, steps[:number], number, digests)
    print(f"{steps[-1].folder}: the forward model of round {config.rounds.rounds}")


def check(config: RoundsConfig) -> None:
    """Rejects flags before anything is trained.

    Raises:
        InputError: a flag is missing, or flags conflict.
    """
    options = config.rounds
    for name in ("train_file", "source_lang", "target_lang", "target_mono_file"):
        if getattr(options, name) is None:
            raise InputError(f"--{name.replace('_', '-')}: is missing; rounds need it")
    if options.rounds > 1 and options.source_mono_file is None:
        raise InputError(
            f"--rounds {options.rounds}: a better reverse model needs text of the source side; add --source-mono-file"
        )
    if options.source_lang == options.target_lang:
        raise InputError(f"--source-lang and --target-lang: are both {options.source_lang}")
    if options.rounds == 1 and options.source_mono_file is not None:
        raise InputError(
            f"--source-mono-file {options.source_mono_file}: is for a better reverse model, and one round trains none; "
            "give --rounds 2, or leave it out"
        )
    for name in ("target_mono_file", "source_mono_file", "train_config"):
        path = getattr(options, name)
        if path is not None and not Path(path).expanduser().is_file():
            raise InputError(f"--{name.replace('_', '-')} {path}: no such file")
    if options.output_dir.startswith("-"):
        raise InputError(
            f"--output-dir {options.output_dir}: looks like a flag to the commands of each step; name another"
        )
    _check_train_config(options.train_config)
    _check_translation(config)
    for name in ("train_file", "validation_file", "test_file"):
        for files in named_files(name, getattr(options, name) or "").values():
            if files:
                _check_columns(name, files, str(options.source_lang), str(options.target_lang))


def _check_train_config(path: str | None) -> None:
    """Rejects a file with flags that each training gets from the rounds."""
    lines = read_settings(path) if path else {}
    if own := next((name for name in lines if name.replace("-", "_") in OF_THE_ROUNDS), None):
        raise InputError(f"{path}:{lines[own].line}: {own}: rounds gives it to each training; use its own flag")


def _check_translation(config: RoundsConfig) -> None:
    """Rejects flags of `back-translate` that conflict, as it would after the first training."""
    options, made = config.rounds, config.synthesis
    given = {name: value for name, value in vars(made).items() if value != getattr(Synthesis, name)}
    files = {"input_file": options.target_mono_file, "output_file": "pairs.jsonl", "mixed_file": "mixed.jsonl"}
    languages = {"source_lang": options.source_lang, "target_lang": options.target_lang}
    given |= files | languages | {"train_file": options.train_file}
    translation = build(BackTranslateConfig, given, origin="back-translate")
    check_back_translation(translation, given)
    translation.decoding.check()


def _check_columns(option: str, files: str, source: str, target: str) -> None:
    """Rejects pairs whose columns are the same in both directions, for languages that name none of them."""
    from hf_seq2seq.data.cleaning.pair_rows import read_pair_rows

    ways = [
        read_pair_rows(PairData(train_file=files, source_lang=one, target_lang=other))
        for one, other in ((source, target), (target, source))
    ]
    if (ways[0].source, ways[0].target) != (ways[1].target, ways[1].source):
        raise InputError(
            f"{flag(option)} {files}: has no columns {source!r} and {target!r}, by which both directions find their "
            f"sides; name its columns so, or give two files, pairs.{source},pairs.{target}"
        )


def plan(recipe: str, config: RoundsConfig) -> list[Step]:
    """All steps, in order.

    A reverse model of real pairs; in each round synthetic sources and a forward model and, but for the last, synthetic
    targets and a better reverse model.
    """
    options = config.rounds
    source, target = str(options.source_lang), str(options.target_lang)
    reverse = _train(recipe, config, "reverse-0", (target, source))
    steps = [reverse]
    for number in range(1, options.rounds + 1):
        steps += _improve(recipe, config, f"forward-{number}", (source, target), reverse.folder)
        if number < options.rounds:
            steps += _improve(recipe, config, f"reverse-{number}", (target, source), steps[-1].folder)
            reverse = steps[-1]
    return steps


def _improve(
    recipe: str, config: RoundsConfig, name: str, languages: tuple[str, str], writer: Path | None
) -> list[Step]:
    """Synthetic sources by the model in the other direction, and a model that is trained on them and the real pairs."""
    options, made = config.rounds, config.synthesis
    folder = Path(options.output_dir)
    mono = options.target_mono_file if languages[1] == options.target_lang else options.source_mono_file
    pairs, mixed = folder / f"{name}-synthetic.jsonl", folder / f"{name}-train.jsonl"
    words = ["back-translate", str(writer), "--input-file", str(mono), "--output-file", str(pairs)]
    words += ["--train-file", str(options.train_file), "--mixed-file", str(mixed), "--upsample", str(made.upsample)]
    words += ["--source-lang", languages[0], "--target-lang", languages[1], "--tag", made.tag, "--seed", str(made.seed)]
    words += ["--do-sample"] * made.do_sample + ["--noise"] * made.noise
    words += ["--num-beams", str(made.num_beams)] * (made.num_beams is not None)
    words += ["--top-k", str(made.top_k)] * (made.top_k is not None)
    words += ["--against", ",".join(made.against)] * bool(made.against)
    return [
        Step(f"pairs for {name}", tuple(words), (pairs, mixed)),
        _train(recipe, config, name, languages, ("--train-file", str(mixed), *_marks(config))),
    ]


def _marks(config: RoundsConfig) -> list[str]:
    """The flags by which a training reads the marks of synthetic sources, beside the tokens of its own file."""
    made, path = config.synthesis, config.rounds.train_config
    marks = [made.tag] * bool(made.tag) + ["<blank>"] * made.noise
    if not marks:
        return []
    own = {name.replace("-", "_"): setting.value for name, setting in (read_settings(path) if path else {}).items()}
    given = own.get("added_tokens") or ()
    tokens = dict.fromkeys([*(given.split(",") if isinstance(given, str) else given), *marks])
    return ["--added-tokens", ",".join(tokens), *["--resize-embeddings"] * bool(own.get("model_name_or_path"))]


def _train(
    recipe: str, config: RoundsConfig, name: str, languages: tuple[str, str], data: tuple[str, ...] | None = None
) -> Step:
    options = config.rounds
    folder = Path(options.output_dir) / name
    words = ["train", recipe, *(("-c", options.train_config) if options.train_config else ())]
    words += data or ("--train-file", str(options.train_file))
    for role in ("validation_file", "test_file"):
        if (file := getattr(options, role)) is not None:
            words += [f"--{role.replace('_', '-')}", file]
    words += ["--source-lang", languages[0], "--target-lang", languages[1]]
    words += ["--seed", str(config.synthesis.seed), "--output-dir", str(folder)]
    return Step(f"training {name}", tuple(words), (folder,), folder)


def run_step(step: Step) -> None:
    """Runs a step in a process of its own; a training continues from its newest checkpoint.

    Raises:
        SystemExit: the step failed; with its code.
    """
    words = list(step.words)
    if step.folder is not None:
        begun = any(step.folder.glob("checkpoint-*"))
        words += ["--resume-from-checkpoint", "last"] if begun else ["--overwrite-output-dir"]
    code = execute(words)
    if code:
        print(f"{step.name}: failed; the same command continues here", file=sys.stderr)
        raise SystemExit(code if code > 0 else 128 - code)


def execute(words: list[str]) -> int:
    """Runs a command of this program in a new process, which ends with this one; returns its exit code."""
    command = [*module_command("hf_seq2seq"), *words]
    return subprocess.run(command, check=False, preexec_fn=end_with_parent).returncode


def read_done(path: Path, steps: list[Step], digests: Mapping[str, Any]) -> tuple[int, int]:
    """How many steps are begun, and how many done.

    Args:
        path: of the file that notes them.
        steps: all.
        digests: of the files that they read.

    Raises:
        InputError: they were begun by other commands, have read other files, or something else is where they write.
    """
    if not path.exists():
        found = [file for step in steps for file in step.files if file.exists()]
        if found:
            raise InputError(f"{found[0]}: was there before; name another --output-dir, or delete it")
        return 0, 0
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        begun, done, read = [tuple(words) for words in state["commands"]], int(state["done"]), dict(state["files"])
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{path}: is damaged; delete {path.parent} to start again") from None
    for number, words in enumerate(begun):
        expected = steps[number].words if number < len(steps) else ()
        if words != expected:
            raise InputError(
                f"{path}: was begun with other flags: {shlex.join(words)}; "
                f"use another --output-dir, or delete {path.parent}"
            )
    changed = [name for name in digests if begun and read.get(name) != digests[name]]
    if changed:
        raise InputError(
            f"{path}: was begun when {changed[0]} was another; use another --output-dir, or delete {path.parent}"
        )
    return len(begun), done


def write_done(path: Path, begun: list[Step], done: int, digests: Mapping[str, Any]) -> None:
    """Notes which steps are begun, how many are done, and the files that they read."""
    with open_draft(path) as stream:
        state = {"commands": [list(step.words) for step in begun], "done": done, "files": dict(digests)}
        stream.write(json.dumps(state, indent=1, ensure_ascii=False) + "\n")


COMMAND = FlagCommand(rounds, RoundsConfig)
build_command = COMMAND.build
