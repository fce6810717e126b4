"""The text files of a cohort directory: what it holds, its source, and whether either has changed since."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import files, output_directory, received
from memberscan.cohort.covariates import as_covariate, select_covariates
from memberscan.cohort.store import changed
from memberscan.errors import CohortError, StaleError

SCHEMA = "memberscan.cohort/1"
MANIFEST = "cohort.json"
SCANS = "scans.tsv"
EXCLUDED = "excluded.tsv"
VOLUMES = "volumes.npy"
FEATURES = "features.npy"
LEDGER = "ledger.jsonl"
TIMINGS = "timings.jsonl"

RESERVED = ("scan_id", "row", "subject_id", "session", "age", "age_note")
MOST_VALUES = 1 << 25
"""Largest input of one scan, such as 320 x 320 x 320 voxels; a head at 1 mm has at most 17 million."""
STORED = tuple(np.dtype(name) for name in ("u1", "i1", "u2", "i2", "f2", "f4"))
"""Types of a store; each holds only numbers that float32, which networks get, holds exactly."""
_EXCLUDED_COLUMNS = ("scan_id", "subject_id", "reason")
STATISTICS = (
    "image_foreground", "image_p05", "image_p50", "image_p95", "image_sharpness", "image_voxel_mm3",
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What cohort.json says about a cohort; the fields are those of :class:`memberscan.cohort.Cohort`."""

    kind: str
    shape: tuple[int, ...]
    dtype: str
    source: str
    covariates: tuple[str, ...]
    ignored: tuple[str, ...]
    spacing: float | None = None
    features: tuple[str, ...] = ()
    synthetic: bool = False


@dataclass(frozen=True, kw_only=True)
class Stated(Facts):
    """All of cohort.json: the facts, and digests of the inputs, the source data and the whole cohort."""

    content: str
    inputs: str
    fingerprint: str


@contextlib.contextmanager
def claim(path: Path, request: dict[str, Any], inputs: str) -> Iterator[bool]:
    """Claim ``path`` as :func:`memberscan.output_directory.claim` does; yield whether the cohort is finished.

    Parameters
    ----------
    path
        The cohort directory.
    request
        The arguments of the command, as JSON values.
    inputs
        Fingerprint of the data the cohort is made from.

    Raises
    ------
    OutputConflictError
        If the directory holds something else.
    StaleError
        If the data of the finished cohort have changed since it was built.
    """
    with output_directory.claim(path, request, done=MANIFEST) as finished:
        stated = received.load_json(path / MANIFEST) if finished else {"inputs": inputs}
        if not isinstance(stated, dict) or stated.get("inputs") != inputs:
            raise StaleError(
                f"the data that {path} was built from have changed since; delete {path} and build it again, "
                "or build into another directory"
            )
        yield finished


