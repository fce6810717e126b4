from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from memberscan.cohort import Cohort

from .parties import contents

# The child says when it starts to federate, so that the kill falls into its work and not into its imports.
CHILD = """
import sys
from memberscan.federation import engines
from memberscan.federation.federate import federate
from memberscan.federation.settings import Settings
from memberscan.training import TrainingConfig
print("ready", flush=True)
settings = Settings("mlp", {"width": 4}, TrainingConfig(epochs=2, device="cpu"), rounds=25)
federate(sys.argv[1], sys.argv[2], settings=settings, environment="skewed-noniid", learners=3, held_out=0.3)
"""


def start(cohort: Path, run: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(cohort), str(run)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_federation_killed_at_random_moments_ends_in_the_same_bytes(table: Cohort, tmp_path: Path) -> None:
    child = start(table.path, tmp_path / "whole")
    started = time.monotonic()
    assert child.wait() == 0
    duration = time.monotonic() - started
    moments = random.Random(0)
    killed = 0
    for _ in range(5):
        child = start(table.path, tmp_path / "part")
        time.sleep(duration * moments.uniform(0.02, 0.3))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed, "all were faster than the kill, so the test shows nothing"
    assert start(table.path, tmp_path / "part").wait() == 0
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
