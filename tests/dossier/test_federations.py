"""Dossiers of federations: joined audits alone, which site holds a person, and audits of classes."""

from __future__ import annotations

import json

import pytest

from memberscan.dossier.deriving import derive
from memberscan.dossier.exports import EXPORTS
from memberscan.dossier.page import render
from memberscan.dossier.sources import Sources
from memberscan.errors import RefusedError
from memberscan.report import AuditContent, check, consortium

from ..frontier.test_page import Checked
from .conftest import Derive, Read, declaration
from .made_up import changed, leaking, of_party

CLASSES = {"name": "diagnosis", "unit": "", "classes": ["healthy", "patient"], "step": 0.01}


@pytest.fixture
def joined(quiet: AuditContent, read: Read) -> Sources:
    """A consortium.json alone, of a server that finds a leak and of a learner that does not."""
    return read(
        consortium({"server": leaking(of_party(quiet, "server")), "learner": of_party(quiet, "learner")})
    )


def test_joined_audits_alone_make_a_dossier_that_says_what_they_lack(joined: Sources) -> None:
    content = derive(joined, declaration("federation"))
    assert content.decision.outcome == "leak found" and content.predicts is None
    assert any("consortium.json lacks" in said for said in content.limits)
    assert {row.state for row in content.controls} == {"not run"}
    regurgitation = next(row for row in content.coverage if row.name.startswith("Regurgitation"))
    assert "not known from joined audits" in regurgitation.scope_reason
    text = Checked(render(content, "0" * 64)).text
    assert "another learner" in text.lower() and "add the audits themselves" in text


def test_exports_of_joined_audits_invent_no_model(joined: Sources) -> None:
    content = derive(joined, declaration("federation"))
    found = json.loads(EXPORTS["monai"](joined, content)["metadata.json"])
    assert set(found) == {"privacy_audit"}
    card = EXPORTS["model-card"](joined, content)["README.md"].decode()
    assert "training set and people outside it" in card
    with pytest.raises(RefusedError, match="joined audits only"):
        EXPORTS["sacro"](joined, content)


def test_which_site_holds_a_person_is_a_class_of_its_own(quiet: AuditContent, derived: Derive) -> None:
    server = of_party(quiet, "server").dump()
    accuracy = {"value": 0.8, "low": 0.7, "high": 0.9}
    server["federation"]["sources"] = {
        "accuracy": accuracy, "chance": 0.5, "blind": None, "blind_name": None,
    }  # fmt: skip
    rows = {row.name: row for row in derived("federation", check(server)).coverage}
    assert rows["Source inference"].execution == "run"
    assert "80% (70% to 90%)" in rows["Source inference"].result and "50%" in rows["Source inference"].result
    without = {row.name: row for row in derived("federation", of_party(quiet, "learner")).coverage}
    assert without["Source inference"].execution == "not run"


def test_a_model_of_classes_answers_one_of_them(quiet: AuditContent, derived: Derive) -> None:
    content = derived("api", changed(quiet, target={"variable": CLASSES, "taught_on": 12, "synthetic": True}))
    regurgitation = next(row for row in content.coverage if row.name.startswith("Regurgitation"))
    assert "one of 2 classes (diagnosis)" in regurgitation.scope_reason
    told = " ".join(fact.text for f in content.frameworks for e in f.elements for fact in e.facts)
    assert "It predicts diagnosis: one of healthy and patient." in told
    assert "12 people held out were used to train a student." in told and "synthetic phantom" in told


@pytest.mark.parametrize(
    ("null", "state", "says"),
    [
        ({"method": "closed form", "permutations": None, "mean_auc": None}, "as expected", "closed form"),
        ({"method": "permutation", "permutations": 99, "mean_auc": None}, "not run", "does not hold"),
        (
            {"method": "permutation", "permutations": 99, "mean_auc": {"error": 0.49, "lira": 0.51}},
            "as expected",
            "0.49 to 0.51",
        ),
    ],
)
def test_shuffled_membership_is_a_control(
    quiet: AuditContent, derived: Derive, null: dict[str, object], state: str, says: str
) -> None:
    content = derived("api", changed(quiet, checks={"null": {**quiet.checks.null.dump(), **null}}))
    row = next(row for row in content.controls if row.name == "Membership shuffled")
    assert row.state == state and says in row.result


@pytest.mark.parametrize(
    ("blind", "state", "says"),
    [
        ({"tripped": True, "gates": True}, "not as expected", "people who are alike"),
        ({"tripped": True, "gates": False}, "as expected", "the difference is chance"),
        ({"auc": None, "p_value": None}, "not run", "No covariates"),
    ],
)
def test_sides_without_the_model_are_a_control(
    quiet: AuditContent, derived: Derive, blind: dict[str, object], state: str, says: str
) -> None:
    content = derived("api", changed(quiet, checks={"blind": {**quiet.checks.blind.dump(), **blind}}))
    row = next(row for row in content.controls if row.name == "Sides alike without the model")
    assert row.state == state and says in row.result
