"""What a change of memberscan changes: the same commands by two versions of its source, by turns.

``python -m benchmarks.unchanged --base OTHER_CHECKOUT`` builds a cohort, trains, federates and audits with
each version, from the same seed. It prints by how much the numbers of each audit.json differ, and those of
the same audits before they are rounded for publication, whether the verdicts and the scores of people are the
same, and how the times compare.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.harness import machine

TITLE = "the same commands by two versions"
PHANTOMS = ("cohort", "phantom", "cohort", "--subjects", "120", "--spacing", "12")
TRAINING = ("--model", "cnn3d", "--width", "8", "--epochs", "40", "--seed", "0")
FEDERATION = ("--learners", "4", "--held-out", "0.4", "--rounds", "4")
AUDITS = {
    "outsider": ("run", "--access", "weights"),
    "learner": ("federation", "--attacker", "learner"),
    "server": ("federation", "--attacker", "server"),
    "aggregate": ("federation", "--attacker", "aggregate"),
}
COHORTS = "src/memberscan/cli/cohorts.py"
EXACT = """
import dataclasses, json, sys, tempfile
from pathlib import Path
from memberscan import Access, Attacker, ThreatModel
try:
    from memberscan.auditing.stages import measure
except ImportError:  # versions before the stages had a module of their own
    from memberscan.auditing.conduct import measure
source, access, attacker = sys.argv[1:]
threat = ThreatModel(access=Access.parse(access), attacker=Attacker.parse(attacker))
with tempfile.TemporaryDirectory() as folder:
    found = measure(Path(source), Path(folder), threat=threat)
p_values = dict(zip(found.null.attacks, found.null.p_values.tolist()))
rows = [{**f.to_dict(), "p_value": p_values[f.attack]} for f in found.findings]
print(json.dumps({"findings": rows, "gap": dataclasses.asdict(found.gap), "verdict": found.verdict.sentence}))
"""
"""Prints what an audit worked out, before it is rounded."""
PASSED_OVER = {"provenance", "schema"}
"""Parts of audit.json that name versions and digests."""


def stages(bids: Path | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name and the arguments of each command, in an order in which they can be run."""
    if bids is None:
        yield "cohort", PHANTOMS
    else:
        select = ("--select", "desc=brain", "--spacing", "8")
        yield "cohort", ("cohort", "bids", str(bids.resolve()), "cohort", *select)
    yield "train", ("train", "cohort", "run", *TRAINING)
    width = ("--model", "cnn3d", "--width", "8", "--seed", "0")
    yield "federate", ("federate", "cohort", "federation", *width, *FEDERATION)
    for name, (source, *options) in AUDITS.items():
        yield name, ("audit", source, f"audit-{name}", *options, "--seed", "0")


def run(command: Sequence[str], source: Path, folder: Path) -> float:
    """Run one command with one version of the source; return its seconds."""
    if command[:2] == ("cohort", "bids") and "--recentre" in (source / COHORTS).read_text():
        # Before there was this option, every scan was shifted.
        command = (*command, "--recentre")
    start = time.perf_counter()
    _python(["-m", "memberscan", *command], source, folder)
    return time.perf_counter() - start


def exact(name: str, source: Path, folder: Path) -> dict[str, Any]:
    """Return what one version works out for an audit, before it is rounded."""
    target, *options = AUDITS[name]
    given = dict(zip(options[::2], options[1::2], strict=True))
    access, attacker = given.get("--access", "outputs"), given.get("--attacker", "outsider")
    return dict(json.loads(_python(["-c", EXACT, target, access, attacker], source, folder)))


def _python(arguments: Sequence[str], source: Path, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} by {source} failed:\n{done.stderr}")
    return done.stdout


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number within JSON with its place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if place or key not in PASSED_OVER:
                yield from numbers(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("attack", index) if isinstance(inner, Mapping) else index
            yield from numbers(inner, f"{place}[{name}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield place, float(value)


def apart(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers that both have and that differ by more than 1e-12, the most different first."""
    found = {
        place: abs(first[place] - second[place])
        for place in first.keys() & second.keys()
        if not math.isclose(first[place], second[place], rel_tol=1e-12, abs_tol=1e-12)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def differences(name: str, sources: Mapping[str, Path], folders: Mapping[str, Path]) -> dict[str, Any]:
    """Compare two audits: verdicts, scores of people, and every number that both state or work out."""
    places = [folders[side] / f"audit-{name}" for side in sources]
    audits = [json.loads((place / "audit.json").read_text()) for place in places]
    first, second = (dict(numbers(audit)) for audit in audits)
    scores = [pd.read_csv(place / "scores.tsv", sep="\t") for place in places]
    unrounded = [exact(name, sources[side], folders[side]) for side in sources]
    one, other = (dict(numbers(found)) for found in unrounded)
    return {
        "unrounded": len(one.keys() & other.keys()),
        "unrounded apart": apart(one, other),
        "sentences": unrounded[0]["verdict"] == unrounded[1]["verdict"],
        "verdicts": [audit["verdict"]["label"] for audit in audits],
        "scores": bool(scores[0].equals(scores[1])),
        "numbers": len(first.keys() & second.keys()),
        "apart": apart(first, second),
        "only in base": sorted(first.keys() - second.keys()),
        "only in ours": sorted(second.keys() - first.keys()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="a checkout of the other version")
    parser.add_argument("--bids", type=Path, help="a BIDS dataset to take instead of phantoms")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    sources = {"base": options.base.resolve(), "ours": Path.cwd()}
    seconds: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="memberscan-unchanged-") as temporary:
        for repetition in range(options.repetitions):
            folders = {name: Path(temporary) / f"{name}-{repetition}" for name in sources}
            for folder in folders.values():
                folder.mkdir()
            for stage, command in stages(options.bids):
                for name, source in sources.items():
                    took = run(command, source, folders[name])
                    seconds.setdefault(stage, {}).setdefault(name, []).append(took)
        found = {name: differences(name, sources, folders) for name in AUDITS}
    show(seconds, found, as_json=options.json)
    same = all(
        len(set(f["verdicts"])) == 1 and f["scores"] and not f["unrounded apart"] for f in found.values()
    )
    return 0 if same else 1


def show(
    seconds: Mapping[str, Mapping[str, list[float]]], found: Mapping[str, Any], *, as_json: bool
) -> None:
    """Print the times and the differences."""
    if as_json:
        print(
            json.dumps({"title": TITLE, "machine": machine(), "seconds": seconds, "audits": found}, indent=2)
        )
        return
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    times = Table("command", "base", "ours", "ours / base", title=f"{TITLE}: seconds (median)")
    for stage, sides in seconds.items():
        ratios = [ours / base for ours, base in zip(sides["ours"], sides["base"], strict=True)]
        medians = [f"{median(sides[side]):.2f}" for side in ("base", "ours")]
        times.add_row(stage, *medians, f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    console.print(times)
    table = Table(
        "audit",
        "verdicts",
        "scores",
        "before rounding",
        "apart",
        "in audit.json",
        "apart",
        "largest differences",
    )
    for name, facts in found.items():
        verdicts = " / ".join(dict.fromkeys(facts["verdicts"]))
        largest = "\n".join(f"{place} {size:.3g}" for place, size in list(facts["apart"].items())[:6])
        same = "equal" if facts["scores"] else "differ"
        counts = [(facts["unrounded"], facts["unrounded apart"]), (facts["numbers"], facts["apart"])]
        columns = [str(value) for numbers, differ in counts for value in (numbers, len(differ))]
        table.add_row(name, verdicts, same, *columns, largest)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
