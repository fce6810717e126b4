"""ONNX models: their weights, their nodes that hold training rows, their metadata and documentation."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.onnx_tensors import Tensor, tensor
from memberscan.inspection.readers.protobuf import (
    BYTES,
    VARINT,
    fields,
    integers,
    number,
    numbers,
    signed,
    text,
)
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Instance

_DEEPEST: Final = 30
"""Most graphs within graphs."""
_ML: Final = "ai.onnx.ml"
"""Domain of nodes such as support-vector machines and forests, which hold what they learned as attributes."""


class Onnx:
    """An ONNX model, read by the numbers of its fields in onnx.proto, without the onnx package."""

    name = "ONNX"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is named as an ONNX model, or begins with a version and a producer's name."""
        if source.suffix == ".onnx":
            return bool(head)
        producer = head[3] if len(head) > 4 else 0
        return (
            head[:1] == b"\x08"
            and head[2:3] == b"\x12"
            and 0 < producer < 64
            and head[4 : 4 + producer].isascii()
        )

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield tensors, nodes of classical models as records, and all text."""
        where = source.where
        # Weights are views of the file, which stays mapped as long as one of them is used.
        content = np.memmap(where, np.uint8, "r").data if isinstance(where, Path) else memoryview(where)
        yield from _Model(source).read(content)


class _Model:
    """Walks through the messages of a model."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names: list[str] = []

    def read(self, message: memoryview) -> Iterator[Item | Partly | Source]:
        """Yield what is in a ModelProto."""
        known = {2: "producer_name", 3: "producer_version", 4: "domain", 6: "doc_string"}
        metadata: dict[str, str] = {}
        for field in fields(message):
            if field.number in known and field.wire == BYTES:
                yield Item(known[field.number], text(field))
            elif field.number == 14:
                metadata.update([_entry(field.data)])
            elif field.number == 7:
                yield from self._graph(field.data, "", 0)
            elif field.number == 20:
                for inner in fields(field.data):
                    if inner.number in (1, 2):
                        yield from self._graph(inner.data, "training", 1)
            elif field.number == 25:
                yield from self._function(field.data)
        if metadata:
            yield Item("metadata_props", metadata)
        yield Item("names", self._names)

    def _function(self, message: memoryview) -> Iterator[Item | Partly | Source]:
        for field in fields(message):
            if field.number == 8:
                yield Item("function", text(field))
            elif field.number == 7:
                yield from self._node(field.data, "function", 1)

    def _graph(self, message: memoryview, place: str, depth: int) -> Iterator[Item | Partly | Source]:
        if depth > _DEEPEST:
            raise TooLargeError("its graphs are nested too deeply")
        for field in fields(message):
            self._source.budget.look()
            if field.number == 1:
                yield from self._node(field.data, place, depth)
            elif field.number in (2, 10) and field.wire == BYTES:
                yield Item(_join(place, "graph"), text(field))
            elif field.number == 5:
                yield from self._tensor(tensor(field.data), place)
            elif field.number == 15:
                yield from self._sparse(field.data, place)
            elif field.number == 16:
                yield Item(_join(place, "metadata_props"), dict([_entry(field.data)]))
            elif field.number in (11, 12, 13):
                self._names += [
                    text(inner)
                    for inner in fields(field.data)
                    if inner.number in (1, 3) and inner.wire == BYTES
                ]

    def _node(self, message: memoryview, place: str, depth: int) -> Iterator[Item | Partly | Source]:
        name = kind = domain = output = ""
        attributes, said = [], list[Any]()
        for field in fields(message):
            if field.number == 2:
                output = output or text(field)
            elif field.number == 3:
                name = text(field)
            elif field.number == 4:
                kind = text(field)
            elif field.number == 7:
                domain = text(field)
            elif field.number == 6:
                said.append(text(field))
            elif field.number == 9:
                said.append(dict([_entry(field.data)]))
            elif field.number == 5:
                attributes.append(field.data)
        self._names += [name, output]
        where = _join(place, name or output or kind)
        yield from (Item(f"{where}/documentation", words) for words in said)
        state: dict[str, Any] = {}
        for attribute in attributes:
            yield from self._attribute(attribute, where, state, depth)
        if domain == _ML:
            yield Item(where, Instance(f"onnx.{kind}", state=_shaped(state)))
        elif state:
            yield Item(where, state)

    def _attribute(
        self, message: memoryview, place: str, state: dict[str, Any], depth: int
    ) -> Iterator[Item | Partly | Source]:
        """Put plain values into a node's state, and yield tensors and graphs."""
        found: dict[int, list[Any]] = {}
        for field in fields(message):
            self._source.budget.look()
            found.setdefault(field.number, []).append(field)
        name = text(found[1][0]) if 1 in found else ""
        inner = _join(place, name)
        for field in (*found.get(5, ()), *found.get(10, ())):
            yield from self._tensor(tensor(field.data), inner, state)
        for field in (*found.get(22, ()), *found.get(23, ())):
            yield from self._sparse(field.data, inner)
        for field in (*found.get(6, ()), *found.get(11, ())):
            yield from self._graph(field.data, inner, depth + 1)
        if 13 in found:
            yield Item(inner, text(found[13][0]))
        if (value := _value(found)) is not None:
            state[name] = value

    def _tensor(
        self, found: Tensor, place: str, state: dict[str, Any] | None = None
    ) -> Iterator[Item | Partly | Source]:
        where = _join(place, found.name)
        if found.doc_string:
            yield Item(where, found.doc_string)
        if found.metadata:
            yield Item(where, found.metadata)
        try:
            value = found.value(self._external(found.external) if found.external else None)
        except (ValueError, OSError) as error:
            yield Partly(where, str(error))
            return
        if state is not None and place.endswith("_as_tensor"):
            # Newer versions keep what a forest learned in tensors; it belongs to its record.
            state[place.rpartition("/")[2]] = value
        else:
            yield Item(where, value)

    def _sparse(self, message: memoryview, place: str) -> Iterator[Item | Partly | Source]:
        for field in fields(message):
            if field.number in (1, 2):
                # The values bear the name; the indices have none.
                inner = tensor(field.data)
                yield from self._tensor(inner, place if inner.name else _join(place, "indices"))

    def _external(self, entries: dict[str, str]) -> np.ndarray:
        """Return the bytes of a tensor that lie in another file of the release.

        Raises
        ------
        ValueError
            If the file is not beside the model, or is a link, or shorter than the tensor.
        """
        location = entries.get("location", "")
        model = self._source.where
        if not isinstance(model, Path) or self._source.depth:
            raise ValueError(
                f"its values are in another file, {location}, and the model is within an archive"
            )
        relative = Path(location)
        path = model.parent / relative
        if not location or relative.is_absolute() or ".." in relative.parts:
            raise ValueError(
                f"its values are in {location}, outside of the model's folder, which is not opened"
            )
        if any((model.parent / part).is_symlink() for part in (relative, *relative.parents)):
            raise ValueError(f"its values are in {location}, a link, which is not followed")
        if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"its values are in {location}, which is not there")
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", path.stat().st_size - offset))
        if offset < 0 or length < 0 or offset + length > path.stat().st_size:
            raise ValueError(f"its values are in {location}, which is too short")
        if not length:
            return np.empty(0, np.uint8)
        return np.memmap(path, np.uint8, "r", offset, (length,))


