"""Reads safetensors files: a header of JSON, metadata, and tensors that are mapped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickled_arrays import shape_of
from memberscan.inspection.readers.tensor_values import TYPES, in_numpy
from memberscan.inspection.sources import Source

_LONGEST_HEADER: Final = 100_000_000
"""The format's own limit, in bytes."""
_TYPES: Final = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}


class Safetensors:
    """Files of tensors by their names."""

    name = "safetensors"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        size = int.from_bytes(head[:8], "little")
        return head[8:9] == b"{" and 1 < size <= min(source.size - 8, _LONGEST_HEADER)

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        stream = ByteStream.plain(source)
        header = json.loads(stream.take(int.from_bytes(stream.take(8), "little")))
        start = stream.position()
        source.budget.look(len(header))
        if (metadata := header.pop("__metadata__", None)) is not None:
            yield Item("__metadata__", metadata)
        end = 0
        for name, tensor in header.items():
            try:
                first, last = shape_of(tensor["data_offsets"])
                stream.go_to(start + first)
                yield Item(name, _tensor(stream, tensor, last - first))
                end = max(end, last)
            except (BadInputError, ValueError, TypeError, LookupError) as error:
                yield Partly(name, f"the tensor is damaged, or of a type that is not read: {error}")
        if start + end < source.size:
            yield Partly("", "bytes follow the last tensor")


def _tensor(stream: ByteStream, tensor: Any, size: int) -> np.ndarray:
    kind, shape = _TYPES[tensor["dtype"]], shape_of(tensor["shape"])
    dtype = np.dtype(TYPES[kind])
    if size != math.prod(shape) * dtype.itemsize:
        raise BadInputError("its shape and its size do not fit")
    return in_numpy(
        stream.numbers(dtype.newbyteorder("<"), math.prod(shape)).reshape(shape), kind, stream.budget
    )
