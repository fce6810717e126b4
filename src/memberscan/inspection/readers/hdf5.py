"""HDF5, and what is written in it: Keras weights, MATLAB 7.3, tables of pandas, netCDF 4."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Columns

_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_BLOCK: Final = 64 << 20
"""Bytes of a data set that are read at a time."""
_LARGEST_CHUNK: Final = 256 << 20
"""Most bytes of a compressed chunk, which the library expands at once."""
_VARIABLE: Final = 4096
"""Bytes that a value of variable length is taken to have."""
_DEEPEST: Final = 100


class Hdf5:
    """An HDF5 file. No other file is opened: external links and data elsewhere are not followed."""

    name = "HDF5"
    needs = "h5py"

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as an HDF5 file does, perhaps after a block of its user's."""
        # The format allows its beginning at 0, 512, 1024 and so on by doubling.
        return any(head[start : start + 8] == _MAGIC for start in (0, 512, 1024, 2048))

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield data sets, attributes, and what other files would be needed."""
        import h5py

        where = str(source.where) if isinstance(source.where, Path) else io.BytesIO(source.where)
        with h5py.File(where, "r") as file:
            if file.userblock_size:
                with source.open() as stream:
                    text = stream.read(file.userblock_size).rstrip(b"\0 ")
                yield Item("user block", text.decode("latin-1"))
            yield from _Walk(source).of(file)


class _Walk:
    """Visits every object once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen: set[Any] = set()

    def of(self, file: Any) -> Iterator[Item | Partly | Source]:
        """Yield what is in a file."""
        import h5py

        waiting = [(file, "")]
        while waiting:
            node, place = waiting.pop()
            # An object that is linked from several groups, or from within itself, has one address.
            address = h5py.h5o.get_info(node.id).addr
            if address in self._seen:
                continue
            self._seen.add(address)
            self._source.budget.look()
            yield from self._attributes(node, place)
            if isinstance(node, h5py.Group):
                yield from self._group(node, place, waiting)
            elif isinstance(node, h5py.Dataset):
                try:
                    yield from self._dataset(node, place)
                except (OSError, ValueError, TypeError, RuntimeError) as error:
                    yield Partly(place, f"it cannot be read: {error}")

    def _group(self, group: Any, place: str, waiting: list[tuple[Any, str]]) -> Iterator[Item | Partly]:
        import h5py

        for name in group:
            inner = f"{place}/{name}" if place else name
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield Partly(inner, f"it is a link to another file, {link.filename}, which is not followed")
            elif isinstance(link, h5py.HardLink):
                # A soft link is a path within the file, to what is read where it lies.
                if inner.count("/") > _DEEPEST:
                    yield Partly(inner, "it lies within too many groups")
                    continue
                try:
                    waiting.append((group[name], inner))
                except (KeyError, OSError, RuntimeError) as error:
                    yield Partly(inner, f"it cannot be read: {error}")
        yield from _frame(group, place)

    def _attributes(self, node: Any, place: str) -> Iterator[Item | Partly | Source]:
        for name in node.attrs:
            try:
                value = node.attrs[name]
                value = value if isinstance(value, str | bytes | np.ndarray | np.generic) else None
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                yield Partly(f"{place}@{name}", f"it cannot be read: {error}")
                continue
            if isinstance(value, bytes | np.bytes_) and _is_pickle(bytes(value)):
                # PyTables pickles what is not text or a number, such as the names of a table's columns.
                yield self._source.within(f"{place}@{name}", io.BytesIO(bytes(value)))
            elif value is not None:
                yield Item(
                    f"{place}@{name}", _plain(np.asarray(value)) if not isinstance(value, str) else value
                )

    def _dataset(self, dataset: Any, place: str) -> Iterator[Item | Partly | Source]:
        import h5py

        if dataset.is_virtual or dataset.external:
            yield Partly(place, "its values are in other files, which are not opened")
            return
        # A data set may declare any shape and hold nothing but the value that stands for what is missing.
        if dataset.shape is None or not dataset.size or not dataset.id.get_storage_size():
            return
        if h5py.check_ref_dtype(dataset.dtype):
            # References are to objects of this file, each of which is read where it lies.
            return
        # The length of values of variable length is not known before they are read: few are read at a time.
        size = _VARIABLE if h5py.check_vlen_dtype(dataset.dtype) else max(dataset.dtype.itemsize, 1)
        if dataset.chunks and math.prod(dataset.chunks) * size > _LARGEST_CHUNK:
            yield Partly(place, "its chunks are too large")
            return
        for block in blocks(dataset.shape, size):
            self._source.budget.expand(math.prod(part.stop - part.start for part in block) * size)
            value = dataset[block] if block else dataset[()]
            if dataset.attrs.get("PSEUDOATOM") in ("object", b"object"):
                for number, pickled in enumerate(np.asarray(value).ravel().tolist()):
                    yield self._source.within(f"{place}[{number}]", io.BytesIO(np.asarray(pickled).tobytes()))
            elif (found := _plain(np.asarray(value))) is not None:
                yield Item(place, found)


