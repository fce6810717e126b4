"""DICOM files: all tags but the pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Picture

_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
"""The transfer syntax in which all tags are compressed."""
_DEEPEST: Final = 30


class Dicom:
    """A DICOM file, with or without its preamble."""

    name = "DICOM"
    needs = "pydicom"

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it has the mark of DICOM, or is named so and begins with one of its first tags."""
        if head[128:132] == b"DICM":
            return True
        return source.suffix in (".dcm", ".ima", "") and head[:2] in (b"\2\0", b"\x08\0") and _is_tag(head)

    def read(self, source: Source) -> Iterator[Item | Partly]:
        """Yield all tags by keyword, nested sequences as lists, and the image as a picture."""
        import pydicom
        from pydicom.config import disable_value_validation

        with source.open() as stream, warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            if _DEFLATED in stream.read(2048):
                yield Partly("", "its tags are compressed, which is not read; convert it and inspect that")
                return
            stream.seek(0)
            found = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            values = {"preamble": bytes(found.preamble or b"").strip(b"\0")} | _tags(
                found.file_meta, source, 0
            )
            values |= _tags(found, source, 0)
        yield Item("", values)
        shape = tuple(int(values.get(name) or 0) for name in ("NumberOfFrames", "Rows", "Columns"))
        if shape[1] and shape[2]:
            yield Item("", Picture("dicom", shape if shape[0] else shape[1:]))


def _is_tag(head: bytes) -> bool:
    """Return whether a tag follows that names its type by two letters."""
    return len(head) > 8 and head[4:6].isalpha() and head[4:6].isupper()


def _tags(dataset: Any, source: Source, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for tag in list(dataset.keys()):
        source.budget.look()
        try:
            element = dataset[tag]
            key = element.keyword or f"({tag.group:04X},{tag.element:04X}) {element.name}"
            found[key] = _plain(element, source, depth)
        except Exception:
            # A value that does not fit its type is kept as its bytes.
            raw = dataset.get_item(tag)
            found[f"({tag.group:04X},{tag.element:04X})"] = getattr(raw, "value", None)
    return found


def _plain(element: Any, source: Source, depth: int) -> Any:
    value = element.value
    if element.VR == "SQ":
        if depth >= _DEEPEST:
            return None
        return [_tags(inner, source, depth + 1) for inner in value]
    if isinstance(value, bytes | None):
        return value
    if isinstance(value, str | int | float):
        return _number_or_text(value)
    return (
        [_number_or_text(inner) for inner in value]
        if hasattr(value, "__len__") and not _is_name(value)
        else str(value)
    )


def _is_name(value: Any) -> bool:
    return hasattr(value, "family_name")


def _number_or_text(value: Any) -> Any:
    """Return numbers and text of pydicom's own types as plain ones."""
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return value if isinstance(value, bytes) else str(value)
