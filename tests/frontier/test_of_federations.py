"""A frontier of federations: each party's page, what all points share, interruptions and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.configuration import configuration
from memberscan.defences import DEFENCES
from memberscan.defences.defence import Defence, Update
from memberscan.errors import BadInputError, CohortError, OutputConflictError
from memberscan.federation.settings import Settings
from memberscan.frontier import FrontierContent, federated_frontier, federated_tasks, of_federations
from memberscan.frontier.federated_tasks import SeedsOfFederations
from memberscan.frontier.making import DONE, PAGE, TABLE
from memberscan.frontier.page import render
from memberscan.frontier.points import Base, Point, read_points
from memberscan.runs import Roles
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import TrainingConfig

from .test_frontier import interrupting

REGISTERED = dict(DEFENCES)
PARTIES = [Attacker.LEARNER, Attacker.SERVER]
Found = dict[Attacker, FrontierContent]


@configuration
class Refused(Defence):
    """Fails in the first update."""

    def update(self, update: Update) -> dict[str, Any]:
        raise RuntimeError(f"no update in round {update.round}")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register memberscan's defences, and one of the test's own."""
    for name, kind in (REGISTERED | {"refused": f"{__name__}:Refused"}).items():
        monkeypatch.setitem(DEFENCES, name, kind)


@pytest.fixture
def make(sixty: Cohort, here: None) -> Callable[..., Found]:
    """Return a function that makes a tiny frontier of federations in this process."""

    def run(path: Path, *defences: str, **changes: Any) -> Found:
        training = TrainingConfig(epochs=1, device="cpu")
        arguments: dict[str, Any] = {
            "settings": Settings("mlp", {"width": 4}, training, rounds=4),
            "defences": defences or ("early-stopping", "site-noise:noise=0.01", "refused"),
            "seeds": 2,
            "learners": 2,
            "held_out": 0.4,
            "seed": 5,
            **changes,
        }
        return federated_frontier(sixty, path, **arguments)

    return run


def contents(path: Path) -> dict[str, bytes]:
    return {
        f"{party}/{name}": (path / party / name).read_bytes()
        for party in PARTIES
        for name in (DONE, TABLE, PAGE)
    }


