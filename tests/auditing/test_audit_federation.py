"""The audit of a federation: what each party finds, of whom, and what it is told where it sees nothing."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from memberscan import AuditResult, ThreatModel, audit, report
from memberscan.attacks import default_attacks
from memberscan.attacks.on_learners import AttackOnLearners
from memberscan.cohort import Cohort
from memberscan.errors import (
    BadInputError,
)
from memberscan.models.inputs import as_inputs, predict
from memberscan.runs import Role, Roles, Run
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS
from memberscan.threat import Attacker

from .conftest import expected_attacks, require_valid

LEARNERS = tuple(f"learner-{n}" for n in range(1, 5))
ROUNDED = 0.05
"""No estimate of these federations is rounded to coarser steps."""
PARTIES = ("outsider", "learner", "server", "aggregate")
CONV = {"gradient:conv1", "gradient:conv6", "prediction+label+gradient:conv6+gradient:output"}
Federated, Audited = Callable[..., Run], Callable[..., AuditResult]


def threat(attacker: str, leaked: float = 0.5) -> ThreatModel:
    return ThreatModel(attacker=Attacker(attacker), leaked=leaked)


def finding(result: AuditResult, attack: str) -> float:
    return next(f["auc"]["value"] for f in result.content["findings"] if f["attack"] == attack)


def auc(inside: np.ndarray, outside: np.ndarray) -> float:
    return float(stats.mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside)))


@pytest.mark.parametrize("environment", ["uniform-iid", "uniform-noniid"])
@pytest.mark.parametrize("attacker", PARTIES)
def test_every_party_s_audit_is_valid_and_names_nobody(attacker: str, environment: str, audited: Audited):
    content = dict(audited(attacker, environment).content)
    require_valid(content)
    report.check(content)
    assert "Person" not in json.dumps(content)
    federation = content["federation"]
    assert (federation["attacker"], federation["environment"]) == (attacker, environment)
    assert federation["rounds"] == 4 and federation["secure"] == "none"
    assert federation["known_nonmembers"] == (0 if attacker == "outsider" else 16)
    assert sum(row["members"] for row in federation["learners"]) == 96


def test_learners_attack_each_other_with_all_that_a_global_model_bears(
    audited: Audited, federated: Federated
):
    content = audited("learner").content
    runnable, hindered = expected_attacks(federated("uniform-iid").path, threat("learner"))
    assert [f["attack"] for f in content["findings"]] == runnable
    assert [entry["attack"] for entry in content["not_run"]] == hindered
    assert set(hindered) >= CONV and {"error", "gradient:output"} <= set(runnable)
    assert content["threat"]["access"] == "rounds"
    pairs = content["federation"]["pairs"]
    assert {(p["attack"], p["attacker"], p["victim"]) for p in pairs} == {
        (name, *pair) for name in runnable for pair in itertools.permutations(LEARNERS, 2)
    }
    assert {(p["members"], p["nonmembers"]) for p in pairs} == {(24, 16)}
    assert all(p["p_holm"] >= p["p_value"] for p in pairs)
    for name in runnable:
        mean = np.mean([p["auc"]["value"] for p in pairs if p["attack"] == name])
        assert finding(audited("learner"), name) == pytest.approx(mean, abs=ROUNDED)


def mean_error(models: list[dict[str, torch.Tensor]], run: Run, people: Cohort) -> pd.Series:
    """Return each person's mean absolute error under some models."""
    inputs = as_inputs(people, people.scans.index.tolist())
    with torch.no_grad():
        errors = [(people.scans["age"] - predict(run.model_with(m), inputs).numpy()).abs() for m in models]
    return pd.concat(errors, axis=1).mean(axis=1).groupby(people.scans["subject_id"]).mean()


def test_what_learners_find_is_of_the_final_model_and_no_round_is_chosen(
    audited: Audited, federated: Federated, people: Cohort
):
    run = federated()
    by_round = audited("learner").content["federation"]["by_round"]
    assert [(row["round"], row["attack"]) for row in by_round] == [
        (n, "prediction+label") for n in range(1, 5)
    ]
    last = by_round[-1]["auc"]["value"]
    assert last == pytest.approx(finding(audited("learner"), "prediction+label"), abs=ROUNDED)
    everyone = audit(run.path, threat=threat("learner", leaked=0.0), attacks=["error:zero-knowledge"])
    small = -mean_error([run.transcript.global_model(4)], run, people)
    outside = small[run.roles.subjects(Role.NONMEMBER)]
    expected = np.mean([auc(small[run.roles.members_of(v)], outside) for v in LEARNERS])
    assert finding(everyone, "error:zero-knowledge") == pytest.approx(expected, abs=ROUNDED)


