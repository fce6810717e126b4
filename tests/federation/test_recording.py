"""A Flower app of somebody else's, recorded by three added lines, imported and audited."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, FedMedian, FedProx, Strategy

from memberscan import ThreatModel, audit, import_run
from memberscan.cohort import Cohort
from memberscan.errors import OutputConflictError
from memberscan.federation import recorded
from memberscan.federation.flower_private import task_identity
from memberscan.federation.local_grid import RUN_ID, SERVER, LocalGrid
from memberscan.runs import Roles, Transcript
from memberscan.threat import Attacker

from .consortium import consortium
from .flower_app import client_app, network

HERE = f"{client_app.__module__}:network"


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory, cohort_maker: Callable[..., Cohort]) -> Cohort:
    """Enough people for an audit."""
    ages = np.random.default_rng(1).uniform(45, 80, 80).round(1).tolist()
    return cohort_maker(tmp_path_factory.mktemp("eighty") / "cohort", ages, [f"sub-{n}" for n in range(80)])


@pytest.fixture(scope="module")
def roles(volumes: Cohort) -> Roles:
    return consortium(volumes, 2).roles


def federate(
    strategy: Strategy,
    volumes: Cohort,
    roles: Roles,
    *,
    rounds: int = 2,
    unnamed: bool = False,
    **changes: Any,
) -> dict[str, torch.Tensor]:
    """Run the app as Flower does, and return its last model."""
    torch.manual_seed(0)
    state = network().state_dict()
    initial = ArrayRecord([v.numpy() for v in state.values()]) if unnamed else ArrayRecord(state)
    grid = LocalGrid(client_app(volumes, roles, unnamed=unnamed, **changes), len(roles.learners), 0)
    with task_identity(RUN_ID, SERVER):
        result = strategy.start(grid, initial, num_rounds=rounds)
    return dict(result.arrays.to_torch_state_dict())


def strategy(kind: type[Strategy] = FedProx, **options: Any) -> Strategy:
    extra = {"proximal_mu": 0.1} if kind is FedProx else {}
    return kind(min_available_nodes=2, min_train_nodes=2, fraction_evaluate=0.0, **extra, **options)


@pytest.mark.parametrize("kind", [FedProx, FedAvg, FedMedian])
def test_the_transcript_has_what_was_sent_and_the_strategy_works_as_before(
    volumes: Cohort, roles: Roles, tmp_path: Path, kind: type[Strategy]
) -> None:
    expected = federate(strategy(kind), volumes, roles)
    inner = strategy(kind)
    kept = recorded(inner, tmp_path / "transcript")
    assert kept is inner
    found = federate(kept, volumes, roles)
    transcript = Transcript.open(tmp_path / "transcript")
    assert transcript.learners == roles.learners
    torch.manual_seed(0)
    for name, value in network().state_dict().items():
        torch.testing.assert_close(transcript.global_model(0)[name], value)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
        torch.testing.assert_close(transcript.global_model(2)[name], value)
    if kind is not FedMedian:
        one, other = (transcript.learner_model(1, learner) for learner in roles.learners)
        counts = [part.samples for part in transcript.rounds[0].took_part.values()]
        mean = np.average([one["0.weight"], other["0.weight"]], axis=0, weights=counts)
        np.testing.assert_allclose(transcript.global_model(1)["0.weight"], mean, rtol=1e-4, atol=1e-6)


def test_it_is_imported_and_audited_as_server_and_learner(
    volumes: Cohort, roles: Roles, tmp_path: Path
) -> None:
    federate(recorded(strategy(), tmp_path / "transcript"), volumes, roles)
    run = import_run(
        tmp_path / "run", cohort=volumes, model=HERE, roles=roles, transcript=tmp_path / "transcript"
    )
    for attacker in (Attacker.SERVER, Attacker.LEARNER):
        result = audit(run.path, threat=ThreatModel(attacker=attacker, repeats=1), model=HERE)
        assert len(result.findings) > 0
        assert not result.content["target"]["randomised"]


def test_who_fails_is_left_out_and_keeps_its_name(volumes: Cohort, roles: Roles, tmp_path: Path) -> None:
    federate(recorded(strategy(), tmp_path / "t"), volumes, roles, failing=(1, 2))
    first, second = Transcript.open(tmp_path / "t").rounds
    assert list(first.took_part) == list(roles.learners)
    assert list(second.took_part) == [roles.learners[0]]
    assert "the disk of this site is full" in second.left_out[roles.learners[1]]


def test_a_round_that_nobody_answers_keeps_the_last_model(
    volumes: Cohort, roles: Roles, tmp_path: Path
) -> None:
    one = Roles(roles.of, dict.fromkeys(roles.learner, roles.learners[0]))
    kept = recorded(FedAvg(min_available_nodes=1, min_train_nodes=1, fraction_evaluate=0.0), tmp_path / "t")
    federate(kept, volumes, one, failing=(0, 2))
    transcript = Transcript.open(tmp_path / "t")
    assert transcript.rounds[1].took_part == {}
    assert torch.equal(transcript.global_model(2)["0.weight"], transcript.global_model(1)["0.weight"])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"named": False, "partition": True}, ("learner-1", "learner-2")),
        ({"named": False}, ("node-2", "node-3")),
    ],
)
def test_learners_that_say_no_name_are_named_after_their_place_or_node(
    volumes: Cohort, roles: Roles, tmp_path: Path, changes: dict[str, Any], names: tuple[str, ...]
) -> None:
    federate(recorded(strategy(), tmp_path / "t"), volumes, roles, rounds=1, **changes)
    assert Transcript.open(tmp_path / "t").learners == names


def test_a_name_that_another_node_has_is_not_given_twice(
    volumes: Cohort, roles: Roles, tmp_path: Path
) -> None:
    federate(recorded(strategy(), tmp_path / "t"), volumes, roles, rounds=1, called="site")
    node, site = Transcript.open(tmp_path / "t").learners
    assert (node in ("node-2", "node-3"), site) == (True, "site")


def test_arrays_without_names_get_those_of_the_network(volumes: Cohort, roles: Roles, tmp_path: Path) -> None:
    names = network().state_dict().keys()
    federate(recorded(strategy(), tmp_path / "t", parameters=names), volumes, roles, rounds=1, unnamed=True)
    assert Transcript.open(tmp_path / "t").learner_model(1, roles.learners[0]).keys() == names
    import_run(tmp_path / "run", cohort=volumes, model=HERE, roles=roles, transcript=tmp_path / "t")


def test_an_earlier_transcript_is_not_overwritten(volumes: Cohort, roles: Roles, tmp_path: Path) -> None:
    federate(recorded(strategy(), tmp_path / "t"), volumes, roles, rounds=1)
    with pytest.raises(OutputConflictError, match="holds a transcript already"):
        recorded(strategy(), tmp_path / "t")


@pytest.mark.deployment
@pytest.mark.skipif(not os.environ.get("MEMBERSCAN_SLOW_TESTS"), reason="make test-all runs it")
def test_on_ray_it_is_recorded_too(volumes: Cohort, roles: Roles, tmp_path: Path) -> None:
    from flwr.simulation import run_simulation

    pickling = pytest.importorskip("ray.cloudpickle")
    # Workers cannot import tests.
    pickling.register_pickle_by_value(sys.modules[client_app.__module__])
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        kept = recorded(strategy(), tmp_path / "transcript")
        kept.start(grid, ArrayRecord(network().state_dict()), num_rounds=2)

    started = {"num_cpus": 2, "include_dashboard": False}
    resources = {"init_args": started, "client_resources": {"num_cpus": 1}}
    run_simulation(server, client_app(volumes, roles), len(roles.learners), backend_config=resources)
    assert Transcript.open(tmp_path / "transcript").learners == roles.learners
    run = import_run(
        tmp_path / "run", cohort=volumes, model=HERE, roles=roles, transcript=tmp_path / "transcript"
    )
    assert len(audit(run.path, threat=ThreatModel(attacker=Attacker.SERVER, repeats=1), model=HERE).findings)
