"""`ablate`: trains a grid of settings, decodes each run with each setting of the search, and compares them all.

Every run has a folder of its own, in which it is resumed. A run that failed leaves its combination out of the report.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.comparison_page import FIGURES
from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.data.evaluation_sets import data_files
from hf_seq2seq.data.files.digests import file_digest, files_in
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.compared_rows import CompareRequest, find_rows, generated
from hf_seq2seq.evaluation.compared_systems import ComparedRun, ComparedSystem, check_systems, read_run_place
from hf_seq2seq.evaluation.comparison_options import CompareConfig, Comparing
from hf_seq2seq.folders import check_is_folder, locked_folder
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.reports.comparing import Comparison, compare_systems
from hf_seq2seq.sections import build, canonical_names, options
from hf_seq2seq.settings_files import read_json_object, read_settings
from hf_seq2seq.tuning.ablation_config import AblateConfig
from hf_seq2seq.tuning.earlier import ROWS, as_json, check_same
from hf_seq2seq.tuning.following import OUTPUT, start_run
from hf_seq2seq.tuning.grid import Grid, Settings, combinations, describe, folder_name, parse_grid
from hf_seq2seq.tuning.request import tell
from hf_seq2seq.tuning.train_server import REFUSED, TrainServer, reason_of

BASE_FILE, COMPARISON, DECODED = "ablation.json", "comparison", "decoded"
NOT_OF_RUNS = (
    *("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "push_to_hub", "num_processes"),
    *("num_machines", "machine_rank", "main_process_ip", "main_process_port", "machine_timeout"),
)


@dataclass(frozen=True)
class AblatedRun:
    """A run of the grid.

    Attributes:
        settings: that it varies.
        seed: its seed.
        folder: where it is trained.
    """

    settings: Settings
    seed: int
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether it has its scores."""
        return (self.folder / "all_results.json").is_file()

    def __str__(self) -> str:
        return f"{describe(self.settings)}, seed {self.seed}"


@dataclass(frozen=True)
class Ablating:
    """An ablation.

    Attributes:
        recipe: of all runs.
        base: the flags that all have.
        grid: what varies.
        config: the flags of `ablate`.
    """

    recipe: str
    base: Settings
    grid: Grid
    config: AblateConfig

    @property
    def folder(self) -> Path:
        """The folder of all runs."""
        return Path(self.config.comparing.output_dir)

    def runs(self) -> list[AblatedRun]:
        """All runs, a combination's seeds next to each other."""
        return [
            AblatedRun(settings, seed, self.folder / f"{folder_name(settings)}_seed-{seed}")
            for settings in combinations(self.grid.training)
            for seed in (self.grid.seeds if "seed" not in settings else (settings["seed"],))
        ]


def ablate(config_file: str, values: Mapping[str, Any]) -> Comparison:
    """Trains the grid, or what is left of it, and compares its systems.

    Args:
        config_file: YAML file of the base: its recipe and flags.
        values: the flags of `ablate`.

    Raises:
        InputError: flags, grid or base cannot be, or the first run is refused.
        KeyboardInterrupt: Ctrl-C; the same command resumes.
    """
    asked = prepare(config_file, values)
    tell(str(asked.grid))
    with locked_folder(asked.folder):
        _note_base(asked)
        _tell_replaced(asked)
        try:
            with closing(TrainServer()) as server:
                trained = train_all(asked, server)
            return _compare(asked, trained)
        except (KeyboardInterrupt, SystemExit):
            tell(f"stopped; the same command continues in {asked.folder}")
            raise


def prepare(config_file: str, values: Mapping[str, Any]) -> Ablating:
    """Checks everything that can be checked without reading rows.

    Raises:
        InputError: as for `ablate`.
    """
    config = build(AblateConfig, values, origin="ablate")
    lines = read_settings(config_file)
    if "recipe" not in lines:
        raise InputError(f"{config_file}: has no line 'recipe: NAME'")
    recipe = str(lines["recipe"].value)
    module = recipe_files.load(recipe)
    if "label_column" in options(module.Config):
        raise InputError(f"{config_file}: {recipe} predicts labels; ablate compares systems that write texts")
    names = canonical_names(module.Config)
    resolve(module.Config, {}, config_file)
    base = {names[key.replace("-", "_")]: line.value for key, line in lines.items() if key != "recipe"}
    base = {name: value for name, value in base.items() if name not in NOT_OF_RUNS}
    first = int(base.pop("seed", options(module.Config)["seed"][1].default))
    seeds = [first + number for number in range(config.ablation.seeds)]
    grid = parse_grid(config.ablation.vary, module.Config, seeds, config.ablation.max_runs)
    check_is_folder(Path(config.comparing.output_dir))
    check_metrics(config.comparing.metrics, TEXT_METRICS)
    asked = Ablating(recipe, base, grid, config)
    for settings in combinations(grid.training):
        try:
            resolve(module.Config, base | settings)
        except InputError as error:
            raise InputError(f"--vary: {describe(settings)}: {error}") from None
    return asked