def test_each_party_has_its_page_of_the_same_federations_and_interruptions_change_nothing(
    make: Callable[..., Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sixty: Cohort
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    found = make(out)
    assert list(found) == PARTIES
    for party, content in found.items():
        assert FrontierContent.model_validate(json.loads((out / party / DONE).read_text())) == content
        assert [p.name for p in content.points] == [
            "undefended",
            "1 round",
            "2 rounds",
            "site-noise:noise=0.01",
            "refused",
        ]
        assert (content.attacker, content.members, content.nonmembers, content.references) == (
            party.value, 36, 24, 0,
        )  # fmt: skip
        *measured, failed = content.points
        assert failed.failed and "RuntimeError: no update in round 1" in failed.failed
        assert failed.failed.endswith("(seed 1 of 2)")
        assert failed.everybody is failed.error is None
        for point in measured:
            assert point.everybody and point.error and sum(point.verdicts.values()) == 2
            assert point.everybody.auc.low <= point.everybody.auc.value <= point.everybody.auc.high
            assert point.most_exposed is None and point.most_exposed_reason
        assert measured[-1].guarantee and measured[-1].guarantee.enforced_by == "the server"
        table = pd.read_csv(out / party / TABLE)
        assert table["auc"].dropna().tolist() == [p.everybody.auc.value for p in measured if p.everybody]
    # Errors are those of the same models, whoever attacks them.
    first, second = ([p.error for p in found[party].points] for party in PARTIES)
    assert first == second
    for number in (1, 2):
        roles = {Roles.read(path).fingerprint for path in out.glob(f"points/*/seed-{number}/run/roles.tsv")}
        assert len(roles) == 1
    for name, data in contents(out).items():
        assert not any(subject in data.decode() for subject in sixty.subjects), name
    for kept in [*out.glob("points/*/*/people-*"), *out.glob("points/*/*/found-*"), out / "points"]:
        assert kept.stat().st_mode & 0o077 == 0
    assert not list(out.glob("points/*/*/signals-*"))

    stages = [(federated_tasks, name) for name in ("federate", "attack_run", "write_table", "write_json")]
    for module, stage in [*stages, (of_federations, "collect"), (of_federations, "write")]:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, stage, interrupting(getattr(module, stage)))
            make(again)
        assert not (again / "server" / DONE).exists()
    assert make(again) == found
    assert contents(again) == contents(out)
    with pytest.raises(OutputConflictError, match="another configuration"):
        make(again, held_out=0.5)


def test_of_one_seed_they_are_what_a_single_attack_finds(
    make: Callable[..., Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_federations, "read_points", lambda *_: [Point("undefended")])
    found = make(tmp_path / "out", seeds=1)
    run = tmp_path / "out" / "points" / "point-001" / "seed-1" / "run"
    for party, content in found.items():
        attacks = of_federations.ATTACKS[party]
        threat = ThreatModel(attacker=party)
        work = federated_tasks.attack_run(run, tmp_path / party, threat=threat, attacks=attacks, seed=1)
        best = next(f for f in work.outcome.findings if f.attack == work.outcome.verdict.basis.attack)
        point = content.points[0]
        assert point.everybody and point.everybody.attacks == (best.attack,)
        assert point.everybody.auc.value == pytest.approx(best.auc.value, abs=0.03)
        # Contributions of people and resampled people give about the same width.
        mine, theirs = (each.high - each.low for each in (point.everybody.auc, best.auc))
        assert mine == pytest.approx(theirs, rel=0.35)


def test_the_attack_of_a_seed_is_chosen_by_the_others_and_rates_may_be_unresolved() -> None:
    rate = [0.2, 0.1, 0.3]
    aucs = [{"a": 0.9, "b": 0.6}, {"a": 0.5, "b": 0.6}]
    facts = [
        {
            "strongest": "a",
            "attacks": {name: {"auc": auc, "rates": [rate, None]} for name, auc in each.items()},
        }
        for each in aucs
    ]
    table = pd.DataFrame({"error": 1.0, "label": 60.0, "member": [1, 0, 1], "a": 0.1, "b": 0.2}).set_axis(
        ["x", "y", "z"]
    )
    found = SeedsOfFederations.of(facts, [table, table.iloc[:2]], ["w", "x", "y", "z"])
    assert found.chosen == ("b", "a")
    assert found.auc().values.tolist() == [0.6, 0.5] and found.auc().counts == (3, 2)
    np.testing.assert_allclose(found.auc().influence, [[0, 0.2, 0.2, 0.2], [0, 0.1, 0.1, 0]])
    assert found.rate(0.05, found.counted) == pytest.approx(tuple(rate))
    assert found.rate(0.01, found.counted) is None and not found.most_exposed.any()


def test_fewer_rounds_are_early_stopping_and_defences_must_fit_a_federation() -> None:
    settings = Settings("mlp", {}, TrainingConfig(epochs=3), rounds=8)
    base = Base("mlp", settings.training, 0.0, settings)
    points = read_points(["all"], base)
    assert [p.settings for p in points if p.family == "early stopping"] == [
        (("rounds", n),) for n in (1, 2, 4)
    ]
    assert {p.federated(settings).rounds for p in points} == {1, 2, 4, 8}
    families = {p.family for p in points}
    assert {"site-noise", "fedsparsify", "dp-sgd", "weight-decay".replace("-", " ")} <= families
    # Students of teachers need people held out, which learners do not have.
    assert not families & {"teachers", "distillation"}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"seeds": 0}, BadInputError, "seeds is 0"),
        ({"learners": 1}, BadInputError, "at least 2"),
        ({"by": "nothing"}, CohortError, "no covariate"),
        ({"defences": ("teachers",)}, BadInputError, "teachers"),
        ({"defences": ("nothing",)}, BadInputError, "nothing"),
        ({"settings": Settings("mlp", {}, secure="ckks")}, BadInputError, "use secure none"),
        ({"settings": Settings("mlp", {}, TrainingConfig(defence="dp-sgd:noise=1"))}, BadInputError,
         "among the defences"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_trained(
    make: Callable[..., Found], tmp_path: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        make(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_only_federations_have_rounds(tmp_path: Path) -> None:
    (tmp_path / "points.tsv").write_text("name\tsettings\nshort\trounds=2\n")
    with pytest.raises(BadInputError, match="only a federation has rounds"):
        read_points([str(tmp_path / "points.tsv")], Base("mlp", TrainingConfig(), 0.1))


def test_pages_link_to_each_other_and_say_who_attacks(make: Callable[..., Found], tmp_path: Path) -> None:
    found = make(tmp_path / "out", "early-stopping", seeds=1)
    for party, other, says in (
        (Attacker.LEARNER, "../server/index.html", "Each learner attacks"),
        (Attacker.SERVER, "../learner/index.html", "The server attacks"),
    ):
        page = render(found[party])
        assert f'href="{other}"' in page and says in page and "exposed tenth" not in page
        assert "reference models for each" not in page
