"""``inspect --strip``: copy a release without what was found, inspect the copy, and say what was done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memberscan.errors import OutputConflictError
from memberscan.files import write_bytes
from memberscan.inspection.cleaning.cleaners import CLEANERS, CannotCleanError, Cleaner
from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import CleanedFile, InspectionFinding
from memberscan.inspection.isolation import Isolated
from memberscan.inspection.making import Inspected
from memberscan.inspection.masking import Mask
from memberscan.inspection.own_files import owner_only
from memberscan.inspection.reading import FileReport, Task
from memberscan.inspection.sources import Budget, Source
from memberscan.progress import progress
from memberscan.shown import plain

_STEPS = 10
"""How often a file is inspected and cleaned; a table hides what is found once it is gone."""
_KEPT = ("user names", "pictures")
"""Notes that stay: they are not about the people studied."""

Action = Literal["copied", "cleaned", "left out"]


@dataclass(frozen=True)
class Cleaning:
    """The job of writing one file of the copy."""

    task: Task
    """The file."""
    target: Path
    """Where it goes."""

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.task.size

    def given_up(self, reason: str) -> CleanedFile:
        """Return that the file is left out."""
        return _done(self.task, "left out", reason)

    def carry_out(self, index: CohortIndex | None, scratch: Path) -> CleanedFile:
        """Copy the file, or write it without what is found in it, until nothing more is found."""
        if self.task.is_history:
            return self.given_up("A history keeps all that was ever in it; publish the files without it.")
        report = self.task.carry_out(index, scratch)
        if _is_clean(report):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.task.path, self.target)
            return _done(self.task, "copied", "Nothing was found in it.")
        cleaner = CLEANERS.get(report.files[0].format)
        if cleaner is None:
            return self.given_up(
                "Files of this format are not written again; make it again without these data."
            )
        return self._cleaned(cleaner, report, index, scratch)

    def _cleaned(
        self, cleaner: Cleaner, report: FileReport, index: CohortIndex | None, scratch: Path
    ) -> CleanedFile:
        """Write the file without what is found in it, until nothing more is found."""
        current, removed = self.task, []
        for _ in range(_STEPS):
            removed += [each.what for each in _to_remove(report)]
            source = Source.on_disk(current.path, self.task.name, Budget(scratch))
            try:
                data, proof = cleaner(source, {each.place for each in _to_remove(report)})
            except CannotCleanError as error:
                return self.given_up(f"It cannot be cleaned: {error}.")
            except Exception as error:  # files that were read in part raise anything when they are written
                return self.given_up(f"It cannot be cleaned ({type(error).__name__}).")
            changed = scratch / "cleaned"
            changed.write_bytes(data)
            current = Task(changed, self.task.name, len(data))
            report = current.carry_out(index, scratch)
            if _is_clean(report):
                self.target.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(self.target, data)
                return _done(self.task, "cleaned", " ".join([*dict.fromkeys(removed), proof]))
        return self.given_up("What was found is in too many places; make it again without these data.")


def strip(inspected: Inspected, out: Path) -> list[CleanedFile]:
    """Write a copy of a release without what was found in it.

    Parameters
    ----------
    inspected
        The inspection of the release.
    out
        The directory for the copy; it must not exist.

    Returns
    -------
    list of CleanedFile
        What became of each file.

    Raises
    ------
    OutputConflictError
        If the directory exists.
    """
    if out.exists():
        raise OutputConflictError(
            f"{out} exists; remove it, or choose another directory for the cleaned copy"
        )
    out.mkdir(parents=True)
    done = []
    index = inspected.index
    with Isolated(index) as process, progress("Cleaning", len(inspected.tasks)) as advance:
        own = set(owner_only([task.name for task in inspected.tasks]))
        for task in inspected.tasks:
            if task.name in own:
                done.append(_done(task, "left out", "It is for its owner only."))
            else:
                done.append(_cleaned(task, inspected.mask, out, process))
            advance(1)
    mask = inspected.mask
    return [
        each.model_copy(update={"file": plain(mask.name(each.file)), "said": plain(mask(each.said))})
        for each in done
    ]


def _cleaned(task: Task, mask: Mask, out: Path, process: Isolated) -> CleanedFile:
    if mask.name(task.name) != task.name:
        return _done(
            task, "left out", "Its name holds an id, or a long number like one; give it another name."
        )
    return process.carry_out(Cleaning(task, out / task.name))


def _is_clean(report: FileReport) -> bool:
    return not _to_remove(report) and not any(file.unread for file in report.files)


def _to_remove(report: FileReport) -> Sequence[InspectionFinding]:
    """Return what the copy must not hold."""
    return [each for each in report.findings if each.kind not in _KEPT or each.grade != "note"]


def _done(task: Task, action: Action, said: str) -> CleanedFile:
    return CleanedFile(file=task.name, action=action, said=said)