def blocks(shape: tuple[int, ...], size: int) -> Iterator[tuple[slice, ...]]:
    """Yield the slices that cut an array into blocks of at most :data:`_BLOCK` bytes, in order.

    Parameters
    ----------
    shape
        The array's shape.
    size
        Bytes of an element.
    """
    # Axes after the cut one are whole; each index of the axes before it makes a block of its own.
    cut = 0
    while cut < len(shape) - 1 and math.prod(shape[cut + 1 :]) * size > _BLOCK:
        cut += 1
    if not shape:
        yield ()
        return
    step = max(1, _BLOCK // max(1, math.prod(shape[cut + 1 :]) * size))
    for before in product(*(range(length) for length in shape[:cut])):
        for start in range(0, shape[cut], step):
            here = slice(start, min(start + step, shape[cut]))
            yield (*(slice(i, i + 1) for i in before), here, *(slice(0, n) for n in shape[cut + 1 :]))


def _plain(value: np.ndarray) -> Any:
    """Return an array of numbers or text as it is, one of records as a table, any other as lists."""
    if value.dtype.names:
        return Columns({name: _cells(value.ravel()[name]) for name in value.dtype.names})
    return _cells(value) if value.ndim else _cell(value[()])


def _cells(value: np.ndarray) -> Any:
    if value.dtype.names:
        return _plain(value)
    if value.dtype.kind in "biufcSU":
        return value
    return value.tobytes() if value.dtype.kind == "V" else _listed(value.tolist())


def _listed(value: Any) -> Any:
    return [_listed(inner) for inner in value] if isinstance(value, list) else _cell(value)


def _cell(value: Any) -> Any:
    """Return one value; a reference to another object is none, since the object is read where it lies."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, np.ndarray):
        return _plain(value)
    return value if isinstance(value, str | int | float | complex | np.generic) else None


def _is_pickle(value: bytes) -> bool:
    return len(value) > 2 and value.endswith(b".") and value[:1] in b"\x80(]}cI"


def _frame(group: Any, place: str) -> Iterator[Item]:
    """Yield the table of a frame that pandas wrote: blocks of columns of one type, with the names beside."""
    import h5py

    columns: dict[str, Any] = {}
    for number in range(1000):
        items, values = (group.get(f"block{number}_{part}") for part in ("items", "values"))
        if not (isinstance(items, h5py.Dataset) and isinstance(values, h5py.Dataset)):
            break
        fits = values.ndim == 2 and items.shape == values.shape[1:] and values.nbytes <= _BLOCK
        if (
            fits
            and values.dtype.kind in "biuf"
            and not (values.is_virtual or values.external or values.chunks)
        ):
            block = values[()]
            names = [str(_cell(name)) for name in items[()].tolist()]
            columns |= {name: block[:, i] for i, name in enumerate(names)}
    index = group.get("axis1")
    if columns and isinstance(index, h5py.Dataset) and index.dtype.kind in "biufS" and index.nbytes <= _BLOCK:
        columns = {"": index[()]} | columns
    if columns:
        yield Item(place, Columns(columns))
