"""What an audit of the predictions for 10,000 subjects takes, start of the process included."""

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

SUBJECTS = 10_000
SECONDS, MEGABYTES = 5.0, 1000.0


def write_predictions(path: Path) -> None:
    """Write a file as a lab would bring it: members fitted a little better, three covariates."""
    random = np.random.default_rng(0)
    age = random.uniform(45, 80, SUBJECTS)
    member = np.arange(SUBJECTS) % 2
    table = pd.DataFrame(
        {
            "subject_id": [f"sub-{i:05d}" for i in range(SUBJECTS)],
            "age": age.round(1),
            "prediction": (age + random.normal(size=SUBJECTS) * np.where(member, 4.0, 5.0)).round(4),
            "member": member,
            "sex": random.choice(["F", "M"], SUBJECTS),
            "site": random.choice(["A", "B", "C"], SUBJECTS),
            "volume": random.normal(1500, 100, SUBJECTS).round(1),
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
    seconds, processor, peaks, torch_modules = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="memberscan-bench-") as folder:
        source = Path(folder, "predictions.tsv")
        write_predictions(source)
        for repetition in range(options.repetitions):
            command = [
                sys.executable,
                "-m",
                "benchmarks.predictions",
                "--one",
                str(source),
                f"{folder}/{repetition}",
            ]
            start, before = time.perf_counter(), _processor_seconds()
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds.append(time.perf_counter() - start)
            processor.append(_processor_seconds() - before)
            facts = json.loads(done.stdout.splitlines()[-1])
            peaks.append(facts["peak"] / 1e6)
            torch_modules.append(facts["torch"])
    figures = [
        Figure("wall time", seconds, "s", limit=SECONDS),
        Figure("processor time", processor, "s", note="near the wall time, unless others were working"),
        Figure("peak memory", peaks, "MB", limit=MEGABYTES),
        Figure("modules of torch in sys.modules", torch_modules, "", limit=0),
    ]
    return show(f"audit of predictions for {SUBJECTS:,} subjects", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
