"""What kill -9 does: each stage is killed at ten random moments, run again, and compared byte by byte.

The moments are seeded and spread over the time from when the stage claims its output directory to its end,
since a kill before that has nothing to spoil. Every kill starts in a directory of its own. What the second
run leaves is compared with what an undisturbed one left: the same files, the same bytes, wall times
(timings.jsonl) excepted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import machine

KILLS = 10
SUBJECTS, WIDTH, EPOCHS = 40, 8, 60
FEDERATION = (
    *("--model", "cnn3d", "--width", str(WIDTH), "--learners", "2"),
    *("--held-out", "0.5", "--rounds", "10", "--seed", "0"),
)
FRONTIER = (
    *("--model", "cnn3d", "--width", str(WIDTH), "--epochs", "4", "--defences", "early-stopping"),
    *("--references", "2", "--seeds", "2", "--seed", "0", "--workers", "1"),
)
SALTS = ("roles.salt", "salt.txt")
TITLE = "kill -9 at random moments, the same command again"


@dataclass(frozen=True)
class Outcome:
    """What became of one stage: moments are seconds after the output directory appeared."""

    stage: str
    seconds: float
    kills: int
    moments: list[float]
    equal: int
    differences: list[str]

    @property
    def verdict(self) -> str:
        """ "ok" if every kill ended in the same bytes."""
        return "ok" if self.equal == self.kills else "over"


class Study:
    """Runs stages in a folder, each with a fixed number of threads, as many at a time as there are cores."""

    def __init__(self, folder: Path, seed: int, threads: int) -> None:
        self.folder = folder
        self.random = np.random.default_rng(seed)
        # A fixed date, so that commands on both sides of midnight give the same bytes.
        fixed = {"OMP_NUM_THREADS": str(threads), "SOURCE_DATE_EPOCH": "1767225600"}
        self.environment = {**os.environ, **fixed}
        self.at_a_time = max(1, (os.cpu_count() or 1) // threads)

    def stage(self, name: str, output: str, before: Sequence[str], after: Sequence[str] = ()) -> Outcome:
        """Run a stage undisturbed, then kill it; its command is ``before``, the output, then ``after``."""

        def command(out: str) -> list[str]:
            return [sys.executable, "-m", "memberscan", *before, out, *after, "--json"]

        seconds = self._undisturbed(command(output), self.folder / output)
        expected = digests(self.folder / output)
        shares = (np.arange(KILLS) + self.random.random(KILLS)) / KILLS
        with ThreadPoolExecutor(self.at_a_time) as pool:
            jobs = [
                pool.submit(
                    self._kill, command(f"{output}-{i}"), self.folder / f"{output}-{i}", share * seconds
                )
                for i, share in enumerate(shares)
            ]
            moments = [job.result() for job in jobs]
        found = [difference(expected, digests(self.folder / f"{output}-{i}")) for i in range(KILLS)]
        equal = sum(not d for d in found)
        print(f"{name}: {equal} of {KILLS} equal", file=sys.stderr, flush=True)
        return Outcome(name, seconds, KILLS, moments, equal, sorted(filter(None, found)))

    def _start(self, command: list[str], output: Path) -> subprocess.Popen[bytes]:
        """Start a command, and return once its output directory is there."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not output.exists() and process.poll() is None:
            time.sleep(0.002)
        return process

    def _undisturbed(self, command: list[str], output: Path) -> float:
        process = self._start(command, output)
        start = time.perf_counter()
        process.wait()
        _require_success(process, command)
        return time.perf_counter() - start

    def _kill(self, command: list[str], output: Path, moment: float) -> float:
        """Kill a command at a moment, or earlier if it is done by then; run it again; return the moment."""
        while True:
            process = self._start(command, output)
            time.sleep(moment)
            process.kill()
            if process.wait() == -signal.SIGKILL:
                break
            _require_success(process, command)
            shutil.rmtree(output)
            moment *= 0.8
        again = self._start(command, output)
        again.wait()
        _require_success(again, command)
        return moment


def _require_success(process: subprocess.Popen[bytes], command: Sequence[str]) -> None:
    if process.returncode:
        raise SystemExit(f"a command failed with status {process.returncode}: {' '.join(command)}")


