"""The history of a git repository: every version of every file, also those that no branch leads to any more.

Objects are read from their files. Neither git nor a hook nor a setting of the repository is used.
"""

from __future__ import annotations

import io
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.git_objects import Pack, loose_kind, read_loose, regular_files
from memberscan.inspection.sources import Budget, Source

_NOTES: Final = ("config", "description", "packed-refs", "HEAD", "COMMIT_EDITMSG", "logs")
"""Other files of a repository that may name people."""
_DAMAGE: Final = (OSError, ValueError, LookupError, zlib.error)
_FOLDER: Final = 0o040000


def history(path: Path, name: str, budget: Budget) -> Iterator[Item | Partly | Source]:
    """Yield the authors and messages of all commits and tags, and every version of every file once.

    A file is named after the earliest commit that has this version of it, and its path there, as in
    ``.git!1a2b3c4:data/ids.csv``; a version that no commit has, by its own digest.

    Parameters
    ----------
    path
        The folder ``.git``, or a bare repository.
    name
        Its path within the release.
    budget
        What may be spent on it.

    Raises
    ------
    TooLargeError
        If the budget is spent.
    """
    repository = Source(name, 0, path, budget)
    for file in _notes(path):
        yield Source.on_disk(file, f"{name}/{file.relative_to(path).as_posix()}", budget)
    store = _Store(path, budget)
    yield from store.find()
    yield from store.index()
    for digest, where in store.names().items():
        try:
            content = store.read(digest)
        except _DAMAGE as error:
            yield Partly(where, f"it is damaged: {error}")
        else:
            yield repository.within(where, io.BytesIO(content))


def _notes(path: Path) -> Iterator[Path]:
    for note in _NOTES:
        file = path / note
        if file.is_dir() and not file.is_symlink():
            yield from regular_files(file)
        elif file.exists() and stat.S_ISREG(file.lstat().st_mode):
            yield file


class _Store:
    """The objects of a repository by their hexadecimal digests."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self._path, self._budget = path, budget
        self._loose: dict[str, Path] = {}
        self._packed: dict[str, Pack] = {}
        self._trees: dict[str, list[tuple[str, int, str]]] = {}
        self._commits: list[tuple[int, str, str]] = []
        self._blobs: list[str] = []

    def find(self) -> Iterator[Partly]:
        """Find all objects, and yield what is not read."""
        objects = self._path / "objects"
        for file in regular_files(objects):
            folder = file.parent.name
            if len(folder) == 2 and len(file.name) in (38, 62):
                self._loose[folder + file.name] = file
            elif file.suffix == ".pack":
                try:
                    pack = Pack(file, self._budget)
                except _DAMAGE as error:
                    yield Partly(file.name, f"it is not read: {error}")
                else:
                    self._packed |= dict.fromkeys(pack.offsets, pack)
        for file in (objects / "info" / "alternates", objects / "info" / "http-alternates"):
            if file.exists():
                yield Partly("objects", "it has objects in other folders, which are not read")

    def index(self) -> Iterator[Item | Partly]:
        """Read folders, commits and tags, and yield the text of the latter two."""
        for digest in {**self._loose, **self._packed}:
            self._budget.entry()
            try:
                kind = (
                    loose_kind(self._loose[digest])
                    if digest in self._loose
                    else self._packed[digest].kind(digest)
                )
                if kind == "blob":
                    self._blobs.append(digest)
                elif kind == "tree":
                    self._trees[digest] = _tree(self.read(digest), len(digest) // 2)
                else:
                    yield Item(f"{kind} {digest[:7]}", self._words(digest, kind))
            except _DAMAGE as error:
                yield Partly(f"object {digest[:7]}", f"it is damaged: {error}")

    def _words(self, digest: str, kind: str) -> dict[str, str]:
        """Return who made a commit or tag, and its message; other lines are for programs."""
        head, _, message = self.read(digest).decode("utf-8", "replace").partition("\n\n")
        lines = dict(line.split(" ", 1) for line in head.split("\n") if " " in line)
        if kind == "commit":
            # The last two words of the committer are the time in seconds, and the time zone.
            when = lines.get("committer", "").split(" ")[-2:]
            self._commits.append((int(when[0]) if when[0].isdigit() else 0, digest, lines.get("tree", "")))
        wanted = ("author", "committer", "tagger", "tag")
        return {key: value for key, value in lines.items() if key in wanted} | {"message": message}

    def read(self, digest: str) -> bytes:
        """Return the content of an object.

        Raises
        ------
        TooLargeError
            If the budget is spent.
        OSError, ValueError, LookupError, zlib.error
            If it is damaged.
        """
        if digest in self._loose:
            return read_loose(self._loose[digest], self._budget)
        return self._packed[digest].read(digest)

    def names(self) -> dict[str, str]:
        """Return a name for each version of a file: the earliest commit that has it, and its path there."""
        found = dict.fromkeys(self._blobs, "")
        seen: set[str] = set()
        for _, commit, top in sorted(self._commits):
            waiting = [(top, "")]
            while waiting:
                tree, folder = waiting.pop()
                # A folder that an earlier commit has, too, holds nothing that has no name yet.
                if tree in seen:
                    continue
                seen.add(tree)
                for name, mode, digest in self._trees.get(tree, ()):
                    if mode == _FOLDER:
                        waiting.append((digest, f"{folder}{name}/"))
                    elif found.get(digest) == "":
                        found[digest] = f"{commit[:7]}:{folder}{name}"
        return {digest: name or f"unreachable:{digest[:12]}" for digest, name in found.items()}


def _tree(content: bytes, size: int) -> list[tuple[str, int, str]]:
    """Return name, mode and digest of what is in a folder; digests have ``size`` bytes."""
    found, at = [], 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        at = end + 1 + size
        found.append((name.decode("utf-8", "replace"), int(mode, 8), content[end + 1 : at].hex()))
    return found
