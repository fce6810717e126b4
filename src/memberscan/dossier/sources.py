"""The inputs of a dossier: their bytes, their checked content, and the place of every value in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from memberscan import report
from memberscan.dossier.content import InputFile, Kind, Source
from memberscan.errors import AuditFileError, BadInputError, MisalignedError
from memberscan.files import sha256_of
from memberscan.inspection.content import InspectionContent
from memberscan.received import JSON_LIMIT, parse_json, read_limited, stated
from memberscan.report import AuditContent, ConsortiumContent, words
from memberscan.shown import plain_values

if TYPE_CHECKING:
    from memberscan.frontier import FrontierContent

INPUTS = "inputs"
FILES = {
    "audit.json": "audit",
    "consortium.json": "consortium",
    "inspection.json": "inspection",
    "frontier.json": "frontier",
}
"""What a directory holds, by the file in it."""


@dataclass(frozen=True)
class Given:
    """One input: a file's bytes, what it is, and its name among the inputs."""

    file: str
    kind: Kind
    data: bytes

    @cached_property
    def described(self) -> InputFile:
        """What the dossier says of the file."""
        return InputFile(
            file=self.file,
            kind=self.kind,
            sha256=sha256_of(self.data),
            size=len(self.data),
            about=_about(content_of(self)),
        )

    def at(self, key: str = "") -> Source:
        """Return the place of a value in this file."""
        return Source(file=self.file, key=key)


@dataclass(frozen=True)
class Audited:
    """One audit.json with its file."""

    given: Given
    content: AuditContent

    def at(self, *keys: str) -> Source:
        """Return the place of the first of these keys that the file has; it lacks those of later versions."""
        return self.given.at(next(key for key in keys if has(self._values, key)))

    @cached_property
    def _values(self) -> dict[str, Any]:
        return self.content.dump()


@dataclass(frozen=True)
class Sources:
    """All inputs of a dossier, checked."""

    given: tuple[Given, ...]

    @cached_property
    def audits(self) -> list[Audited]:
        """The audits, in the order in which they were given."""
        return [Audited(each, report.check(_parsed(each))) for each in self._of("audit")]

    @cached_property
    def consortia(self) -> list[tuple[Given, ConsortiumContent]]:
        """Audits of a federation that were joined."""
        return [(each, report.check_consortium(_parsed(each))) for each in self._of("consortium")]

    @cached_property
    def inspection(self) -> tuple[Given, InspectionContent] | None:
        """The inspection of the files of the release."""
        return next(((each, _inspection(_parsed(each))) for each in self._of("inspection")), None)

    @cached_property
    def frontiers(self) -> list[tuple[Given, FrontierContent]]:
        """Frontiers of defences."""
        return [(each, cast("FrontierContent", content_of(each))) for each in self._of("frontier")]

    def _of(self, kind: Kind) -> list[Given]:
        return [each for each in self.given if each.kind == kind]


def has(value: Any, key: str) -> bool:
    """Return whether JSON has a value at a key such as ``findings[0].auc``."""
    for step in key.replace("]", "").replace("[", ".").split("."):
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return False
    return True


def read_inputs(sources: Sequence[tuple[Path | str, tuple[Kind, ...]]]) -> Sources:
    """Read and check the inputs of a dossier.

    Parameters
    ----------
    sources
        Directories or files, each with the kinds that it may be.

    Raises
    ------
    AuditFileError
        If a file is missing, incomplete, of another kind or a newer schema, or has keys that this version
        does not know.
    BadInputError
        If one is given twice.
    MisalignedError
        If two audits are of different models.
    """
    files = [_file(Path(source), kinds) for source, kinds in sources]
    if twice := next((file for file in files if files.count(file) > 1), None):
        raise BadInputError(f"{twice[0]} is given twice; give each audit once")
    given = tuple(
        Given(f"{INPUTS}/{place:02d}-{kind}.json", kind, read_limited(path, JSON_LIMIT))
        for place, (path, kind) in enumerate(files, start=1)
    )
    for one, (path, _) in zip(given, files, strict=True):
        try:
            content_of(one)
        except BadInputError as error:
            raise AuditFileError(f"{path}: {error}") from error
    found = Sources(given)
    require_one_model(found)
    return found