def digests(directory: Path) -> dict[str, str]:
    """Return a digest of every file, by its path in the directory, without salts and what they go into."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(_unsalted(path)).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and path.name not in ("timings.jsonl", *SALTS)
    }


_SALTED = re.compile(rb'"(?:roles|predictions)": "([0-9a-f]{32})"')


def _unsalted(path: Path) -> bytes:
    """Return the content of a file without what a random salt makes another one in each run.

    These are the digest of who is a member, in JSON and in the page, and the pseudonyms of people, which are
    replaced by their ids; lines in the order of pseudonyms are sorted by ids.
    """
    content = path.read_bytes()
    audit, names = path.with_name("audit.json"), path.with_name("pseudonyms.tsv")
    for digest in _SALTED.findall(audit.read_bytes() if audit.exists() else content):
        content = content.replace(digest, b"")
    if path.suffix == ".tsv" and names.exists():
        for line in names.read_bytes().splitlines()[1:]:
            subject, pseudonym = line.split(b"\t")
            content = content.replace(pseudonym, subject)
        content = b"\n".join(sorted(content.splitlines()))
    return _SALTED.sub(b"", content)


def difference(expected: dict[str, str], found: dict[str, str]) -> str:
    """Return which files differ, are missing or are left over; nothing if none."""
    changed = sorted(p for p in expected.keys() & found.keys() if expected[p] != found[p])
    parts = {
        "changed": changed,
        "missing": sorted(expected.keys() - found.keys()),
        "left over": sorted(found.keys() - expected.keys()),
    }
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)


def run_all(folder: Path, options: argparse.Namespace) -> list[Outcome]:
    """Kill each stage, on small sizes; training is long enough to have written checkpoints, one every 5 s."""
    study = Study(folder, options.seed, options.threads)
    if options.only:
        phantoms = ("cohort", "phantom", str(folder / "cohort"), "--subjects", str(SUBJECTS))
        subprocess.run([sys.executable, "-m", "memberscan", *phantoms], check=True, capture_output=True)
        return _federations(study) if options.only == "federations" else [_frontier(study)]
    bids = []
    if options.bids:
        before = ("cohort", "bids", str(options.bids.resolve()))
        bids = [study.stage("cohort bids", "bids", before, ("--spacing", "8"))]
    return [
        *bids,
        study.stage("cohort phantom", "cohort", ("cohort", "phantom"), ("--subjects", str(SUBJECTS))),
        study.stage(
            "train",
            "run",
            ("train", "cohort"),
            ("--model", "cnn3d", "--width", str(WIDTH), "--epochs", str(EPOCHS), "--seed", "0"),
        ),
        study.stage("audit", "audit", ("audit", "run"), ("--access", "weights")),
        study.stage("references", "references", ("references", "run"), ("--count", "4", "--workers", "1")),
        study.stage("audit --references", "compared", ("audit", "run"), ("--references", "references")),
        _frontier(study),
        *_federations(study),
    ]


def _frontier(study: Study) -> Outcome:
    return study.stage("frontier", "frontier", ("frontier", "cohort"), FRONTIER)


def _federations(study: Study) -> list[Outcome]:
    server = ("--attacker", "server")
    return [
        study.stage("federate", "federation", ("federate", "cohort"), FEDERATION),
        study.stage("audit --attacker server", "server", ("audit", "federation"), server),
    ]


def show(outcomes: Sequence[Outcome], *, threads: int, as_json: bool) -> int:
    """Print the outcomes, and return an exit status: 1 if a kill changed a byte."""
    if as_json:
        rows = [{**asdict(o), "verdict": o.verdict} for o in outcomes]
        print(
            json.dumps({"title": TITLE, "threads": threads, "machine": machine(), "stages": rows}, indent=2)
        )
    else:
        table = Table(
            "stage", "undisturbed", "kills", "killed after", "equal", "", "differences", title=TITLE
        )
        for o in outcomes:
            span = f"{min(o.moments):.1f} - {max(o.moments):.1f} s"
            facts = (f"{o.seconds:.1f} s", str(o.kills), span, str(o.equal), o.verdict)
            table.add_row(o.stage, *facts, "\n".join(o.differences))
        Console(width=None if sys.stdout.isatty() else 110, highlight=False).print(table)
    return 1 if any(o.verdict == "over" for o in outcomes) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--bids", type=Path, help="a BIDS dataset to build a cohort from as well")
    parser.add_argument("--only", choices=["federations", "frontier"], help="these stages, and no others")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--threads", type=int, default=1, help="of each process (OMP_NUM_THREADS); more is slower"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memberscan-kills-") as folder:
        outcomes = run_all(Path(folder), options)
    return show(outcomes, threads=options.threads, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
