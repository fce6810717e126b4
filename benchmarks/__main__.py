"""Runs every benchmark, each in a process of its own: ``python -m benchmarks [--json] [--bids DIR]``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

NAMES = (
    "gradients",
    "memory",
    "dp_sgd",
    "loading",
    "as_is",
    "predictions",
    "inspection",
    "references",
    "reference_attacks",
    "federation",
    "ckks",
    "threads",
    "kills",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--bids", help="a BIDS dataset for the kill study to build a cohort from as well")
    arguments = parser.parse_args()
    reports, failed = {}, []
    for name in NAMES:
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--json"] if arguments.json else [])]
        if name == "kills" and arguments.bids:
            command += ["--bids", arguments.bids]
        done = subprocess.run(
            command, stdout=subprocess.PIPE if arguments.json else None, text=True, check=False
        )
        if done.returncode:
            failed.append(name)
        if arguments.json:
            reports[name] = json.loads(done.stdout) if done.stdout else None
    if arguments.json:
        print(json.dumps(reports, indent=2))
    elif failed:
        print(f"over a limit, or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
