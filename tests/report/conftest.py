"""One audit for each kind of answer and each party of a federation, alone and merged."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from memberscan.report import consortium

from .audits import Audit, confounded, inconclusive, leaks, no_leak_shown, tiny
from .federations import encrypted, federated, learner, outside, server, site, summed

EXAMPLES: dict[str, Callable[[], Audit]] = {
    f.__name__: f
    for f in (
        *(leaks, no_leak_shown, inconclusive, confounded, tiny),
        *(learner, server, encrypted, summed, outside),
    )
}


@pytest.fixture(scope="session")
def examples() -> dict[str, Audit]:
    """One audit for each kind of answer; not to be changed."""
    return {name: make() for name, make in EXAMPLES.items()}


@pytest.fixture(scope="session")
def merging(examples: dict[str, Audit]) -> dict[str, Audit]:
    """Audits to merge: several attackers, with and without encryption, and four sites; not to be changed."""
    plain = federated({"gradient-cosine": 0.74, "error:rounds": 0.66}, "server", [48] * 8, seed=1)
    views = {
        name: examples[name] for name in ("learner", "server", "encrypted", "summed", "outside", "leaks")
    }
    return {**views, "plain": plain, **{f"site-{n}": site(n) for n in range(1, 5)}}


@pytest.fixture(scope="session")
def merged(merging: dict[str, Audit]) -> Audit:
    """The content of their consortium.json; not to be changed."""
    return consortium(merging)


@pytest.fixture(params=list(EXAMPLES))
def audit(request: pytest.FixtureRequest, examples: dict[str, Audit]) -> Audit:
    """Each example in turn, the test's own copy."""
    return copy.deepcopy(examples[request.param])


@pytest.fixture
def leaking(examples: dict[str, Audit]) -> Audit:
    """The audit of a model that leaks, the test's own copy."""
    return copy.deepcopy(examples["leaks"])
