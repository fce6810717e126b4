"""A frontier of federations: each party's page, what all points share, interruptions and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from memberscan.auditing.stages import attack_run
from memberscan.cohort import Cohort
from memberscan.configuration import configuration
from memberscan.defences import DEFENCES
from memberscan.defences.defence import Defence, Update
from memberscan.errors import BadInputError, CohortError, OutputConflictError, TooFewSubjectsError
from memberscan.federation.settings import Settings
from memberscan.frontier import FrontierContent, federated_frontier, federated_tasks, of_federations
from memberscan.frontier.federated_tasks import SeedsOfFederations
from memberscan.frontier.making import DONE, PAGE, TABLE
from memberscan.frontier.page import render
from memberscan.frontier.points import Base, Point, read_points
from memberscan.runs import Roles
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import TrainingConfig

from ..cli import conftest as cli
from . import test_page as pages
from .test_frontier import interrupting

REGISTERED = dict(DEFENCES)
OWN = {"refused": f"{__name__}:Refused", "partly": f"{__name__}:Partly"}
command = cli.command
PARTIES = [Attacker.LEARNER, Attacker.SERVER]
Found = dict[Attacker, FrontierContent]


@configuration
class Refused(Defence):
    """Fails in the first update."""

    def update(self, update: Update) -> Mapping[str, Tensor]:
        raise RuntimeError(f"no update in round {update.round}")


@configuration
class Partly(Defence):
    """Fails at the first learner that sends an update in a process."""

    sent: ClassVar[list[int]] = []

    def update(self, update: Update) -> Mapping[str, Tensor]:
        self.sent.append(update.round)
        if len(self.sent) == 1:
            raise RuntimeError("no first update")
        return update.after


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register memberscan's defences, and one of the test's own."""
    for name, kind in (REGISTERED | OWN).items():
        monkeypatch.setitem(DEFENCES, name, kind)


@pytest.fixture
def make(sixty: Cohort, here: None) -> Callable[..., Found]:
    """Return a function that makes a tiny frontier of federations in this process."""

    def run(path: Path, *defences: str, cohort: Cohort = sixty, **changes: Any) -> Found:
        training = TrainingConfig(epochs=1, device="cpu")
        arguments: dict[str, Any] = {
            "settings": Settings("mlp", {"width": 4}, training, rounds=2),
            "defences": defences or ("early-stopping", "site-noise:noise=0.01", "refused"),
            "seeds": 2,
            "learners": 2,
            "held_out": 0.4,
            "seed": 5,
            **changes,
        }
        return federated_frontier(cohort, path, **arguments)

    return run


def contents(path: Path) -> dict[str, bytes]:
    shown = [f"{party}/{name}" for party in PARTIES for name in (TABLE, PAGE)]
    return {name: (path / name).read_bytes() for name in (DONE, *shown)}


