"""Small sample data: pronunciations of English words, to try a model without a network."""

from pathlib import Path

from hf_seq2seq.errors import InputError, nearest

FOLDER = Path(__file__).parent
PREFIX = "sample:"


def resolve_sample(value: str) -> str:
    """The path of a packaged file if the value of an option is `sample:NAME`, else the value.

    Raises:
        InputError: there is no sample of this name.
    """
    return str(sample_path(value.removeprefix(PREFIX))) if value.startswith(PREFIX) else value


def sample_path(name: str) -> Path:
    """The path of a sample's file, such as `cmudict.train.tsv.gz`.

    Raises:
        InputError: there is no sample of this name.
    """
    names = [path.name for path in FOLDER.glob("*.gz")]
    if name not in names:
        raise InputError(f"no sample is named {name!r}{nearest(name, names)}")
    return FOLDER / name
