"""Processes that tests start and kill: they fork from one that has loaded all modules, to start at once."""

from __future__ import annotations

import functools
import multiprocessing
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

# Torch loads its compiler when the first optimizer is made, which takes longer than most of what is killed.
MODULES = (
    "torch._dynamo",
    "memberscan.auditing.making_references",
    "memberscan.federation.engines",
    "memberscan.federation.simulated_run",
    "memberscan.training.central",
)


def start(code: str, **names: object) -> BaseProcess:
    """Start a process that executes this code, in which these names have these values."""
    child = context().Process(target=exec, args=(code, {"__name__": "child", **names}))
    child.start()
    return child


@functools.cache
def context() -> ForkServerContext:
    """Return the context once the modules are loaded, so that a kill falls into the work."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(MODULES))
    first = found.Process(target=exec, args=("",))
    first.start()
    first.join()
    return found