def _note_base(asked: Ablating) -> None:
    """Keeps the flags that all runs have, with which those in the folder must have been trained.

    Raises:
        InputError: they were trained with others.
    """
    file = asked.folder / BASE_FILE
    own = {"recipe": asked.recipe, ROWS: _digests(asked)} | asked.base
    if not file.is_file():
        with open_draft(file) as stream:
            stream.write(strict_json.dumps(as_json(own), ensure_ascii=False, indent=1) + "\n")
        return
    before, now = (
        {name: value for name, value in each.items() if name not in asked.grid.choices}
        for each in (read_json_object(file), own)
    )
    check_same(before, now, "runs", "give the same to continue, or another folder")


def _digests(asked: Ablating) -> dict[str, tuple[int, str]]:
    """Size and digest of the files that all runs read, also those that a file of stages or of a mixture names."""
    fixed = {name: value for name, value in asked.base.items() if name not in asked.grid.choices}
    config = resolve(recipe_files.load(asked.recipe).Config, asked.base | asked.runs()[0].settings)
    vary = any(name.endswith(("_file", "_lang")) for name in asked.grid.choices)
    paths = [] if vary else [path for path in data_files(config.data) if path.is_file()]
    named = files_in(fixed)
    return named | {str(path): file_digest(path) for path in paths if str(path) not in named}


def _tell_replaced(asked: Ablating) -> None:
    """Says that the comparison of other settings that is in the folder will be replaced."""
    file = asked.folder / COMPARISON / FIGURES
    if not file.is_file():
        return
    before = {system["name"] for system in read_json_object(file).get("systems", [])}
    both = [run.settings | search for run in asked.runs() for search in combinations(asked.grid.decoding)]
    if gone := sorted(before - {describe(settings) for settings in both}):
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        tell(f"{file.parent} is replaced by a comparison of the present settings, without {gone[0]}{more}")


def train_all(asked: Ablating, server: TrainServer) -> list[AblatedRun]:
    """Trains the runs that are not finished, one after the other; returns those that are.

    Raises:
        InputError: the first one is refused, as the others will be.
    """
    runs = asked.runs()
    finished: list[AblatedRun] = []
    for number, run in enumerate(runs, start=1):
        if not run.finished:
            began = time.monotonic()
            code = _train(asked, run, server)
            took = f"{time.monotonic() - began:.0f} s"
            if code or not run.finished:
                reason = reason_of(run.folder / OUTPUT, code)
                if code == REFUSED and not finished:
                    raise InputError(f"{run}: {reason}")
                tell(f"[{number}/{len(runs)}] {run}  failed: {reason}")
                continue
            tell(f"[{number}/{len(runs)}] {run}  {took}")
        finished.append(run)
    return finished


def _train(asked: Ablating, run: AblatedRun, server: TrainServer) -> int:
    values = asked.base | run.settings | {"seed": run.seed, "save_total_limit": 1}
    if asked.config.ablation.num_processes is not None:
        values |= {"num_processes": asked.config.ablation.num_processes}
    start_run(server, asked.recipe, values, run.folder)
    while (code := server.poll(1.0)) is None:
        pass
    return code


def _compare(asked: Ablating, runs: Sequence[AblatedRun]) -> Comparison:
    systems: dict[str, list[ComparedRun]] = {}
    parts: dict[str, Settings] = {}
    for run in runs:
        read = read_run_place(str(run.folder))
        for search in combinations(asked.grid.decoding):
            settings = run.settings | search
            name = describe(settings)
            parts[name] = settings
            systems.setdefault(name, []).append(_decoded(asked, run, read, search) if search else read)
    if len(systems) < 2:
        raise InputError(f"{asked.folder}: fewer than two settings have a finished run; see {OUTPUT} in its folders")
    found = check_systems([ComparedSystem(name, each) for name, each in systems.items()])
    report = {item: getattr(asked.config.comparing, item) for item in Comparing.__dataclass_fields__}
    comparing = Comparing(**report | {"output_dir": str(asked.folder / COMPARISON)})
    return compare_systems(CompareRequest(found, CompareConfig(comparing=comparing), settings=parts))


def _decoded(asked: Ablating, run: AblatedRun, read: ComparedRun, search: Settings) -> ComparedRun:
    """A run's outputs by other settings of the search, which are kept in its folder."""
    file = run.folder / DECODED / f"{folder_name(search)}.json"
    if not file.is_file():
        values = {name: value for name, value in search.items() if value is not None}
        given = {name: ",".join(map(str, v)) if isinstance(v, tuple) else v for name, v in values.items()}
        request = CompareRequest([ComparedSystem("", [read])], build(CompareConfig, given, origin="--vary"), given)
        found = generated(read, request, find_rows(request))
        file.parent.mkdir(exist_ok=True)
        with open_draft(file) as stream:
            kept = {"predictions": found.predictions, "rows_per_second": found.costs["rows_per_second"]}
            stream.write(strict_json.dumps(kept, ensure_ascii=False) + "\n")
    kept = strict_json.loads(file.read_bytes())
    costs = read.costs | {"rows_per_second": kept["rows_per_second"]}
    return replace(read, predictions=kept["predictions"], costs=costs)