def split_covariates(columns: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Apply :func:`select_covariates`; columns whose names a cohort uses itself count as ignored."""
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
    """Write the tables, then cohort.json, whose presence means that the cohort is complete.

    Parameters
    ----------
    scans
        Kept scans: the columns of ``RESERVED`` and the covariates.
    excluded
        Scan id, subject id and reason of each excluded scan.
    facts
        The other fields of cohort.json.
    content
        Fingerprint of the stored inputs of the kept scans.
    inputs
        Fingerprint of the data the cohort was made from.

    Raises
    ------
    CohortError
        If every scan is excluded.
    """
    left_out = pd.DataFrame(excluded, columns=list(_EXCLUDED_COLUMNS))
    files.write_table(path / EXCLUDED, left_out, mode=files.OWNER_ONLY)
    if scans.empty:
        reasons = "; ".join(f"{scan}: {reason}" for scan, _, reason in excluded[:3])
        raise CohortError(
            f"all {len(excluded)} scans are excluded ({reasons}{'; ...' if len(excluded) > 3 else ''}); "
            f"{path / EXCLUDED} lists the reasons"
        )
    files.write_table(path / SCANS, scans[[*RESERVED, *facts.covariates]], mode=files.OWNER_ONLY)
    fingerprint = _fingerprint(path, content)
    digests = {"content": content, "inputs": inputs, "fingerprint": fingerprint}
    manifest = {"schema": SCHEMA} | asdict(facts) | digests
    files.write_json(path / MANIFEST, manifest)


def read(path: Path) -> Stated:
    """Read cohort.json, and check that it is complete, of a known version, and matches the tables beside it.

    Raises
    ------
    CohortError
        If the file does not exist, is of another version, or has values that contradict each other.
    BadInputError
        If it is not JSON, or a field is missing or of the wrong type.
    StaleError
        If the table of scans has changed since the cohort was built.
    """
    if not (path / MANIFEST).exists():
        state = (
            "an unfinished cohort; run the command that builds it again"
            if path.is_dir()
            else "no such directory; check the path"
        )
        raise CohortError(f"{path} holds no {MANIFEST} ({state})")
    value = received.load_json(path / MANIFEST)
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise CohortError(
            f"{path / MANIFEST} has schema {schema!r:.80}, this version reads {SCHEMA!r}; "
            "build the cohort again"
        )
    # Early versions stored all volumes alike, and did not say how.
    known = {"dtype": "float16" if value.get("kind") == "volumes" else "float32"}
    stated = received.stated(Stated, known | value, str(path / MANIFEST))
    if problem := _problem(stated):
        raise CohortError(f"{path / MANIFEST} is damaged ({problem}); build the cohort again")
    if _fingerprint(path, stated.content) != stated.fingerprint:
        raise changed(path / SCANS)
    return stated


def _problem(stated: Stated) -> str:
    """Return what is wrong with the values of a cohort.json, or "" if nothing."""
    volumes = stated.kind == "volumes"
    names = (*RESERVED, *stated.covariates)
    if not volumes and stated.kind != "table":
        return f"kind is {stated.kind!r:.80}"
    if len(stated.shape) not in ((3, 4) if volumes else (1,)) or min(stated.shape) < 1:
        return f"shape is {list(stated.shape)}"
    if math.prod(stated.shape) > MOST_VALUES:
        return f"an input has {math.prod(stated.shape):,} values, and at most {MOST_VALUES:,} are read"
    if volumes and stated.spacing is not None and not stated.spacing > 0:
        return f"spacing is {stated.spacing}"
    if stated.dtype not in {dtype.name for dtype in STORED}:
        return f"dtype is {stated.dtype!r:.80}"
    if not volumes and (len(stated.features),) != stated.shape:
        return f"{len(stated.features)} features of shape {list(stated.shape)}"
    if len(set(names)) < len(names) or len(set(stated.features)) < len(stated.features):
        return "a column is named twice"
    return ""


def read_scans(path: Path, covariates: tuple[str, ...]) -> pd.DataFrame:
    """Read scans.tsv, indexed by scan id, with numbers as numbers and ids as text.

    Raises
    ------
    CohortError
        If a column is missing, a row or an age is not a number, or a scan or a row is listed twice.
    """
    scans = _read_columns(path / SCANS, (*RESERVED, *covariates))
    for name in ("scan_id", "subject_id", "session", "age_note"):
        scans[name] = scans[name].fillna("n/a")
    try:
        scans = scans.assign(row=scans["row"].astype(np.int64), age=scans["age"].astype(float))
    except (ValueError, TypeError, OverflowError) as error:
        raise CohortError(f"{path / SCANS} is damaged ({error}); build the cohort again") from error
    once = not (scans["scan_id"].duplicated().any() or scans["row"].duplicated().any())
    if scans.empty or not once or scans["row"].min() < 0 or not np.isfinite(scans["age"]).all():
        raise CohortError(
            f"{path / SCANS} is damaged (a scan is listed twice, or has no row or no age); "
            "build the cohort again"
        )
    return scans.assign(**{name: as_covariate(scans[name]) for name in covariates}).set_index("scan_id")


def read_excluded(path: Path) -> pd.DataFrame:
    """Read excluded.tsv, with all cells as text."""
    return _read_columns(path / EXCLUDED, _EXCLUDED_COLUMNS)


def _read_columns(path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = files.read_table(path, dtype=str)
    except FileNotFoundError as error:
        raise CohortError(f"{path} is missing; build the cohort again") from error
    if missing := [name for name in names if name not in table.columns]:
        raise CohortError(f"{path} has no column {', '.join(missing)}; build the cohort again")
    return table


def log_time(path: Path, step: str, scans: int, seconds: float) -> None:
    """Append a wall time to a file of its own: the results must be the same on every machine."""
    files.append_line(
        path / TIMINGS, json.dumps({"step": step, "scans": scans, "seconds": round(seconds, 3)})
    )


def _fingerprint(path: Path, content: str) -> str:
    try:
        scans = received.read_limited(path / SCANS, files.TABLE_LIMIT)
    except FileNotFoundError as error:
        raise CohortError(f"{path / SCANS} is missing; build the cohort again") from error
    return files.fingerprint({"scans": files.fingerprint(scans), "content": content})
