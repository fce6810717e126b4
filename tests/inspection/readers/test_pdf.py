"""Documents: what they say of themselves, the text of each page, images, and attached files."""

from __future__ import annotations

import io
from pathlib import Path

import pypdf
import pytest

from memberscan.inspection.readers.base import Item, Source
from memberscan.inspection.readers.pdf import Pdf

from .opening import plain, read, reader_of, reasons, source, survives, values, walked

PAGE = b"BT /F1 12 Tf 72 720 Td (scan of sub-0042, age 61) Tj 0 -20 Td (and sub-0043) Tj ET"


def document(password: str = "") -> bytes:
    writer = pypdf.PdfWriter()
    generic = pypdf.generic
    name, number = generic.NameObject, generic.NumberObject
    font = generic.DictionaryObject({
        name("/Type"): name("/Font"), name("/Subtype"): name("/Type1"), name("/BaseFont"): name("/Helvetica"),
    })  # fmt: skip
    picture = generic.StreamObject()
    picture.set_data(bytes(6))
    picture.update({
        name("/Subtype"): name("/Image"), name("/Width"): number(2), name("/Height"): number(3),
    })  # fmt: skip
    page = writer.add_blank_page(612, 792)
    page[name("/Resources")] = generic.DictionaryObject({
        name("/Font"): generic.DictionaryObject({name("/F1"): font}),
        name("/XObject"): generic.DictionaryObject({name("/Im1"): writer._add_object(picture)}),
    })  # fmt: skip
    content = generic.StreamObject()
    content.set_data(PAGE)
    page[name("/Contents")] = writer._add_object(content.flate_encode())
    writer.add_metadata({"/Author": "Dr House", "/Title": "Brain ages"})
    writer.add_attachment("people.csv", b"participant_id,age\nsub-01,61.5\nsub-02,50\n")
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_text_images_and_metadata(tmp_path: Path) -> None:
    file = source(document(), "paper.pdf", tmp_path)
    assert isinstance(reader_of(file), Pdf)
    found = [(item.place, plain(item.value)) for item in read(file) if isinstance(item, Item)]
    places = dict(found)
    assert places["about"]["Author"] == "Dr House"
    texts = [value for place, value in found if place == "page 1" and isinstance(value, str)]
    assert "sub-0042" in texts[0] and "sub-0043" in texts[0]
    assert ("page 1", ("pdf", (3, 2))) in found


def test_attached_files_are_read(tmp_path: Path) -> None:
    names = {name for name, _ in walked(source(document(), "paper.pdf", tmp_path))}
    assert names == {"paper.pdf", "paper.pdf!people.csv"}
    assert any(isinstance(each, Source) for each in read(source(document(), "paper.pdf", tmp_path)))


def test_encrypted_documents_are_said_to_be_unread(tmp_path: Path) -> None:
    file = source(document("secret"), "paper.pdf", tmp_path)
    assert values(file) == {}
    assert "encrypted" in reasons(file)[""]


def test_what_no_one_can_read_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(pypdf.errors.PyPdfError):
        read(source(b"%PDF-1.7\nnothing", "paper.pdf", tmp_path))
    survives(document(), "paper.pdf", tmp_path)
