"""Copies of scans under other names: their inputs, labels and people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.cohort.with_copies import CohortWithCopies, with_copies
from memberscan.errors import MisalignedError


def copied(cohort: Cohort, seed: int = 3) -> CohortWithCopies:
    one, two, three = cohort.scans.index[:3]
    copies = pd.DataFrame(
        {
            "scan_id": ["plain/0", "mixed/0", "mixed/1"],
            "subject_id": ["plain", "mixed", "mixed"],
            "source": [one, two, three],
            "mixed_with": [one, three, two],
            "label": [10.0, 20.0, 30.0],
        }
    ).set_index("scan_id")
    return with_copies(cohort, copies, seed)


@pytest.mark.parametrize("kind", ["volumes", "table"])
def test_copies_are_read_beside_the_scans_of_the_cohort(kind: str, request: pytest.FixtureRequest) -> None:
    cohort: Cohort = request.getfixturevalue(kind)
    both = copied(cohort)
    one, two, three = cohort.scans.index[:3]
    read = both.read(["mixed/1", three, "plain/0", "mixed/0", one])
    first, second, third = cohort.read([one, two, three])
    np.testing.assert_array_equal(read[[1, 2, 4]], [third, first, first])
    # Each value of a mixed scan is of one of its two sources, and its two scans take opposite ones.
    assert ((read[3] == second) | (read[3] == third)).all()
    np.testing.assert_array_equal(read[3] + read[0], second + third)
    assert not np.array_equal(read[3], second) and not np.array_equal(read[3], third)


def test_the_seed_decides_the_mixture(volumes: Cohort) -> None:
    same, other = copied(volumes), copied(volumes, seed=4)
    np.testing.assert_array_equal(same.read(["mixed/0"]), copied(volumes).read(["mixed/0"]))
    assert not np.array_equal(same.read(["mixed/0"]), other.read(["mixed/0"]))


def test_copies_are_people_with_labels_of_their_own(table: Cohort) -> None:
    both = copied(table)
    assert both.labels[["mixed/1", "plain/0"]].tolist() == [30.0, 10.0]
    assert both.labels[table.scans.index].equals(table.labels)
    assert both.subjects == [*table.subjects, "plain", "mixed"]
    assert (both.fingerprint, both.shape, len(both)) == (table.fingerprint, table.shape, len(table) + 3)
    assert "plain" not in table.subjects


def test_unknown_ids_are_refused(table: Cohort) -> None:
    with pytest.raises(MisalignedError, match="nobody"):
        copied(table).read(["mixed/0", "nobody"])
