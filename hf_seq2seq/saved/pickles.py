"""Files that run code when read: recognized by name before download, by content afterwards."""

import re
import zipfile
from pathlib import Path, PurePosixPath

PICKLES = frozenset(
    ("bin", "ckpt", "dill", "joblib", "p", "pck", "pcl", "pdparams", "pickle", "pkl", "pt", "pt2", "pth", "sav", "t7")
)
"""Suffixes of files that are, or may be, pickles; Keras's files may also contain Python code."""
OTHER_FORMATS = frozenset(
    ("gguf", "h5", "hdf5", "keras", "mlmodel", "msgpack", "onnx", "onnx_data", "ot", "pb", "tflite")
)
"""Weights of other frameworks."""
OBJECT_ARRAY = re.compile(rb"'descr': *(?:'\|O|\[.*'\|?O)")


def is_left_there(name: str) -> bool:
    """Whether to skip a repository's file: by any of its suffixes, ignoring case, except safetensors."""
    endings = [ending.lower().lstrip(".") for ending in PurePosixPath(name).suffixes]
    return endings[-1:] != ["safetensors"] and not (PICKLES | OTHER_FORMATS).isdisjoint(endings)


def is_pickle(path: Path) -> bool:
    """Whether a file's content is a pickle, an archive with one inside, or an array of Python objects."""
    with path.open("rb") as file:
        start = file.read(1024)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    if start.startswith(b"\x93NUMPY"):
        return OBJECT_ARRAY.search(start) is not None
    return start.startswith(b"PK\x03\x04") and _holds_pickle(path)


def _holds_pickle(archive: Path) -> bool:
    try:
        with zipfile.ZipFile(archive) as content:
            for name in content.namelist():
                if is_left_there(name):
                    return True
                if name.endswith(".npy"):
                    with content.open(name) as file:
                        if OBJECT_ARRAY.search(file.read(1024)):
                            return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return True  # what cannot be inspected is not trusted
    return False


def pickles_in(folder: Path) -> list[str]:
    """The names of the files in a folder with the suffix of a pickle."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in files if not PICKLES.isdisjoint(path.name.lower().split(".")[1:]))
