"""Headers of brain images: their text, extensions and notes, in all versions and byte orders."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.nifti import Mgh, Nifti
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Picture

from .opening import plain, read, reader_of, reasons, source, survives, walked

VOXELS = np.zeros((7, 8, 9), np.int16)


def image(kind: Any = nibabel.Nifti1Image, order: str = "<") -> bytes:
    made = kind(VOXELS, np.eye(4), kind.header_class(endianness=order))
    made.header["descrip"] = b"OAS30001"
    made.header["aux_file"] = b"/home/huber/a"
    made.header.extensions.append(Nifti1Extension("comment", b"scanned 2009-03-01"))
    made.header.extensions.append(Nifti1Extension("ignore", b"\0\1\2\3" * 10))
    return bytes(made.to_bytes())


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_text_extensions_and_shape(
    kind: Any, order: str, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    file = source(compress(image(kind, order)), "a.nii.gz", tmp_path)
    assert isinstance(reader_of(file), Nifti)
    header, comment, raw, volume = read(file)
    assert header[1]["descrip"] == "OAS30001" and header[1]["aux_file"] == "/home/huber/a"
    assert comment == ("extension 6", "scanned 2009-03-01")
    assert isinstance(raw, Source) and raw.read(100) == (b"\0\1\2\3" * 10)[:40].rstrip(b"\0")
    assert plain(volume[1]) == ("nifti", (7, 8, 9))


def test_analyze_is_read_by_its_header(tmp_path: Path) -> None:
    header = nibabel.AnalyzeHeader()
    header.set_data_shape((7, 8, 9))
    header["patient_id"], header["exp_date"] = b"sub-01", b"20090301"
    words, volume = read(source(header.binaryblock, "a.hdr", tmp_path))
    assert words[1]["patient_id"] == "sub-01" and words[1]["exp_date"] == "20090301"
    assert plain(volume[1]) == ("nifti", (7, 8, 9))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_commands_in_images_of_freesurfer(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    mgh = nibabel.MGHImage(np.ones((3, 4, 5), np.float32), np.eye(4))
    mgh.to_file_map({"image": nibabel.FileHolder(fileobj=buffer)})
    notes = struct.pack(">iq", 3, 40) + b"mri_convert /data/sub-01/T1.mgz out.mgz\0"
    file = source(compress(buffer.getvalue() + notes), "T1.mgz", tmp_path)
    assert isinstance(reader_of(file), Mgh)
    picture, words = (plain(item[1]) for item in read(file))
    assert picture == ("mgh", (3, 4, 5, 1)) and "mri_convert /data/sub-01/T1.mgz out.mgz" in words


def test_hostile_headers_are_bounded(tmp_path: Path) -> None:
    content = bytearray(image())
    content[108:112] = struct.pack("<f", 1e9)
    assert "extensions" in reasons(source(bytes(content), "a.nii", tmp_path))
    content = bytearray(image())
    content[352:356] = struct.pack("<i", -1)
    assert "damaged" in reasons(source(bytes(content), "a.nii", tmp_path))["extensions"]
    huge = struct.pack(">6i", 1, 2000, 2000, 2000, 1, 3)
    with pytest.raises(TooLargeError):
        read(source(gzip.compress(huge + bytes(2 << 20), 1), "a.mgz", tmp_path, expanded=1 << 20))
    survives(image(), "a.nii", tmp_path)
    survives(gzip.compress(image()), "a.nii.gz", tmp_path)
    assert any(isinstance(item[1], Picture) for _, item in walked(source(image()[:600], "a.nii", tmp_path)))
