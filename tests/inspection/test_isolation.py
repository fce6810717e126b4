"""A job that crashes, hangs or takes too much memory ends alone."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.isolation import MEMORY, Isolated


@dataclass(frozen=True)
class Job:
    what: str
    size: int = 0

    def carry_out(self, index: CohortIndex | None, scratch: Path) -> str:
        (scratch / "left.bin").write_bytes(b"x")
        if self.what == "crash":
            os.kill(os.getpid(), 11)
        if self.what == "hang":
            time.sleep(60)
        if self.what == "grow":
            try:
                bytearray(2 * MEMORY)
            except MemoryError:
                return "bounded"
        return f"{self.what} {sorted(p.name for p in scratch.iterdir())} {index}"

    def given_up(self, reason: str) -> str:
        return reason


def test_each_job_ends_alone():
    with Isolated(None, seconds=8) as process:
        assert process.carry_out(Job("first")) == "first ['left.bin'] None"
        assert process.carry_out(Job("grow")) == "bounded"
        assert "crashed" in process.carry_out(Job("crash"))
        assert process.carry_out(Job("after")) == "after ['left.bin'] None"
    with Isolated(None, seconds=4) as process:
        assert process.carry_out(Job("before")) == "before ['left.bin'] None"
        assert "longer than 4 seconds" in process.carry_out(Job("hang"))
