"""Files that are read by running what is inside: told by their names before they are fetched, by their bytes after."""

import re
import zipfile
from pathlib import Path, PurePosixPath

PICKLES = frozenset(
    ("bin", "ckpt", "dill", "joblib", "p", "pck", "pcl", "pdparams", "pickle", "pkl", "pt", "pt2", "pth", "sav", "t7")
)
"""Endings of files that are, or may be, pickles; Keras's files may hold Python code, too."""
OTHER_FORMATS = frozenset(
    ("gguf", "h5", "hdf5", "keras", "mlmodel", "msgpack", "onnx", "onnx_data", "ot", "pb", "tflite")
)
"""Weights of other frameworks."""
OBJECT_ARRAY = re.compile(rb"'descr': *(?:'\|O|\[.*'\|?O)")


def is_left_there(name: str) -> bool:
    """Whether a file of a repository is not fetched: by any of its endings, in any case, but for safetensors."""
    endings = [ending.lower().lstrip(".") for ending in PurePosixPath(name).suffixes]
    return endings[-1:] != ["safetensors"] and not (PICKLES | OTHER_FORMATS).isdisjoint(endings)


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by its bytes, an archive with one inside, or an array of Python objects."""
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
        return True  # what cannot be looked into is not trusted
    return False


def pickles_in(folder: Path) -> list[str]:
    """The names of the files in a folder whose endings are those of pickles."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in files if not PICKLES.isdisjoint(path.name.lower().split(".")[1:]))
