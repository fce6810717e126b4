"""Read the audits of several sites or attackers, join them, and write the consortium's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memberscan import report
from memberscan.auditing.result import DONE
from memberscan.errors import AuditFileError, BadInputError
from memberscan.files import fingerprint, write_json, write_text
from memberscan.output_directory import claim
from memberscan.received import load_json
from memberscan.report import AuditContent
from memberscan.shown import plain

CONSORTIUM = "consortium.json"
PAGE = "consortium.html"


def load_audits(sources: Sequence[Path | str]) -> dict[str, AuditContent]:
    """Return contents of audit.json by short names: the shortest ends of the paths that differ.

    Parameters
    ----------
    sources
        Directories of audits, or files audit.json as sites send them.

    Raises
    ------
    AuditFileError
        If one of them is missing, incomplete, or of a schema this version does not know; it is named.
    BadInputError
        If one is given twice.
    """
    paths = [Path(source).resolve() for source in sources]
    for path in paths:
        if paths.count(path) > 1:
            raise BadInputError(f"{path} is given twice; give each audit once")
    audits = {}
    for path, name in zip(paths, _names(paths), strict=True):
        file = path / DONE if path.is_dir() else path
        if not file.is_file():
            raise AuditFileError(f"{path} holds no {DONE}; run memberscan audit first, or finish it")
        try:
            audits[name] = report.check(load_json(file))
        except BadInputError as error:
            raise AuditFileError(f"{path}: {error}") from error
    return audits


def _names(paths: list[Path]) -> list[str]:
    """Return the shortest ends of paths, all of as many parts, that differ; safe to show."""
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    names = [plain("/".join(path.parts[-depth:])) for path in paths]
    # After characters were replaced, two names may be equal.
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


def merge(audits: Mapping[str, AuditContent | Mapping[str, Any]], directory: Path | str) -> dict[str, Any]:
    """Join audits (see :func:`memberscan.report.consortium`), and write and return the consortium's content.

    Raises
    ------
    MisalignedError
        If two audits of one transcript and attacker hold pairs of the same victim.
    OutputConflictError
        If the directory holds something else.
    """
    directory = Path(directory)
    checked = {name: report.check(audit) for name, audit in audits.items()}
    content = report.consortium(checked)
    page = report.render_consortium(content)
    contents = {name: audit.dump() for name, audit in checked.items()}
    request = {"command": "report --merge", "audits": fingerprint(contents)}
    with claim(directory, request, done=CONSORTIUM):
        write_text(directory / PAGE, page)
        write_json(directory / CONSORTIUM, content.dump())
    return content.dump()
