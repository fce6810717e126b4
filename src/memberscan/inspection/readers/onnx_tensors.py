"""Tensors of ONNX models as arrays, by the numbers of TensorProto in onnx.proto."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from memberscan.inspection.readers.protobuf import BYTES, WireField, fields, integers, numbers, text

_TYPES: Final = {
    1: "<f4",
    2: "u1",
    3: "i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    9: "?",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
    14: "<c8",
    15: "<c16",
}
_BFLOAT16: Final = 16
_STRING: Final = 8


@dataclass
class Tensor:
    """A tensor whose values are still as written."""

    name: str = ""
    doc_string: str = ""
    kind: int = 0
    dims: tuple[int, ...] = ()
    external: dict[str, str] = field(default_factory=dict)
    """Where its values are if they are in another file: "location", "offset" and "length"."""
    metadata: dict[str, str] = field(default_factory=dict)
    parts: dict[int, list[WireField]] = field(default_factory=dict)
    """All fields by number."""

    def value(self, external: np.ndarray | None = None) -> Any:
        """Return the array, or a list of texts.

        Parameters
        ----------
        external
            Its bytes, if they are in another file.

        Raises
        ------
        ValueError
            If its type is not read: floats of 8 bits and numbers of 4 or 2.
        """
        if self.kind == _STRING:
            return [text(one) for one in self.parts.get(6, ())]
        if self.kind != _BFLOAT16 and self.kind not in _TYPES:
            raise ValueError(f"its type, number {self.kind} of ONNX, is not read")
        flat = self._flat(external)
        return flat.reshape(self.dims) if math.prod(self.dims) == len(flat) else flat

    def _flat(self, external: np.ndarray | None) -> np.ndarray:
        if external is None and 9 not in self.parts:
            return self._typed()
        raw = np.frombuffer(self.parts[9][0].data, np.uint8) if external is None else external
        if self.kind == _BFLOAT16:
            # A bfloat16 is the upper half of a float32.
            return (raw[: len(raw) // 2 * 2].view("<u2").astype("<u4") << 16).view("<f4")
        kind = np.dtype(_TYPES[self.kind])
        return raw[: len(raw) // kind.itemsize * kind.itemsize].view(kind)

    def _typed(self) -> np.ndarray:
        """Return values that are written one by one rather than as raw bytes."""
        if self.kind in (1, 14):
            return numbers(self.parts.get(4, []), "<f4").view(_TYPES[self.kind])
        if self.kind in (11, 15):
            return numbers(self.parts.get(10, []), "<f8").view(_TYPES[self.kind])
        if self.kind == 7:
            return integers(self.parts.get(7, []))
        if self.kind in (12, 13):
            return integers(self.parts.get(11, [])).astype(_TYPES[self.kind])
        small = integers(self.parts.get(5, []))
        if self.kind == _BFLOAT16:
            return (small.astype("<u4") << 16).view("<f4")
        # A float of 16 bits is written as the integer of its bits.
        return small.astype("<u2").view("<f2") if self.kind == 10 else small.astype(_TYPES[self.kind])


def tensor(message: memoryview) -> Tensor:
    """Return the tensor that a TensorProto describes."""
    found = Tensor()
    for part in fields(message):
        found.parts.setdefault(part.number, []).append(part)
    found.dims = tuple(int(n) for n in integers(found.parts.get(1, [])))
    if 2 in found.parts:
        found.kind = found.parts[2][0].integer
    if 8 in found.parts:
        found.name = text(found.parts[8][0])
    if 12 in found.parts:
        found.doc_string = text(found.parts[12][0])
    found.external = _entries(found.parts.get(13, []))
    found.metadata = _entries(found.parts.get(16, []))
    return found


def _entries(messages: list[WireField]) -> dict[str, str]:
    entries = {}
    for message in messages:
        inner = {part.number: text(part) for part in fields(message.data) if part.wire == BYTES}
        entries[inner.get(1, "")] = inner.get(2, "")
    return entries
