"""Bytes of files that are small on the disk and declare, or expand to, more than a machine has."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

HUGE = 10**12


def deflated(start: bytes, unit: bytes, times: int) -> bytes:
    """Return a raw deflate stream of some bytes, and of others as many times; it takes a moment to make."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush, a block depends on nothing before it, and can stand there as often as one likes.
    block = packer.compress(unit) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed + block * times + packer.flush()


def deflated_zeros(megabytes: int, start: bytes = b"") -> bytes:
    """Return a raw deflate stream of some bytes and then zeros, a thousandth of their size."""
    return deflated(start, bytes(1 << 20), megabytes)


def gzipped(megabytes: int, start: bytes = b"") -> bytes:
    """Return a gzip file of some bytes and then zeros; its check sum is wrong, which is found at its end."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated_zeros(megabytes, start) + bytes(8)


def npy(shape: Sequence[int], descr: Any = "<f4", values: bytes = b"") -> bytes:
    """Return a .npy file of any header and any bytes after it."""
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_2_0(stream, header)
    return stream.getvalue() + values


def npy_header(text: str) -> bytes:
    """Return a .npy file whose header is any text."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(64)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def zip_that_lies(name: str, stream: bytes, declared: int) -> bytes:
    """Return a zip file with one deflated file, of whose size the directory lies."""
    encoded = name.encode()
    about = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(stream), declared, len(encoded), 0)
    local = b"PK\x03\x04" + about + encoded + stream
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + about + bytes(2 + 2 + 2 + 4) + struct.pack("<I", 0)
    directory = entry + encoded
    return local + directory + _end_of_zip(1, len(directory), len(local))


def _end_of_zip(files: int, size: int, place: int) -> bytes:
    return b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, files, files, size, place, 0)


def zip_of_two_directories(harmless: bytes, harmful: bytes) -> bytes:
    """Return a zip file in which Python finds the contents of one file, and torch those of the other.

    Python takes the directory that stands before the end; torch goes to the place that the end states.
    """
    parts = []
    for data in (harmful, harmless):
        files, size, place = struct.unpack("<HII", data[-12:-2])
        parts.append((data[:place], data[place : place + size], files))
    (bad, bad_directory, bad_files), (good, good_directory, good_files) = parts
    assert bad_files == good_files
    # Equally long, since one end describes both: the comment of the last entry fills the shorter one up.
    longer = max(len(bad_directory), len(good_directory))
    bad_directory, good_directory = (_filled(d, longer) for d in (bad_directory, good_directory))
    end = _end_of_zip(good_files, longer, len(bad))
    # Python adds what is before the first directory to all places, so that the good file begins after it.
    return bad + bad_directory + good + good_directory + end


def _filled(directory: bytes, length: int) -> bytes:
    last = directory.rindex(b"PK\x01\x02")
    missing = length - len(directory)
    comment = struct.pack("<H", missing)
    return directory[: last + 32] + comment + directory[last + 34 :] + bytes(missing)


# Pickles of torch, written by hand


