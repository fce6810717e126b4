"""Which hostile file is given to which reader. A reader is a module of memberscan that reads bytes itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """A hostile file and who reads it.

    Parameters
    ----------
    readers
        Modules of memberscan that read its bytes.
    prepare
        Makes the files in a folder, of good ones in another, and returns what ``read`` is given.
    read
        Reads them.
    harmless
        Whether it is read, without taking the memory, instead of refused.
    either
        Whether it may be read or refused.
    """

    readers: tuple[str, ...]
    prepare: Callable[[Path, Path], Any]
    read: Callable[[Any], object]
    harmless: bool = False
    either: bool = False


CASES: dict[str, Case] = {}


def add(
    name: str, readers: str, prepare: Callable[[Path, Path], Any], read: Callable[..., object], **rest: bool
) -> None:
    """Add a case; ``readers`` are separated by blanks."""
    assert name not in CASES
    CASES[name] = Case(tuple(f"memberscan.{reader}" for reader in readers.split()), prepare, read, **rest)


def put(path: Path, data: bytes | str | object) -> Path:
    """Write a file anew, JSON of anything but bytes and text; a link is replaced, not written through."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(data, (bytes, str)):
        data = json.dumps(data)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def sparse(path: Path, size: int = 1 << 40) -> Path:
    """Write a file of zeros that takes no place on the disk."""
    path.unlink(missing_ok=True)
    with path.open("wb") as stream:
        stream.truncate(size)
    return path


def one(name: str, data: bytes | str | object) -> Callable[[Path, Path], Path]:
    """Return what makes one file."""
    return lambda good, folder: put(folder / name, data)


def spoilt(what: str, inner: str, data: bytes | str | object) -> Callable[[Path, Path], Path]:
    """Return what copies a good folder, and makes one of its files anew."""

    def prepare(good: Path, folder: Path) -> Path:
        shutil.copytree(good / what, folder / what, copy_function=os.link)
        put(folder / what / inner, data)
        return folder / what

    return prepare


def edited(what: str, inner: str, change: Callable[[Any], object]) -> Callable[[Path, Path], Path]:
    """Return what copies a good folder, and changes the content of one of its files of JSON."""

    def prepare(good: Path, folder: Path) -> Path:
        content = json.loads((good / what / inner).read_text())
        change(content)
        return spoilt(what, inner, content)(good, folder)

    return prepare
