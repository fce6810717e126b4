"""Make a dossier: copies of its inputs, its content, its page, a PDF and the list of their digests."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from memberscan.auditing.heading import Heading
from memberscan.dossier.content import DossierContent, Kind
from memberscan.dossier.contexts import declared_context
from memberscan.dossier.declaration import DECLARATION_SCHEMA, Declaration, Export
from memberscan.dossier.exports import EXPORTS
from memberscan.dossier.manifest import MANIFEST, digest_of_file, files_in, manifest_of
from memberscan.dossier.outputs import JSON, PAGE, PDF, outputs_of, request_of
from memberscan.dossier.printing import pdf_of
from memberscan.dossier.sources import read_inputs
from memberscan.errors import BadInputError
from memberscan.files import sha256_of, write_bytes
from memberscan.output_directory import LOCK, REQUEST, claim
from memberscan.received import load_json, stated


@dataclass(frozen=True)
class Dossier:
    """A dossier that was made.

    Parameters
    ----------
    content
        The content of dossier.json.
    page, pdf
        The page, and the same as PDF; None where no Chromium printed it.
    sha256
        SHA-256 of the manifest, which covers every file: say it where the recipient can compare it.
    """

    content: DossierContent
    page: Path
    pdf: Path | None
    sha256: str


def dossier(
    audits: Sequence[Path | str],
    out: Path | str,
    *,
    context: str | None = None,
    inspection: Path | str | None = None,
    frontiers: Sequence[Path | str] = (),
    exports: Sequence[str] = (),
    name: str | None = None,
    note: str | None = None,
) -> Dossier:
    """Make one document for the person who decides on the release of a model.

    Nothing is measured: every number is one of the inputs', which are copied beside the document. It is no
    legal advice, and it holds no ids of people.

    Parameters
    ----------
    audits
        Directories of audits or of joined audits, or their files audit.json and consortium.json; all of one
        release.
    out
        Directory of the dossier; it can be passed on as a whole.
    context
        How the model is to be released: "internal", "api", "open-weights" or "federation".
    inspection
        What ``memberscan inspect`` wrote about the files of the release.
    frontiers
        Frontiers of defences, to show which other recipes there are.
    exports
        Formats of other tools to write too: "sacro", "model-card", "monai", "bids".
    name, note
        What the release is called, and a note; they must name no people.

    Raises
    ------
    UndeclaredContextError
        If no context is declared.
    AuditFileError
        If an input is missing or incomplete, or has keys that this version does not know.
    MisalignedError
        If audits are of different models.
    RefusedError
        If SACRO-ML would misread every attack, and its export was asked for.
    OutputConflictError
        If the directory holds something else.
    """
    declared = declared_context(context)
    if not audits:
        raise BadInputError(
            "a dossier needs at least one audit; give directories of audits, or files audit.json"
        )
    sources = read_inputs(_all(audits, inspection, frontiers))
    heading, path = Heading.of(name, note), Path(out)
    declaration = Declaration(
        schema=DECLARATION_SCHEMA,
        context=declared.name,
        name=heading.name,
        note=heading.note,
        date=cast("str", _begun(path) or heading.date),
        exports=_exports(exports),
    )
    outputs = outputs_of(sources, declaration)
    with claim(path, request_of(sources, declaration), done=MANIFEST) as finished:
        if not finished:
            _write(path, outputs)
    return _made(path)


def _all(
    audits: Sequence[Path | str], inspection: Path | str | None, frontiers: Sequence[Path | str]
) -> list[tuple[Path | str, tuple[Kind, ...]]]:
    """Return all inputs in their order, each with the kinds that it may be."""
    found: list[tuple[Path | str, tuple[Kind, ...]]] = [(each, ("audit", "consortium")) for each in audits]
    if inspection is not None:
        found.append((inspection, ("inspection",)))
    return [*found, *((each, ("frontier",)) for each in frontiers)]


def _exports(names: Sequence[str]) -> tuple[Export, ...]:
    if unknown := [name for name in names if name not in EXPORTS]:
        raise BadInputError(f"--export {unknown[0]!r} is not known; choose from {', '.join(EXPORTS)}")
    return tuple(each for each in EXPORTS if each in names)


def _begun(path: Path) -> str | None:
    """Return the day on which a dossier in this directory was begun, so that it ends in the same bytes."""
    if not (path / REQUEST).is_file():
        return None
    stored = load_json(path / REQUEST)
    date = stored.get("date") if isinstance(stored, dict) else None
    return date if isinstance(date, str) else None


def _write(path: Path, outputs: Mapping[str, bytes]) -> None:
    """Write every file, and last the manifest, which says that the dossier is finished."""
    for name, data in outputs.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if name != REQUEST:
            write_bytes(path / name, data)
    # Requests are for the owner only, but this one holds digests, and whoever verifies must read it.
    (path / REQUEST).chmod(stat.S_IMODE((path / PAGE).stat().st_mode))
    if (pdf := pdf_of(outputs[PAGE])) is not None:
        write_bytes(path / PDF, pdf)
    files, _ = files_in(path)
    digests = {name: digest_of_file(file) for name, file in files.items() if name != LOCK}
    write_bytes(path / MANIFEST, manifest_of(digests))


def _made(path: Path) -> Dossier:
    pdf = path / PDF
    return Dossier(
        content=stated(DossierContent, load_json(path / JSON), str(path / JSON)),
        page=path / PAGE,
        pdf=pdf if pdf.is_file() else None,
        sha256=sha256_of((path / MANIFEST).read_bytes()),
    )
