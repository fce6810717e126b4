"""Build a cohort of volumes on disk from a list of scans, whatever their source."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import files, threads
from memberscan.cohort import manifest
from memberscan.cohort.ages import Age, age_problem
from memberscan.cohort.conform import Preparation
from memberscan.cohort.store import Ledger
from memberscan.errors import BadInputError, UnusableScanError
from memberscan.progress import progress
from memberscan.rows import RowFile

LARGE_VOXELS = 1 << 25
"""Images with more voxels than this (320 x 320 x 320) are prepared one at a time. Sixteen threads then hold
at most 16 x 0.7 GB and one of the largest images that are read, 2.7 GB, together 14 GB."""
_ONE_LARGE = threading.Lock()


@dataclass(frozen=True)
class ScanSource:
    """A scan that may enter a cohort.

    Parameters
    ----------
    scan_id, subject_id, session
        Ids of the scan, its subject and its session; scan ids are unique.
    age
        In years, NaN if not known.
    load
        Returns the nibabel image; may raise any exception.
    written_age
        The age as written in the table, to quote it if it cannot be used.
    stamp
        Text that changes when the data that ``load`` reads change (for a file: size and modification time).
    described_by
        Row of the covariates that describes this scan; by default the row of its subject.
    problem
        Why the scan cannot be used, if that is known before it is read.
    """

    scan_id: str
    subject_id: str
    session: str
    age: Age
    load: Callable[[], Any]
    written_age: str = ""
    stamp: str = ""
    described_by: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Outcome:
    """The result for one scan: its entry in the ledger, or the reason why it was excluded."""

    scan: ScanSource
    entry: dict[str, Any] | None = None
    reason: str = ""


def build_volumes(
    path: Path,
    sources: Sequence[ScanSource],
    people: pd.DataFrame,
    *,
    request: dict[str, Any],
    prepare: Preparation,
    source: str,
    synthetic: bool,
    workers: int | None = None,
) -> None:
    """Prepare every scan, write it to the store in ``path``, and list the kept and the excluded scans.

    Scans are processed in threads: reading and resampling release the interpreter's lock, and threads, unlike
    child processes, always end with the process. The build can be killed at any moment; called again with
    the same arguments, it continues and ends in the same bytes.

    Parameters
    ----------
    path
        The cohort directory.
    sources
        The scans, in any order; the store has one row per scan, sorted by scan id.
    people
        Covariates, indexed by subject id, or by the names in ``described_by`` of the scans.
    request
        The arguments of the command, as JSON values; a call with the same request resumes.
    prepare
        How an image becomes a volume.
    source
        Where the data come from, in words.
    synthetic
        Whether the scans are phantoms.
    workers
        Number of threads; by default the number of cores that this process may use.

    Raises
    ------
    CohortError
        If every scan is excluded.
    OutputConflictError, StaleError, DiskFullError
        If the directory holds something else, the finished cohort's data have changed, or the disk is full.
    """
    if workers is not None and workers < 1:
        raise BadInputError(f"workers is {workers}; at least 1 is needed")
    sources = sorted(sources, key=lambda scan: scan.scan_id)
    inputs = _inputs_fingerprint(sources, people)
    with manifest.claim(path, request, inputs) as finished:
        if not finished:
            started = time.perf_counter()
            outcomes = _prepare_all(path, sources, prepare, workers or threads.available())
            manifest.log_time(path, "prepare", len(sources), time.perf_counter() - started)
            stated = {"spacing": prepare.spacing, "source": source, "synthetic": synthetic}
            _finish(path, outcomes, people, prepare, stated, inputs)


def _finish(
    path: Path,
    outcomes: Sequence[_Outcome],
    people: pd.DataFrame,
    prepare: Preparation,
    stated: dict[str, Any],
    inputs: str,
) -> None:
    """Write the tables of kept and excluded scans from the outcome of each scan."""
    covariates, ignored = manifest.split_covariates(people)
    kept = [(o.scan, o.entry) for o in outcomes if o.entry is not None]
    scans = pd.DataFrame([_scan_row(scan, entry) for scan, entry in kept])
    if kept:
        rows = [scan.described_by or scan.subject_id for scan, _ in kept]
        described = people[list(covariates)].reindex(rows).reset_index(drop=True)
        scans = pd.concat([scans, described], axis="columns")
    facts = manifest.Facts(
        kind="volumes",
        shape=prepare.shape,
        dtype=prepare.dtype.name,
        covariates=(*covariates, *prepare.statistics),
        ignored=ignored,
        **stated,
    )
    content = files.fingerprint([(scan.scan_id, entry["digest"]) for scan, entry in kept])
    excluded = [(o.scan.scan_id, o.scan.subject_id, o.reason) for o in outcomes if o.reason]
    manifest.finish(path, scans, excluded, facts, content=content, inputs=inputs)


def _scan_row(scan: ScanSource, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "scan_id": scan.scan_id,
        "row": entry["row"],
        "subject_id": scan.subject_id,
        "session": scan.session,
        "age": scan.age.years,
        "age_note": scan.age.note,
        **entry["statistics"],
    }


def _prepare_all(
    path: Path, sources: Sequence[ScanSource], prepare: Preparation, workers: int
) -> list[_Outcome]:
    """Prepare every scan into its row, or note why not; then exclude images that two subjects share."""
    ledger = Ledger(path / manifest.LEDGER)
    with (
        RowFile.open(path / manifest.VOLUMES, len(sources), prepare.shape, prepare.dtype) as store,
        progress("preparing scans", len(sources)) as advance,
        ThreadPoolExecutor(workers) as pool,
    ):
        work = partial(_prepare_one, store=store, ledger=ledger, prepare=prepare, advance=advance)
        outcomes = list(pool.map(work, range(len(sources)), sources))
        ledger.settle([o.entry for o in outcomes if o.entry is not None])
        outcomes = _without_shared_images(outcomes)
        for row, outcome in enumerate(outcomes):
            if outcome.entry is None:
                store.clear(row)
    return outcomes


def _prepare_one(
    row: int,
    scan: ScanSource,
    *,
    store: RowFile,
    ledger: Ledger,
    prepare: Preparation,
    advance: Callable[[int], None],
) -> _Outcome:
    if problem := scan.problem or age_problem(scan.written_age, scan.age):
        outcome = _Outcome(scan, reason=problem)
    elif (entry := ledger.find(scan.scan_id, row, scan.stamp, store)) and (
        set(entry.get("statistics", ())) == set(prepare.statistics)
    ):
        outcome = _Outcome(scan, entry)
    else:
        outcome = _load_and_write(row, scan, store=store, ledger=ledger, prepare=prepare)
    advance(1)
    return outcome


def _load_and_write(
    row: int, scan: ScanSource, *, store: RowFile, ledger: Ledger, prepare: Preparation
) -> _Outcome:
    try:
        # Extreme values in a damaged file make numpy warn without naming the file. The warnings are silenced
        # because the result is checked anyway.
        with np.errstate(all="ignore"):
            image = scan.load()
            with _turn(image):
                prepared = prepare(image)
    except UnusableScanError as problem:
        return _Outcome(scan, reason=str(problem))
    except Exception as error:  # a damaged file can raise any exception, and must not stop the other scans
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return _Outcome(scan, reason=f"unreadable ({message[:200]})")
    store.write(row, prepared.volume[None])
    entry = {
        "scan_id": scan.scan_id,
        "row": row,
        "stamp": scan.stamp,
        "digest": store.digest(row),
        "statistics": prepared.statistics,
    }
    ledger.add(entry)
    return _Outcome(scan, entry)


def _turn(image: Any) -> contextlib.AbstractContextManager[object]:
    """Return a lock if the image is large: several large images at a time could fill the memory."""
    return _ONE_LARGE if math.prod(image.shape) > LARGE_VOXELS else contextlib.nullcontext()


def _without_shared_images(outcomes: Sequence[_Outcome]) -> list[_Outcome]:
    """Exclude every image listed for two subjects: one of the ids, and so its age, must be wrong."""
    kept = [(o.scan.scan_id, o.scan.subject_id, o.entry["digest"]) for o in outcomes if o.entry is not None]
    reasons = shared_content(pd.DataFrame(kept, columns=["scan_id", "subject_id", "digest"]), "one image")
    return [
        _Outcome(o.scan, reason=reasons[o.scan.scan_id]) if o.scan.scan_id in reasons else o for o in outcomes
    ]


def shared_content(scans: pd.DataFrame, what: str) -> dict[str, str]:
    """Return the scans whose content is listed for more than one subject, with the reason for each.

    Parameters
    ----------
    scans
        Columns scan_id, subject_id and digest (of the content).
    what
        Name of the content in the reason, such as "one image".
    """
    reasons: dict[str, str] = {}
    for _, same in scans[scans["digest"].duplicated(keep=False)].groupby("digest", sort=False):
        if same["subject_id"].nunique() > 1:
            for scan, subject in zip(same["scan_id"], same["subject_id"], strict=True):
                others = same.loc[same["subject_id"] != subject, "scan_id"]
                reasons[scan] = f"{what} under two ids (also {', '.join(others.iloc[:3])})"
    return reasons


def _inputs_fingerprint(sources: Sequence[ScanSource], people: pd.DataFrame) -> str:
    scans = [(s.scan_id, s.subject_id, s.session, str(s.age.years), s.age.note, s.stamp) for s in sources]
    return files.fingerprint({"scans": scans, "people": people.to_csv(lineterminator="\n")})
