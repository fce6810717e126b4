"""Small real audits of each kind: predictions with and without a leak, a trained model, federations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import ThreatModel, TrainingConfig, audit, train
from memberscan.cohort import Cohort
from memberscan.report import AuditContent, check
from memberscan.report.content.audit_json import Basis, Exposure, Null
from memberscan.report.content.parts import NotRun
from memberscan.runs import Run
from memberscan.threat import Access, Attacker

PREDICTIONS = {
    "no_leak_shown": (2000, 1.0, 0.0),
    "inconclusive": (160, 1.0, 0.0),
    "confounded": (400, 1.0, 3.2),
    "differing": (300, 1.0, 1.2),
    "confounded_leak": (600, 3.0, 1.0),
    "apart": (60, 3.0, 3.0),
    "small_leak": (40, 8.0, 0.0),
    "tiny": (20, 1.0, 0.0),
}
"""Subjects, the ratio of non-members' errors to members', and how many deviations members are older."""
FEDERATED = {
    "learner": ("uniform-iid", Attacker.LEARNER),
    "server": ("uniform-noniid", Attacker.SERVER),
    "plain": ("uniform-iid", Attacker.SERVER),
    "summed": ("uniform-iid", Attacker.AGGREGATE),
    "outside": ("uniform-noniid", Attacker.OUTSIDER),
}


def of_predictions(folder: Path, name: str) -> AuditContent:
    """Audit a file of predictions."""
    subjects, ratio, older = PREDICTIONS[name]
    rng = np.random.default_rng(5)
    member = np.arange(subjects) % 2 == 0
    age = rng.normal(62 + 8 * older * member, 8)
    table = pd.DataFrame(
        {
            "subject_id": [f"S{n:04d}" for n in range(subjects)],
            "age": age.round(3),
            "prediction": age + rng.normal(size=subjects) * np.where(member, 3.0, 3.0 * ratio),
            "member": member.astype(int),
            "sex": rng.choice(["F", "M"], subjects),
            "postcode": [f"AB{n}" for n in range(subjects)],
        }
    )
    table.drop(columns=["sex"] if name == "tiny" else []).to_csv(folder / f"{name}.csv", index=False)
    return check(dict(audit(folder / f"{name}.csv").content))


def of_weights(folder: Path) -> AuditContent:
    """Train a model on 60 of 120 people until it remembers them, and audit its weights."""
    cohort = people(folder / "trained", 120, 8)
    run = train(cohort, folder / "run", model="mlp", config=TrainingConfig(epochs=60, device="cpu"), seed=1)
    return check(dict(audit(run.path, threat=ThreatModel(access=Access.WEIGHTS)).content))


def people(folder: Path, count: int, measures: int) -> Cohort:
    """Return a table of people, the first measure of whom follows age."""
    rng = np.random.default_rng(0)
    ages = rng.uniform(45, 80, count).round(1)
    table = pd.DataFrame(rng.normal(size=(count, measures)), columns=[f"m {n}" for n in range(measures)])
    table["m 0"] += (ages - 62) / 10
    table = table.assign(id=[f"P{n:03d}" for n in range(count)], age=ages, sex=rng.choice(["F", "M"], count))
    folder.mkdir()
    table.to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(
        folder / "table.csv", folder / "cohort", subject="id", age="age", covariates=["sex"]
    )


def federations(folder: Path) -> dict[str, Run]:
    """Federate four learners over three rounds, alike and unlike in age."""
    pytest.importorskip("flwr")
    from memberscan.federation.settings import Settings
    from memberscan.federation.simulated_run import federate

    training = TrainingConfig(epochs=8, learning_rate=3e-3, device="cpu")
    settings = Settings("mlp", {"width": 32}, training, rounds=3)
    cohort = people(folder / "federated", 128, 24)
    return {
        environment: federate(
            cohort,
            folder / environment,
            settings=settings,
            environment=environment,
            learners=4,
            held_out=0.25,
            seed=0,
        )
        for environment in ("uniform-iid", "uniform-noniid")
    }


def of_federations(folder: Path) -> dict[str, AuditContent]:
    """Audit federations as each of their parties."""
    runs = federations(folder)
    return {
        name: check(dict(audit(runs[environment].path, threat=ThreatModel(attacker=attacker)).content))
        for name, (environment, attacker) in FEDERATED.items()
    }


def encrypted(server: AuditContent) -> AuditContent:
    """Return what an audit of the same server says where the learners encrypt: it sees nothing."""
    assert server.federation is not None
    nothing = {"pairs": (), "victims": (), "by_round": (), "coverage": (), "sources": None}
    secret = {"secure": "ckks", "visible_to_server": False, "transcript": "e" * 32}
    null = Null(method="permutation", permutations=None, p_values={}, mean_auc=None)
    verdict = {
        "label": "inconclusive",
        "sentence": "No attack could be run: this attacker sees nothing that an attack could use.",
        "smallest_detectable_auc": 1.0,
        "basis": Basis(rule="none", attack=None, bound=None, p_value=None, ranking=(), shown=()),
    }
    return server.model_copy(
        update={
            "findings": (),
            "not_run": tuple(NotRun(attack=f.attack, reason="was encrypted (ckks)") for f in server.findings),
            "checks": server.checks.model_copy(update={"null": null}),
            "exposure": Exposure(attack=None, groups=()),
            "federation": server.federation.model_copy(update={**nothing, **secret}),
            "verdict": server.verdict.model_copy(update=verdict),
        }
    )


def site(server: AuditContent, number: int) -> AuditContent:
    """Return what one site of a deployed federation finds with its own people only."""
    federation, name = server.federation, f"learner-{number}"
    assert federation is not None
    own = {
        "environment": None,
        "transcript": "d" * 32,
        "learners": tuple(row for row in federation.learners if row.name == name),
        "victims": tuple(row for row in federation.victims if row.name == name),
        "together": None,
        "pairs": tuple(row for row in federation.pairs if row.victim == name),
    }
    return server.model_copy(update={"federation": federation.model_copy(update=own)})
