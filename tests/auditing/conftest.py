"""Predictions files with a known leak, confounded ones, federations, and the published schema."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from memberscan import AuditResult, ThreatModel, TrainingConfig, audit
from memberscan.attacks import attacks_on
from memberscan.attacks.availability import obstacle
from memberscan.cohort import Cohort
from memberscan.report import SCHEMA
from memberscan.runs import Run
from memberscan.schemas import published
from memberscan.targets import open_target
from memberscan.threat import Attacker

VALIDATOR = jsonschema.Draft202012Validator(published(SCHEMA))
MakePredictions = Callable[..., Path]


def require_valid(content: dict[str, Any]) -> None:
    """Fail unless this is an audit.json by the published schema, without a key that it does not describe."""
    VALIDATOR.validate(content)


def expected_attacks(path: Path, threat: ThreatModel) -> tuple[list[str], list[str]]:
    """Return the default attacks that this attacker can run on a target, and those that it cannot."""
    target = open_target(path, threat)
    hindered = {attack.name: obstacle(attack, target) is not None for attack in attacks_on(target)}
    return [n for n, is_hindered in hindered.items() if not is_hindered], [n for n in hindered if hindered[n]]


def predictions_table(
    rng: np.random.Generator, subjects: int = 80, *, ratio: float = 1.0, older: float = 0.0, scans: int = 1
) -> pd.DataFrame:
    """Return predictions whose errors are ``ratio`` times as large for non-members.

    Members are ``older`` standard deviations older; errors do not depend on age.
    """
    member = np.arange(subjects) % 2 == 0
    age = np.repeat(rng.normal(62 + 8 * older * member, 8), scans) + np.tile(np.arange(scans), subjects) / 2
    inside = np.repeat(member, scans)
    error = rng.normal(size=len(age)) * np.where(inside, 3.0, 3.0 * ratio)
    table = pd.DataFrame(
        {
            "subject_id": np.repeat([f"Subjekt {n:04d}/é" for n in range(subjects)], scans),
            "age": age.round(3),
            "prediction": (age + error).round(6),
            "member": inside.astype(int),
            "sex": np.repeat(rng.choice(["F", "M"], subjects), scans),
            "icv": np.repeat(rng.normal(1500, 100, subjects).round(1), scans),
        }
    )
    if scans > 1:
        table.insert(1, "scan_id", [f"scan/{n}" for n in rng.permutation(len(table))])
    return table


@pytest.fixture
def predictions(tmp_path: Path) -> MakePredictions:
    """Return a function that writes a predictions file."""

    def write(name: str = "predictions.tsv", *, seed: int = 0, subjects: int = 80, **options: Any) -> Path:
        table = predictions_table(np.random.default_rng(seed), subjects, **options)
        table.to_csv(tmp_path / name, sep="\t", index=False)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A table of 24 measures of 128 subjects, every eighth with two scans, for federations."""
    rng = np.random.default_rng(0)
    ages = rng.uniform(45, 80, 128).round(1)
    measures = pd.DataFrame(rng.normal(size=(128, 24)), columns=[f"m {n}" for n in range(24)])
    measures["m 0"] += (ages - 62) / 10
    table = pd.DataFrame({"id": [f"Person {n:03d}" for n in range(128)], "age": ages})
    table = table.assign(sex=rng.choice(["F", "M"], 128)).join(measures)
    again = table[::8].copy()
    again[measures.columns] += 0.3 * rng.normal(size=(16, 24))
    folder = tmp_path_factory.mktemp("people")
    pd.concat([table, again]).to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(
        folder / "table.csv", folder / "cohort", subject="id", age="age", covariates=["sex"]
    )


@pytest.fixture(scope="session")
def federated(people: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Return a function that federates four learners over four rounds, each environment once."""
    pytest.importorskip("flwr")

    @functools.cache
    def run(environment: str = "uniform-iid", secure: str = "none") -> Run:
        from memberscan.federation.settings import Settings
        from memberscan.federation.simulated_run import federate

        training = TrainingConfig(epochs=8, learning_rate=3e-3, device="cpu")
        settings = Settings("mlp", {"width": 32}, training, rounds=4, secure=secure)
        path = tmp_path_factory.mktemp("federated") / "run"
        roles = {"environment": environment, "learners": 4, "held_out": 0.25, "seed": 0}
        return federate(people, path, settings=settings, **roles)

    return run


@pytest.fixture(scope="session")
def audited(federated: Callable[..., Run]) -> Callable[..., AuditResult]:
    """Return a function that audits such a federation as one of its parties, each once; read only."""

    @functools.cache
    def result(attacker: str, environment: str = "uniform-iid", secure: str = "none") -> AuditResult:
        return audit(federated(environment, secure).path, threat=ThreatModel(attacker=Attacker(attacker)))

    return result
