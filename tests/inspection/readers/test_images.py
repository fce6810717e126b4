"""Image files are pictures with their texts."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from memberscan.inspection.readers.images import Image

from .opening import plain, read, reader_of, source, survives


def png(**metadata: str) -> bytes:
    buffer = io.BytesIO()
    imsave(buffer, np.zeros((7, 9)), format="png", metadata=metadata)
    return buffer.getvalue()


def test_the_shape_and_texts_of_a_png(tmp_path: Path) -> None:
    file = source(png(Author="Huber", Title="sub-01"), "a", tmp_path)
    assert isinstance(reader_of(file), Image)
    picture, *texts = (plain(item[1]) for item in read(file))
    assert picture == ("png", (7, 9)) and "Author Huber" in texts and "Title sub-01" in texts


def test_comments_of_a_jpeg(tmp_path: Path) -> None:
    content = b"\xff\xd8" + b"\xff\xe1" + struct.pack(">H", 12) + b"Exif\0Huber" + b"\xff\xdb\0\3x"
    content += b"\xff\xfe" + struct.pack(">H", 8) + b"sub-01" + b"\xff\xda\0\2" + b"\xff\xfe\0\5abc"
    items = [plain(item[1]) for item in read(source(content, "a.jpg", tmp_path))]
    assert items == [("jpeg", ()), "Exif Huber", "sub-01"]


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"GIF89a", "gif"), (b"II*\0", "tiff"), (b"RIFF\0\0\0\0WEBP", "webp"), (b"BM\0\0\0\0\0\0\0\0", "bmp")],
)
def test_other_formats(head: bytes, kind: str, tmp_path: Path) -> None:
    assert plain(read(source(head + bytes(20), "a", tmp_path))[0][1]) == (kind, ())  # type: ignore[index]


def test_hostile_images_end(tmp_path: Path) -> None:
    survives(png(Author="Huber"), "a.png", tmp_path)
    content = png()[:33] + b"\xff\xff\xff\xff" + b"tEXt" + b"sub-01"
    assert plain(read(source(content, "a.png", tmp_path))[-1][1]) == "sub-01"  # type: ignore[index]
