"""Arrays on disk that are filled row by row, in any order, and stay usable after a kill or a full disk."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan import files

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class RowFile:
    """A sparse .npy file whose rows are written by ``pwrite``, also by several threads at a time.

    On a full disk, ``pwrite`` raises an error; a write to a memory map would kill the process. Rows that were
    never written are holes, which read as zeros and take no space. The finished file is read with ``np.load``
    as a memory map. ``fresh`` means that there was no file to continue, so that all rows are still zero.
    """

    def __init__(
        self,
        path: Path,
        descriptor: int,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        fresh: bool,
    ) -> None:
        self.fresh = fresh
        self._path = path
        self._descriptor = descriptor
        self._offset = offset
        self._shape = shape
        self._dtype = dtype
        self._row_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    @classmethod
    @contextmanager
    def open(cls, path: Path, rows: int, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[RowFile]:
        """Open the file of interrupted work, or create one of zeros if none has this shape and type."""
        kind = np.dtype(dtype).newbyteorder("<")
        header = _npy_header((rows, *shape), kind)
        size = len(header) + rows * kind.itemsize * int(np.prod(shape, dtype=np.int64))
        with files.disk_guard(path):
            # The file is about people, so only the owner may read it. A link could point elsewhere.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, files.OWNER_ONLY)
            try:
                found = os.pread(descriptor, len(header), 0)
                fresh = found != header or os.fstat(descriptor).st_size != size
                if fresh:
                    os.ftruncate(descriptor, 0)
                    _write_all(descriptor, header, 0)
                    os.ftruncate(descriptor, size)
                yield cls(path, descriptor, len(header), shape, kind, fresh=fresh)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def write(self, start: int, values: np.ndarray) -> None:
        """Write consecutive rows; ``values`` has the shape (rows, *row shape)."""
        if values.shape[1:] != self._shape:
            raise ValueError(
                f"rows of shape {values.shape[1:]} do not fit {self._path}, whose rows are {self._shape}"
            )
        data = np.ascontiguousarray(values, dtype=self._dtype)
        with files.disk_guard(self._path):
            _write_all(self._descriptor, data.tobytes(), self._offset + start * self._row_bytes)

    def sync(self) -> None:
        """Flush what was written to the disk; record rows as finished only after this."""
        with files.disk_guard(self._path):
            os.fdatasync(self._descriptor)

    def read(self, row: int) -> bytes:
        """Return the present bytes of one row."""
        return os.pread(self._descriptor, self._row_bytes, self._offset + row * self._row_bytes)

    def digest(self, row: int) -> str:
        """Return a digest of the present bytes of one row."""
        return files.fingerprint(self.read(row))

    def clear(self, row: int) -> None:
        """Set one row to zero; a row that was never written stays a hole."""
        if any(self.read(row)):
            self.write(row, np.zeros((1, *self._shape), self._dtype))


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    stream = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
