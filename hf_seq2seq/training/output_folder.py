"""The output folder of a run: what it may contain at the start, and what of an earlier run is removed."""

from pathlib import Path

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.files.patterns import existing
from hf_seq2seq.data.tokenizers.vocabulary import TARGET_FOLDER
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_is_folder, remove
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG, ADAPTER_FILE, WEIGHTS_FILE
from hf_seq2seq.saved.run_settings import RUN_FILE
from hf_seq2seq.sections import flag, flatten
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.state import FILE as STATE_FILE
from hf_seq2seq.training.state import LOG_FILE

WEIGHTS = (WEIGHTS_FILE, ADAPTER_FILE)
WRITTEN = ("README.md", "config.json", "tokenizer.json", "tokenizer_config.json", RUN_FILE, "loss.png")
"""Files that every run writes, which belong to someone else in a folder without a run."""
SCORES = ("all_results.json", "train_results.json", "eval_results.json", "predict_results.json")
LEFT_BEHIND = (
    *(*SCORES, STATE_FILE, LOG_FILE, *WEIGHTS, ADAPTER_CONFIG),
    *("generated_predictions.txt", "predictions.jsonl", "confusion.png"),
)
"""Files of an earlier run that would be mistaken for those of its replacement."""
FOLDERS = ("model_name_or_path", "tokenizer_name")
FILES = ("train_file", "validation_file", "test_file")


def check_output_dir(config: RunConfig) -> None:
    """Rejects a folder in which something would be lost.

    Args:
        config: the recipe's.

    Raises:
        InputError: it is a file; it contains a run that is neither resumed nor replaced, or other files with the names
            of a run's; or the run's input is where it writes.
    """
    run = config.run
    folder = Path(run.output_dir)
    check_is_folder(folder)
    holds_run = list_checkpoints(folder) or any((folder / name).exists() for name in WEIGHTS)
    if holds_run and run.resume_from_checkpoint is not None:
        return
    _check_inputs(config, folder)
    if run.overwrite_output_dir:
        return
    if holds_run:
        raise InputError(
            f"--output-dir: {folder} already contains a run; "
            "give --overwrite-output-dir, --resume-from-checkpoint last, or another folder"
        )
    found = [name for name in WRITTEN if (folder / name).exists()]
    if found and not (folder / LOG_FILE).exists():  # left by a run that was killed early
        raise InputError(
            f"--output-dir: {folder} contains {found[0]}, which a run would replace; "
            "give --overwrite-output-dir or another folder"
        )


def _check_inputs(config: RunConfig, folder: Path) -> None:
    given, place = flatten(config), folder.resolve()
    lost = {place / name for name in (*WRITTEN, *LEFT_BEHIND, TARGET_FOLDER)}
    lost |= {path.resolve() for path in list_checkpoints(folder)}
    for name in (*FOLDERS, *FILES):
        parts = str(given.get(name) or "").split(",")
        for path in (path for part in parts for path in existing(part.rpartition("=")[2])):
            found = path.resolve()
            if found == place or not lost.isdisjoint((found, *found.parents)):
                raise InputError(
                    f"--output-dir: {folder} contains {path}, which {flag(name)} reads; give another folder"
                )


def make_room(folder: Path, resumes: bool) -> None:
    """Creates the folder, and removes an earlier run to be replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    if not resumes:
        for path in [*list_checkpoints(folder), *(folder / name for name in LEFT_BEHIND)]:
            remove(path)
