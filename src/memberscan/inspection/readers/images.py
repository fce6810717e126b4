"""Image files, such as thumbnails: that they are there, their shape, and the text in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Picture

_FORMATS: Final = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"\0\0\1\0": "icon",
}
_LARGEST: Final = 1 << 20
"""Most bytes of a part with text."""


class Image:
    """An image. Of PNG and JPEG files, the comments and other texts are read; pixels are not."""

    name = "image"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as an image does."""
        return bool(_format(head))

    def read(self, source: Source) -> Iterator[Item]:
        """Yield the image as a picture, and its texts."""
        with source.open() as stream:
            head = stream.read(26)
            kind = _format(head)
            shape: tuple[int, ...] = ()
            if kind == "png" and len(head) >= 24:
                shape = int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
            yield Item("", Picture(kind, shape))
            parts = {"png": _of_png, "jpeg": _of_jpeg}.get(kind)
            for text in parts(stream) if parts else ():
                source.budget.look()
                yield Item("text", text.replace(b"\0", b" ").decode("utf-8", "replace"))


def _format(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    return next((name for magic, name in _FORMATS.items() if head.startswith(magic)), "")


def _of_png(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of text: each chunk has its length, its type, its content and 4 bytes to check it."""
    stream.seek(8)
    while len(start := stream.read(8)) == 8:
        length = int.from_bytes(start[:4], "big")
        if start[4:] in (b"tEXt", b"iTXt", b"eXIf"):
            yield stream.read(min(length, _LARGEST))
            length -= min(length, _LARGEST)
        stream.seek(length + 4, 1)


def _of_jpeg(stream: BinaryIO) -> Iterator[bytes]:
    """Yield comments and segments of programs, such as Exif, up to the pixels."""
    stream.seek(2)
    while len(start := stream.read(4)) == 4 and start[0] == 0xFF and start[1] != 0xDA:
        content = stream.read(max(0, int.from_bytes(start[2:], "big") - 2))
        # 0xE1 to 0xEF belong to programs, 0xFE is a comment.
        if start[1] == 0xFE or 0xE1 <= start[1] <= 0xEF:
            yield content
