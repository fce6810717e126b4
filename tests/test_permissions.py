"""Who can read what the commands write: what is about people is for its owner, and the umask is respected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memberscan import audit
from memberscan.cohort import Cohort
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import TrainingConfig

# Nothing in these is about single people.
OPEN = {
    "cohort.json", "run.json", "weights.safetensors", "timings.jsonl", "transcript.json", "round.json",
    "audit.json", "audit.html",
}  # fmt: skip


def modes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("everything")
    cohort = Cohort.phantom(folder / "cohort", subjects=44, spacing=12, workers=1)
    asked = Settings("cnn3d", {"width": 4}, TrainingConfig(epochs=1, device="cpu"), rounds=2)
    run = federate(cohort, folder / "run", settings=asked, learners=2, held_out=0.5)
    audit(run.path, folder / "audit", pseudonyms=True)
    audit(run.path, folder / "server", threat=ThreatModel(attacker=Attacker.SERVER))
    return folder


def test_all_that_is_about_people_is_for_its_owner(everything: Path) -> None:
    for name, mode in modes(everything).items():
        if Path(name).name in OPEN:
            assert mode == 0o644 & ~_umask(), name
        else:
            assert mode == 0o600, name


def test_a_strict_umask_is_respected(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        Cohort.phantom(tmp_path / "cohort", subjects=22, spacing=12, workers=1)
    finally:
        os.umask(old)
    assert set(modes(tmp_path).values()) == {0o600}
    assert (tmp_path / "cohort").stat().st_mode & 0o777 == 0o700


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old
