"""Training and previews from Python; flags are named as on the command line."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.api.flags import canonical_values, divided
from hf_seq2seq.api.previews import Preview, preview_run
from hf_seq2seq.configs import Hub, Publication, RunConfig
from hf_seq2seq.data.given_rows import given, name_of_given
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.python_modules import module_command
from hf_seq2seq.sections import build, section_of
from hf_seq2seq.training.origin import CALL, Origin, Progress, python_call, started_by
from hf_seq2seq.training.processes import choose_gpu, processes, rank

if TYPE_CHECKING:
    from hf_seq2seq.api.models import Model

REFUSED = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class _Publishing:
    hub: Publication = field(default_factory=Publication)


@dataclass(frozen=True)
class TrainingRun:
    """A finished run.

    Attributes:
        folder: folder of the model, its card, log and scores.
        results: as in `all_results.json`: `train_loss`, `eval_bleu`, `predict_bleu` and so on.
    """

    folder: Path
    results: dict[str, Any]

    @cached_property
    def model(self) -> "Model":
        """The trained model, loaded on first access.

        Raises:
            InputError: it neither generates nor classifies text, as after pretraining an encoder.
        """
        from hf_seq2seq.api.models import load

        return load(self.folder)

    def push(self, hub_model_id: str, **flags: Any) -> None:
        """Publishes the run on the Hub, as `hf-seq2seq push` does, and says on standard error where it is.

        Args:
            hub_model_id: the repository, such as "me/my-model".
            **flags: of `push`: `hub_private_repo`, `license`, `language` and so on.

        Raises:
            InputError: an unknown or bad flag, no permission, or a folder that is no finished run.
        """
        from hf_seq2seq.hub.push import push, report

        flags = canonical_values(_Publishing, flags)
        config = build(_Publishing, {"hub_model_id": hub_model_id} | flags, origin="push")
        report(push(self.folder, config.hub))


def train(
    recipe: str, *, config: str | Path | None = None, progress: Progress | None = None, **flags: Any
) -> TrainingRun:
    """Trains a model with a recipe, evaluates and saves it, like `hf-seq2seq train`.

    Args:
        recipe: a name such as "rnn", or the path of a custom recipe, ending in .py.
        config: a YAML file of flags; arguments take precedence.
        progress: called with each line of the run's log, a dict: `step`, `epoch`, and `loss`, `learning_rate` and so on
            or the scores of an evaluation. Not called if the flags request several processes.
        **flags: the recipe's flags, without dashes: `train_file`, `output_dir`, `num_train_epochs`. A data file can
            also be given as rows: a list of dicts, a pandas frame, an Arrow table or a data set of `datasets`;
            `dataset_name` also as a `DatasetDict`. A dict of these defines several named validation or test sets.

    Raises:
        InputError: as on the command line, with the same message.
        KeyboardInterrupt: Ctrl-C; a checkpoint is saved, and `resume_from_checkpoint="last"` resumes from it.
    """
    rows, values = divided(flags)
    module = recipe_files.load(recipe)
    with given(rows):
        settings = resolve(module.Config, values, None if config is None else str(config))
        named = {"config": str(config)} if config is not None else {}
        origin = Origin(python_call(recipe, named | values), progress)
        _check_hub(settings)
        folder = Path(settings.run.output_dir)
        if processes(settings.run) > 1 or settings.run.accelerate_config:
            _train_elsewhere(recipe, None if config is None else str(config), values, rows, origin)
        else:
            choose_gpu(settings.run)
            with nullcontext() if rank() else locked_folder(folder), started_by(origin):
                _run(module, settings)
    return TrainingRun(folder, _results(folder))


def preview(recipe: str, *, config: str | Path | None = None, **flags: Any) -> Preview:
    """Previews a run, like `hf-seq2seq preview`, without training.

    Args:
        recipe: as for `train`.
        config: as for `train`.
        **flags: as for `train`.

    Raises:
        InputError: as for `train`.
    """
    rows, values = divided(flags)
    module = recipe_files.load(recipe)
    with given(rows):
        return preview_run(module, resolve(module.Config, values, None if config is None else str(config)))


def _run(recipe: recipe_files.Recipe, settings: RunConfig) -> None:
    try:
        recipe.main(settings)
    except SystemExit as ended:  # by a signal, after saving a checkpoint
        if ended.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise


def _check_hub(settings: RunConfig) -> None:
    hub = section_of(settings, Hub)
    if hub and hub.push_to_hub and not rank():
        from hf_seq2seq.hub.push import check_publication

        check_publication(hub)


def _results(folder: Path) -> dict[str, Any]:
    path = folder / "all_results.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _train_elsewhere(
    recipe: str, config: str | None, values: Mapping[str, Any], rows: Mapping[str, Any], origin: Origin
) -> None:
    """Trains in separate processes, started as from the command line.

    Raises:
        InputError: rows are in this process's memory, or raised by the processes.
    """
    if rows:
        name = next(iter(rows)).removeprefix(name_of_given(""))
        raise InputError(f"{name}: rows in this process's memory; several processes need a file")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flags.yaml"
        settings = {} if config is None else _settings(config)
        file.write_text(yaml.safe_dump(settings | _plain(values), allow_unicode=True), encoding="utf-8")
        command = [*module_command("hf_seq2seq"), "train", recipe, "--config", str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {CALL: origin.code}) as run:
            assert run.stderr is not None
            last = ""
            for line in run.stderr:
                last = line
                if not line.startswith("error: "):
                    print(line, end="", file=sys.stderr)
        if run.returncode == REFUSED:
            raise InputError(last.removeprefix("error: ").strip().replace(f"{file}", "train"))
        if run.returncode:
            raise KeyboardInterrupt if run.returncode == INTERRUPTED else RuntimeError(f"train: {last.strip()}")


def _settings(config: str) -> dict[str, Any]:
    from hf_seq2seq.settings_files import read_settings

    return {key.replace("-", "_"): setting.value for key, setting in read_settings(config).items() if key != "recipe"}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
