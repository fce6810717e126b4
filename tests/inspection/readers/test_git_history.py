"""All versions of all files of a repository come back, reachable or not, and nothing of it is run."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from dulwich import porcelain
from dulwich.objects import Blob, Commit, Tree
from dulwich.pack import write_pack_objects
from dulwich.repo import Repo
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.errors import TooLargeError
from memberscan.inspection.readers import git_objects
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.git_history import history
from memberscan.inspection.sources import Source

from .opening import budget

WHO = b"Anna Huber <huber@clinic.example>"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits: the second adds ids, the third removes them. One blob is of no commit."""
    path = tmp_path_factory.mktemp("repository")
    repo = Repo.init(path)
    long = b"".join(b"line %d of the log\n" % i for i in range(2000))
    trees = [
        {b"log.txt": long},
        {b"log.txt": long + b"more\n", b"data/ids.csv": b"id\nsub-01\n"},
        {b"log.txt": b"first\n" + long},
    ]
    parent: list[bytes] = []
    for number, files in enumerate(trees):
        commit = Commit()
        commit.tree, commit.parents = _tree(repo, files), parent
        commit.author = commit.committer = WHO
        commit.author_time = commit.commit_time = 1_235_865_600 + number
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding, commit.message = b"UTF-8", b"version %d of OAS30001" % number
        repo.object_store.add_object(commit)
        parent = [commit.id]
    repo.refs[b"refs/heads/main"] = parent[0]
    repo.object_store.add_object(Blob.from_string(b"dropped: sub-99"))
    hook = path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {path}/executed\n")
    hook.chmod(0o755)
    (path / ".git" / "config").write_text(
        f"[core]\n\tfsmonitor = touch {path}/executed\n[user]\n\tname = Huber\n"
    )
    repo.close()
    return path / ".git"


def _tree(repo: Repo, files: dict[bytes, bytes]) -> bytes:
    top, data = Tree(), Tree()
    for name, content in files.items():
        blob = Blob.from_string(content)
        repo.object_store.add_object(blob)
        (data if b"/" in name else top).add(name.rpartition(b"/")[2], 0o100644, blob.id)
    if len(data):
        repo.object_store.add_object(data)
        top.add(b"data", 0o040000, data.id)
    repo.object_store.add_object(top)
    return top.id


def contents(path: Path, **limits: Any) -> tuple[dict[str, bytes], dict[str, Any], dict[str, str]]:
    files, items, reasons = {}, {}, {}
    for found in history(path, ".git", budget(path, **limits)):
        if isinstance(found, Source):
            files[found.name] = found.read(1 << 20)
        elif isinstance(found, Item):
            items[found.place] = found.value
        else:
            assert isinstance(found, Partly)
            reasons[found.place] = found.reason
    return files, items, reasons


def check(path: Path) -> None:
    files, items, reasons = contents(path)
    texts = {
        name.rpartition(":")[2]: content
        for name, content in files.items()
        if "ids" in name or "unreach" in name
    }
    assert texts["data/ids.csv"] == b"id\nsub-01\n" and b"dropped: sub-99" in texts.values()
    logs = [content for name, content in files.items() if name.endswith(":log.txt")]
    assert len(logs) == 3 and sum(content.startswith(b"first") for content in logs) == 1
    assert sorted(words["message"] for words in items.values()) == [
        f"version {i} of OAS30001" for i in range(3)
    ]
    assert all("Anna Huber" in words["author"] for words in items.values())
    assert b"Huber" in files[".git/config"] and not reasons
    assert not (path.parent / "executed").exists()


def test_loose_objects(repository: Path) -> None:
    check(repository)


def packed(repository: Path, folder: Path, **options: Any) -> Path:
    """The repository with all objects in a pack, as differences to each other where that is shorter."""
    target = folder / ".git"
    (target / "objects" / "pack").mkdir(parents=True)
    (target / "config").write_bytes((repository / "config").read_bytes())
    with Repo(repository.parent) as repo:
        objects = [(repo[digest], None) for digest in repo.object_store]
    buffer = io.BytesIO()
    from dulwich.object_format import SHA1

    entries, checksum = write_pack_objects(buffer, objects, object_format=SHA1, deltify=True)
    (target / "objects" / "pack" / "pack-a.pack").write_bytes(buffer.getvalue())
    _write_index(target / "objects" / "pack" / "pack-a.idx", entries, checksum, **options)
    return target


