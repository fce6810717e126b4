"""Read files and messages that others made; sizes are checked against limits before they are used."""

from __future__ import annotations

import functools
import io
import json
import math
import os
import re
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from memberscan.errors import BadInputError, TooLargeError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from torch import Tensor

JSON_LIMIT = 64 << 20
"""Largest JSON file that is read, in bytes; the largest we write (an audit of many learners) is far below."""
_LARGEST_INTEGER = 1 << 63
_DEEPEST = 64
"""Deepest JSON that is read, in levels; memberscan writes ten at most. Functions that walk through the values
need more stack for each level than the parser does."""
_MOST_ENTRIES = 100_000
_LONGEST_NAME = 100
_READABLE = "biuf"
"""Kinds of numpy dtypes that a model's arrays may have: truth values, whole and floating-point numbers."""
_TORCH_READABLE = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}
"""Types of tensors in a safetensors file that torch can compute with; it cannot with 8-bit floats."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
"""What zipfile raises, in practice, on a file that is damaged or made to harm."""

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

_NPY_HEADER = re.compile(rb"\{[\w\s,:'\"<>|=]*\([\w\s,]*\)[\w\s,:'\"<>|=]*\}\s*")
"""A dictionary with one tuple, the shape. numpy would read any expression of Python, also one that is nested
too deeply for the parser."""

T = TypeVar("T")


def is_plain_name(name: object) -> bool:
    """Tell whether a name that a file states can become a file name: no path, not hidden, not too long."""
    return (
        isinstance(name, str)
        and len(name) <= _LONGEST_NAME
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None
    )


def read_limited(path: Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes.

    A named pipe would wait for ever and a device may never end, so both are refused.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    BadInputError
        If it is no regular file, or may not be read.
    TooLargeError
        If it is larger.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe would already wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInputError(f"{path} cannot be read ({why}); check the path and its permissions") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise BadInputError(f"{path} is not a regular file; give a file")
        if about.st_size > most:
            raise TooLargeError(
                f"{path} has {about.st_size:,} bytes, and at most {most:,} are read; check that it is "
                "the right file"
            )
        # After the check: fdopen of a directory fails with a message that names no file.
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            # Not read(most): Python would allocate that much memory.
            return stream.read(about.st_size)
    finally:
        os.close(descriptor)


def load_json(path: Path) -> Any:
    """Read JSON of at most :data:`JSON_LIMIT` bytes; :class:`BadInputError` names the file if it is not."""
    return parse_json(read_limited(path, JSON_LIMIT), str(path))


def parse_json(data: bytes | str, source: str) -> Any:
    """Read JSON whose values are what JSON allows; ``source`` names it in errors.

    Python reads more than JSON has: NaN, numbers beyond every float, integers of any length, and halves of
    characters. None of them can be written again, so they are refused here.

    Raises
    ------
    BadInputError
        If it is not valid JSON, is nested too deeply, or holds such a value.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
        _require_flat(value)
    except RecursionError as error:
        raise BadInputError(
            f"{source} is nested too deeply to be read; restore it or make it again"
        ) from error
    except ValueError as error:
        raise BadInputError(f"{source} is not valid JSON ({error}); restore it or make it again") from error
    return value


def _require_flat(value: Any) -> None:
    """Raise :class:`RecursionError` if values are nested too deeply for what walks through them later."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise RecursionError


def _integer(text: str) -> int:
    # The length first: reading a long integer takes time that grows with its square.
    if len(text) > 20 or abs(value := int(text)) >= _LARGEST_INTEGER:
        raise ValueError(f"the number {text[:20]}... is too large")
    return value


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no value of JSON")


def stated(kind: type[T], value: Any, source: str) -> T:
    """Return a value from a file as an object of a type, or say which part of the file is wrong.

    Parameters
    ----------
    kind
        A dataclass, or another type that pydantic knows; its fields say what is allowed.
    value
        What was read.
    source
        Names the file in errors.

    Raises
    ------
    BadInputError
        If a part is missing, or of another type.
    """
    from pydantic import ValidationError

    try:
        found: T = _adapter(kind).validate_python(value)  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "its content"
        raise BadInputError(f"{source} is damaged ({place}: {first['msg']}); restore it") from error


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def load_npz(path: Path, most: int) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file that declare at most ``most`` bytes together.

    The directory of a zip file and the header of each array are read first: a few kilobytes can declare, and
    expand to, gigabytes.

    Raises
    ------
    TooLargeError
        If more is declared.
    BadInputError
        If it is damaged, or holds objects instead of numbers.
    """
    data = read_limited(path, most + (16 << 20))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_zip(archive, str(path), most)
            return {
                entry.filename.removesuffix(".npy"): parse_npy(
                    read_entry(archive, entry), f"{entry.filename} in {path}"
                )
                for entry in archive.infolist()
            }
    except _ZIP_ERRORS as error:
        raise BadInputError(f"{path} is truncated or damaged ({error}); restore it") from error