def test_each_party_has_its_page_of_the_same_federations_and_interruptions_change_nothing(
    make: Callable[..., Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sixty: Cohort
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    found = make(out)
    assert list(found) == PARTIES
    for party, content in found.items():
        assert FrontierContent.model_validate(json.loads((out / DONE).read_text())[party]) == content
        assert [p.name for p in content.points] == [
            "undefended",
            "1 round",
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

    stages = [(federated_tasks, name) for name in ("attack_run", "write_table", "write_json")]
    for module, stage in [*stages, (of_federations, "write_shown")]:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, stage, interrupting(getattr(module, stage)))
            make(again)
        assert not (again / DONE).exists()
    assert make(again) == found
    assert contents(again) == contents(out)
    for path in (out, again):
        assert not list(path.glob("points/*/*/signals-*"))
    with pytest.raises(OutputConflictError, match="another configuration"):
        make(again, held_out=0.5)
    for damaged in ("[]", '{"learner": {}}'):
        (again / DONE).write_text(damaged)
        with pytest.raises(BadInputError, match=r"frontier\.json is damaged"):
            make(again)


def test_of_one_seed_they_are_what_a_single_attack_finds(
    make: Callable[..., Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sixty: Cohort
) -> None:
    monkeypatch.setattr(of_federations, "read_points", lambda *_: [Point("undefended")])
    make(tmp_path / "out", seeds=1)
    seed = tmp_path / "out" / "points" / "point-001" / "seed-1"
    for party in PARTIES:
        attacks = of_federations.ATTACKS[party]
        threat = ThreatModel(attacker=party)
        work = attack_run(seed / "run", tmp_path / party, threat=threat, attacks=attacks, seed=1)
        best = next(f for f in work.outcome.findings if f.attack == work.outcome.verdict.basis.attack)
        found = federated_tasks.read_point(Point("undefended"), [seed], sixty.subjects, party).seeds
        assert found is not None and found.chosen == (best.attack,)
        auc = found.everybody().auc
        assert auc.values[0] == pytest.approx(best.auc.value)
        # Attackers know half of the 24 people held out, and neither score them nor the people of their own.
        assert auc.counts == (36, 12)
        # Contributions of people and resampled people give about the same error.
        assert 2 * auc.half_width() == pytest.approx(best.auc.high - best.auc.low, rel=0.3)
        assert found.mean_error(of_members=False).values[0] == pytest.approx(
            work.outcome.people.mean_absolute[~work.outcome.people.member].mean()
        )


def test_the_attack_of_a_seed_is_chosen_by_the_others_and_rates_may_be_unresolved() -> None:
    rate = [0.2, 0.1, 0.3]
    aucs = [{"a": 0.9, "b": 0.6, "c": 1.0}, {"a": 0.5, "b": 0.6}]
    facts = [
        {
            "strongest": "a",
            "attacks": {name: {"auc": auc, "rates": [rate, None]} for name, auc in each.items()},
        }
        for each in aucs
    ]
    table = pd.DataFrame(
        {"error": 1.0, "label": 60.0, "member": [1, 0, 1], "a": 0.1, "b": [0.2, np.nan, 0.2]}
    )
    table.index = pd.Index(["x", "y", "z"])
    found = SeedsOfFederations.of(facts, [table, table.iloc[:2]], ["w", "x", "y", "z"])
    leak = found.everybody()
    assert found.chosen == ("b", "a")
    # The third person is known in the first seed, and in no pair.
    assert leak.auc.values.tolist() == [0.6, 0.5] and leak.auc.counts == (3, 1)
    np.testing.assert_allclose(leak.auc.influence, [[0, 0.2, 0, 0.2], [0, 0.1, 0.1, 0]])
    assert leak.rates == (pytest.approx(tuple(rate)), None)
    assert "no references" in str(found.most_exposed(10))
    with pytest.raises(BadInputError, match="no attack ran with every seed"):
        SeedsOfFederations.of([facts[0], facts[1] | {"attacks": {"d": {}}}], [table] * 2, ["x"])


def test_a_federation_that_lost_a_learner_is_no_measured_point(
    make: Callable[..., Found], tmp_path: Path
) -> None:
    found = make(tmp_path / "out", "partly", seeds=1, learners=3)
    for content in found.values():
        partly = content.points[-1]
        assert partly.name == "partly" and partly.everybody is None
        assert partly.failed and partly.failed.startswith("1 of 3 learners failed")


def test_sites_are_learners_and_further_seeds_are_added(make: Callable[..., Found], tmp_path: Path) -> None:
    rng, people = np.random.default_rng(0), np.arange(60)
    table = pd.DataFrame({"participant_id": [f"p{k:02d}" for k in people], "age": rng.uniform(40, 80, 60)})
    table["site"] = np.where(people % 2, "north", "south")
    table["measure"] = table["age"] / 10 + rng.normal(size=60)
    table.to_csv(tmp_path / "table.csv", index=False)
    cohort = Cohort.from_table(
        tmp_path / "table.csv", tmp_path / "cohort", subject="participant_id", age="age", covariates=["site"]
    )

    def sites(name: str, **changes: Any) -> Found:
        return make(tmp_path / name, "early-stopping", cohort=cohort, by="site", **changes)

    few = sites("a", seeds=1)
    # Nothing else divides people, so that the number of learners does not matter.
    assert sites("a", seeds=1, learners=5) == few
    for found in sites("a").values():
        assert found.seeds == 2 and found.federation is not None
        assert (found.federation.learners, found.federation.environment) == (2, "by-site")


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
        ({"learners": 6}, TooFewSubjectsError, "largest learner has 6"),
        ({"held_out": 0.3}, TooFewSubjectsError, "attackers know 9"),
        ({"settings": Settings("mlp", {}, rounds=2, min_learners=3)}, BadInputError, "min_learners 3"),
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


def test_a_longer_training_is_no_early_stopping(tmp_path: Path) -> None:
    lines = [
        "name\tsettings",
        "same\trounds=8",
        "longer\tepochs=9",
        "shorter\trounds=7",
        "mixed\trounds=2,epochs=30",
    ]
    (tmp_path / "points.tsv").write_text("\n".join(lines) + "\n")
    settings = Settings("mlp", {}, TrainingConfig(epochs=3), rounds=8)
    points = read_points([str(tmp_path / "points.tsv")], Base("mlp", settings.training, 0.0, settings))
    assert [p.family for p in points] == [
        "undefended",
        "rounds",
        "epochs",
        "early stopping",
        "epochs and rounds",
    ]


def test_pages_link_to_each_other_and_say_who_attacks() -> None:
    federation = {"learners": 4, "rounds": 20, "environment": "uniform-iid", "parties": ["learner", "server"]}
    for party, other, says in (
        ("learner", "../server/index.html", "Each learner attacks"),
        ("server", "../learner/index.html", "The server attacks"),
    ):
        plain = pages.point("undefended", "undefended", 9.0, on_frontier=True)
        made = pages.content(plain, attacker=party, federation=federation, references=0)
        page = render(made)
        assert f'href="{other}"' in page and says in page and "exposed tenth" not in page
        assert "reference models for each" not in page


def test_the_command_federates_and_says_where_the_pages_are(
    command: cli.Command, tmp_path: Path, sixty: Cohort, here: None
) -> None:
    asked = (
        "federated-frontier", str(sixty.path), str(tmp_path / "out"), "--model", "mlp", "--width", "4",
        "--learners", "2", "--rounds", "2", "--local-epochs", "1", "--held-out", "0.4", "--seeds", "1",
        "--seed", "1", "--device", "cpu", "--workers", "1", "--defences", "early-stopping",
    )  # fmt: skip
    done = command(*asked)
    assert done.code == 0, done.err
    assert (
        "attacked by another learner:" in done.out and f"page: {tmp_path}/out/server/index.html" in done.out
    )
    again = command(*asked, "--json")
    assert list(json.loads(again.out)) == ["learner", "server"]
