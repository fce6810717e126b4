"""A small cohort of measures, with ids, inputs and labels to plant in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.inspection.cohort_index import CohortIndex, index_of

FEATURES = [f"thickness_{k}" for k in range(6)]


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = 60
    table = pd.DataFrame(rng.normal(2.5, 0.3, (count, len(FEATURES))).round(4), columns=FEATURES)
    table.insert(0, "subject", [f"LAB{k:03d}x" for k in rng.permutation(900)[:count]])
    table.insert(1, "age", rng.uniform(20, 80, count).round(2))
    return table


@pytest.fixture(scope="session")
def cohort(people: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("inspected")
    people.to_csv(folder / "people.csv", index=False)
    return Cohort.from_table(folder / "people.csv", folder / "cohort", subject="subject", age="age")


@pytest.fixture(scope="session")
def index(cohort: Cohort) -> CohortIndex:
    found = index_of(cohort, None)
    assert found is not None
    return found


@pytest.fixture
def members(people: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "members.txt"
    path.write_text("\n".join(people["subject"][:40]))
    return path
