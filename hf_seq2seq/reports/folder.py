"""The folder of a report."""

from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_is_folder
from hf_seq2seq.reports.options import Report


def find_folder(report: Report, path: str) -> Path:
    """The folder of the report.

    Raises:
        InputError: it is a file, cannot be written, or the model is no folder and none is given.
    """
    if report.output_dir is None and not Path(path).is_dir():
        raise InputError(f"analyze: {path} is not a folder that a report could be put in; give --output-dir")
    folder = Path(report.output_dir) if report.output_dir else Path(path) / "analysis"
    check_is_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Makes the folder, once nothing else can be wrong.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output-dir {folder}: cannot be made: {error.strerror}") from None
