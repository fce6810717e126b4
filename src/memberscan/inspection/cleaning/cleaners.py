"""How a file of each format is written again without what was found in it; one function per format."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np

from memberscan.inspection.cleaning.pruning import pruned
from memberscan.inspection.readers import READERS
from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Budget, Source
from memberscan.inspection.values import Value
from memberscan.report import words

_LARGEST: Final = 4 << 30
"""Largest file that is written again, in bytes."""


_NOT_IN_NUMPY: Final = (b"BFloat16Storage", b"Float8_", b"float8_", b"QInt8Storage", b"QUInt8Storage")
"""Names of types that torch has and numpy has not, as they stand in a file."""


class CannotCleanError(Exception):
    """A file cannot be written again without what was found in it; the message says why."""


Cleaner = Callable[[Source, Collection[str]], tuple[bytes, str]]
"""From a file and the places to take out: the new file, and what proves that predictions are unchanged."""


def clean_json(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write JSON without some of its entries."""
    value = json.loads(source.read(_LARGEST).decode("utf-8-sig"))
    return (json.dumps(pruned(value, places), indent=2, ensure_ascii=False) + "\n").encode(), ""


def clean_notebook(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write a notebook without the outputs of its cells and without attachments; its program text stays."""
    del places
    notebook: dict[str, Any] = json.loads(source.read(_LARGEST).decode("utf-8-sig"))
    for cell in (
        cell for sheet in (notebook, *notebook.get("worksheets", [])) for cell in sheet.get("cells", [])
    ):
        cell.pop("attachments", None)
        cell["metadata"] = {}
        if "outputs" in cell:
            cell["outputs"] = []
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode(), "Its program is unchanged."


def clean_safetensors(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write tensors without some of them, and without any other metadata than their format."""
    # The bytes of each tensor are moved as they are, whatever their type.
    with source.open() as stream:
        size = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(size))
        start = 8 + size
        metadata = header.pop("__metadata__", {})
        kept: dict[str, Any] = (
            {"__metadata__": {"format": metadata["format"]}} if "format" in metadata else {}
        )
        blocks, end = [], 0
        for name, about in header.items():
            if name not in places:
                first, last = about["data_offsets"]
                stream.seek(start + first)
                blocks.append(stream.read(last - first))
                kept[name] = {
                    "dtype": about["dtype"],
                    "shape": about["shape"],
                    "data_offsets": [end, end + last - first],
                }
                end += last - first
    text = json.dumps(kept, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + b"".join(blocks)
    return data, _equal(source, data, "safetensors", places)


def clean_npz(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write the arrays of an archive without some of them."""
    arrays = {name: value for name, value in _values(source, "npz").items() if name not in places}
    if not all(isinstance(value, np.ndarray) for value in arrays.values()):
        raise CannotCleanError("it holds more than arrays of numbers")
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue(), _equal(source, stream.getvalue(), "npz", places)


def clean_torch(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write a checkpoint of tensors, numbers and texts without some of its entries.

    It is read as data and saved anew, so that it holds no code. Objects cannot be saved without being made,
    which is why a whole pickled model is refused.
    """
    import torch

    if any(kind in source.read(_LARGEST) for kind in _NOT_IN_NUMPY):
        raise CannotCleanError("it holds numbers of a type that would be saved as another")
    kept = pruned(_values(source, "torch")[""], places)
    stream = io.BytesIO()
    torch.save(_with_tensors(kept), stream)
    return stream.getvalue(), _equal(source, stream.getvalue(), "torch", places)


def _with_tensors(value: Value) -> Any:
    """Return nested values with tensors in place of arrays."""
    import torch

    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    if isinstance(value, dict):
        return {key: _with_tensors(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_tensors(inner) for inner in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CannotCleanError(f"it holds objects ({type(value).__name__}), which cannot be saved again as data")


def _values(source: Source, name: str) -> dict[str, Value]:
    """Return what the reader of that name reads, by place."""
    reader = next(each for each in READERS if each.name == name)
    found = {}
    for item in reader.read(source):
        if not isinstance(item, Item):
            raise CannotCleanError("a part of it is not read")
        found[item.place] = item.value
    return found


def _equal(source: Source, data: bytes, name: str, places: Collection[str]) -> str:
    """Return the sentence that all arrays that were kept are equal bit by bit; raise an error if not."""
    after = _arrays(_values(Source(source.name, len(data), data, Budget(source.budget.scratch)), name))
    before = _arrays(_values(source, name))
    different = [place for place, array in after.items() if not _same(array, before.get(place))]
    gone = [place for place in before if place not in after and not _is_within(place, places)]
    if different or gone:
        raise CannotCleanError("some arrays would not stay as they are")
    kept = words.people(len(after), "array")
    return f"{kept} of numbers, all that were kept, are equal bit by bit, so that predictions are unchanged."


def _is_within(place: str, places: Collection[str]) -> bool:
    """Return whether a place is one of some, or lies within one of them."""
    return any(place == each or place.startswith((f"{each}.", f"{each}[")) for each in places)


def _arrays(values: Value, place: str = "") -> dict[str, np.ndarray]:
    """Return all arrays within values, by their places."""
    if isinstance(values, np.ndarray):
        return {place: values}
    if isinstance(values, dict):
        inner = ((f"{place}.{key}" if place else str(key), each) for key, each in values.items())
    elif isinstance(values, (list, tuple)):
        inner = ((f"{place}[{k}]", each) for k, each in enumerate(values))
    else:
        return {}
    found: dict[str, np.ndarray] = {}
    for key, each in inner:
        arrays = _arrays(each, key)
        if not found.keys().isdisjoint(arrays):
            raise CannotCleanError("two of its arrays have the same place, such as a.b and b within a")
        found |= arrays
    return found


def _same(one: np.ndarray, other: np.ndarray | None) -> bool:
    return (
        other is not None
        and one.dtype == other.dtype
        and one.shape == other.shape
        and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    )


CLEANERS: Final[dict[str, Cleaner]] = {
    "JSON": clean_json,
    "notebook": clean_notebook,
    "safetensors": clean_safetensors,
    "npz": clean_npz,
    "torch": clean_torch,
}
"""By the name of the format's reader. Files of other formats are left out of the cleaned copy."""