def _value(found: dict[int, list[Any]]) -> Any:
    """Return the value of an attribute that is a number or text, or a list of them."""
    if 4 in found:
        return text(found[4][0])
    if 9 in found:
        return [text(field) for field in found[9]]
    if 7 in found:
        return numbers(found[7], "<f4")
    if 8 in found:
        return integers(found[8])
    if 3 in found and found[3][0].wire == VARINT:
        return signed(found[3][0].integer)
    return number(found[2][0]) if 2 in found and len(found[2][0].data) == 4 else None


def _shaped(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a node with one row a support vector, if it has any.

    Their number is ``n_supports`` of a regressor, and the sum of ``vectors_per_class`` of a classifier.
    """
    flat = state.get("support_vectors")
    count = state.get("n_supports")
    if count is None and isinstance(state.get("vectors_per_class"), np.ndarray):
        count = int(state["vectors_per_class"].sum())
    if isinstance(flat, np.ndarray) and isinstance(count, int) and count > 0 and len(flat) % count == 0:
        state["support_vectors"] = flat.reshape(count, -1)
    return state


def _entry(message: memoryview) -> tuple[str, str]:
    """Return the key and the value of a StringStringEntryProto."""
    found = {field.number: text(field) for field in fields(message) if field.wire == BYTES}
    return found.get(1, ""), found.get(2, "")


def _join(place: str, name: str) -> str:
    return f"{place}/{name}" if place and name else place or name
