"""The content follows from the inputs: each statement has a source that exists, and none is an all-clear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from memberscan.dossier import CONTEXTS, DOSSIER_SCHEMA, DossierContent
from memberscan.dossier.deriving import derive
from memberscan.dossier.sources import has
from memberscan.report import AuditContent, check
from memberscan.schemas import published

from ..frontier.test_page import EXAMPLE as FRONTIER
from .conftest import Derive, Read, declaration
from .made_up import changed, inspection, labelled, leaking, of_party, of_weights

VALIDATOR = jsonschema.Draft202012Validator(published(DOSSIER_SCHEMA))
GUARANTEE = {
    "defence": "dp-sgd:epsilon=8",
    "guarantee": {"statement": "Epsilon 8.", "enforced_by": "whoever trains", "epsilon": 8.0, "delta": 1e-5},
    "answers": "rounding to 5 years",
    "taught_on": 20,
}


def everything(quiet: AuditContent, exposed: AuditContent) -> list[Any]:
    """Return inputs of every kind, with all that an audit can state."""
    return [
        changed(quiet, target=GUARANTEE),
        leaking(exposed),
        of_weights(quiet),
        of_party(quiet, "server"),
        of_party(quiet, "learner"),
        labelled(quiet, "confounded"),
        inspection("leaks", unread=True),
        FRONTIER,
    ]


def sources_in(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if set(value) == {"file", "key"}:
            yield value
        for inner in value.values():
            yield from sources_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from sources_in(inner)


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_source_exists_in_its_file_and_the_content_follows_the_schema(
    context: str, quiet: AuditContent, exposed: AuditContent, read: Read
) -> None:
    sources = read(*everything(quiet, exposed))
    content = derive(sources, declaration(context))
    VALIDATOR.validate(content.dump())
    assert DossierContent.model_validate(content.dump()) == content
    files = {given.file: json.loads(given.data) for given in sources.given}
    named = list(sources_in(content.dump()))
    assert len(named) > 40 and {each["file"] for each in named} == set(files)
    for each in named:
        assert not each["key"] or has(files[each["file"]], each["key"]), each
    assert derive(sources, declaration(context)).dump() == content.dump()


def test_without_all_attackers_evidence_is_missing(quiet: AuditContent, derived: Derive) -> None:
    content = derived("open-weights", quiet)
    decision = content.decision
    assert decision.outcome == "evidence is missing" and "1 of 4 attackers" in decision.sentence
    assert sum("was not audited" in said for said in decision.missing) == 3
    assert "attribute inference" in decision.missing[-1] and "exfiltration" in decision.missing[-1]


def test_with_all_attackers_nothing_is_an_all_clear(exposed: AuditContent, derived: Derive) -> None:
    content = derived("api", exposed)
    assert content.decision.outcome == "no leak shown"
    assert "not proof" in content.decision.sentence and content.decision.missing
    assert "safe" not in json.dumps(content.dump()).lower().replace("safetensors", "")


def test_files_that_name_people_are_a_leak_whatever_attacks_say(
    exposed: AuditContent, derived: Derive
) -> None:
    content = derived("internal", exposed, inspection("leaks"))
    assert content.decision.outcome == "leak found"
    assert content.decision.sentence == "The files of the release hold data about people."
    files = content.files
    assert files is not None and files.findings[0].people == 12
    assert "12 of 20 people of the cohort, among them 10 of 10 members" in files.findings[0].text
    assert [each.outcome for each in content.other_contexts if each.context == "api"] == ["no leak shown"]


@pytest.mark.parametrize("label", ["inconclusive", "confounded"])
def test_doubtful_audits_leave_the_decision_open(
    quiet: AuditContent, exposed: AuditContent, derived: Derive, label: str
) -> None:
    content = derived("api", exposed, labelled(quiet, label))
    assert content.decision.outcome == "evidence is missing"
    assert any(label in said for said in content.decision.missing)


def test_a_control_that_fails_is_said_first(exposed: AuditContent, derived: Derive) -> None:
    null = {**exposed.checks.null.dump(), "method": "permutation", "permutations": 99}
    wrong = changed(exposed, checks={"null": {**null, "mean_auc": {"error": 0.7}}})
    content = derived("api", wrong)
    assert content.decision.outcome == "evidence is missing"
    assert any("Do not rely on that audit" in said for said in content.decision.missing)
    states = {row.name: row.state for row in content.controls}
    assert states["Membership shuffled"] == "not as expected" and states["A/A comparison"] == "not run"


@pytest.mark.parametrize(
    ("problem", "reproduced", "state"),
    [(None, 20, "as expected"), (None, None, "not run"), ("worse than stated", None, "not as expected")],
)
def test_whether_the_model_gets_its_own_images_is_a_control(
    quiet: AuditContent, derived: Derive, problem: str | None, reproduced: int | None, state: str
) -> None:
    images = {"reproduced": reproduced, "problem": problem}
    content = derived("api", changed(quiet, checks={"images": images}))
    assert {row.state for row in content.controls if "images" in row.name} == {state}


def test_measures_say_who_enforced_them(quiet: AuditContent, derived: Derive) -> None:
    content = derived("api", changed(quiet, target=GUARANTEE), changed(quiet, target=GUARANTEE))
    stages = {measure.stage: measure for measure in content.measures}
    assert len(content.measures) == 2
    assert stages["training"].enforced_by == "whoever trains" and stages["training"].statement == "Epsilon 8."
    assert "no proof" in stages["training"].read_back
    assert "whoever runs the service" in stages["output"].enforced_by


def test_a_defence_without_a_guarantee_states_nobody(quiet: AuditContent, derived: Derive) -> None:
    (measure,) = derived("api", changed(quiet, target={"defence": "noise:scale=1"})).measures
    assert (measure.statement, measure.enforced_by) == (None, "not stated")


def test_a_guarantee_that_is_contradicted_is_said(exposed: AuditContent, derived: Derive) -> None:
    bound = {
        "scores": "outputs", "method": "one run", "epsilon": 9.0, "ceiling": 12.0, "guesses": 90,
        "correct": 90, "broken": True,
    }  # fmt: skip
    planted = {
        "inside": 50, "outside": 50, "level": 0.95, "delta": 1e-5, "bounds": [bound], "broken": True,
    }  # fmt: skip
    broken = check({**changed(exposed, target=GUARANTEE).dump(), "canaries": planted})
    content = derived("api", changed(exposed, target=GUARANTEE), broken)
    (measure,) = (each for each in content.measures if each.stage == "training")
    assert measure.contradicted and measure.source.file == "inputs/02-audit.json"
    assert content.decision.outcome == "evidence is missing"
    assert any("is contradicted" in said and "Do not rely on it" in said for said in content.decision.missing)


def test_how_exposed_people_are_and_how_many_can_be_named_is_told(
    exposed: AuditContent, derived: Derive
) -> None:
    content = derived("api", exposed)
    told = " ".join(fact.text for f in content.frameworks for e in f.elements for fact in e.facts)
    assert "The most exposed people have an AUC of" in told and "stacking names" in told


def test_what_only_the_controller_knows_is_a_blank(quiet: AuditContent, derived: Derive) -> None:
    content = derived("open-weights", quiet)
    elements = {e.place: e for framework in content.frameworks for e in framework.elements}
    for place in ("Paragraph 58(a), impact assessment", "8. EU declaration of conformity"):
        assert not elements[place].facts and elements[place].blank
    known = elements["Paragraph 58(e), resistance to re-identification"]
    assert any(fact.text.startswith("No leak shown") for fact in known.facts)
    names = " ".join(framework.name for framework in content.frameworks)
    assert all(
        text in names for text in ("paragraph 46", "paragraph 55", "paragraph 58", "5(1)(c)", "Annex IV")
    )
    assert len([e for e in elements if e[0].isdigit()]) == 9


def test_all_classes_of_attack_are_named_run_or_not(quiet: AuditContent, derived: Derive) -> None:
    rows = {row.name: row for row in derived("federation", of_party(quiet, "server")).coverage}
    assert len(rows) == 7
    run = {name for name, row in rows.items() if row.execution == "run"}
    assert run == {"Membership inference"}
    assert rows["Regurgitation of training data"].scope == "limited"
    assert "nothing" not in rows["Attribute inference"].result


def test_of_a_frontier_the_recipes_that_no_other_beats_are_shown(
    quiet: AuditContent, derived: Derive
) -> None:
    content = derived("api", quiet, FRONTIER)
    assert [each.name for each in content.alternatives] == ["8 epochs", "dp-sgd:epsilon=8"]
    assert content.alternatives[1].enforced_by == "whoever trains"


def test_what_could_be_done_depends_on_what_was_found(
    quiet: AuditContent, exposed: AuditContent, derived: Derive
) -> None:
    def options(context: str, *contents: Any) -> str:
        return " ".join(derived(context, *contents).decision.options)

    leak = options("open-weights", of_weights(leaking(exposed, "lira"), "lira"), FRONTIER)
    assert "one of the other recipes" in leak and leak.endswith("Do not release.")
    assert "Release in another context" not in leak
    missing = options("api", quiet)
    assert "what is listed as missing" in missing and "Do not release" not in missing
    assert "were not run" in options("api", exposed)
    files = options("internal", exposed, inspection("leaks"))
    assert files.startswith("Mend or leave out the files") and "Train again" not in files


def test_another_context_without_a_shown_leak_is_an_option(exposed: AuditContent, derived: Derive) -> None:
    # By weights alone there is a leak, and the audit of outputs, with references, shows none.
    by_weights = of_weights(leaking(exposed, "lira"), "lira")
    content = derived("open-weights", by_weights)
    assert content.decision.outcome == "leak found"
    api = next(each for each in content.other_contexts if each.context == "api")
    assert api.outcome == "evidence is missing" and "a client who queries the model" in api.unanswered


def test_limits_that_differ_say_of_which_audit(quiet: AuditContent, derived: Derive) -> None:
    limits = derived("federation", quiet, of_party(quiet, "server", visible=False)).limits
    assert any(said.startswith("02-audit.json: any leak") for said in limits)
    assert any(said.startswith("Other training runs.") for said in limits)