def _file(source: Path, kinds: tuple[Kind, ...]) -> tuple[Path, Kind]:
    """Return the file that a directory holds, or the file itself, and its kind."""
    source = source.resolve()
    names = [name for name, kind in FILES.items() if kind in kinds]
    found = source
    if source.is_dir():
        held = [source / name for name in names if (source / name).is_file()]
        if len(held) != 1:
            raise AuditFileError(
                f"{source} holds {'several' if held else 'none'} of {words.listed(names)}; "
                "give the file, or finish the command that writes it"
            )
        found = held[0]
    if not found.is_file():
        raise AuditFileError(f"{found} does not exist; give {' or '.join(names)}, or its directory")
    value = parse_json(read_limited(found, JSON_LIMIT), str(found))
    name = value.get("schema") if isinstance(value, dict) else None
    kind = name.removeprefix("memberscan.").partition("/")[0] if isinstance(name, str) else ""
    if kind not in kinds:
        raise AuditFileError(f"{found} has the schema {name!r}; give {' or '.join(names)}")
    return found, kind


def content_of(given: Given) -> BaseModel:
    """Return the checked content of an input.

    Raises
    ------
    AuditFileError
        If it is incomplete, or has keys that this version does not know: they might name people.
    """
    content = _CHECKS[given.kind](_parsed(given))
    if unknown := next(_unknown_keys(content), None):
        raise AuditFileError(
            f"{given.kind}.json has the key {unknown!r}, which this version does not know, so that it cannot "
            "tell whether it names people; upgrade memberscan, or make the file again"
        )
    return content


def _parsed(given: Given) -> Any:
    return parse_json(given.data, given.file)


def _frontier(value: Any) -> BaseModel:
    from memberscan.frontier import FrontierContent

    return stated(FrontierContent, plain_values(value), "frontier.json")


def _inspection(value: Any) -> InspectionContent:
    return stated(InspectionContent, plain_values(value), "inspection.json")


_CHECKS: dict[Kind, Callable[[Any], BaseModel]] = {
    "audit": report.check,
    "consortium": report.check_consortium,
    "inspection": _inspection,
    "frontier": _frontier,
}


def _unknown_keys(value: Any) -> Iterator[str]:
    """Yield the keys within checked content that its types do not declare."""
    if isinstance(value, BaseModel):
        yield from value.model_extra or {}
        inner: Any = (
            getattr(value, name) for name in value.model_fields_set if name in type(value).model_fields
        )
    elif isinstance(value, (tuple, list)):
        inner = value
    else:
        return
    for each in inner:
        yield from _unknown_keys(each)


def require_one_model(sources: Sources) -> None:
    """Refuse audits whose weights differ: a dossier is about one release.

    Raises
    ------
    MisalignedError
        If they differ.
    """
    known: dict[str, Audited] = {}
    for audit in sources.audits:
        if audit.content.provenance.weights is not None:
            known.setdefault(audit.content.provenance.weights, audit)
    if len(known) > 1:
        named = [f"{each.given.file} ({each.content.target.model})" for each in known.values()]
        raise MisalignedError(
            f"these audits are of different weights: {words.listed(named)}; make one dossier for each "
            "release, and compare two with memberscan compare"
        )


def _about(content: BaseModel) -> str:
    """Return what an input says, in a few words."""
    if isinstance(content, AuditContent):
        who, sees = content.threat.attacker, content.threat.access
        return f"audit of {content.target.model}, attacked by {who} who sees {sees}: {content.verdict.label}"
    if isinstance(content, ConsortiumContent):
        return f"{words.people(len(content.audits), 'audit')} of a federation, joined"
    if isinstance(content, InspectionContent):
        return f"inspection of {words.people(len(content.files), 'file')}: {content.verdict}"
    points = len(getattr(content, "points", ()))
    return f"error against leakage of {words.people(points, 'recipe')}"
