"""The consortium of the room's tests, and what it gives when nothing goes wrong."""

from __future__ import annotations

import pytest

from memberscan.cohort import Cohort

from .consortium import Consortium, consortium, contents


@pytest.fixture(scope="session")
def three(table: Cohort) -> Consortium:
    """Three learners of 12, 9 and 7 people."""
    return consortium(table)


@pytest.fixture(scope="session")
def undisturbed(three: Consortium, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of three rounds of it."""
    path = tmp_path_factory.mktemp("undisturbed") / "rounds"
    three.federate(path)
    return contents(path)