def check_zip(archive: zipfile.ZipFile, source: str, most: int) -> None:
    """Check what a zip file declares before anything in it is expanded.

    Raises
    ------
    TooLargeError
        If its files are too many, or have more than ``most`` bytes together.
    BadInputError
        If one is encrypted, or packed by a method that no array or model is written with.
    """
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise TooLargeError(
            f"{source} holds {len(entries):,} files, and at most {_MOST_ENTRIES:,} are read; "
            "check that it is the right file"
        )
    if (total := sum(entry.file_size for entry in entries)) > most:
        raise TooLargeError(
            f"{source} expands to {total:,} bytes, and at most {most:,} are read; "
            "check that it is the right file"
        )
    for entry in entries:
        if entry.flag_bits & 0x1:
            raise BadInputError(f"{source} is encrypted ({entry.filename}); save it without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInputError(
                f"{source}: {entry.filename} is packed by method {entry.compress_type}, which is not read; "
                "save it again with numpy.savez"
            )


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a file of a zip file, of as many bytes as the directory declares.

    ``ZipFile.read`` would expand all that is packed, whatever the directory says, and cut it afterwards.

    Raises
    ------
    BadInputError
        If it has fewer.
    """
    with archive.open(entry) as stream:
        data = stream.read(entry.file_size)
    if len(data) < entry.file_size:
        raise BadInputError(f"{entry.filename} has {len(data):,} bytes of {entry.file_size:,}; restore it")
    return data


def parse_npy(data: bytes, source: str) -> np.ndarray:
    """Read a .npy file from memory; what its header declares must be what follows it.

    Parameters
    ----------
    data
        The bytes of the file.
    source
        Names it in errors.

    Returns
    -------
    numpy.ndarray
        A copy, in native byte order.

    Raises
    ------
    BadInputError
        If it is damaged, or holds anything but numbers.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header, start = _NPY_HEADERS[version], 10 if version == (1, 0) else 12
        length = int.from_bytes(data[8:start], "little")
        if not _NPY_HEADER.fullmatch(data[start : start + length]):
            raise ValueError("its header is not one of an array of numbers")
        shape, fortran, dtype = read_header(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise BadInputError(f"{source} is no readable array ({error}); save it with numpy.savez") from error
    if dtype.hasobject or dtype.kind not in _READABLE:
        raise BadInputError(
            f"{source} is an array of {dtype}, not of numbers; save each parameter as an array of its own"
        )
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - stream.tell():
        raise BadInputError(f"{source} declares the shape {shape}, which its size does not fit; restore it")
    values = np.frombuffer(data, dtype, count, stream.tell())
    # torch needs native byte order, and may write to what it is given.
    return values.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="))


def load_safetensors(path: Path, most: int) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file of at most ``most`` bytes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TooLargeError
        If it is larger.
    BadInputError
        If it is damaged, or holds tensors that cannot be computed with.
    """
    return parse_safetensors(read_limited(path, most), str(path))


def parse_safetensors(data: bytes, source: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file from memory; ``source`` names it in errors."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    for name, kind in _tensor_types(data, source).items():
        if kind not in _TORCH_READABLE:
            raise BadInputError(
                f"{source}: {name} is of type {kind}, which cannot be computed with; save it as float32"
            )
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise BadInputError(f"{source} is truncated or damaged ({error}); restore it") from error


def _tensor_types(data: bytes, source: str) -> dict[str, str]:
    """Return the type of each tensor that the header of a safetensors file declares."""
    # The format begins with the length of a JSON header, as eight bytes, low ones first.
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else len(data)
    if length > len(data) - 8:
        raise BadInputError(f"{source} is truncated, or no safetensors file; restore it")
    header = parse_json(data[8 : 8 + length], f"the header of {source}")
    entries: Mapping[str, Any] = header if isinstance(header, dict) else {}
    types = {name: str(about.get("dtype")) for name, about in entries.items() if isinstance(about, dict)}
    types.pop("__metadata__", None)
    return types
