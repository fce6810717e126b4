from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

from memberscan.cohort import Cohort

from ..children import start

CHILD = """
from memberscan.training import TrainingConfig, loop, train
loop._SECONDS_BETWEEN_CHECKPOINTS = -1.0
config = TrainingConfig(epochs=60, device="cpu", keep="best")
options = {"model": "cnn3d", "options": {"width": 4}, "members": 0.6, "validation": 0.2}
train(cohort, run, config=config, seed=0, **options)
"""


def contents(path: Path) -> dict[str, bytes]:
    """Return all files but those that hold times or a random salt, and without the digest made with it."""
    files = (p for p in path.iterdir() if p.name not in ("timings.jsonl", "roles.salt"))
    return {p.name: re.sub(rb'"roles": "[0-9a-f]{32}"', b"", p.read_bytes()) for p in files}


def test_training_killed_at_random_moments_ends_in_the_same_bytes(volumes: Cohort, tmp_path: Path) -> None:
    child = start(CHILD, cohort=volumes.path, run=tmp_path / "whole")
    started = time.monotonic()
    child.join()
    assert child.exitcode == 0
    duration = time.monotonic() - started
    moments = random.Random(0)
    killed = 0
    for _ in range(2):
        child = start(CHILD, cohort=volumes.path, run=tmp_path / "part")
        time.sleep(duration * moments.uniform(0.05, 0.4))
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
    assert killed, "all were faster than the kill, so the test shows nothing"
    child = start(CHILD, cohort=volumes.path, run=tmp_path / "part")
    child.join()
    assert child.exitcode == 0
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
