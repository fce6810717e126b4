"""Read one file of a release, with all that lies within it, and let the detectors look at it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import InspectionFinding, ReadFile
from memberscan.inspection.detectors import DETECTORS, FileContext
from memberscan.inspection.nodes import Node, nodes
from memberscan.inspection.readers import READERS
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.git_history import history
from memberscan.inspection.sources import HEAD, Budget, Source

_PROGRAMS = {
    ".py", ".pyi", ".pyx", ".pxd", ".md", ".rst", ".js", ".ts", ".css", ".c", ".h", ".cc", ".cpp", ".hpp",
    ".cu", ".r", ".m", ".jl", ".sh", ".java", ".go", ".rs", ".f", ".f90", ".map", ".mjs", ".toml", ".cfg",
}  # fmt: skip
_DOCUMENTS = re.compile(
    r"(?:^|/)(?:readme|licen[cs]e|notice|authors|change|history|metadata|record|copying|citation)[^/]*$", re.I
)
_MOST_REASON = 300


@dataclass(frozen=True)
class Task:
    """One file on disk, or the history of a repository."""

    path: Path
    """Where it lies."""
    name: str
    """Its path within the release."""
    size: int
    """Its bytes."""
    is_history: bool = False
    """Whether it is the folder of a git repository."""

    def carry_out(self, index: CohortIndex | None, scratch: Path) -> FileReport:
        """Read it; whatever a damaged or hostile file raises becomes the reason why it was not read.

        Parameters
        ----------
        index
            The cohort to compare with, or None.
        scratch
            Directory for large files from archives.
        """
        report = FileReport()
        budget = Budget(scratch) if self.is_history else Budget.of_file(scratch, self.size)
        if self.is_history:
            found = history(self.path, self.name, budget)
            _collect(found, "git history", self.name, self.size, "", index, budget, report)
        else:
            _read(Source.on_disk(self.path, self.name, budget), index, report, _sha256(self.path))
        return report

    def given_up(self, reason: str) -> FileReport:
        """Return the report on a file that could not be read."""
        return FileReport([ReadFile(file=self.name, format="", size=self.size, sha256="", unread=reason)])


@dataclass
class FileReport:
    """What one file, with all that lies within it, is and says about people."""

    files: list[ReadFile] = field(default_factory=list)
    """The file and those within it."""
    findings: list[InspectionFinding] = field(default_factory=list)
    """What was found."""
    ids: set[str] = field(default_factory=set)
    """The ids that were found; they are not part of any report unless the user asks for them."""


def _read(source: Source, index: CohortIndex | None, report: FileReport, sha256: str) -> None:
    """Read a source with the first reader that knows it."""
    with source.open() as stream:
        head = stream.read(HEAD)
    reader = next((each for each in READERS if each.knows(source, head)), None)
    if reader is None:
        unread = "" if source.size == 0 else "its format is not known"
        report.files.append(
            _file(source.name, "empty" if source.size == 0 else "", source.size, sha256, unread)
        )
        return
    if reader.needs and importlib.util.find_spec(reader.needs) is None:
        unread = f"reading {reader.name} needs {reader.needs}: pip install 'memberscan[inspect]'"
        report.files.append(_file(source.name, reader.name, source.size, sha256, unread))
        return
    _collect(reader.read(source), reader.name, source.name, source.size, sha256, index, source.budget, report)


def _collect(
    found: Iterator[Item | Partly | Source],
    format_: str,
    name: str,
    size: int,
    sha256: str,
    index: CohortIndex | None,
    budget: Budget,
    report: FileReport,
) -> None:
    """Let the detectors look at what a reader yields, and read the files within it."""
    context = FileContext(name, _is_program(name), index)
    detectors = [kind(context) for kind in DETECTORS]
    unread: list[str] = []
    inner = 0
    place = len(report.files)
    try:
        for each in found:
            budget.in_time()
            if isinstance(each, Source):
                _read(each, index, report, "")
                inner += 1
            elif isinstance(each, Partly):
                unread.append(f"{each.place}: {each.reason}" if each.place else each.reason)
            else:
                for node in _nodes(each, budget):
                    for detector in detectors:
                        detector.see(node)
    except (
        Exception,
        RecursionError,
    ) as error:  # readers and their libraries may raise anything on hostile files
        unread.append(_reason(error))
    for detector in detectors:
        report.findings.extend(detector.findings())
    report.ids |= context.ids
    report.files.insert(place, _file(name, format_, size, sha256, "; ".join(dict.fromkeys(unread))))


def _nodes(item: Item, budget: Budget) -> Iterator[Node]:
    return nodes(item.place, item.value, budget)


def _reason(error: BaseException) -> str:
    """Return why a file was not read, in one line."""
    if isinstance(error, MemoryError):
        return "reading it takes more memory than is allowed"
    said = " ".join(str(error).split())
    return (
        said
        if said and type(error).__name__ == "TooLargeError"
        else f"it is damaged ({said or type(error).__name__})"
    )


def _file(name: str, format_: str, size: int, sha256: str, unread: str) -> ReadFile:
    shown = unread if len(unread) <= _MOST_REASON else f"{unread[:_MOST_REASON]}..."
    return ReadFile(file=name, format=format_, size=size, sha256=sha256, unread=shown)


def _is_program(name: str) -> bool:
    """Return whether a file is a program or its documentation, by its name."""
    last = name.rpartition("!")[2]
    return Path(last).suffix.lower() in _PROGRAMS or _DOCUMENTS.search(last) is not None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
