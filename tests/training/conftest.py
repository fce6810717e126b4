"""A small federation, its transcript as somebody else keeps it, and what imports it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.runs import Role, Roles, Run
from memberscan.training import TrainingConfig, import_run

SETTINGS = Settings("mlp", {"width": 4}, TrainingConfig(epochs=1, device="cpu"), rounds=2)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A table of five measures of 100 people."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("hundred")
    people = pd.DataFrame(rng.normal(size=(100, 5)), columns=[f"measure {n}" for n in range(5)])
    people["id"], people["age"] = [f"p {n}" for n in range(100)], rng.uniform(45, 80, 100).round(1)
    people.to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(folder / "table.csv", folder / "cohort", subject="id", age="age", covariates=[])


@pytest.fixture(scope="module")
def federated(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three learners, two rounds, a narrow model, 40 held out."""
    path = tmp_path_factory.mktemp("federated") / "run"
    return federate(cohort, path, settings=SETTINGS, learners=3, held_out=0.4, seed=0)


@pytest.fixture(scope="module")
def encrypted(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same under CKKS."""
    pytest.importorskip("tenseal")
    settings = Settings("mlp", {"width": 4}, TrainingConfig(epochs=1, device="cpu"), rounds=1, secure="ckks")
    path = tmp_path_factory.mktemp("encrypted") / "run"
    return federate(cohort, path, settings=settings, learners=3, held_out=0.4, seed=0)


@pytest.fixture
def folder(federated: Run, tmp_path: Path) -> Path:
    """The transcript as somebody else keeps it: other names of folders and files, and no JSON."""
    for source in sorted(federated.transcript.path.glob("0*")):
        target = tmp_path / "theirs" / f"round_{int(source.name)}"
        target.mkdir(parents=True)
        for path in source.glob("*.safetensors"):
            shutil.copy(path, target / path.name.replace("global", "server"))
    return tmp_path / "theirs"


@pytest.fixture
def take(cohort: Cohort, federated: Run, folder: Path, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that imports the folder."""

    def run(**changes: Any) -> Run:
        given = {
            "cohort": cohort,
            "model": "mlp",
            "roles": federated.roles,
            "transcript": folder,
            "options": {"width": 4},
        }
        return import_run(tmp_path / "in", **(given | changes))

    return run


def site(federated: Run, name: str) -> Roles:
    """What one site knows: its members, and a part of the held-out."""
    own, outside = federated.roles.members_of(name), federated.roles.subjects(Role.NONMEMBER)[:26]
    of = dict.fromkeys(own, Role.MEMBER) | dict.fromkeys(outside, Role.NONMEMBER)
    return Roles(of, dict.fromkeys(own, name))
