"""A party's place in a federation: its victims, whom it knows, whom it compares, and its obstacles."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, RolesError, TooFewSubjectsError
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair
from memberscan.files import write_json
from memberscan.runs import Role, Roles, Run
from memberscan.targets.known import knows_somebody
from memberscan.targets.party import HELD_OUT, Party
from memberscan.threat import Attacker, ThreatModel

from ..recorded import LEARNERS, deal_out
from .conftest import Open, Record

PARTIES = [str(a) for a in Attacker if a is not Attacker.OUTSIDER]


@pytest.mark.parametrize("attacker", PARTIES)
def test_everybody_is_at_home_where_the_roles_say(attacker: str, place: Open, recorded: Record):
    run = recorded()
    party = place(attacker, run=run)
    assert party.victims == (("all",) if attacker == "aggregate" else LEARNERS)
    for subject, home in zip(party.people.ids, party.home, strict=True):
        if run.roles.of[subject] is Role.NONMEMBER:
            assert home == HELD_OUT
        else:
            assert party.victims[home] in ("all", run.roles.learner[subject])
    np.testing.assert_array_equal(party.member, party.home != HELD_OUT)


@pytest.mark.parametrize("attacker", PARTIES)
@pytest.mark.parametrize("learns", [True, False])
def test_nobody_is_compared_whom_the_attacker_knows(attacker: str, learns: bool, place: Open):
    party = place(attacker)
    for row in party.comparisons(learns=learns):
        victim = party.victims.index(row.row.target)
        for person, side in enumerate(row.sides):
            known = row.known.everyone[person]
            own = row.row.attacker in party.victims and (
                party.home[person] == party.victims.index(row.row.attacker)
            )
            assert known == (party.known_nonmembers[person] or own)
            if known or party.home[person] not in (victim, HELD_OUT):
                assert side == ASIDE
            else:
                assert side == (IN if party.home[person] == victim else OUT)


def test_learners_attack_each_other_and_know_their_own(place: Open):
    party = place("learner")
    rows = party.comparisons(learns=True)
    assert [row.row for row in rows] == [Pair(*pair) for pair in itertools.permutations(LEARNERS, 2)]
    for row in rows:
        np.testing.assert_array_equal(row.known.members, party.home == party.victims.index(row.row.attacker))
        np.testing.assert_array_equal(row.known.nonmembers, party.known_nonmembers)
    # What one attacker knows is one object, so that it fits once.
    assert len({id(row.known) for row in rows}) == 3
    assert knows_somebody(rows)


@pytest.mark.parametrize("attacker", ["server", "active-server", "aggregate"])
@pytest.mark.parametrize("learns", [True, False])
def test_others_than_learners_know_no_member(attacker: str, learns: bool, place: Open):
    party = place(attacker)
    rows = party.comparisons(learns=learns)
    assert [row.row for row in rows] == [Pair(attacker, victim) for victim in party.victims]
    assert not any(row.known.members.any() for row in rows)
    assert party.known_people == (0, 12)


def test_every_party_knows_and_scores_the_same_held_out_people(place: Open, recorded: Record):
    run = recorded()
    known = [place(attacker, run=run, seed=5).known_nonmembers for attacker in PARTIES]
    for other in known[1:]:
        np.testing.assert_array_equal(other, known[0])
    assert not np.array_equal(place("server", run=run, seed=6).known_nonmembers, known[0])
    outside = np.flatnonzero(~place("server", run=run).member)
    expected = seeds.generator(5, "known-held-out").choice(outside, 12, replace=False)
    assert set(np.flatnonzero(known[0])) == set(expected)


def test_a_learner_knows_as_many_as_the_fewest_have(place: Open, recorded: Record, sixty: Cohort):
    roles = deal_out(sixty, 24)
    moved = next(s for s, learner in roles.learner.items() if learner == "site-1")
    uneven = Roles(roles.of, {**roles.learner, moved: "site-2"})
    assert place("learner", run=recorded(roles=uneven)).known_people == (11, 12)


def test_a_site_that_audits_its_own_people_is_attacked_by_who_needs_nobody(
    place: Open, recorded: Record, sixty: Cohort
):
    party = place("learner", run=recorded(roles=deal_out(sixty, 24, ["site-2"])))
    assert party.victims == ("site-2",)
    assert [row.row.attacker for row in party.comparisons(learns=False)] == ["site-1", "site-10"]
    assert party.comparisons(learns=True) == []
    assert party.nothing_to_learn_from == (
        "needs the attacking learner's own people, but only the victim's are here"
    )


def test_without_known_held_out_people_there_is_nothing_to_learn_from(place: Open, recorded: Record):
    run = recorded()
    party = place("learner", run=run, leaked=0.0)
    assert not party.known_nonmembers.any()
    assert "but this audit assumes none; use --leaked 0.5" in str(party.nothing_to_learn_from)
    assert {len(np.flatnonzero(row.sides == OUT)) for row in party.comparisons(learns=False)} == {24}
    assert place("learner", run=run).nothing_to_learn_from is None


def test_rounds_are_those_that_the_attacker_looks_at(place: Open, recorded: Record):
    run = recorded(rounds=3)
    assert place("server", run=run).rounds == (1, 2, 3)
    assert place("server", run=run, rounds=1).rounds == (3,)


def test_others_are_counted_over_the_rounds_looked_at(place: Open, recorded: Record):
    run = recorded(left_out=[(2, "site-2"), (3, "site-2"), (3, "site-1")])
    assert place("server", run=run).most_others() == 2
    assert place("server", run=run, rounds=2).most_others() == 1
    assert place("server", run=run, rounds=1).most_others() == 0
    assert place("aggregate", run=run).most_others() == 0


def test_why_nothing_was_seen_of_a_victim(place: Open, recorded: Record):
    run = recorded(left_out=[(2, "site-2"), (3, "site-2"), (3, "site-10")])
    last = place("server", run=run, rounds=1)
    assert "site-2 took part in none of the rounds that the attacker looked at" in last.unseen("site-2", 0)
    assert "site-1 never took part in a round with 2 other learners" in last.unseen("site-1", 2)
    assert "site-1 sent a model that did not change" in last.unseen("site-1", 0)
    assert "all sent a model that did not change" in place("aggregate", run=run).unseen("all", 0)


@pytest.mark.parametrize("environment", ["skewed-noniid", None])
def test_covariates_are_compared_within_each_victim_and_the_held_out(
    environment: str | None, place: Open, recorded: Record
):
    run = recorded(environment=environment)
    party = place("server", run=run)
    *each, together = party.groups
    assert [group.name for group in each] == list(LEARNERS)
    assert together.pooled and together.asked.all() and not any(group.pooled for group in each)
    np.testing.assert_array_equal(together.inside, party.member)
    assert together.randomised == (environment is not None)
    for victim, group in enumerate(each):
        np.testing.assert_array_equal(group.inside, party.home == victim)
        np.testing.assert_array_equal(group.asked, (party.home == victim) | (party.home == HELD_OUT))
        assert not group.randomised and group.seed == ("blind", group.name)
    (everyone,) = place("aggregate", run=run).groups
    assert everyone.asked.all() and everyone.name == "all"
    assert everyone.randomised == (environment is not None)


@pytest.mark.parametrize("attacker", PARTIES)
def test_encrypted_updates_conceal_everything_from_servers_only(attacker: str, place: Open, recorded: Record):
    run = recorded(secure="ckks")
    concealed = place(attacker, run=run).conceals
    assert (concealed is not None) == ("server" in attacker)
    if concealed:
        assert concealed.startswith("the updates were encrypted (ckks)")
    assert place(attacker, run=recorded("plain")).conceals is None


def test_members_of_an_unknown_learner_or_of_none_are_refused(place: Open, recorded: Record, sixty: Cohort):
    roles = deal_out(sixty, 24)
    first = roles.subjects(Role.MEMBER)[0]
    stranger = Roles(roles.of, {**roles.learner, first: "site-9"})
    homeless = Roles(roles.of, {s: its for s, its in roles.learner.items() if s != first})
    for name, its in (("site-9", stranger), ("no learner", homeless)):
        with pytest.raises(RolesError, match=f"{first}.* is held by {name}.*site-1"):
            place("learner", run=recorded(name, roles=its))
    nobody = Roles(roles.of, dict.fromkeys(roles.learner, "elsewhere"))
    with pytest.raises(BadInputError, match=r"no learner of the transcript \(site-1.*column learner"):
        place("server", run=recorded("nobody", roles=nobody))


@pytest.mark.parametrize(("leaked", "enough"), [(0.58, True), (0.63, False)])
def test_ten_held_out_people_must_be_left_to_score(leaked: float, enough: bool, place: Open):
    if enough:
        assert place("server", leaked=leaked).known_people == (0, 13)
        return
    with pytest.raises(TooFewSubjectsError, match=r"24 people are held out, .* know 15.*--leaked 0\.58"):
        place("server", leaked=leaked)


def test_too_few_held_out_people_are_not_helped_by_knowing_fewer(place: Open, recorded: Record):
    with pytest.raises(TooFewSubjectsError, match="9 people are held out") as caught:
        place("server", run=recorded(held_out=9), leaked=0.0)
    assert "--leaked" not in str(caught.value)


def test_a_run_of_no_federation_or_without_a_round_has_no_parties(run: Run, recorded: Record):
    threat = ThreatModel(attacker=Attacker.SERVER)
    with pytest.raises(BadInputError, match="is not a federated run, so it has no parties"):
        Party.open(run.path, threat)
    begun = recorded(rounds=1)
    content = json.loads((begun.path / "run.json").read_text())
    write_json(begun.path / "run.json", content | {"federation": content["federation"] | {"rounds": 0}})
    for file in (begun.path / "rounds" / "0001").iterdir():
        file.unlink()
    (begun.path / "rounds" / "0001").rmdir()
    with pytest.raises(BadInputError, match="has no finished round"):
        Party.open(begun.path, threat)


def test_it_is_a_frozen_value(place: Open, tmp_path: Path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        place("server").rounds = ()  # type: ignore[misc]
