"""Files mapped into memory, whose pages are given back after they were read."""

import mmap
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_MAPS: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()


def read_batches(path: Path) -> "list[pa.RecordBatch]":
    """The batches of an Arrow file, whose cells stay on disk until they are read.

    Raises:
        OSError: the file cannot be opened.
        pa.ArrowException: it is damaged.
    """
    import pyarrow as pa

    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    _MAPS.add(mapped)
    reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))
    return [reader.get_batch(index) for index in range(reader.num_record_batches)]


def release_pages() -> None:
    """Takes the pages of all mapped files out of this process's memory; the system may keep them in its own cache."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in list(_MAPS):
            mapped.madvise(mmap.MADV_DONTNEED)
