"""A federation that never trained, of 60 people, and the places that attackers take before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memberscan.cohort import Cohort
from memberscan.runs import Run
from memberscan.targets.party import Party
from memberscan.threat import Attacker, ThreatModel

from ..recorded import deal_out, record

HELD_OUT = 24
Record = Callable[..., Run]
Open = Callable[..., Party]


@pytest.fixture
def recorded(sixty: Cohort, tmp_path: Path) -> Record:
    """Return a function that records a federation of three learners with twelve people each."""

    def write(name: str = "run", *, held_out: int = HELD_OUT, **options: Any) -> Run:
        options.setdefault("roles", deal_out(sixty, held_out))
        return record(tmp_path / name, sixty, **options)

    return write


@pytest.fixture
def place(recorded: Record) -> Open:
    """Return a function that takes a party's place in such a federation."""

    def take(attacker: str, *, run: Run | None = None, seed: int = 0, **threat: Any) -> Party:
        path = (run or recorded()).path
        return Party.open(path, ThreatModel(attacker=Attacker(attacker), **threat), seed=seed)

    return take
