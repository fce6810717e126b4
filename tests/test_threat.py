from __future__ import annotations

import itertools
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import BadInputError
from memberscan.files import to_json
from memberscan.threat import OF_OUTSIDERS, Access, Attacker, ThreatModel


def test_access_goes_by_name() -> None:
    assert all(Access.parse(str(access)) is access for access in Access)
    assert Access.parse("Weights") is Access.WEIGHTS


@pytest.mark.parametrize("text", ["", "gradients", "1"])
def test_an_unknown_access_lists_the_known_ones(text: str) -> None:
    with pytest.raises(BadInputError, match="choose one of: outputs, weights"):
        Access.parse(text)


@pytest.mark.parametrize("leaked", [-0.1, 0.91, 1.0, math.nan])
def test_leaked_is_a_share_that_leaves_somebody_to_attack(leaked: float) -> None:
    with pytest.raises(BadInputError, match=r"leaked is .*0 to 0\.9"):
        ThreatModel(leaked=leaked)


def test_at_least_one_draw_is_needed() -> None:
    with pytest.raises(BadInputError, match="repeats is 0"):
        ThreatModel(repeats=0)


@pytest.mark.parametrize(
    ("threat", "seen"),
    [
        (ThreatModel(), "outputs"),
        (ThreatModel(Access.WEIGHTS), "outputs weights"),
        (ThreatModel(attacker=Attacker.LEARNER), "outputs weights rounds"),
        (ThreatModel(attacker=Attacker.AGGREGATE), "outputs weights rounds"),
        (ThreatModel(attacker=Attacker.SERVER), "outputs weights rounds updates"),
    ],
)
def test_who_sees_more_sees_the_lesser_things_too(threat: ThreatModel, seen: str) -> None:
    assert threat.sees == set(map(Access, seen.split()))


@pytest.mark.parametrize("access", OF_OUTSIDERS)
@pytest.mark.parametrize("shown", OF_OUTSIDERS)
def test_nobody_has_more_than_the_target_shows(access: Access, shown: Access) -> None:
    limited = ThreatModel(access, 0.25, 3).limited_to(shown)
    assert limited.access is (Access.WEIGHTS if access is shown is Access.WEIGHTS else Access.OUTPUTS)
    assert (limited.leaked, limited.repeats) == (0.25, 3)


def test_it_is_plain_json() -> None:
    threat = ThreatModel(Access.WEIGHTS, 0.25, 3)
    assert asdict(threat) == {
        "access": "weights",
        "leaked": 0.25,
        "repeats": 3,
        "attacker": "outsider",
        "rounds": None,
        "references": None,
    }
    assert '"weights"' in to_json(asdict(threat))


def test_attackers_go_by_name() -> None:
    assert all(Attacker.parse(str(attacker)) is attacker for attacker in Attacker)
    assert Attacker.parse("Active-Server") is Attacker.ACTIVE_SERVER
    assert '"server"' in to_json(Attacker.SERVER)


@pytest.mark.parametrize("text", ["", "active_server", "site-a"])
def test_an_unknown_attacker_lists_the_known_ones(text: str) -> None:
    with pytest.raises(BadInputError, match="one of: outsider, learner, server, active-server, aggregate"):
        Attacker.parse(text)


@pytest.mark.parametrize(
    ("attacker", "access"),
    [
        (Attacker.LEARNER, Access.ROUNDS),
        (Attacker.AGGREGATE, Access.ROUNDS),
        (Attacker.SERVER, Access.UPDATES),
        (Attacker.ACTIVE_SERVER, Access.UPDATES),
    ],
)
@pytest.mark.parametrize("said", Access)
def test_a_party_of_a_federation_sees_what_its_place_gives_it(
    attacker: Attacker, access: Access, said: Access
) -> None:
    threat = ThreatModel(said, 0.5, 7, attacker)
    assert (threat.access, threat.repeats, threat.leaked) == (access, 1, 0.5)
    assert threat == ThreatModel(attacker=attacker)
    assert asdict(threat)["attacker"] == str(attacker)
    assert asdict(threat)["access"] == str(access)


@pytest.mark.parametrize("access", [Access.ROUNDS, Access.UPDATES])
def test_an_outsider_sees_the_final_model_only(access: Access) -> None:
    with pytest.raises(BadInputError, match=f"an outsider has no access to {access}"):
        ThreatModel(access)
    assert ThreatModel(Access.WEIGHTS, repeats=7).repeats == 7


@given(st.integers(1, 60), st.none() | st.integers(1, 80))
def test_rounds_looked_at_are_evenly_spaced_and_end_with_the_last(rounds: int, asked: int | None) -> None:
    looked = ThreatModel(attacker=Attacker.SERVER, rounds=asked).looks_at(rounds)
    assert len(looked) == min(asked or rounds, rounds)
    assert set(looked) <= set(range(1, rounds + 1))
    assert looked[-1] == rounds
    gaps = [b - a for a, b in itertools.pairwise(looked)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_at_least_one_round_is_looked_at() -> None:
    with pytest.raises(BadInputError, match="rounds is 0"):
        ThreatModel(rounds=0)
