from __future__ import annotations

import multiprocessing
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from memberscan.cohort import Cohort
from memberscan.federation.simulated_run import federate

from .consortium import contents, settings

MODULES = ["memberscan.federation.engines", "memberscan.federation.simulated_run"]


def start(cohort: Path, run: Path) -> BaseProcess:
    # The modules are loaded once, so that a kill falls into the work and not into imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    options = {"settings": settings(rounds=8), "learners": 3, "held_out": 0.3, "seed": 0}
    child = context.Process(target=federate, args=(cohort, run), kwargs=options)
    child.start()
    return child


def test_a_federation_killed_at_random_moments_ends_in_the_same_bytes(table: Cohort, tmp_path: Path) -> None:
    child = start(table.path, tmp_path / "whole")
    started = time.monotonic()
    child.join()
    assert child.exitcode == 0
    duration = time.monotonic() - started
    moments = random.Random(0)
    killed = 0
    for _ in range(5):
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
