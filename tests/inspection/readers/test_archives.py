"""What lies in archives is found at any depth; hostile ones end by the budget, and none writes a file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.base import Partly

from .opening import read, reasons, source, survives, walked

SECRET = b"subject OAS30001, scanned 2009-03-01"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("inner", [zipped, tarred])
def test_files_are_found_in_archives_within_archives(
    mode: str, inner: Callable[[dict[str, bytes]], bytes], tmp_path: Path
) -> None:
    file = source(tarred({"a/b.bin": inner({"ids.txt": SECRET}), "c.md": b"hello"}, mode), "r.tar", tmp_path)
    assert [(name, item[1]) for name, item in walked(file)] == [
        ("r.tar!a/b.bin!ids.txt", SECRET.decode()),
        ("r.tar!c.md", "hello"),
    ]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_expanded(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    assert [*walked(source(compress(SECRET), "ids.txt.gz", tmp_path))] == [
        ("ids.txt.gz!ids.txt", ("", SECRET.decode()))
    ]
    survives(compress(SECRET), "ids.txt.gz", tmp_path)


def test_a_damaged_file_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    lines = b"".join(b"line %d\n" % i for i in range(90_000))
    damaged = gzip.compress(lines)[:-5000]
    (_, item), (name, why) = walked(source(damaged, "log.gz", tmp_path))
    assert lines.startswith(item[1].encode()) and len(item[1]) > 500_000
    assert name == "log.gz" and "damaged" in why[1]


def test_names_are_only_shown(tmp_path: Path) -> None:
    names = {"../../escape.txt": SECRET, "/tmp/escape-memberscan.txt": SECRET}
    for content in (zipped(names), tarred(names)):
        assert [name for name, _ in walked(source(content, "a", tmp_path))] == [f"a!{name}" for name in names]
    assert not Path("/tmp/escape-memberscan.txt").exists()
    assert not [*tmp_path.iterdir()]


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("d", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    found = reasons(source(buffer.getvalue(), "a.tar", tmp_path))
    assert "link" in found["s"] and "link" in found["h"] and "device" in found["d"]

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zip_file:
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        zip_file.writestr(entry, "/etc/passwd")
    assert "link" in reasons(source(buffer.getvalue(), "a.zip", tmp_path))["link"]


def test_encrypted_and_damaged_entries_are_named_and_the_others_read(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.txt": SECRET, "b.txt": b"fine"}))
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.find(magic) + offset] |= 1
    (encrypted, (_, value)) = walked(source(bytes(content), "a.zip", tmp_path))
    assert encrypted[1] == ("a.txt", "it is encrypted") and value[1] == "fine"
    broken = bytearray(zipped({"a.txt": SECRET, "b.txt": b"fine"}))
    broken[35 + len("a.txt")] ^= 0xFF
    assert {name for name, _ in walked(source(bytes(broken), "a.zip", tmp_path))} >= {"a.zip!b.txt"}


def test_bombs_end_by_the_budget(tmp_path: Path) -> None:
    zeros = bytes(2 << 20)
    for content in (
        zipped({"z": zeros}),
        tarred({"z": zeros}, "w:gz"),
        gzip.compress(zeros, 1),
        bz2.compress(zeros),
    ):
        with pytest.raises(TooLargeError):
            read(source(content, "bomb", tmp_path, expanded=1 << 20))
    with pytest.raises(TooLargeError, match="more files"):
        read(source(zipped({str(i): b"" for i in range(1001)}), "many.zip", tmp_path))
    nested = SECRET
    for _ in range(7):
        nested = zipped({"a.zip": nested})
    with pytest.raises(TooLargeError, match="too many archives"):
        list(walked(source(nested, "nested.zip", tmp_path)))


def test_overlapping_entries_end_by_the_budget(tmp_path: Path) -> None:
    content = zipped({"0000": bytes(1 << 16)})
    start = content.find(b"PK\1\2")
    entry = content[start : content.find(b"PK\5\6")]
    entries = entry * 100
    end = bytearray(content[content.find(b"PK\5\6") :])
    end[8:12] = (100).to_bytes(2, "little") * 2
    end[12:16] = len(entries).to_bytes(4, "little")
    bomb = source(content[:start] + entries + bytes(end), "overlap.zip", tmp_path, expanded=1 << 20)
    try:
        found = read(bomb)
    except TooLargeError:
        return
    # Some versions of Python refuse all entries but one themselves.
    assert sum(isinstance(each, Partly) and "Overlapped" in each.reason for each in found) == 99


def test_a_declared_list_or_header_that_is_too_large_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"a"}))
    end = content.find(b"PK\5\6")
    content[end + 12 : end + 16] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(TooLargeError):
        read(source(bytes(content), "a.zip", tmp_path))
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(TooLargeError):
        read(source(header.tobuf() + bytes(1024), "a.tar", tmp_path))


def test_names_that_are_not_utf_8_and_comments_are_kept(tmp_path: Path) -> None:
    member = tarfile.TarInfo("m\udcfcller.txt")
    member.size = 1
    content = member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + b"x" + bytes(511 + 1024)
    ((name, _),) = walked(source(content, "a.tar", tmp_path))
    assert name == "a.tar!m\ufffdller.txt"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = SECRET
    assert [*walked(source(buffer.getvalue(), "a.zip", tmp_path))] == [
        ("a.zip", ("comment", SECRET.decode()))
    ]


def test_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    assert "unpack" in reasons(source(b"\x28\xb5\x2f\xfd" + bytes(20), "a.tar.zst", tmp_path))[""]


@pytest.mark.parametrize(
    "content", [zipped({"a": SECRET}), tarred({"a": SECRET}), tarred({"a": SECRET}, "w:gz")]
)
def test_archives_may_end_anywhere(content: bytes, tmp_path: Path) -> None:
    survives(content, "a", tmp_path)
