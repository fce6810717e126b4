"""An audit names nobody to an attacker who has the model, all scans, the roster and all that is published."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan import AuditResult, TrainingConfig, audit, train
from memberscan.auditing.merging import merge
from memberscan.cohort import Cohort
from memberscan.files import fingerprint
from memberscan.models.inputs import as_inputs
from memberscan.report import check, render_consortium, render_html
from memberscan.runs import Role, Roles, Run
from memberscan.threat import Attacker, ThreatModel

from . import attacker
from .conftest import predictions_table

ATTACK = "error:zero-knowledge"
FACTS = ("fpr", "level", "prior", "leaked", "coverage", "parameters", "seed", "permutations")
"""Numbers that are nobody's: they were given, or are the same for every audit."""


@pytest.fixture(scope="module")
def persons() -> pd.DataFrame:
    """Sixty members and as many others; errors are twice as large for the others."""
    table = predictions_table(np.random.default_rng(11), 120, ratio=2.0).set_index("subject_id")
    return table.assign(residual=table["age"] - table["prediction"])


@pytest.fixture(scope="module")
def published(persons: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The audit.json of a file of their predictions."""
    folder = tmp_path_factory.mktemp("published")
    persons.drop(columns="residual").to_csv(folder / "p.tsv", sep="\t")
    return dict(audit(folder / "p.tsv", folder / "audit", attacks=["error", ATTACK]).content)


def test_no_quantile_of_residuals_names_anybody(published: dict[str, Any], persons: pd.DataFrame):
    said = [n for path, n in attacker.numbers(published["residuals"]) if path.endswith(("q25", "q50", "q75"))]
    assert len(said) >= 6
    assert attacker.by_quantiles(published, persons["residual"], persons["age"]) == set()


def test_no_curve_names_anybody(published: dict[str, Any], persons: pd.DataFrame):
    assert attacker.by_curve(published, -persons["residual"].abs(), ATTACK) == set()


def test_no_group_is_small_and_no_extreme_age_is_said(published: dict[str, Any], persons: pd.DataFrame):
    assert min(attacker.cells(published)) >= 10
    edges = [e for b in published["residuals"]["bands"] for e in (b["low"], b["high"]) if e is not None]
    named = [float(n) for g in published["exposure"]["groups"] for n in re.findall(r"\d+", g["group"])]
    for edge in edges + named:
        assert (persons["age"] < edge).sum() >= 20 and (persons["age"] >= edge).sum() >= 20


def few_digits(content: dict[str, Any]) -> None:
    """Fail if a number has more than three digits, or four next to chance."""
    for path, value in attacker.numbers(content):
        if path.split(".")[-1].rstrip("[]") not in FACTS:
            digits = f"{value:.12g}".split("e")[0].replace(".", "").lstrip("-0")
            assert len(digits) <= 3 + (abs(value - 0.5) < 0.01), (path, value)


def test_no_number_has_more_digits_than_its_error_bears(published: dict[str, Any]):
    few_digits(published)


def test_who_looks_for_memberships_that_explain_all_numbers_names_nobody(tmp_path: Path):
    """The model gives nothing away here: whoever is named is named by the audit."""
    table = predictions_table(np.random.default_rng(4), 120).set_index("subject_id")
    table.to_csv(tmp_path / "p.tsv", sep="\t")
    content = dict(audit(tmp_path / "p.tsv", attacks=[ATTACK]).content)
    residual = table["age"] - table["prediction"]
    often = attacker.by_search(content, residual, table["age"], ATTACK, steps=4000)
    assert ((often > 0.95) | (often < 0.05)).sum() <= 1
    assert ((often > 0.5) == (table["member"] == 1)).mean() < 0.7


def test_a_plain_digest_of_the_file_is_nowhere(persons: pd.DataFrame, tmp_path: Path):
    path = tmp_path / "p.tsv"
    persons.drop(columns="residual").to_csv(path, sep="\t")
    digests = set()
    for name in ("one", "two"):
        audit(path, tmp_path / name, attacks=[ATTACK])
        for file in ("audit.json", "audit.html"):
            assert fingerprint(path.read_bytes()) not in (tmp_path / name / file).read_text()
        digests.add(AuditResult.load(tmp_path / name).content["provenance"]["predictions"])
    assert len(digests) == 2 and None not in digests
    assert (tmp_path / "one" / "salt.txt").stat().st_mode & 0o077 == 0


def test_two_audits_that_differ_by_one_member_do_not_give_the_residual(persons: pd.DataFrame, tmp_path: Path):
    def found(table: pd.DataFrame, name: str) -> dict[str, Any]:
        table.drop(columns="residual").to_csv(tmp_path / name, sep="\t")
        return dict(audit(tmp_path / name, attacks=[ATTACK]).content)

    whole = found(persons, "whole.tsv")
    members = persons.index[persons["member"] == 1][:5]
    smaller = [found(persons.drop(m), f"{k}.tsv") for k, m in enumerate(members)]
    recovered = [attacker.by_difference(whole, without) for without in smaller]
    errors = np.abs(np.array(recovered) - persons.loc[members, "residual"].abs().to_numpy())
    # Rounding moves the sum of sixty errors by years: what is left is no better than a guess of the mean.
    assert np.median(errors) > 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model of 60 of 120 people, by somebody who gave no seed."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.normal(size=(120, 8)), columns=[f"m {n}" for n in range(8)])
    table = table.assign(id=[f"P{n:03d}" for n in range(120)], age=rng.uniform(45, 80, 120).round(1))
    table.to_csv(folder / "table.csv", index=False)
    cohort = Cohort.from_table(folder / "table.csv", folder / "cohort", subject="id", age="age")
    config = TrainingConfig(epochs=40, device="cpu")
    # Given, and nowhere published: of thousands of pairs, one fits a rounded number by chance now and then.
    return train(cohort, folder / "run", model="mlp", config=config, seed=8_205_311_947)


@pytest.fixture(scope="module")
def texts(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All that the run and its audit say to others, alone and merged."""
    folder = tmp_path_factory.mktemp("texts")
    result = audit(trained.path, folder / "audit")
    joined = merge({"one": dict(result.content)}, folder / "merged")
    files = [trained.path / "run.json", *(folder / "audit" / f"audit.{kind}" for kind in ("json", "html"))]
    return [path.read_text() for path in files] + [attacker.text(joined), render_consortium(joined)]


def test_who_knows_every_role_but_one_does_not_learn_the_last(trained: Run, texts: list[str]):
    for unknown in (trained.roles.subjects(Role.MEMBER)[0], trained.roles.subjects(Role.NONMEMBER)[0]):
        assert attacker.by_digests(texts, trained.roles, unknown) is None


def test_nobody_can_draw_the_members_again(trained: Run, texts: list[str]):
    drawn = attacker.by_replay(texts, trained.cohort().subjects, 0.5)
    assert len(drawn) >= 20
    assert trained.roles not in drawn
    agree = [np.mean([roles.of[s] is role for s, role in trained.roles.of.items()]) for roles in drawn]
    assert max(agree) < 0.8


def test_a_seed_that_is_given_stays_with_the_owner(trained: Run, tmp_path: Path):
    config = TrainingConfig(epochs=1, device="cpu", seed=731)
    run = train(trained.cohort(), tmp_path / "run", model="mlp", config=config, seed=731)
    again = train(trained.cohort(), tmp_path / "again", model="mlp", config=config, seed=731)
    assert run.roles == again.roles
    assert "731" not in (run.path / "run.json").read_text()
    for name in ("request.json", "roles.salt", "roles.tsv"):
        assert (run.path / name).stat().st_mode & 0o077 == 0


def test_the_model_and_the_scans_are_what_the_attacker_has(trained: Run, texts: list[str], tmp_path: Path):
    """The same as of a file: residuals that anybody with the model can compute name nobody."""
    cohort = trained.cohort()
    ids = cohort.scans.index.tolist()
    prediction = trained.load()(as_inputs(cohort, ids)).detach().numpy()
    scans = cohort.scans.set_index("subject_id")
    residual = pd.Series(scans["age"].to_numpy() - prediction, index=scans.index)
    content = dict(audit(trained.path, tmp_path / "audit").content)
    assert attacker.by_quantiles(content, residual, scans["age"]) == set()
    assert attacker.by_curve(content, -residual.abs(), ATTACK) == set()


@pytest.mark.parametrize("party", ["learner", "server"])
def test_a_federation_s_audit_and_the_consortium_s_page_speak_of_no_few_people(
    party: str, audited: Callable[..., AuditResult]
):
    content = dict(audited(party).content)
    assert min(attacker.cells(content)) >= 10
    few_digits(content)


@pytest.mark.parametrize("party", ["learner", "server"])
def test_a_learner_of_few_people_is_not_counted_by_what_the_others_leave(
    party: str, federated: Callable[..., Run], tmp_path: Path
):
    source = federated()
    few, *others = source.roles.members_of("learner-1")
    roles = Roles(source.roles.of, {**source.roles.learner, **dict.fromkeys(others[2:], "learner-2")})
    shutil.copytree(source.path, tmp_path / "run")
    (tmp_path / "run" / "roles.tsv").unlink()
    roles.write(tmp_path / "run" / "roles.tsv")
    run = dataclasses.replace(source, path=tmp_path / "run", roles=roles).finish()
    content = dict(audit(run.path, threat=ThreatModel(attacker=Attacker(party))).content)
    assert roles.members_of("learner-1") == [few, *others[:2]]
    total, federation = content["target"]["members"], content["federation"]
    said = {row["name"]: row["members"] for row in federation["learners"]}
    said |= {p["victim"]: p["members"] for p in federation["pairs"] if p["members"] is not None}
    unsaid = [name for name, members in said.items() if members is None]
    left = total - sum(members for members in said.values() if members is not None)
    assert "learner-1" in unsaid and len(unsaid) >= 2 and left >= 10
    for finding in content["findings"]:
        scored = finding["scored"]["members"]
        assert scored is None or total - scored == 0 or total - scored >= 10
    # What is hidden is a count: the pairs of enough people keep their results.
    assert any(p["members"] is None and p["auc"] is not None for p in federation["pairs"])
    assert "hidden" in render_html(check(content))
