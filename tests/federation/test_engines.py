from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
import torch

from memberscan.errors import FederationError
from memberscan.federation import engines
from memberscan.runs.transcript import Transcript

from .parties import Consortium, settings


def descendants() -> set[int]:
    """Return the processes below this one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    found, before = {os.getpid()}, set()
    while found != before:
        before = set(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def test_ray_gives_the_models_of_the_local_engine_and_is_shut_down(three: Consortium, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    threads, processes = set(threading.enumerate()), descendants()
    its = settings(rounds=2)
    engines.simulate(three.cohort, three.roles, its, tmp_path / "ray", engine="ray")
    assert not ray.is_initialized()
    end = time.monotonic() + 20
    while (left := descendants() - processes) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left
    assert not [thread for thread in set(threading.enumerate()) - threads if not thread.daemon]
    engines.simulate(three.cohort, three.roles, its, tmp_path / "local")
    found, expected = (Transcript.open(tmp_path / name) for name in ("ray", "local"))
    assert found.learners == expected.learners
    for number in range(3):
        for name, values in expected.global_model(number).items():
            torch.testing.assert_close(found.global_model(number)[name], values, rtol=1e-5, atol=1e-6)
    for its_round, other in zip(found.rounds, expected.rounds, strict=True):
        assert list(its_round.took_part) == list(other.took_part)
        assert not its_round.left_out


def test_keys_reach_the_parties(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="has no key"):
        engines.simulate(three.cohort, three.roles, settings(rounds=1, secure="ckks"), tmp_path / "rounds")