def test_what_a_server_finds_is_over_all_rounds(federated: Federated, people: Cohort):
    run = federated()
    everyone = audit(run.path, threat=threat("server", leaked=0.0), attacks=["local-error"])
    expected = []
    for learner in LEARNERS:
        ends = [run.transcript.learner_model(n, learner) for n in range(1, 5)]
        small = -mean_error(ends, run, people)
        expected.append(auc(small[run.roles.members_of(learner)], small[run.roles.subjects(Role.NONMEMBER)]))
    assert finding(everyone, "local-error") == pytest.approx(np.mean(expected), abs=ROUNDED)
    by_victim = [p["auc"]["value"] for p in everyone.content["federation"]["pairs"]]
    assert by_victim == pytest.approx(expected, abs=ROUNDED)


def test_the_server_compares_every_victim_and_knows_where_people_are(audited: Audited, federated: Federated):
    content = audited("server").content
    federation = content["federation"]
    runnable, hindered = expected_attacks(federated("uniform-iid").path, threat("server"))
    assert [f["attack"] for f in content["findings"]] == runnable
    assert [entry["attack"] for entry in content["not_run"]] == hindered
    assert "local-error" in runnable and content["gains"] == []
    assert {(p["attacker"], p["victim"]) for p in federation["pairs"]} == {("server", v) for v in LEARNERS}
    assert [row["round"] for row in federation["by_round"]] == [1, 2, 3, 4]
    last = federation["by_round"][-1]
    assert last["auc"]["value"] == pytest.approx(finding(audited("server"), last["attack"]), abs=ROUNDED)
    coverage = {row["coverage"]: row["auc"]["value"] for row in federation["coverage"]}
    assert coverage[1.0] == pytest.approx(finding(audited("server"), "least-squares"), abs=ROUNDED)
    sources = federation["sources"]
    assert sources["accuracy"]["low"] > sources["chance"] == 0.25
    assert sources["blind"]["value"] < 0.45  # people were dealt out at random


@pytest.mark.parametrize(("smallest", "shares"), [(24, [0.25, 0.5, 0.75, 1.0]), (25, [0.5, 0.75, 1.0])])
def test_a_curve_of_coverage_begins_at_the_smallest_cell(
    smallest: int, shares: list[float], federated: Federated
):
    """A quarter of the 96 members are 24 people."""
    result = audit(
        federated().path, threat=threat("aggregate"), attacks=["least-squares"], smallest_cell=smallest
    )
    assert [row["coverage"] for row in result.content["federation"]["coverage"]] == shares


def test_a_sum_has_one_victim(audited: Audited):
    content = audited("aggregate").content
    federation = content["federation"]
    assert {(p["attacker"], p["victim"]) for p in federation["pairs"]} == {("aggregate", "all")}
    assert {p["members"] for p in federation["pairs"]} == {96}
    others = {e["attack"] for e in content["not_run"]}
    assert others == {"fedmia:error", "fedmia:cosine", "signed-residual"}
    assert federation["sources"] is None
    assert content["threat"]["access"] == "rounds"


def test_an_outsider_sees_the_final_model_only(audited: Audited, federated: Federated):
    content = audited("outsider").content
    runnable, _ = expected_attacks(federated("uniform-iid").path, threat("outsider"))
    assert [f["attack"] for f in content["findings"]] == runnable
    assert {"error", "prediction+label", "error:zero-knowledge"} <= set(runnable)
    assert {f["access"] for f in content["findings"]} == {"outputs"}
    assert content["federation"]["pairs"] == content["federation"]["by_round"] == []
    assert content["federation"]["sources"] is None


@pytest.mark.parametrize("attacker", ["learner", "server"])
def test_the_same_seed_gives_the_same_bytes(attacker: str, audited: Audited, federated: Federated):
    # The run of the first audit, since another one has another salt.
    run = federated("uniform-iid", "none")
    first, again = audited(attacker), audit(run.path, threat=threat(attacker))
    assert json.dumps(dict(again.content)) == json.dumps(dict(first.content))
    assert again.scores.to_csv() == first.scores.to_csv()