def text(value: str) -> bytes:
    """Return the operation that puts a text on the stack."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value: int) -> bytes:
    """Return the operation that puts a whole number on the stack."""
    data = pickle.encode_long(value)  # type: ignore[attr-defined]
    return b"\x8a" + bytes([len(data)]) + data


def named(module: str, name: str) -> bytes:
    """Return the operation that puts a function or a class on the stack."""
    return f"c{module}\n{name}\n".encode()


def row(*values: bytes) -> bytes:
    """Return the operations that put a tuple on the stack."""
    return b"(" + b"".join(values) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    """Return the operations that call a function."""
    return function + row(*arguments) + b"R"


def tensor(elements: int, size: Sequence[int], stride: Sequence[int], *rest: bytes) -> bytes:
    """Return the operations that build a tensor of the storage "0"."""
    parts = text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), whole(elements)
    return call(
        named("torch._utils", "_rebuild_tensor_v2"),
        row(*parts, *rest) + b"Q",
        whole(0),
        row(*map(whole, size)),
        row(*map(whole, stride)),
        b"\x89",
        named("collections", "OrderedDict") + b")R",
    )


def hex_of_hex(times: int) -> bytes:
    """Return the operations of a text that doubles each time it is encoded."""
    value = call(named("_codecs", "encode"), text("a"), text("latin1"))
    for _ in range(times):
        value = call(named("_codecs", "encode"), value, text("hex"))
    return value


def copies_of_a_dictionary(entries: int, copies: int) -> bytes:
    """Return the operations of a list of as many dictionaries, each with all the entries of one."""
    first = b"}q\0(" + b"".join(text(f"{k:x}") + b"N" for k in range(entries)) + b"u"
    again = b"h\x01h\0\x85R"
    return b"](" + first + named("collections", "OrderedDict") + b"q\x01" + again * copies + b"e"


def torch_pickle(value: bytes, key: bytes | None = None) -> bytes:
    """Return the pickle of a state dict with one value."""
    return b"\x80\x02}(" + (text("w") if key is None else key) + value + b"u."


def torch_file(pickled: bytes, storage: bytes = bytes(16), method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a file as torch.save writes it."""
    files = {"a/data.pkl": pickled, "a/byteorder": b"little", "a/data/0": storage, "a/version": b"3\n"}
    return zipped(files, method)


def legacy_torch_file(pickled: bytes) -> bytes:
    """Return a file as torch.save wrote it before version 1.6; no storage follows."""
    magic, protocol = 0x1950A86A20F9469CFC6C, 1001
    system = {"protocol_version": protocol, "little_endian": True, "type_sizes": {}}
    before = b"".join(pickle.dumps(value, 2) for value in (magic, protocol, system))
    return before + pickled + pickle.dumps(["0"], 2)


# Ciphertexts, in the format of TenSEAL and of SEAL within it


def length_delimited(field: int, data: bytes) -> bytes:
    """Return a field of a protobuf message."""
    size, left = b"", len(data)
    while left > 127:
        size, left = size + bytes([left & 127 | 128]), left >> 7
    return bytes([field << 3 | 2]) + size + bytes([left]) + data


def seal(start: bytes, unit: bytes = b"", times: int = 0) -> bytes:
    """Return what SEAL reads, packed by zlib."""
    check = zlib.adler32(start)
    for _ in range(times):
        check = zlib.adler32(unit, check)
    packed = b"\x78\xda" + deflated(start, unit, times) + struct.pack(">I", check)
    return b"\x5e\xa1\x10\x04\x03\x01\0\0" + struct.pack("<Q", 16 + len(packed)) + packed


def unpacked_seal(members: bytes) -> bytes:
    """Return what SEAL reads, unpacked."""
    return b"\x5e\xa1\x10\x04\x03\0\0\0" + struct.pack("<Q", 16 + len(members)) + members


def polynomials(parameters: bytes, primes: int, scale: float) -> bytes:
    """Return the members of a ciphertext of zeros; SEAL reads it only with the digest of its parameters."""
    values = 2 * primes * 8192
    numbers = struct.pack("<QQQdQ", 2, 8192, primes, scale, 1)
    return parameters + b"\x01" + numbers + unpacked_seal(struct.pack("<Q", values) + bytes(8 * values))


def switch_keys(parameters: bytes, keys: int) -> bytes:
    """Return Galois keys, of which each takes 768 KiB, and a thousandth of it here."""
    one = unpacked_seal(polynomials(parameters, 3, 1.0))
    unit = struct.pack("<Q", 2) + one * 2
    return seal(parameters + struct.pack("<Q", keys), unit, keys)


def ciphertexts(parameters: bytes, count: int) -> bytes:
    """Return a message with as many ciphertexts of zeros; each takes 256 KiB, and a thousandth of it here."""
    one = seal(polynomials(parameters, 2, 2.0**52))
    scale = b"\x19" + struct.pack("<d", 2.0**52)
    return length_delimited(1, b"\x80\x20") + length_delimited(2, one) * count + scale
