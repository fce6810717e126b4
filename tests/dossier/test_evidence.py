"""Each attacker gets the gravest verdict that applies to it, and no verdict of one who can do more."""

from __future__ import annotations

import shlex

import pytest

from memberscan.dossier.content import AttackerRow, DossierContent
from memberscan.dossier.contexts import CONTEXTS, declared_context
from memberscan.dossier.evidence import attacker_rows
from memberscan.dossier.sources import Given, Sources
from memberscan.errors import BadInputError, UndeclaredContextError
from memberscan.files import to_json
from memberscan.report import AuditContent, consortium

from ..test_docs import parse
from .conftest import Derive
from .made_up import changed, inspection, labelled, leaking, of_party, of_weights, renamed


def row(content: DossierContent, says: str) -> AttackerRow:
    (found,) = (row for row in content.attackers if says in row.name)
    return found


def test_the_context_is_declared_and_never_guessed() -> None:
    with pytest.raises(UndeclaredContextError) as refused:
        declared_context(None)
    assert all(f"{name}:" in str(refused.value) for name in ("internal", "api", "open-weights", "federation"))
    assert set(CONTEXTS) == {"internal", "api", "open-weights", "federation"}
    with pytest.raises(BadInputError, match="choose one of internal"):
        declared_context("public")


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=list(CONTEXTS))
def test_attackers_of_a_context_have_names_of_their_own_and_say_how_to_audit_them(context) -> None:
    names = [each.name for each in context.attackers]
    assert len(set(names)) == len(names)
    for each in context.attackers:
        for command in each.how.split(", and "):
            parse(shlex.split(command))


def test_an_audit_of_outputs_says_nothing_good_of_weights(quiet: AuditContent, derived: Derive) -> None:
    content = derived("open-weights", quiet)
    assert (row(content, "queries").state, row(content, "queries").outcome) == ("audited", "no leak shown")
    assert row(content, "reads the weights").state == "not audited"
    assert row(content, "reads the weights").outcome is None
    assert row(content, "reference").state == "not audited"


def test_a_leak_to_one_who_can_do_less_is_a_leak_to_all_who_can_do_more(
    quiet: AuditContent, derived: Derive
) -> None:
    content = derived("open-weights", leaking(quiet), of_weights(quiet))
    for says in ("queries", "reads the weights", "reference"):
        assert row(content, says).outcome == "leaks"
    assert "can do less already succeeds" in row(content, "reads the weights").reason
    assert len(row(content, "reads the weights").audits) == 2


def test_a_leak_by_weights_alone_leaves_open_what_outputs_show(quiet: AuditContent, derived: Derive) -> None:
    content = derived("api", of_weights(leaking(quiet, "error"), "error"))
    queries = row(content, "queries")
    assert queries.outcome == "inconclusive" and "more than this attacker has" in queries.reason
    assert queries.average is not None and queries.average.attack != "error"
    assert [fact.source.key for fact in content.decision.beyond] == ["verdict.sentence"]


def test_an_attack_that_anyone_can_use_counts_for_everyone(quiet: AuditContent, derived: Derive) -> None:
    content = derived("api", of_weights(leaking(quiet, "prediction+label"), "error"))
    assert row(content, "queries").outcome == "leaks"
    assert "prediction+label" in row(content, "queries").reason


def test_attacks_with_references_are_not_for_those_who_train_none(
    exposed: AuditContent, derived: Derive
) -> None:
    content = derived("api", leaking(exposed, "lira"))
    assert row(content, "reference").outcome == "leaks"
    assert row(content, "queries").outcome == "inconclusive"


def test_attacks_on_checkpoints_are_not_for_those_who_get_the_finished_model(
    quiet: AuditContent, derived: Derive
) -> None:
    followed = renamed(leaking(of_weights(quiet, "error"), "error"), "error", "loss-series")
    content = derived("open-weights", changed(followed, threat={"checkpoints": 5}))
    weights = row(content, "reads the weights")
    assert weights.outcome == "inconclusive" and "more than this attacker has" in weights.reason
    assert "with 5 checkpoints of the training" in str(content.dump())


def test_the_most_exposed_are_those_of_the_references(exposed: AuditContent, derived: Derive) -> None:
    content = derived("api", exposed)
    assert exposed.person_exposure is not None
    most, found = exposed.person_exposure.most_exposed, row(content, "reference").person
    assert found is not None and (found.people, found.auc) == (most.people, most.auc)
    assert row(content, "queries").person is None
    group = row(content, "reference").group
    groups = [each.auc.value for each in exposed.person_exposure.groups if each.auc]
    assert group is not None and group.attack == "reference models" and group.auc.value == max(groups)


