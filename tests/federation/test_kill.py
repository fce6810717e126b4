from __future__ import annotations

import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from memberscan.cohort import Cohort

from .. import children
from .consortium import contents, settings

CHILD = """
from memberscan.federation.simulated_run import federate
federate(cohort, run, settings=settings, learners=3, held_out=0.3, seed=0)
"""


def start(cohort: Path, run: Path) -> BaseProcess:
    return children.start(CHILD, cohort=cohort, run=run, settings=settings(rounds=8))


def test_a_federation_killed_at_random_moments_ends_in_the_same_bytes(table: Cohort, tmp_path: Path) -> None:
    child = start(table.path, tmp_path / "whole")
    started = time.monotonic()
    child.join()
    assert child.exitcode == 0
    duration = time.monotonic() - started
    moments = random.Random(0)
    killed = 0
    for _ in range(3):
        child = start(table.path, tmp_path / "part")
        time.sleep(duration * moments.uniform(0.05, 0.4))
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
    assert killed, "all were faster than the kill, so the test shows nothing"
    child = start(table.path, tmp_path / "part")
    child.join()
    assert child.exitcode == 0
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
