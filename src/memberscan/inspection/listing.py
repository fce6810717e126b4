"""List the files of a release; links are not followed, and a git repository's folder is one entry."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from memberscan.errors import BadInputError
from memberscan.inspection.content import ReadFile
from memberscan.inspection.reading import Task

GIT = ".git"


def listed(paths: Sequence[Path]) -> tuple[list[Task], list[ReadFile]]:
    """Return the files to read in the order of their names, and those that are not read, such as links.

    Raises
    ------
    BadInputError
        If a path does not exist, or there are no files.
    """
    tasks: list[Task] = []
    unread: list[ReadFile] = []
    taken: set[str] = set()
    for path in paths:
        if not path.exists():
            raise BadInputError(f"{path} does not exist; give the files or folders of a release")
        own = _unused(path.resolve().name if path.is_dir() else path.name, taken)
        prefix = f"{own}/" if len(paths) > 1 else ""
        for found, name in _walk(path) if path.is_dir() else [(path, own)]:
            _sort(found, prefix + name if path.is_dir() else name, tasks, unread)
    if not tasks and not unread:
        raise BadInputError(
            f"{', '.join(map(str, paths))} holds no files; give the files or folders of a release"
        )
    return sorted(tasks, key=lambda task: task.name), unread


def _unused(name: str, taken: set[str]) -> str:
    """Return a name that no other of the given files and folders has, so that none hides another."""
    stem, dot, suffix = (name or "root").partition(".")
    unused, count = name or "root", 1
    while unused in taken:
        count += 1
        unused = f"{stem} ({count}){dot}{suffix}"
    taken.add(unused)
    return unused


def _sort(path: Path, name: str, tasks: list[Task], unread: list[ReadFile]) -> None:
    about = path.lstat()
    if stat.S_ISDIR(about.st_mode):
        tasks.append(Task(path, name, 0, is_history=True))
    elif stat.S_ISREG(about.st_mode):
        tasks.append(Task(path, name, about.st_size))
    else:
        kind = "a symbolic link, which is not followed" if stat.S_ISLNK(about.st_mode) else "no regular file"
        unread.append(ReadFile(file=name, format="", size=0, sha256="", unread=f"it is {kind}"))


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder; a git repository's own folder is one entry."""
    if root.name == GIT:
        yield root, GIT
        return
    for place, folders, names in os.walk(root):
        for folder in sorted(folders):
            path = Path(place) / folder
            if path.is_symlink() or folder == GIT:
                folders.remove(folder)
                yield path, str(path.relative_to(root))
        for name in sorted(names):
            path = Path(place) / name
            yield path, str(path.relative_to(root))