def test_an_audit_that_tried_too_little_is_no_answer(
    quiet: AuditContent, exposed: AuditContent, derived: Derive
) -> None:
    some = derived("open-weights", of_weights(quiet, "error"))
    assert row(some, "reads the weights").outcome == "no leak shown"
    none = row(derived("open-weights", of_weights(quiet)), "reads the weights")
    assert none.outcome == "inconclusive" and "No attack that reads the weights" in none.reason
    few = row(derived("api", renamed(exposed, "lira", "error")), "reference")
    assert few.outcome == "inconclusive" and "No attack with reference models" in few.reason
    rounds = changed(of_party(quiet, "learner"), threat={"rounds": 2})
    learner = row(derived("federation", rounds), "another learner")
    assert learner.outcome == "inconclusive" and "2 rounds only" in learner.reason


def test_changed_answers_are_no_answer_about_those_who_have_the_model(
    quiet: AuditContent, derived: Derive
) -> None:
    served = changed(quiet, target={"answers": "rounding to 5 years"})
    assert row(derived("api", served), "queries").outcome == "no leak shown"
    assert row(derived("open-weights", served), "queries").state == "not audited"
    assert row(derived("open-weights", leaking(served)), "queries").outcome == "leaks"


@pytest.mark.parametrize("label", ["confounded", "inconclusive"])
def test_of_several_audits_the_gravest_counts(quiet: AuditContent, derived: Derive, label: str) -> None:
    content = derived("api", quiet, labelled(quiet, label), labelled(quiet, "no leak shown"))
    assert row(content, "queries").outcome == label
    assert len(row(content, "queries").audits) == 3


def test_a_server_that_sees_ciphertexts_has_nothing_to_attack(quiet: AuditContent, derived: Derive) -> None:
    content = derived("federation", of_party(quiet, "server", visible=False))
    assert row(content, "the server").state == "sees nothing"
    assert not any(said.startswith("The server") for said in content.decision.missing)
    assert any("ckks" in measure.what for measure in content.measures)


def test_who_sees_sums_only_is_listed_if_audited(quiet: AuditContent, derived: Derive) -> None:
    content = derived("federation", quiet, of_party(quiet, "aggregate"))
    assert row(content, "sums").outcome == "no leak shown"
    assert not any("sums" in said for said in content.decision.missing)
    assert "sums" not in {each.sees for each in content.attackers if each.state == "not audited"}


def joined(quiet: AuditContent) -> Sources:
    """Return a consortium.json of a server that finds a leak and a learner that does not."""
    audits = {"server": leaking(of_party(quiet, "server")), "learner": of_party(quiet, "learner")}
    data = to_json(consortium(audits).dump()).encode()
    return Sources((Given("inputs/01-consortium.json", "consortium", data),))


def test_joined_audits_speak_for_parties(quiet: AuditContent) -> None:
    rows = {each.name: each for each in attacker_rows(CONTEXTS["federation"].attackers, joined(quiet), None)}
    assert rows["the server"].outcome == "leaks"
    assert rows["the server"].average is not None and rows["the server"].average.bound is None
    assert rows["another learner"].outcome == "no leak shown"
    assert rows["a server that breaks the protocol"].state == "not audited"
    assert "whoever sees only sums" not in rows


def test_joined_audits_of_an_encrypted_server_have_nothing_to_attack(quiet: AuditContent) -> None:
    data = joined(quiet).given[0].data.replace(b'"visible_to_server": true', b'"visible_to_server": false')
    sources = Sources((Given("inputs/01-consortium.json", "consortium", data),))
    rows = {each.name: each for each in attacker_rows(CONTEXTS["federation"].attackers, sources, None)}
    assert (rows["the server"].state, rows["the server"].outcome) == ("sees nothing", None)
    assert rows["another learner"].outcome == "no leak shown"


@pytest.mark.parametrize(
    ("verdict", "outcome"), [("leaks", "leaks"), ("look", "inconclusive"), ("nothing found", "no leak shown")]
)
def test_who_opens_the_files_finds_what_the_inspection_found(
    quiet: AuditContent, derived: Derive, verdict: str, outcome: str
) -> None:
    content = derived("internal", quiet, inspection(verdict))
    assert row(content, "files").outcome == outcome
    assert content.files is not None and content.files.outcome == outcome
