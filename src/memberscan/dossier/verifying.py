"""Verify a dossier: every byte is as listed, and all that follows from the inputs is derived again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from memberscan import __version__
from memberscan.dossier.content import Kind
from memberscan.dossier.declaration import Declaration
from memberscan.dossier.manifest import MANIFEST, digest_of_file, files_in, listed_in
from memberscan.dossier.outputs import DECLARATION, JSON, PDF, outputs_of
from memberscan.dossier.sources import FILES, INPUTS, Given, Sources, content_of, require_one_model
from memberscan.errors import BadInputError, DossierError, MemberscanError
from memberscan.received import JSON_LIMIT, load_json, read_limited, stated
from memberscan.report import words
from memberscan.shown import plain

_GIVEN = re.compile(rf"{INPUTS}/\d{{2,}}-({'|'.join(FILES.values())})\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Verified:
    """What a verification found, if nothing was wrong.

    Parameters
    ----------
    files
        How many files were checked.
    derived
        Names of the files that were derived from the inputs again, to the same bytes.
    by_digest_only
        Names of the files that can only be compared with their digest: the inputs, and the PDF.
    sha256
        SHA-256 of the manifest. Who made the dossier can say it elsewhere; only then is it known that nobody
        made the whole dossier anew.
    """

    files: int
    derived: tuple[str, ...]
    by_digest_only: tuple[str, ...]
    sha256: str


def verify(directory: Path | str, *, sha256: str | None = None) -> Verified:
    """Check every byte of a dossier, and derive its content and its page from its inputs again.

    It shows that no file was changed, added or removed since the manifest was written, and that the content
    follows from the inputs. It does not show that the inputs are true, and without ``sha256`` it does not
    show who wrote the manifest.

    Parameters
    ----------
    directory
        The dossier.
    sha256
        SHA-256 of the manifest, as its maker said it elsewhere.

    Raises
    ------
    DossierError
        If anything differs; every file is named.
    BadInputError
        If ``sha256`` is not 64 hexadecimal digits.
    """
    directory = Path(directory)
    if sha256 is not None and not _SHA256.fullmatch(sha256 := sha256.strip().lower()):
        raise BadInputError("--sha256 is not 64 hexadecimal digits; copy the SHA-256 of the manifest")
    digests, own = listed_in(directory)
    problems = _changed(directory, digests)
    if sha256 is not None and sha256 != own:
        problems.append(f"{MANIFEST} has the SHA-256 {own}, and not {sha256}")
    _require_none(directory, problems)
    outputs = _derived(directory, digests)
    _require_none(directory, _different(directory, digests, outputs))
    given = {name for name in outputs if _GIVEN.fullmatch(name)}
    return Verified(
        files=len(digests) + 1,
        derived=tuple(sorted(set(outputs) - given - {DECLARATION})),
        by_digest_only=tuple(sorted(given | {DECLARATION} | ({PDF} & set(digests)))),
        sha256=own,
    )


def _require_none(directory: Path, problems: list[str]) -> None:
    if problems:
        listed = "\n".join(f"  {plain(each)}" for each in problems)
        raise DossierError(f"{directory} is not as it was made; ask for it again:\n{listed}")


def _changed(directory: Path, digests: dict[str, str]) -> list[str]:
    """Return what differs from the manifest: changed, missing and added files."""
    files, others = files_in(directory)
    problems = [f"{name} is missing" for name in sorted(set(digests) - set(files))]
    problems += [f"{name} was added" for name in sorted((set(files) - set(digests)) | set(others))]
    for name in sorted(set(files) & set(digests)):
        try:
            same = digest_of_file(files[name]) == digests[name]
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
            continue
        if not same:
            problems.append(f"{name} was changed")
    return problems


def _derived(directory: Path, digests: dict[str, str]) -> dict[str, bytes]:
    """Derive all files from the inputs again."""
    try:
        given = tuple(
            Given(name, cast("Kind", match[1]), read_limited(directory / name, JSON_LIMIT))
            for name in sorted(digests, key=words.natural)
            if (match := _GIVEN.fullmatch(name))
        )
        for one in given:
            content_of(one)
        sources = Sources(given)
        require_one_model(sources)
        declaration = stated(Declaration, load_json(directory / DECLARATION), DECLARATION)
        return outputs_of(sources, declaration)
    except (MemberscanError, OSError) as error:
        raise DossierError(
            f"{directory} cannot be derived from its inputs again ({error}); ask for it again"
        ) from error


def _different(directory: Path, digests: dict[str, str], outputs: dict[str, bytes]) -> list[str]:
    """Return the files that do not follow from the inputs."""
    made_by = _version(directory)
    if made_by != __version__:
        raise DossierError(
            f"every file in {directory} is as listed, but the dossier was made by memberscan {made_by}, and "
            f"this is {__version__}, whose pages differ; install memberscan=={made_by} to derive it again"
        )
    problems = [f"{name} is missing from {MANIFEST}" for name in sorted(set(outputs) - set(digests))]
    problems += [f"{name} is no part of a dossier" for name in sorted(set(digests) - set(outputs) - {PDF})]
    for name in sorted(set(outputs) & set(digests)):
        if (directory / name).read_bytes() != outputs[name]:
            problems.append(f"{name} does not follow from the inputs")
    return problems


def _version(directory: Path) -> str:
    try:
        content = load_json(directory / JSON)
    except (BadInputError, OSError):
        return "unknown"
    return plain(str(content.get("memberscan"))) if isinstance(content, dict) else "unknown"
