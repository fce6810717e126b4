"""Read files and messages from others; sizes are checked against limits before they are used."""

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
"""Largest JSON file that is read, in bytes; memberscan's largest, audits of many learners, are smaller."""
_LARGEST_INTEGER = 1 << 63
_DEEPEST = 64
"""Most levels of nested JSON that are read; memberscan writes at most ten. Functions that walk through the
values need more stack per level than the parser."""
_MOST_ENTRIES = 100_000
_LONGEST_NAME = 100
_READABLE = "biuf"
"""Kinds of numpy dtypes that a model's arrays may have: Booleans, integers and floating-point numbers."""
_TORCH_READABLE = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}
"""Types of tensors in a safetensors file that torch can compute with; it cannot with 8-bit floats."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
"""The errors that zipfile raises, in practice, on a damaged or malicious file."""

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

_NPY_HEADER = re.compile(rb"\{[\w\s,:'\"<>|=]*\([\w\s,]*\)[\w\s,:'\"<>|=]*\}\s*")
"""The header: a dictionary with one tuple, the shape. numpy would parse any Python literal, including one
nested too deeply for the parser."""

T = TypeVar("T")


def is_plain_name(name: object) -> bool:
    """Return whether a name from a file can become a file name: no path, not hidden, not too long."""
    return (
        isinstance(name, str)
        and len(name) <= _LONGEST_NAME
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None
    )


def read_limited(path: Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes.

    Reading a named pipe would block forever and a device may never end, so both are refused.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    BadInputError
        If it is not a regular file, or cannot be read.
    TooLargeError
        If it is larger.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would block.
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
                f"{path} has {about.st_size:,} bytes, but at most {most:,} are read; check that it is "
                "the right file"
            )
        # Only after the check: fdopen of a directory fails with a message that does not name the file.
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            # Not read(most), because Python would allocate that much memory.
            return stream.read(about.st_size)
    finally:
        os.close(descriptor)


def load_json(path: Path) -> Any:
    """Read JSON of at most :data:`JSON_LIMIT` bytes; otherwise :class:`BadInputError` names the file."""
    return parse_json(read_limited(path, JSON_LIMIT), str(path))


def parse_json(data: bytes | str, source: str) -> Any:
    """Read strictly valid JSON; ``source`` names it in errors.

    Python also accepts NaN, numbers too large for a float, integers of any length and lone surrogates. They
    cannot be written again, so they are refused here.

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
            f"{source} is nested too deeply to be read; restore it, or make it again"
        ) from error
    except ValueError as error:
        raise BadInputError(f"{source} is not valid JSON ({error}); restore it or make it again") from error
    return value


def _require_flat(value: Any) -> None:
    """Raise :class:`RecursionError` if values are nested too deeply for functions that walk through them."""
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
    # Check the length first: converting a long integer takes time quadratic in its length.
    if len(text) > 20 or abs(value := int(text)) >= _LARGEST_INTEGER:
        raise ValueError(f"the number {text[:20]}... is too large")
    return value


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not a JSON value")


def stated(kind: type[T], value: Any, source: str) -> T:
    """Convert a value from a file to a type, or say which part of the file is wrong.

    Parameters
    ----------
    kind
        A dataclass, or another type that pydantic knows; its fields say what is allowed.
    value
        The value that was read.
    source
        Name of the file in errors.

    Raises
    ------
    BadInputError
        If a field is missing or of the wrong type.
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
    """Read the arrays of an .npz file that declares at most ``most`` bytes in total.

    The zip directory and the header of each array are checked first: a few kilobytes can declare, and expand
    to, gigabytes.

    Raises
    ------
    TooLargeError
        If the file declares more.
    BadInputError
        If the file is damaged, or holds objects instead of numbers.
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
        If it has too many files, or they have more than ``most`` bytes in total.
    BadInputError
        If a file is encrypted, or compressed by a method that is not used for arrays and models.
    """
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise TooLargeError(
            f"{source} holds {len(entries):,} files, but at most {_MOST_ENTRIES:,} are read; "
            "check that it is the right file"
        )
    if (total := sum(entry.file_size for entry in entries)) > most:
        raise TooLargeError(
            f"{source} expands to {total:,} bytes, but at most {most:,} are read; "
            "check that it is the right file"
        )
    for entry in entries:
        if entry.flag_bits & 0x1:
            raise BadInputError(f"{source} is encrypted ({entry.filename}); save it without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInputError(
                f"{source}: {entry.filename} has compression method {entry.compress_type}, which is not "
                "read; save it again with numpy.savez"
            )


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return one file of a zip file, with as many bytes as the zip directory declares.

    ``ZipFile.read`` would first expand the whole file, whatever the directory says, and truncate it then.

    Raises
    ------
    BadInputError
        If it has fewer bytes than declared.
    """
    with archive.open(entry) as stream:
        data = stream.read(entry.file_size)
    if len(data) < entry.file_size:
        raise BadInputError(f"{entry.filename} has {len(data):,} bytes of {entry.file_size:,}; restore it")
    return data


def parse_npy(data: bytes, source: str) -> np.ndarray:
    """Read a .npy file from memory; its data must have the size that its header declares.

    Parameters
    ----------
    data
        The bytes of the file.
    source
        Name of the file in errors.

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
            raise ValueError("its header does not describe an array of numbers")
        shape, fortran, dtype = read_header(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise BadInputError(
            f"{source} is not a readable array ({error}); save it with numpy.savez"
        ) from error
    if dtype.hasobject or dtype.kind not in _READABLE:
        raise BadInputError(
            f"{source} is an array of {dtype}, not of numbers; save each parameter as a separate array"
        )
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - stream.tell():
        raise BadInputError(f"{source} declares shape {shape}, which does not fit its size; restore it")
    values = np.frombuffer(data, dtype, count, stream.tell())
    # torch needs native byte order, and memory that it may write to.
    return values.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="))


def load_safetensors(path: Path, most: int) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file of at most ``most`` bytes.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    TooLargeError
        If it is larger.
    BadInputError
        If it is damaged, or holds tensors of a type that torch cannot compute with.
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
    # The format begins with the length of the JSON header, in eight bytes, little-endian.
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else len(data)
    if length > len(data) - 8:
        raise BadInputError(f"{source} is truncated, or not a safetensors file; restore it")
    header = parse_json(data[8 : 8 + length], f"the header of {source}")
    entries: Mapping[str, Any] = header if isinstance(header, dict) else {}
    types = {name: str(about.get("dtype")) for name, about in entries.items() if isinstance(about, dict)}
    types.pop("__metadata__", None)
    return types
