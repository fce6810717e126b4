"""Compare two audits on disk, and write the comparison where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from memberscan import __version__
from memberscan.auditing.merging import load_audits
from memberscan.comparison.comparing import compare_opened
from memberscan.comparison.content import ComparisonContent
from memberscan.comparison.page import render
from memberscan.comparison.people import OpenedAudit, open_audit, require_same_question
from memberscan.files import fingerprint, sha256_of, write_json, write_text
from memberscan.output_directory import claim
from memberscan.report import AuditContent

DONE, PAGE = "comparison.json", "comparison.html"


def compare(first: Path | str, second: Path | str, out: Path | str | None = None) -> ComparisonContent:
    """Compare two audits of the same attacker: before and after a defence, or two candidates for release.

    All differences are the second minus the first. AUCs are compared person by person if both audits are
    directories that say whose scores are whose (``pseudonyms=True``); otherwise from their intervals alone.
    It adds no verdict, and it is about these two trained models: training again is not covered.

    Parameters
    ----------
    first, second
        Directories of audits, or files audit.json.
    out
        Directory for comparison.json and the page; nothing is written by default. Neither holds anything
        about single people.

    Raises
    ------
    AuditFileError
        If one of them is missing, incomplete, or of a schema this version does not know.
    MisalignedError
        If they are of different attackers, or of models that predict different things.
    OutputConflictError
        If the directory holds something else.
    """
    sources = [Path(first), Path(second)]
    opened = [
        open_audit(source, name, content)
        for source, (name, content) in zip(sources, _called(load_audits(sources)).items(), strict=True)
    ]
    require_same_question(opened[0].content, opened[1].content)
    content = compare_opened(opened[0], opened[1])
    if out is not None:
        with claim(Path(out), _request(opened), done=DONE) as finished:
            if not finished:
                write_text(Path(out) / PAGE, render(content))
                write_json(Path(out) / DONE, content.dump())
    return content


def _called(audits: Mapping[str, AuditContent]) -> dict[str, AuditContent]:
    """Return audits by what their auditors call them, if the names differ; otherwise by their paths."""
    names = [audit.provenance.name or place for place, audit in audits.items()]
    if len(set(names)) < len(names):
        return dict(audits)
    return dict(zip(names, audits.values(), strict=True))


def _request(opened: list[OpenedAudit]) -> dict[str, object]:
    # The scores decide the result too; the request is for the owner only.
    people = [None if audit.people is None else fingerprint(audit.people.to_csv()) for audit in opened]
    return {
        "command": "compare",
        "memberscan": __version__,
        "audits": [sha256_of(audit.data) for audit in opened],
        "names": [audit.name for audit in opened],
        "people": people,
    }
