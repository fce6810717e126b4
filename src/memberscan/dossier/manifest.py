"""The list of a dossier's files with their SHA-256, in one form only, so that no byte can change unseen."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from memberscan.errors import DossierError
from memberscan.files import sha256_of
from memberscan.received import read_limited

MANIFEST = "manifest.sha256"
_LIMIT = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._/-]*)")
_BLOCK = 1 << 20


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a regular file, read piece by piece."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def manifest_of(digests: Mapping[str, str]) -> bytes:
    """Return the manifest: one line for each file, sorted by name, as ``sha256sum`` checks them."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode("ascii")


def listed_in(directory: Path) -> tuple[dict[str, str], str]:
    """Return the digests that the manifest of a dossier lists, by name, and the manifest's own SHA-256.

    Raises
    ------
    DossierError
        If there is no manifest, or it is not in the form that :func:`manifest_of` gives, to the byte.
    """
    try:
        data = read_limited(directory / MANIFEST, _LIMIT)
    except FileNotFoundError as error:
        raise DossierError(
            f"{directory} holds no {MANIFEST}: it is not a dossier, or the file was removed"
        ) from error
    lines = [_LINE.fullmatch(line) for line in data.decode("latin-1").splitlines()]
    digests = {line[2]: line[1] for line in lines if line}
    # A list can be written in many ways, but only one of them is a manifest: any other byte is a change.
    if manifest_of(digests) != data:
        raise DossierError(
            f"{MANIFEST} was changed: it is not sorted lines of a SHA-256, two blanks and a name; ask for "
            "the dossier again"
        )
    return digests, sha256_of(data)


def files_in(directory: Path) -> tuple[dict[str, Path], list[str]]:
    """Return all regular files below a directory by name, without the manifest, and what else is there.

    Folders that hold files are not listed among the rest; links, devices and empty folders are.
    """
    files, others = {}, []
    for place, folders, names in os.walk(directory):
        here = Path(place)
        if here != directory and not (folders or names):
            others.append(here.relative_to(directory).as_posix())
        for name in (*folders, *names):
            path = here / name
            relative = path.relative_to(directory).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                others.append(relative)
            elif path.is_file() and relative != MANIFEST:
                files[relative] = path
    return files, others
