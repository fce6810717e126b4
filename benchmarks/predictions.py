"""What an audit of predictions takes, from the start of the process: for 10,000 people, and for a million."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import Figure, arguments, peak_bytes, show

SUBJECTS, MANY = 10_000, 1_000_000
SECONDS, MEGABYTES = 5.0, 1000.0
SECONDS_FOR_MANY = 20.0
_NEAR = "near the wall time, unless others were working"


def write_predictions(path: Path, subjects: int = SUBJECTS) -> None:
    """Write a file as a lab would bring it: members fitted a little better, three covariates."""
    random = np.random.default_rng(0)
    age = random.uniform(45, 80, subjects)
    member = np.arange(subjects) % 2
    table = pd.DataFrame(
        {
            "subject_id": [f"sub-{i:07d}" for i in range(subjects)],
            "age": age.round(1),
            "prediction": (age + random.normal(size=subjects) * np.where(member, 4.0, 5.0)).round(4),
            "member": member,
            "sex": random.choice(["F", "M"], subjects),
            "site": random.choice(["A", "B", "C"], subjects),
            "volume": random.normal(1500, 100, subjects).round(1),
        }
    )
    table.to_csv(path, sep="\t", index=False)


def audit_here(source: str, directory: str) -> dict[str, float]:
    """Run the command here; return its status, its peak memory, and how many modules of torch it loaded."""
    from memberscan.cli import main as command

    sys.argv = ["memberscan", "audit", source, directory, "--json"]
    try:
        command()
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    loaded = sum(name.partition(".")[0] == "torch" for name in sys.modules)
    return {"status": status, "peak": peak_bytes(), "torch": loaded}


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument(
        "--one", nargs=2, metavar=("SOURCE", "AUDIT"), help="audit, print what it took, and stop"
    )
    options = parser.parse_args()
    if options.one:
        facts = audit_here(*options.one)
        print(json.dumps(facts))
        return int(facts["status"])
    few, many = _measure(SUBJECTS, options.repetitions), _measure(MANY, min(options.repetitions, 3))
    figures = [
        Figure("wall time", few["seconds"], "s", limit=SECONDS),
        Figure("processor time", few["processor"], "s", note=_NEAR),
        Figure("peak memory", few["peak"], "MB", limit=MEGABYTES),
        Figure("modules of torch in sys.modules", few["torch"], "", limit=0),
        Figure(f"{MANY:,} subjects: wall time", many["seconds"], "s", goal=SECONDS_FOR_MANY),
        Figure(f"{MANY:,} subjects: processor time", many["processor"], "s", note=_NEAR),
        Figure(f"{MANY:,} subjects: peak memory", many["peak"], "MB"),
    ]
    return show(f"audit of predictions for {SUBJECTS:,} subjects", figures, as_json=options.json)


def _measure(subjects: int, repetitions: int) -> dict[str, list[float]]:
    """Audit predictions of that many subjects, each time in a process of its own."""
    measured: dict[str, list[float]] = {"seconds": [], "processor": [], "peak": [], "torch": []}
    with tempfile.TemporaryDirectory(prefix="memberscan-bench-") as folder:
        source = Path(folder, "predictions.tsv")
        write_predictions(source, subjects)
        for repetition in range(repetitions):
            audit = [str(source), f"{folder}/{repetition}"]
            command = [sys.executable, "-m", "benchmarks.predictions", "--one", *audit]
            start, before = time.perf_counter(), _processor_seconds()
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            measured["seconds"].append(time.perf_counter() - start)
            measured["processor"].append(_processor_seconds() - before)
            facts = json.loads(done.stdout.splitlines()[-1])
            measured["peak"].append(facts["peak"] / 1e6)
            measured["torch"].append(facts["torch"])
    return measured


if __name__ == "__main__":
    sys.exit(main())
