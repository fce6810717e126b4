"""What a site's node says of it: the protection that stands there, and nothing that is misspelt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, RecordDict

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError, RolesError
from memberscan.federation import apps, deploy
from memberscan.federation.apps import locate
from memberscan.federation.client import introduce
from memberscan.federation.run_config import run_config
from memberscan.federation.settings import Settings
from memberscan.federation.site import Site
from memberscan.target_variable import AGE, TargetVariable


@pytest.fixture
def node(table: Cohort, tmp_path: Path) -> Any:
    """Return what reads a node's configuration, with one of a site of 32 people to begin with."""
    roles = tmp_path / "roles.tsv"
    deploy.write_site_roles(roles, deploy.draw_site_roles(table, "site-a", 0.2, 0))
    (tmp_path / "secret.ckks").write_bytes(b"key")

    def read(**changes: Any) -> Site:
        config = {"cohort": str(table.path), "learner": "site-a", "roles": str(roles), **changes}
        return locate(Context(run_id=1, node_id=2, node_config=config, state=RecordDict(), run_config={}))

    return read


def test_a_site_insists_on_ten_people_unless_it_says_otherwise(node: Any) -> None:
    assert node().fewest == 10
    assert node(people=25).fewest == 25
    assert node().device == "auto" and node(device="cpu").device == "cpu"
    assert node().agreed is None and node(settings="abc").agreed == "abc"


@pytest.mark.parametrize("people", [0, 4, -10, "10", 10.0, True])
def test_it_cannot_insist_on_fewer_than_five(node: Any, people: Any) -> None:
    with pytest.raises(BadInputError, match="at least 5"):
        node(people=people)


@pytest.mark.parametrize("name", ["secert", "Secret", "min-people", "partition-id"])
def test_a_protection_that_is_misspelt_is_not_left_away(node: Any, name: str) -> None:
    with pytest.raises(BadInputError, match=f"{name!r}, which is unknown; it can have cohort"):
        node(**{name: "/data/secret.ckks"})


def test_its_key_is_read_and_not_shown(node: Any, tmp_path: Path) -> None:
    its = node(secret=str(tmp_path / "secret.ckks"), keep=str(tmp_path / "keep"))
    assert its.secret == b"key" and its.keep == tmp_path / "keep"
    assert "b'key'" not in repr(its)


def test_a_site_without_members_says_so(node: Any) -> None:
    with pytest.raises(RolesError, match="names no member of the learner 'site-b'"):
        node(learner="site-b")
    with pytest.raises(BadInputError, match="has no 'learner'"):
        node(learner="")


def test_the_server_of_separate_machines_takes_nobody_with_fewer_than_five_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(apps, "coordinate", lambda *_, **options: asked.append(options))
    config = run_config(Settings("mlp"), run=tmp_path, learners=2)
    apps.main(None, Context(1, 1, {}, RecordDict(), dict(config)))  # type: ignore[arg-type]
    assert asked == [{"expected": 2, "public": None, "fewest_people": 5}]


def test_a_site_says_what_it_predicts(node: Any, table: Cohort) -> None:
    assert node().cohort.target is AGE
    name = "sex"
    assert node(target=name, classes="F, M, X").cohort.target == TargetVariable(name, classes=("F", "M", "X"))
    assert node(target=name).cohort.fingerprint == table.with_target(name).fingerprint
    with pytest.raises(BadInputError, match="holds text"):
        node(target=name, unit="points")


def test_a_site_trains_no_network_that_does_not_fit_its_target(node: Any) -> None:
    site = node(target="sex")
    facts = ConfigRecord({"settings": Settings("mlp").to_json()})
    with pytest.raises(ModelError, match="predicts a number, but the target 'sex' is 2 classes"):
        introduce(RecordDict({"facts": facts}), site)
