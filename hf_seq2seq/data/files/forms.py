"""The format of a file by the suffix of its name."""

from pathlib import Path

from hf_seq2seq.data.files.compression import bare_name

FORMS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".txt": "txt",
}


def named_form(path: Path) -> str | None:
    """The format that a file's name says; None if it says none."""
    return FORMS.get(Path(bare_name(path)).suffix.lower())
