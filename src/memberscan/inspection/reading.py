"""Read one file of a release, with all that lies within it, and let the detectors look at it."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import InspectionFinding, ReadFile
from memberscan.inspection.detectors import DETECTORS, Detector, FileContext
from memberscan.inspection.nodes import SHORTEST_FILE, Node, nodes
from memberscan.inspection.readers import READERS
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.git_history import history
from memberscan.inspection.sources import HEAD, Budget, Source
from memberscan.inspection.values import Columns

_PROGRAMS = {
    ".py", ".pyi", ".pyx", ".pxd", ".md", ".rst", ".js", ".ts", ".css", ".c", ".h", ".cc", ".cpp", ".hpp",
    ".cu", ".r", ".m", ".jl", ".sh", ".java", ".go", ".rs", ".f", ".f90", ".map", ".mjs", ".toml", ".cfg",
}  # fmt: skip
_DOCUMENTS = re.compile(
    r"(?:^|/)(?:readme|licen[cs]e|notice|authors|change|history|metadata|record|copying|citation)[^/]*$", re.I
)
_WITHIN_VALUES = frozenset({
    "pickle", "torch", "npy", "npz", "safetensors", "HDF5", "zip archive",
    "tar archive", "compressed file", "R", "DICOM", "NIfTI", "JSON", "notebook",
})  # fmt: skip
"""Formats that are looked for in bytes and arrays of bytes within files; they begin like nothing else."""
_NAME = re.compile(r"[^./\[\]]+")
_MOST_REASON = 300
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


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
            repository = Source(self.name, self.size, self.path, budget)
            _collect(history(self.path, self.name, budget), "git history", repository, "", index, report)
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
    if not head:
        report.files.append(_file(source.name, "empty", source.size, sha256, ""))
        return
    reader = next(each for each in READERS if each.knows(source, head))
    if reader.needs and importlib.util.find_spec(reader.needs) is None:
        unread = f"reading {reader.name} needs {reader.needs}: pip install 'memberscan[inspect]'"
        report.files.append(_file(source.name, reader.name, source.size, sha256, unread))
        return
    _collect(reader.read(source), reader.name, source, sha256, index, report)


def _collect(
    found: Iterator[Item | Partly | Source],
    format_: str,
    source: Source,
    sha256: str,
    index: CohortIndex | None,
    report: FileReport,
) -> None:
    """Let the detectors look at what a reader yields, and read the files within it."""
    context = FileContext(source.name, _is_program(source.name), index)
    detectors = [kind(context) for kind in DETECTORS]
    unread: list[str] = []
    names: set[str] = set()
    place = len(report.files)
    try:
        for each in found:
            source.budget.in_time()
            if isinstance(each, Source):
                _read(each, index, report, "")
            elif isinstance(each, Partly):
                reason = _unquoted(each.reason)
                unread.append(f"{each.place}: {reason}" if each.place else reason)
            else:
                names.update(_NAME.findall(each.place))
                _look(each, detectors, source, index, report)
    except Exception as error:  # readers and their libraries may raise anything on hostile files
        unread.append(_reason(error))
    if names:
        _show(Node("", "", Columns({"": sorted(names)}), None), detectors)
    for detector in detectors:
        report.findings.extend(detector.findings())
    report.ids |= context.ids
    report.files.insert(
        place, _file(source.name, format_, source.size, sha256, "; ".join(dict.fromkeys(unread)))
    )


def _look(
    item: Item, detectors: Sequence[Detector], source: Source, index: CohortIndex | None, report: FileReport
) -> None:
    """Let the detectors look at all within an item, and read what is a file in it."""
    for node in nodes(item.place, item.value, source.budget):
        _show(node, detectors)
        if (data := _file_in(node)) is not None:
            _read(source.within(node.place or "bytes", io.BytesIO(data)), index, report, "")


def _show(node: Node, detectors: Sequence[Detector]) -> None:
    for detector in detectors:
        detector.see(node)


def _file_in(node: Node) -> bytes | None:
    """Return the bytes of a node if they are a file, such as a pickle within a pickle."""
    value = node.value
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 1:
        known = value[:HEAD].tobytes()
    elif isinstance(value, bytes):
        known = value[:HEAD]
    else:
        return None
    if len(known) < SHORTEST_FILE:
        return None
    whole = Source("bytes", len(value), known, Budget(Path()))
    readers = (each for each in READERS if each.name in _WITHIN_VALUES)
    return bytes(value) if any(each.knows(whole, known) for each in readers) else None


def _reason(error: BaseException) -> str:
    """Return why a file was not read, in one line."""
    if isinstance(error, MemoryError):
        return "reading it takes more memory than is allowed"
    # What libraries say may quote the file, ids included, in quotation marks or in further lines.
    said = _unquoted(next(iter(str(error).splitlines()), ""))
    return (
        said
        if said and type(error).__name__ == "TooLargeError"
        else f"it is damaged ({said or type(error).__name__})"
    )


def _unquoted(reason: str) -> str:
    """Return a reason without what stands in quotation marks in it, except a command to install."""
    return reason if "pip install" in reason else " ".join(_QUOTED.sub("...", reason).split())


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
