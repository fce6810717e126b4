"""Hostile references: JSON, tables and arrays that lie, in place of those of a lab or of ours."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from memberscan.auditing import forecast
from memberscan.auditing.making_references import collect_references
from memberscan.references.collect import collect_predictions
from memberscan.references.ensemble import Ensemble, read_scans
from memberscan.references.plan import Plan
from memberscan.training import reference_tasks

from . import bombs
from .bombs import HUGE
from .cases import add, one, put, sparse, spoilt

DEEP = "[" * 300_000
WIDE = "\t".join("x" * 3 for _ in range(200_000)) + "\n" + "1\n" * 100_000


def returned(path: Path) -> None:
    """Read a table in place of the first reference's."""
    plan, (scans, _) = Plan.read(path), read_scans(path)
    collect_predictions([path / "returned"], plan, scans)


def task(path: Path) -> None:
    """Read the record of a task."""
    named = cast("reference_tasks.Task", SimpleNamespace(name="reference-001", fingerprint="0"))
    reference_tasks._finished(path, named, 3)


def timings(path: Path) -> float | None:
    """Read how long a training took."""
    return forecast._seconds(cast("Any", SimpleNamespace(run=SimpleNamespace(path=path))))


def endless(good: Path, folder: Path) -> Path:
    """Make a run whose times have no end."""
    shutil.copytree(good / "run", folder / "run")
    sparse(folder / "run" / "timings.jsonl")
    return folder / "run"


ensemble = "references.ensemble"
add("references.json, deep", ensemble, spoilt("references", "references.json", DEEP), Ensemble.open)
add("scans of references, wide", ensemble, spoilt("references", "scans.tsv", WIDE), Ensemble.open)
first = "predictions/reference-001.npy"
add("references, endless array", ensemble, spoilt("references", first, bombs.npy((HUGE,))), Ensemble.open)
add("plan of references, wide", "references.plan", spoilt("references", "plan.tsv", WIDE), Plan.read)
table = "returned/reference-001.tsv"
add("table of a lab, wide", "references.collect", spoilt("references", table, WIDE), returned)
add(
    "request of a plan, deep",
    "auditing.making_references",
    spoilt("references", "request.json", DEEP),
    lambda path: collect_references(path, []),
)
add(
    "record of a task, deep",
    "training.reference_tasks",
    lambda good, folder: put(folder / "tasks" / "reference-001.json", DEEP).parents[1],
    task,
)
add("times of a run, endless", "auditing.forecast", endless, timings)
add(
    "times of a run, deep",
    "auditing.forecast",
    lambda good, folder: one("timings.jsonl", DEEP)(good, folder).parent,
    timings,
    harmless=True,
)
