"""The volumes on disk while they are being built; a kill at any moment loses only the scans in hand."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan import files

if TYPE_CHECKING:
    from jaxtyping import Float16


class VolumeStore:
    """A sparse .npy file of float16 volumes whose rows are written in any order, by several threads.

    Rows are written by ``pwrite``: on a full disk that is an error, where a write to a memory map would kill
    the process.
    """

    def __init__(self, path: Path, descriptor: int, header: bytes, shape: tuple[int, int, int]) -> None:
        self._path = path
        self._descriptor = descriptor
        self._offset = len(header)
        self._shape = shape
        self._row_bytes = 2 * int(np.prod(shape))

    @classmethod
    @contextmanager
    def open(cls, path: Path, rows: int, shape: tuple[int, int, int]) -> Iterator[VolumeStore]:
        """Open the store of an interrupted build, or make one of zeros if there is none of this shape."""
        header = _npy_header((rows, *shape))
        size = len(header) + rows * 2 * int(np.prod(shape))
        with files.disk_guard(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if os.pread(descriptor, len(header), 0) != header or os.fstat(descriptor).st_size != size:
                    os.ftruncate(descriptor, 0)
                    _write_all(descriptor, header, 0)
                    os.ftruncate(descriptor, size)
                yield cls(path, descriptor, header, shape)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def write(self, row: int, volume: Float16[np.ndarray, "i j k"]) -> str:
        """Write one volume into its row; return the digest of its bytes."""
        data = np.ascontiguousarray(volume, dtype="<f2").tobytes()
        with files.disk_guard(self._path):
            _write_all(self._descriptor, data, self._offset + row * self._row_bytes)
        return files.fingerprint(data)

    def digest(self, row: int) -> str:
        """Return the digest of the bytes now in a row."""
        return files.fingerprint(self._read(row))

    def clear(self, row: int) -> None:
        """Make a row zero; an untouched row stays a hole that takes no space."""
        if any(self._read(row)):
            self.write(row, np.zeros(self._shape, dtype=np.float16))

    def _read(self, row: int) -> bytes:
        return os.pread(self._descriptor, self._row_bytes, self._offset + row * self._row_bytes)


class Ledger:
    """What is finished: one line a scan, added after its volume is in the store.

    A line counts only if it names the scan, its row and the state of its source file, and the row's bytes
    still have the digest it gives. So neither a torn line, nor a changed file, nor a store that lost its last
    writes is ever trusted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}
        text = path.read_bytes().decode(errors="replace") if path.exists() else ""
        for line in text.split("\n"):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._entries[entry["scan_id"]] = entry
        self._torn = bool(text) and not text.endswith("\n")

    def find(self, scan_id: str, row: int, stamp: str, store: VolumeStore) -> dict[str, Any] | None:
        """Return the entry of a scan that is finished, or None if it is to be done."""
        entry = self._entries.get(scan_id)
        if (
            entry is None
            or (entry["row"], entry["stamp"]) != (row, stamp)
            or entry["digest"] != store.digest(row)
        ):
            return None
        return entry

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry, whole or torn but never mixed with another."""
        line = ("\n" if self._torn else "") + _line(entry)
        with self._lock, files.disk_guard(self._path), self._path.open("ab", buffering=0) as stream:
            _append_all(stream, line.encode())
            self._torn = False

    def settle(self, entries: list[dict[str, Any]]) -> None:
        """Write the ledger anew in the order of the rows, so that equal builds end in equal bytes."""
        files.write_text(self._path, "".join(_line(entry) for entry in entries))


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"


def _npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _append_all(stream: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