def _write_index(path: Path, entries: dict[bytes, Any], checksum: bytes, version: int = 2) -> None:
    """Written by hand, from the documentation of git."""
    rows = sorted(
        (digest if len(digest) == 20 else bytes.fromhex(digest.decode()), at, crc)
        for digest, (at, crc) in entries.items()
    )
    fan = b"".join(struct.pack(">I", sum(row[0][0] <= byte for row in rows)) for byte in range(256))
    if version == 1:
        body = fan + b"".join(struct.pack(">I", at) + digest for digest, at, _ in rows)
    else:
        # The first offset is written in 8 bytes, as those beyond 2 GiB are.
        offsets = [struct.pack(">I", 1 << 31 if i == 0 else at) for i, (_, at, _) in enumerate(rows)]
        body = b"\xfftOc\0\0\0\2" + fan + b"".join(digest for digest, _, _ in rows)
        body += (
            b"".join(struct.pack(">I", crc) for _, _, crc in rows)
            + b"".join(offsets)
            + struct.pack(">Q", rows[0][1])
        )
    path.write_bytes(body + checksum + bytes(20))


@pytest.mark.parametrize("version", [1, 2])
def test_packed_objects(repository: Path, tmp_path: Path, version: int) -> None:
    path = packed(repository, tmp_path, version=version)
    # Three logs of 37 kB each are in it as one and two differences.
    assert (path / "objects" / "pack" / "pack-a.pack").stat().st_size < 15_000
    check(path)


def test_packs_as_dulwich_makes_them(repository: Path, tmp_path: Path) -> None:
    clone = porcelain.clone(
        str(repository.parent), str(tmp_path / "clone"), bare=True, errstream=io.BytesIO()
    )
    clone.close()
    files, items, reasons = contents(tmp_path / "clone")
    assert len(items) == 3 and not reasons
    assert b"id\nsub-01\n" in files.values()


def test_a_pack_without_index_and_other_folders_are_named(repository: Path, tmp_path: Path) -> None:
    path = packed(repository, tmp_path)
    (path / "objects" / "pack" / "pack-a.idx").unlink()
    (path / "objects" / "info").mkdir()
    (path / "objects" / "info" / "alternates").write_text(str(repository / "objects"))
    files, items, reasons = contents(path)
    assert not items and [*files] == [".git/config"]
    assert "index" in reasons["pack-a.pack"] and "other folders" in reasons["objects"]


def test_links_are_not_followed(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / ".git"
    path.mkdir()
    (path / "objects").symlink_to(repository / "objects")
    (path / "logs").symlink_to(repository)
    (path / "HEAD").symlink_to(repository / "config")
    assert contents(path) == ({}, {}, {})


def test_hostile_objects_are_bounded(repository: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "objects" / "ab" / ("c" * 38)
    bomb.parent.mkdir(parents=True)
    bomb.write_bytes(zlib.compress(b"blob 9\0" + bytes(2 << 20), 1))
    with pytest.raises(TooLargeError):
        contents(tmp_path, expanded=1 << 20)
    path = packed(repository, tmp_path)
    pack = path / "objects" / "pack" / "pack-a.pack"
    good = pack.read_bytes()
    start = time.process_time()
    for at in range(12, len(good), len(good) // 15):
        pack.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        contents(path)
        pack.write_bytes(good[:at])
        contents(path)
    assert time.process_time() - start < 5


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


@settings(max_examples=25)
@given(
    st.binary(max_size=300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90)) | st.binary(min_size=1, max_size=90)),
)
def test_differences_are_applied(base: bytes, orders: list[Any]) -> None:
    """Each order copies a part, given by its start and length, or inserts bytes."""
    made, change = b"", b""
    for order in orders:
        if isinstance(order, bytes):
            made, change = made + order, change + bytes([len(order)]) + order
        else:
            made += base[order[0] : order[0] + order[1]]
            change += bytes([0x80 | 0b10011, order[0] & 255, order[0] >> 8, order[1]])
    change = varint(len(base)) + varint(len(made)) + change
    assert git_objects._changed(base, change, budget(Path())) == made
