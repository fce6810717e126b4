from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from memberscan.cohort import Cohort

# The child says when it starts to train, so that the kill falls into its work and not into its imports.
CHILD = """
import sys
from pathlib import Path
from memberscan.training import TrainingConfig, loop, train
loop._SECONDS_BETWEEN_CHECKPOINTS = -1.0
print("ready", flush=True)
config = TrainingConfig(epochs=60, device="cpu", keep="best")
options = {"model": "cnn3d", "options": {"width": 4}, "members": 0.6, "validation": 0.2}
train(Path(sys.argv[1]), Path(sys.argv[2]), config=config, seed=0, **options)
"""


def start(cohort: Path, run: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(cohort), str(run)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def contents(path: Path) -> dict[str, bytes]:
    """Return all files but those that hold times or a random salt, and without the digest made with it."""
    files = (p for p in path.iterdir() if p.name not in ("timings.jsonl", "roles.salt"))
    return {p.name: re.sub(rb'"roles": "[0-9a-f]{32}"', b"", p.read_bytes()) for p in files}


def test_training_killed_at_random_moments_ends_in_the_same_bytes(volumes: Cohort, tmp_path: Path) -> None:
    child = start(volumes.path, tmp_path / "whole")
    started = time.monotonic()
    assert child.wait() == 0
    duration = time.monotonic() - started
    moments = random.Random(0)
    killed = 0
    for _ in range(2):
        child = start(volumes.path, tmp_path / "part")
        time.sleep(duration * moments.uniform(0.05, 0.4))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed, "all were faster than the kill, so the test shows nothing"
    assert start(volumes.path, tmp_path / "part").wait() == 0
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
