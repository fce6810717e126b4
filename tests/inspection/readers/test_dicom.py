"""DICOM: every tag comes back, private and nested ones too; pixels do not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.dicom import Dicom

from .opening import plain, read, reader_of, reasons, source, survives


def scan() -> Dataset:
    made = Dataset()
    made.PatientName = "Huber^Anna"
    made.PatientID = "sub-01"
    made.PatientBirthDate = "19500102"
    made.ImageType = ["ORIGINAL", "PRIMARY"]
    made.EchoTime = "2.5"
    made.Rows, made.Columns, made.BitsAllocated, made.SamplesPerPixel = 4, 5, 16, 1
    made.PixelRepresentation, made.BitsStored, made.PhotometricInterpretation = 0, 16, "MONOCHROME2"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    made.ReferencedImageSequence = Sequence([inner])
    block = made.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "LO", "private of OAS30001")
    made.PixelData = np.full(20, 12345, np.uint16).tobytes()
    return made


def written(made: Dataset, syntax: str = ExplicitVRLittleEndian, preamble: bool = True) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2"
    buffer = io.BytesIO()
    if preamble:
        made.save_as(buffer, enforce_file_format=True)
    else:
        del made.file_meta
        made.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()


def tags(content: bytes, scratch: Path, name: str = "a.dcm") -> dict[str, Any]:
    file = source(content, name, scratch)
    assert isinstance(reader_of(file), Dicom)
    found: dict[str, Any] = next(item.value for item in read(file) if isinstance(item, Item))
    return found


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_tags_come_back_and_pixels_do_not(syntax: str, tmp_path: Path) -> None:
    content = written(scan(), syntax)
    found = tags(content, tmp_path)
    assert found["PatientName"] == "Huber^Anna" and found["PatientID"] == "sub-01"
    assert (
        found["PatientBirthDate"] == "19500102"
        and found["EchoTime"] == 2.5
        and type(found["EchoTime"]) is float
    )
    assert found["ImageType"] == ["ORIGINAL", "PRIMARY"]
    assert found["ReferencedImageSequence"] == [{"ReferencedSOPInstanceUID": "1.2.3"}]
    private = next(value for key, value in found.items() if key.startswith("(0029,1010)"))
    assert private in ("private of OAS30001", b"private of OAS30001 ")
    assert "PixelData" not in found and found["TransferSyntaxUID"] == syntax
    assert plain([item[1] for item in read(source(content, "a", tmp_path))][1]) == ("dicom", (4, 5))


def test_a_file_without_preamble_and_values_that_do_not_fit_are_read(tmp_path: Path) -> None:
    made = scan()
    assert tags(written(made, preamble=False), tmp_path, "scan-1.dcm")["PatientID"] == "sub-01"
    content = written(scan()).replace(b"2.5 ", b"Anna")
    assert "Anna" in str(tags(content, tmp_path))


def test_what_is_compressed_is_named(tmp_path: Path) -> None:
    assert "compressed" in reasons(source(written(scan(), DeflatedExplicitVRLittleEndian), "a", tmp_path))[""]


def test_hostile_files_end_early(tmp_path: Path) -> None:
    survives(written(scan()), "a.dcm", tmp_path)
    nested = scan()
    for _ in range(40):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([nested])
        nested = outer
    found = tags(written(nested), tmp_path)
    for _ in range(30):
        found = found["ReferencedImageSequence"][0]
    assert found["ReferencedImageSequence"] is None