@pytest.mark.parametrize("attacker", ["learner", "server", "aggregate"])
def test_known_held_out_people_are_never_scored(attacker: str, audited: Audited):
    table = audited(attacker).scores
    assert len(table) == 128 and table["member"].sum() == 96
    for name in table.columns.drop("member"):
        assert table[name].isna().sum() == table.loc[table["member"] == 0, name].isna().sum() == 16


def test_encrypted_updates_leave_a_server_nothing(federated: Federated, tmp_path: Path):
    pytest.importorskip("tenseal")
    run = federated("uniform-iid", "ckks")
    result = audit(run.path, tmp_path / "audit", threat=threat("server"))
    content = dict(result.content)
    require_valid(content)
    report.check(content)
    assert content["findings"] == [] and result.verdict == "inconclusive" and len(result.findings) == 0
    assert [entry["attack"] for entry in content["not_run"]] == list(default_attacks(threat("server")))
    assert all("encrypted (ckks)" in entry["reason"] for entry in content["not_run"])
    federation = content["federation"]
    assert not federation["visible_to_server"] and federation["secure"] == "ckks"
    assert federation["pairs"] == federation["by_round"] == federation["coverage"] == []
    assert federation["sources"] is None
    assert not (tmp_path / "audit" / "signals" / "updates").exists()
    assert content["verdict"]["smallest_detectable_auc"] == 1.0


def test_learners_of_an_encrypted_federation_see_what_those_of_a_plain_one_see(
    federated: Federated, audited: Audited
):
    pytest.importorskip("tenseal")
    plain, secure = audited("learner"), audited("learner", "uniform-iid", "ckks")
    for name in ("error", "loss-series"):
        assert finding(secure, name) == pytest.approx(finding(plain, name), abs=0.01)


@pytest.mark.parametrize("attacker", ["learner", "server"])
def test_where_learners_differ_in_age_only_what_is_left_among_alike_counts(attacker: str, audited: Audited):
    result = audited(attacker, "uniform-noniid")
    victims = result.content["federation"]["victims"]
    assert [v["name"] for v in victims] == list(LEARNERS)
    assert all(v["gates"] and v["worst"] == "age" for v in victims)
    assert result.verdict in ("inconclusive", "leaks")
    assert "alike in the covariates" in result.content["verdict"]["sentence"]
    within = [f["within_strata"] for f in result.content["findings"]]
    if result.verdict == "leaks":
        assert max(w["auc"]["simultaneous"]["low"] for w in within) > 0.5
    # The strongest attack of a server leaks far beyond chance if nobody asks about age.
    if attacker == "server":
        assert finding(result, "local-error") > 0.9


def moved(run: Run, path: Path, roles: Roles, environment: str | None) -> Run:
    """Copy a federated run with other roles, as somebody else's federation is taken in."""
    shutil.copytree(run.path, path)
    (path / "roles.tsv").unlink()
    roles.write(path / "roles.tsv")
    federation = {**(run.federation or {}), "environment": environment}
    return Run(
        path, run.spec, roles, False, run.cohort_path, run.cohort_fingerprint, run.training, federation
    ).finish()


@pytest.mark.parametrize("environment", ["uniform-noniid", None])
def test_a_sum_is_confounded_where_somebody_else_held_people_out(
    environment: str | None, federated: Federated, people: Cohort, tmp_path: Path
):
    ages = people.scans.groupby("subject_id")["age"].mean().sort_values()
    oldest = set(ages.index[-32:])
    of = {s: Role.NONMEMBER if s in oldest else Role.MEMBER for s in people.subjects}
    learner = {s: LEARNERS[n % 4] for n, s in enumerate(people.subjects) if s not in oldest}
    run = moved(federated(), tmp_path / "run", Roles(of, learner), environment)
    result = audit(run.path, threat=threat("aggregate"))
    assert result.content["checks"]["blind"]["tripped"]
    assert result.content["checks"]["blind"]["gates"] == (environment is None)


