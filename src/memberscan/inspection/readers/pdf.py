"""PDF documents, such as papers and reports of quality control: their texts, images and attachments."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Picture

_LARGEST: Final = 256 << 20
_MOST_PAGES: Final = 2000


class Pdf:
    """A PDF document. Texts in its images are not read, and nothing in it is carried out."""

    name = "PDF"
    needs = "pypdf"

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as a document does, perhaps after some other bytes."""
        return b"%PDF-" in head[:1024]

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield what the document says of itself, text and images of each page, and attached files."""
        import pypdf

        document = pypdf.PdfReader(io.BytesIO(source.read(_LARGEST)))
        if document.is_encrypted and not document.decrypt(""):
            yield Partly("", "it is encrypted; save it without a password and inspect that")
            return
        about = {str(key).lstrip("/"): str(value) for key, value in (document.metadata or {}).items()}
        if about:
            yield Item("about", about)
        for number, page in enumerate(document.pages, 1):
            if number > _MOST_PAGES:
                yield Partly("", f"only its first {_MOST_PAGES} pages were read")
                break
            source.budget.look()
            source.budget.in_time()
            try:
                yield from _of_page(f"page {number}", page)
            except Exception as error:  # one damaged page does not hide the others
                yield Partly(f"page {number}", f"it is damaged ({error})")
        for name, contents in document.attachments.items():
            for content in contents:
                yield source.within(name, io.BytesIO(content))


def _of_page(place: str, page: Any) -> Iterator[Item]:
    text = page.extract_text()
    if text.strip():
        yield Item(place, text)
    drawn = page.get("/Resources", {}).get("/XObject", {})
    for each in drawn.values():
        shown = each.get_object()
        if shown.get("/Subtype") == "/Image":
            yield Item(place, Picture("pdf", (int(shown.get("/Height", 0)), int(shown.get("/Width", 0)))))
