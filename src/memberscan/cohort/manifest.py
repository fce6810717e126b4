"""The text files of a cohort directory: what is in it, what it came from, and whether that is still so."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort.covariates import as_covariate, select_covariates
from memberscan.errors import CohortError, StaleError

SCHEMA = "memberscan.cohort/1"
MANIFEST = "cohort.json"
SCANS = "scans.tsv"
EXCLUDED = "excluded.tsv"
VOLUMES = "volumes.npy"
FEATURES = "features.npy"
TIMINGS = "timings.jsonl"

RESERVED = ("scan_id", "row", "subject_id", "session", "age", "age_note")
STATISTICS = (
    "image_foreground", "image_p05", "image_p50", "image_p95", "image_sharpness", "image_voxel_mm3",
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What cohort.json says of a cohort; the fields are those of :class:`memberscan.cohort.Cohort`."""

    kind: str
    shape: tuple[int, ...]
    source: str
    covariates: tuple[str, ...]
    ignored: tuple[str, ...]
    spacing: float | None = None
    features: tuple[str, ...] = ()
    synthetic: bool = False


@contextlib.contextmanager
def claim(path: Path, request: dict[str, Any], inputs: str) -> Iterator[bool]:
    """Claim ``path`` as :func:`memberscan.files.claim` does; yield whether the cohort is already there.

    Parameters
    ----------
    path
        The cohort directory.
    request
        What was asked, as JSON values.
    inputs
        Fingerprint of the data the cohort is made from.

    Raises
    ------
    OutputConflictError
        If the directory holds something else.
    StaleError
        If the finished cohort was made from data that have changed since.
    """
    with files.claim(path, request, done=MANIFEST) as finished:
        if finished and files.read_json(path / MANIFEST).get("inputs") != inputs:
            raise StaleError(
                f"the data that {path} was built from have changed since; delete {path} and build it again, "
                "or build into another directory"
            )
        yield finished


def split_covariates(columns: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Apply :func:`select_covariates`; a column with a name that a cohort itself uses counts as ignored."""
    taken = [name for name in columns.columns if name in (*RESERVED, *STATISTICS)]
    kept, ignored = select_covariates(columns, exclude=taken)
    return kept, (*taken, *ignored)


def finish(
    path: Path,
    scans: pd.DataFrame,
    excluded: Sequence[tuple[str, str, str]],
    facts: Facts,
    *,
    content: str,
    inputs: str,
) -> None:
    """Write the tables, then cohort.json, whose presence says that the cohort is whole.

    Parameters
    ----------
    scans
        Kept scans: the columns of ``RESERVED`` and the covariates.
    excluded
        Scan id, subject id and reason of each of the others.
    facts
        The rest of cohort.json.
    content
        Fingerprint of the stored inputs of the kept scans.
    inputs
        Fingerprint of the data the cohort was made from.

    Raises
    ------
    CohortError
        If no scan is left.
    """
    left_out = pd.DataFrame(excluded, columns=["scan_id", "subject_id", "reason"])
    files.write_table(path / EXCLUDED, left_out, mode=0o600)
    if scans.empty:
        reasons = "; ".join(f"{scan}: {reason}" for scan, _, reason in excluded[:3])
        raise CohortError(
            f"no scan survives, {len(excluded)} excluded ({reasons}{'; ...' if len(excluded) > 3 else ''}); "
            f"{path / EXCLUDED} lists them all"
        )
    files.write_table(path / SCANS, scans[[*RESERVED, *facts.covariates]], mode=0o600)
    fingerprint = _fingerprint(path, content)
    digests = {"content": content, "inputs": inputs, "fingerprint": fingerprint}
    manifest = {"schema": SCHEMA} | asdict(facts) | digests
    files.write_json(path / MANIFEST, manifest)


def read(path: Path) -> dict[str, Any]:
    """Read cohort.json, after checking that it is complete, known, and true of the tables beside it."""
    if not (path / MANIFEST).exists():
        state = (
            "an unfinished cohort; run the command that builds it again"
            if path.is_dir()
            else "no such directory"
        )
        raise CohortError(f"{path} holds no {MANIFEST} ({state})")
    manifest: dict[str, Any] = files.read_json(path / MANIFEST)
    if manifest.get("schema") != SCHEMA:
        raise CohortError(
            f"{path / MANIFEST} has schema {manifest.get('schema')!r}, this version reads {SCHEMA!r}; "
            "build the cohort again"
        )
    if _fingerprint(path, manifest["content"]) != manifest["fingerprint"]:
        raise StaleError(
            f"{path / SCANS} was changed after the cohort was built; delete {path} and build it again"
        )
    return manifest


def read_scans(path: Path, covariates: tuple[str, ...]) -> pd.DataFrame:
    """Read scans.tsv, indexed by scan id, with numbers as numbers and ids as text."""
    scans = files.read_table(path / SCANS, dtype=str)
    for name in ("scan_id", "subject_id", "session", "age_note"):
        scans[name] = scans[name].fillna("n/a")
    scans = scans.assign(row=scans["row"].astype(np.int64), age=scans["age"].astype(float))
    return scans.assign(**{name: as_covariate(scans[name]) for name in covariates}).set_index("scan_id")


def log_time(path: Path, step: str, scans: int, seconds: float) -> None:
    """Append a wall time; kept apart from the results, which are the same on every machine."""
    files.append_line(
        path / TIMINGS, json.dumps({"step": step, "scans": scans, "seconds": round(seconds, 3)})
    )


def _fingerprint(path: Path, content: str) -> str:
    return files.fingerprint({"scans": files.fingerprint((path / SCANS).read_bytes()), "content": content})