def left_out(run: Run, path: Path, rounds: tuple[int, ...]) -> Path:
    """Copy a run in which learner-2 was left out of some rounds."""
    shutil.copytree(run.path, path)
    for number in rounds:
        folder = path / "rounds" / f"{number:04d}"
        content = json.loads((folder / "round.json").read_text())
        del content["took_part"]["learner-2"], content["digests"]["learner-2"]
        content["left_out"] = {"learner-2": "sent NaN"}
        (folder / "round.json").write_text(json.dumps(content))
        (folder / "learner-2.safetensors").unlink()
    return path


@pytest.mark.parametrize("rounds", [(2,), (1, 2, 3, 4)])
def test_a_learner_that_was_left_out_is_named_and_the_audit_goes_on(
    rounds: tuple[int, ...], federated: Federated, tmp_path: Path
):
    path = left_out(federated(), tmp_path / "run", rounds)
    content = dict(audit(path, threat=threat("server")).content)
    require_valid(content)
    entries = [{"round": n, "learner": "learner-2", "reason": "sent NaN"} for n in rounds]
    assert content["federation"]["left_out"] == entries
    aucs = {p["victim"]: p["auc"] for p in content["federation"]["pairs"]}
    assert (aucs["learner-2"] is None) == (len(rounds) == 4)
    assert content["federation"]["sources"]["accuracy"]["value"] > 0.4


def test_a_learner_of_whom_nothing_was_seen_does_not_dilute_the_others(
    federated: Federated, audited: Audited, tmp_path: Path
):
    path = left_out(federated(), tmp_path / "run", (1, 2, 3, 4))
    whole, without = audited("server"), audit(path, threat=threat("server"))
    pairs = {(p["attack"], p["victim"]): p for p in whole.content["federation"]["pairs"]}
    for pair in without.content["federation"]["pairs"]:
        if pair["victim"] == "learner-2":
            assert pair["auc"] is pair["accuracy"] is pair["p_value"] is None
            assert "took part in none of the rounds" in pair["reason"]
        elif pair["attack"] == "local-error":
            assert pair["auc"] == pairs["local-error", pair["victim"]]["auc"]
    rest = [pairs["local-error", name]["auc"]["value"] for name in LEARNERS if name != "learner-2"]
    # Each is rounded to what its error bears.
    assert finding(without, "local-error") == pytest.approx(np.mean(rest), abs=0.03)
    assert without.scores["local-error"].notna().sum() == whole.scores["local-error"].notna().sum() - 24
    sources = without.content["federation"]["sources"]
    assert sources["chance"] == 0.33
    page = report.render_html(dict(without.content))
    assert "took part in none of the rounds that the attacker looked at" in page


def test_an_attack_that_compares_learners_that_were_never_there_together_is_not_run(
    federated: Federated, tmp_path: Path
):
    path = left_out(federated(), tmp_path / "one", (1, 2, 3, 4))
    for number, name in ((1, "learner-1"), (2, "learner-3"), (3, "learner-4"), (4, "learner-1")):
        file = path / "rounds" / f"{number:04d}" / "round.json"
        content = json.loads(file.read_text())
        del content["took_part"][name]
        content["left_out"][name] = "was not there"
        file.write_text(json.dumps(content))
    content = dict(audit(path, threat=threat("server")).content)
    reasons = {row["attack"]: row["reason"] for row in content["not_run"]}
    assert all("sees at most 1" in reasons[name] for name in ("fedmia:error", "fedmia:cosine"))
    assert all(p["auc"] for p in content["federation"]["pairs"] if p["victim"] != "learner-2")


class Silent(AttackOnLearners):
    """Sees nothing of anybody, which only its scores say."""

    def by_round(self, view: View) -> np.ndarray:
        return np.full((len(view.rounds), len(view.scans), len(view.learners)), np.nan)


def test_an_attack_that_saw_nothing_is_listed_and_not_scored(federated: Federated):
    silent = Silent("silent", "nothing", (LOCAL_PREDICTIONS,))
    result = audit(federated().path, threat=threat("server"), attacks=["local-error", silent])
    (row,) = result.content["not_run"]
    assert row["attack"] == "silent" and "none of the updates" in row["reason"]
    assert [f["attack"] for f in result.content["findings"]] == ["local-error"]
    with pytest.raises(BadInputError, match=r"can be run: silent .*none of the updates"):
        audit(federated().path, threat=threat("server"), attacks=[silent])
