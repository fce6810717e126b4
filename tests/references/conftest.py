"""People, a plan, and references that learned their people by heart."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.references.ensemble import Ensemble, finish, write_predictions, write_scans
from memberscan.references.plan import Plan, name_of

PEOPLE = 40


def some_people(count: int = PEOPLE, seed: int = 0) -> pd.DataFrame:
    """Return people with an age, a sex and a site."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "label": rng.uniform(20, 80, count).round(1),
            "sex": rng.choice(["f", "m"], count),
            "site": rng.choice(["a", "b"], count),
        },
        index=[f"s{k:03d}" for k in range(count)],
    )


def scans_of(people: pd.DataFrame) -> pd.DataFrame:
    """Return one scan for each person, in another order than that of the people."""
    scans = pd.DataFrame({"subject_id": people.index, "label": people["label"].to_numpy()})
    return scans.set_axis(pd.Index([f"{s}/scan" for s in people.index], name="scan_id")).iloc[::-1]


def learned(plan: Plan, scans: pd.DataFrame, *, overfit: float = 5.0, seed: int = 0) -> np.ndarray:
    """Return predictions whose errors are smaller for those that each reference was trained on."""
    rng = np.random.default_rng(seed)
    places = pd.Index(plan.subjects).get_indexer(pd.Index(scans["subject_id"]))
    inside = plan.inside[:, places]
    errors = rng.normal(size=inside.shape) * np.where(inside, 5.0 / overfit, 5.0)
    return np.asarray(scans["label"].to_numpy() + errors)


def finished(directory: Path, plan: Plan, scans: pd.DataFrame, predictions: Iterable[np.ndarray]) -> Ensemble:
    """Write finished references."""
    directory.mkdir()
    plan.write(directory)
    write_scans(directory, scans)
    digests = {name_of(k): write_predictions(directory, name_of(k), row) for k, row in enumerate(predictions)}
    return finish(directory, recipe="a test", cohort="c0", plan=plan, digests=digests)


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    return some_people()


@pytest.fixture(scope="session")
def scans(people: pd.DataFrame) -> pd.DataFrame:
    return scans_of(people)


@pytest.fixture(scope="session")
def plan(people: pd.DataFrame) -> Plan:
    return Plan.draw(people, count=6, size=20, seed=1)
