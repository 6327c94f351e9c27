"""Sources that are feature matrices, frames by width, such as those of speech or of a picture's regions."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.ragged import Ragged, gathered, offsets_of

FILES = (".npz", ".npy")
DAMAGE = (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy raises for a file that is damaged, or that has objects in place of numbers."""
UNREADABLE = "not an array file of numbers, or a damaged one"


class Matrix(str):
    """A feature matrix as a source. As a string, it is what people see of it.

    Attributes:
        frames: `(frames, width)` float32.
    """

    frames: np.ndarray

    def __new__(cls, text: str = "", frames: np.ndarray | None = None) -> "Matrix":
        """A matrix and its name."""
        new = super().__new__(cls, text)
        new.frames = np.zeros((0, 0), dtype=np.float32) if frames is None else frames
        return new

    def __radd__(self, prefix: str) -> "Matrix":
        """The same: there is no text to put a prefix before."""
        return self


@dataclass(frozen=True)
class Frames(Ragged):
    """The matrices of many rows. There are no ids: `values` is empty.

    Attributes:
        frames: of all rows, `(frames, width)` float32.
    """

    frames: np.ndarray

    @classmethod
    def joined(cls, matrices: Sequence[np.ndarray]) -> "Frames":
        """Packs matrices of the same width."""
        lengths = np.array([len(matrix) for matrix in matrices], dtype=np.int64)
        frames = np.concatenate(matrices) if matrices else np.zeros((0, 1), dtype=np.float32)
        return cls(np.zeros(0, dtype=np.int32), offsets_of(lengths), frames)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.frames[self.offsets[row] : self.offsets[row + 1]]

    def select(self, rows: np.ndarray) -> "Frames":
        """The rows at these indices, in the given order."""
        lengths = self.lengths[rows]
        return Frames(self.values, offsets_of(lengths), gathered(self.frames, self.offsets[:-1][rows], lengths))

    @property
    def width(self) -> int:
        """Numbers per frame."""
        return int(self.frames.shape[1])

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Rows of a batch, `(batch, longest, width)` float32, with zeros behind short ones."""
        found = np.zeros((len(rows), int(self.lengths[rows].max(initial=0)), self.width), dtype=np.float32)
        for index, row in enumerate(rows):
            found[index, : len(self[row])] = self[row]
        return found


def encode_frames(matrices: Sequence[Any], limit: int) -> tuple[Frames, int]:
    """Matrices with at most so many frames; also returns how many had more and were truncated."""
    long = sum(len(matrix.frames) > limit for matrix in matrices)
    return Frames.joined([matrix.frames[:limit] for matrix in matrices]), long


def size_of(source: Any) -> int:
    """Characters of a text, or frames of a matrix."""
    return len(source.frames) if isinstance(source, Matrix) else len(source)


def as_matrices(rows: list[Any], width: int | None) -> list[Any]:
    """The rows given to a model: matrices for one that reads matrices, in which names of files are read.

    Args:
        rows: matrices, arrays, names of npy or npz files, or texts.
        width: numbers per frame that the model reads; None if it reads texts.

    Raises:
        InputError: a row is not what the model reads.
    """
    if width is None:
        if any(isinstance(row, Matrix | np.ndarray) for row in rows):
            raise InputError("this model reads texts, and a row is a feature matrix")
        return rows
    found = []
    for number, row in enumerate(rows, start=1):
        known = row if isinstance(row, Matrix) else matrix_row(row, f"row {number}", Path())
        if known.frames.shape[1] != width:
            wrong = f"{known.frames.shape[1]} numbers per frame, but the model reads {width}"
            raise InputError(f"row {number}: {shorten(known)}: {wrong}")
        found.append(known)
    return found


def matrix_row(cell: Any, where: str, folder: Path) -> Matrix:
    """The matrix of a cell with its name; the arguments are as for `matrix_of`."""
    matrix = matrix_of(cell, where, folder)
    return Matrix(cell if isinstance(cell, str) else f"{len(matrix)} frames of {matrix.shape[1]} numbers", matrix)


def matrix_of(cell: Any, where: str, folder: Path) -> np.ndarray:
    """The matrix of a cell, `(frames, width)` float32.

    Args:
        cell: lists of numbers, one per frame, an array, or the name of an npy or npz file, with `:NAME` behind that of
            an npz file of several arrays.
        where: the row, for messages.
        folder: in which files with relative names lie.

    Raises:
        InputError: it is not a matrix of finite numbers.
    """
    if isinstance(cell, str):
        where, cell = f"{where}: {shorten(cell)}", _from_file(cell, where, folder)
    try:
        given = np.asarray(cell)
        real = given.dtype.kind in "biuf" or not given.size
        matrix = given.astype(np.float32) if real else None
    except (TypeError, ValueError):
        matrix = None
    if matrix is None:
        raise InputError(f"{where}: is not a matrix of real numbers, frames by width")
    if matrix.ndim != 2 or not matrix.size:
        shape = " × ".join(map(str, matrix.shape)) or "a single number"
        raise InputError(f"{where}: has the shape {shape}; a feature matrix is frames × width, neither of them 0")
    if not np.isfinite(matrix).all():
        raise InputError(f"{where}: has numbers that are not finite, the first in frame {_first_bad(matrix) + 1}")
    return matrix


def _first_bad(matrix: np.ndarray) -> int:
    return int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])


def _from_file(name: str, where: str, folder: Path) -> np.ndarray:
    """The only array of a file, or the one named behind a colon."""
    file, _, key = name.partition(":") if not name.endswith(FILES) else (name, "", "")
    path = folder / Path(file).expanduser()
    if not file.endswith(FILES):
        raise InputError(f"{where}: {shorten(name)!r} is neither a matrix nor an npz or npy file")
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{where}: {path}: no such file") from None
    except (*DAMAGE, MemoryError) as error:
        raise InputError(f"{where}: {path}: {UNREADABLE}") from error
    except OSError as error:
        raise InputError(f"{where}: {path}: {str(error).splitlines()[0]}") from error
    if isinstance(found, np.ndarray):
        return found
    with found:
        if key not in found.files and (key or len(found.files) != 1):
            names = ", ".join(found.files[:5])
            asked = f"no array {key!r}" if key else f"{len(found.files)} arrays; name one behind a colon"
            raise InputError(f"{where}: {path}: {asked}; it has {names}")
        try:
            array: np.ndarray = found[key or found.files[0]]
        except (*DAMAGE, OSError, MemoryError) as error:
            raise InputError(f"{where}: {path}: {UNREADABLE}") from error
        return array
