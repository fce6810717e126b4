"""Alternated repetitions, and figures beside their limits: what all benchmarks share.

A machine's speed drifts by more than the differences that are measured here. So the things compared take
turns, A B A B, each figure is a ratio of neighbours, and its median is given with the smallest and the
largest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

REPETITIONS = 5


@dataclass(frozen=True)
class Figure:
    """One figure, measured several times, beside the limit that its median must keep.

    ``limit`` is None where a figure is for information. ``note`` says what it was made from.
    """

    name: str
    values: Sequence[float]
    unit: str
    limit: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "ok" or "over", or "" without a limit."""
        if self.limit is None:
            return ""
        return "ok" if median(self.values) <= self.limit else "over"

    def to_dict(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": median(self.values),
            "low": min(self.values),
            "high": max(self.values),
            "values": list(self.values),
            "goal": self.goal,
            "limit": self.limit,
            "verdict": self.verdict,
            "note": self.note,
        }


def alternate(
    measures: Mapping[str, Callable[[], float]], repetitions: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Let each measure run by turns, ``repetitions`` times, after a round that only warms up."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for round_ in range(-1 if warm_up else 0, repetitions):
        for name, measure in measures.items():
            value = measure()
            if round_ >= 0:
                samples[name].append(value)
    return samples


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Return a measure: the seconds that ``work`` takes."""

    def measure() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return measure


def ratio(
    name: str,
    samples: Mapping[str, Sequence[float]],
    ours: str,
    other: str,
    *,
    limit: float | None,
    goal: float | None = None,
    unit: str = "s",
    scale: float = 1.0,
) -> Figure:
    """Divide neighbours, pair by pair; the note holds the medians of both sides, multiplied by ``scale``."""
    pairs = [a / b for a, b in zip(samples[ours], samples[other], strict=True)]
    sides = " / ".join(f"{_number(median(samples[side]) * scale)} {unit}" for side in (ours, other))
    return Figure(name, pairs, "x", limit, goal, sides)


def peak_bytes() -> int:
    """Return the largest resident set of this process since :func:`reset_peak`, or since its start.

    ``ru_maxrss`` would not do: a child inherits its parent's there.
    """
    return _status("VmHWM")


def resident_bytes() -> int:
    """Return the resident set of this process."""
    return _status("VmRSS")


def reset_peak() -> None:
    """Let the peak be the present."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("memory is measured by /proc/self/status, which only Linux has")
    return int(found[1]) * 1024


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="of each measure (default 5)")
    return parser


def show(title: str, figures: Sequence[Figure], *, as_json: bool) -> int:
    """Print the figures, and return an exit status: 1 if one is over its limit."""
    if as_json:
        print(
            json.dumps(
                {"title": title, "machine": machine(), "figures": [f.to_dict() for f in figures]}, indent=2
            )
        )
    else:
        table = Table("measure", "median", "min - max", "n", "goal", "limit", "", "made from", title=title)
        for f in figures:
            table.add_row(f.name, *_columns(f), f.verdict, f.note)
        console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
        console.print(table)
        console.print(", ".join(f"{key} {value}" for key, value in machine().items()), style="dim")
    return 1 if any(f.verdict == "over" for f in figures) else 0


def machine() -> dict[str, object]:
    """Return what the figures depend on; a load near the number of cores says that others were working."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _columns(f: Figure) -> tuple[str, ...]:
    def text(value: float | None) -> str:
        return "" if value is None else f"{_number(value)} {f.unit}"

    spread = f"{_number(min(f.values))} - {_number(max(f.values))}"
    return text(median(f.values)), spread, str(len(f.values)), text(f.goal), text(f.limit)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
