"""One audit for each kind of answer and each party of a federation, alone and merged."""

from __future__ import annotations

from typing import Any

import pytest

from memberscan.report import AuditContent, ConsortiumContent, consortium, render_consortium, render_html

from ..figures import drawing
from .examples import PREDICTIONS, encrypted, of_federations, of_predictions, of_weights, site
from .exposed import with_references

CENTRAL = ["leaks", *PREDICTIONS]
REFERENCES = {"exposed": 16, "few_references": 4}
EXAMPLES = [*CENTRAL, *REFERENCES, "learner", "server", "encrypted", "summed", "outside"]
Examples = dict[str, AuditContent]


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """One audit for each kind of answer."""
    folder = tmp_path_factory.mktemp("examples")
    found = {name: of_predictions(folder, name) for name in PREDICTIONS}
    found |= {name: with_references(found["differing"], count) for name, count in REFERENCES.items()}
    found |= {"leaks": of_weights(folder), **of_federations(folder)}
    return found | {"encrypted": encrypted(found["plain"])}


@pytest.fixture(scope="session")
def merging(examples: Examples) -> Examples:
    """Audits to merge: several attackers, with and without encryption, and four sites."""
    names = ("learner", "server", "encrypted", "summed", "outside", "leaks", "plain")
    sites = {f"site-{n}": site(examples["plain"], n) for n in range(1, 5)}
    return {name: examples[name] for name in names} | sites


@pytest.fixture(scope="session")
def merged(merging: Examples) -> ConsortiumContent:
    """The content of their consortium.json."""
    return consortium(merging)


@pytest.fixture(scope="session")
def pages(examples: Examples, merged: ConsortiumContent) -> dict[str, str]:
    """The page of every example, and that of a consortium."""
    with drawing():
        alone = {name: render_html(audit) for name, audit in examples.items()}
        return {**alone, "consortium": render_consortium(merged)}


@pytest.fixture(autouse=True)
def with_figures(drawn: None) -> None:
    """Draw figures: here is where they are looked at."""


@pytest.fixture(params=EXAMPLES)
def audit(request: pytest.FixtureRequest, examples: Examples) -> AuditContent:
    """Each example in turn."""
    return examples[request.param]


@pytest.fixture
def leaking(examples: Examples) -> dict[str, Any]:
    """The audit.json of a model that leaks, the test's own copy."""
    return examples["leaks"].dump()
