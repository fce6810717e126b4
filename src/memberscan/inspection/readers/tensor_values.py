"""Tensors of torch and safetensors as numpy arrays, with the number types that numpy does not have."""

from __future__ import annotations

import math
import tempfile
from typing import Final

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.sources import Budget

TYPES: Final = {
    "float64": "f8",
    "double": "f8",
    "float32": "f4",
    "float": "f4",
    "float16": "f2",
    "half": "f2",
    "int64": "i8",
    "long": "i8",
    "int32": "i4",
    "int": "i4",
    "int16": "i2",
    "short": "i2",
    "int8": "i1",
    "uint8": "u1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "bool": "?",
    "complex64": "c8",
    "cfloat": "c8",
    "complex128": "c16",
    "cdouble": "c16",
    "qint8": "i1",
    "quint8": "u1",
    "qint32": "i4",
    "bfloat16": "u2",
    "float8_e4m3fn": "u1",
    "float8_e5m2": "u1",
}
"""Numpy's type of the stored numbers by torch's name of their type; the last three are stored as bits."""
_IN_MEMORY: Final = 32 << 20
_SMALL: Final = {"float8_e4m3fn": (4, 3), "float8_e5m2": (5, 2)}
"""Bits of the exponent and of the fraction."""


def in_numpy(bits: np.ndarray, kind: str, budget: Budget) -> np.ndarray:
    """Return stored numbers as numbers that numpy has: those of 8 bits and bfloat16 become float32.

    Parameters
    ----------
    bits
        The stored numbers, of any shape, of the type in :data:`TYPES`.
    kind
        Torch's name of their type.
    budget
        Pays for what is copied; large copies go to its scratch directory.
    """
    if kind != "bfloat16" and kind not in _SMALL:
        return bits
    wide = _room(bits.shape, budget)
    if kind == "bfloat16":
        # The bits of a bfloat16 are the upper half of those of the float32 of the same value.
        np.left_shift(bits, np.uint32(16), out=wide, dtype=np.uint32)
    else:
        np.take(small_floats(*_SMALL[kind]).view(np.uint32), bits, out=wide, mode="clip")
    numbers: np.ndarray = wide.view(np.float32)
    return numbers


def small_floats(exponent_bits: int, fraction_bits: int) -> np.ndarray:
    """Return the values of all 256 floating-point numbers of 8 bits, of shape (256,), as float32.

    Source: Micikevicius et al., "FP8 Formats for Deep Learning" (2022, arXiv 2209.05433): E5M2 follows IEEE
    754; E4M3 has no infinities, and NaN only where all bits but the sign are set.
    """
    codes = np.arange(256)
    fraction = (codes & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    exponent = (codes >> fraction_bits) & ((1 << exponent_bits) - 1)
    bias = (1 << (exponent_bits - 1)) - 1
    # Exponent zero means a subnormal number: no leading one, and the exponent of the smallest normal number.
    values = np.where(exponent == 0, fraction, 1 + fraction) * 2.0 ** (np.maximum(exponent, 1) - bias)
    if fraction_bits == 2:
        values[exponent == 31] = np.where(fraction[exponent == 31] == 0, np.inf, np.nan)
    else:
        values[(codes & 127) == 127] = np.nan
    signed: np.ndarray = np.where(codes < 128, values, -values).astype(np.float32)
    return signed


def _room(shape: tuple[int, ...], budget: Budget) -> np.ndarray:
    """Return an array of 32-bit numbers, in memory if it is small, otherwise in a file without a name."""
    size = 4 * math.prod(shape)
    budget.expand(size)
    if size <= _IN_MEMORY:
        return np.empty(shape, np.uint32)
    with tempfile.TemporaryFile(dir=budget.scratch) as file:
        room: np.ndarray = np.memmap(file, np.uint32, "w+", shape=shape)
        return room


def strided(numbers: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    """Return the view that a tensor has of its storage.

    Parameters
    ----------
    numbers
        The storage, of shape (n,).
    offset
        Index of the tensor's first number.
    size, stride
        Length of each axis, and the distance of its neighbours in the storage, in numbers.

    Raises
    ------
    BadInputError
        If the view leaves the storage, or repeats its numbers more often than is read.
    """
    if len(size) != len(stride) or min((offset, *size, *stride)) < 0:
        raise BadInputError("a tensor has a shape that does not fit its strides")
    if math.prod(size) == 0:
        return np.zeros(size, numbers.dtype)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= len(numbers):
        raise BadInputError("a tensor lies outside its storage")
    # Steps of zero repeat numbers without taking memory, as tensors that were expanded do.
    if math.prod(size) > max(len(numbers), 1 << 20):
        raise BadInputError("a tensor repeats the numbers of its storage too often")
    steps = tuple(step * numbers.itemsize for step in stride)
    view: np.ndarray = np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)
    return view
