"""Read NIfTI files from others: check limits first, and add the file's name to nibabel's messages."""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from memberscan.cohort.headers import check_declared
from memberscan.errors import UnusableScanError
from memberscan.shown import plain

MOST_OFFSET = 16 << 20
"""Largest offset of the voxels in a file, in bytes; the header and its extensions come before them."""
MOST_PACKED = 40
"""Most voxels per byte of a compressed file. Scans of people have about 1 voxel per byte, skull-stripped
scans up to 10, masks 100; a file of one repeated value, made to fill the memory, 1000."""
ALWAYS_UNPACKED = 1 << 24
"""Images of at most this many voxels (256 along each axis) are read whatever their compression ratio."""

_HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_IMAGES: dict[int, Any] = {348: nib.Nifti1Image, 540: nib.Nifti2Image}


def load_image(path: Path) -> Any:
    """Open a .nii or .nii.gz file after checking its header; voxels are read only when they are needed.

    Header extensions are not read: conforming does not use them, and their sizes would have to be checked
    too.

    Parameters
    ----------
    path
        The file; a link is followed.

    Returns
    -------
    nibabel.Nifti1Image or nibabel.Nifti2Image
        An image of one volume, of at most :data:`~memberscan.cohort.headers.MOST_BYTES`.

    Raises
    ------
    UnusableScanError
        If the file is not a regular file, not NIfTI, truncated, or declares more data than a scan can have.
    """
    block, size, packed = _first_bytes(path)
    kind = _kind(block)
    header = _HEADERS[kind](block[:kind])
    shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), int(header.get_data_offset())
    check_declared(shape, dtype)
    if offset > MOST_OFFSET:
        raise UnusableScanError(
            f"unreadable (its voxels begin at byte {offset:,}; at most {MOST_OFFSET:,} is allowed)"
        )
    voxels = int(np.prod(shape, dtype=np.int64))
    declared = offset + voxels * dtype.itemsize
    if not packed and declared > size:
        raise UnusableScanError(f"unreadable (truncated: {size:,} bytes of {declared:,})")
    if packed and voxels > max(ALWAYS_UNPACKED, MOST_PACKED * size):
        raise UnusableScanError(
            f"unreadable (declares {voxels:,} voxels but has {size:,} bytes: no scan compresses that far)"
        )
    affine = header.get_best_affine()
    if not np.isfinite(affine).all():
        raise UnusableScanError("unreadable (its affine is not finite)")
    stored = ArrayProxy(str(path), header)  # type: ignore[no-untyped-call]
    return _IMAGES[kind](stored, affine, header)


def _first_bytes(path: Path) -> tuple[bytes, int, bool]:
    """Return enough bytes for any header, the file's size, and whether it is compressed."""
    # Without O_NONBLOCK, opening a named pipe would block.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise UnusableScanError("unreadable (not a regular file)")
        packed = path.name.endswith(".gz")
        if not packed:
            return stream.read(max(_HEADERS)), about.st_size, packed
        with gzip.GzipFile(fileobj=stream) as unpacked:
            return unpacked.read(max(_HEADERS)), about.st_size, packed


def _kind(block: bytes) -> int:
    """Return the length that a header states, in either byte order; it identifies NIfTI-1 and NIfTI-2."""
    for length in (int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")):
        magic = block[344:347] if length == 348 else block[4:7]
        if length in _HEADERS and len(block) >= length and magic in (b"n+1", b"ni1", b"n+2", b"ni2"):
            return length
    raise UnusableScanError("unreadable (not a NIfTI file)")


_reading = threading.local()


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Prefix what nibabel logs in this thread with a file's name, while the file is read."""
    logger = logging.getLogger("nibabel.global")
    if _add_name not in logger.filters:
        logger.addFilter(_add_name)
    _reading.name = plain(str(path))
    try:
        yield
    finally:
        _reading.name = ""


def _add_name(record: logging.LogRecord) -> bool:
    if name := getattr(_reading, "name", ""):
        record.msg, record.args = f"{name}: {record.getMessage()}", ()
    return True
