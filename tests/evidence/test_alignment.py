"""Which attacks can be compared with each other, and which rows of theirs say something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.alignment import aligned, groups_of
from memberscan.evidence.scores import Pair

from .simulated import among_parties, federate, fitted, once, simulate


def constant(home, attackers=("a", "b"), victims=("a", "b"), attack="loss", nobody=()):
    """Return pairs that all score 0; nobody scores those named by position."""
    values = np.zeros((len(attackers), len(victims), len(home)))
    values[:, :, list(nobody)] = np.nan
    return among_parties(values, home, attackers=attackers, victims=victims, attack=attack)


def test_attacks_must_share_people_and_draws():
    rng = np.random.default_rng(0)
    attacks, _ = simulate(rng, 20, 23)
    assert aligned(attacks) == tuple(attacks)
    with pytest.raises(MisalignedError, match="scores 42 people, and error 43"):
        aligned([attacks[0], attacks[1].of_people(np.arange(42))])
    others, _ = simulate(rng, 20, 23)
    with pytest.raises(MisalignedError, match="same draws"):
        aligned([attacks[1], others[2]])
    with pytest.raises(MisalignedError, match="names that differ"):
        aligned([attacks[1], attacks[1]])
    with pytest.raises(MisalignedError, match="at least one attack"):
        aligned([])
    pairs = constant(np.arange(43) % 2 - 1, ("server",), ("a",))
    with pytest.raises(MisalignedError, match="draws only, or pairs only"):
        aligned([attacks[0], pairs])


def test_attacks_must_agree_on_who_was_trained_on():
    attacks, member = simulate(np.random.default_rng(1), 20, 23)
    other = once("other", attacks[0].values[0], np.roll(member, 1))
    for pair in ([attacks[0], other], [other, attacks[1]]):
        with pytest.raises(MisalignedError, match="differ in who was trained on"):
            aligned(pair)


def test_too_few_people_are_refused():
    attacks, _ = simulate(np.random.default_rng(0), 9, 30)
    with pytest.raises(TooFewSubjectsError, match="9 members and 30 non-members"):
        aligned(attacks)
    member = np.arange(30) < 15
    values = np.where(np.arange(30) < 14, np.nan, 0.0)[None]
    with pytest.raises(TooFewSubjectsError, match="leak fewer"):
        aligned([fitted("f", values, member)])


def test_people_known_in_every_draw_may_be_of_either_side():
    member = np.arange(24) < 12
    values = np.where(np.arange(24) % 12 < 6, np.nan, 0.0)[None]
    assert aligned([fitted("f", values, member)])


def test_victims_must_be_the_same():
    home = np.repeat([0, 1, -1], 10)
    with pytest.raises(MisalignedError, match="different victims"):
        aligned([constant(home), constant(home, victims=("b", "c"), attack="other")])
    swapped = np.where(home == -1, -1, 1 - home)
    assert len(aligned([constant(home), constant(swapped, victims=("b", "a"), attack="other")])) == 2


def test_pairs_compare_the_same_people_or_are_refused():
    home = np.repeat([0, 1, -1], [10, 9, 11])
    attack = constant(home, ("a", "b", "server"), nobody=[29])
    (kept,) = aligned([attack])
    assert kept.rows == (Pair("b", "a"), Pair("server", "a"))
    groups = groups_of([attack])
    assert {name: people.tolist() for name, people in groups.inside.items()} == {"a": list(range(10))}
    assert groups.outside.tolist() == list(range(19, 29))
    for person in (0, 20):
        values = attack.values.copy()
        values[1, person] = np.nan
        other = replace(attack, values=values, sides=np.where(np.isnan(values), -1, attack.sides))
        with pytest.raises(MisalignedError, match="1 subjects are scored in some pairs"):
            aligned([other])
        with pytest.raises(MisalignedError, match="1 subjects are scored in some pairs"):
            aligned([attack, replace(other, attack="f")])
    with pytest.raises(TooFewSubjectsError, match="attack loss has no pair"):
        aligned([constant(home, ("a", "b", "server"), nobody=[28, 29])])


def test_a_person_has_one_home():
    home = np.repeat([0, 1, -1], 12)
    attack = constant(home, ("server",))
    sides = attack.sides.copy()
    sides[1, 0] = 1
    with pytest.raises(MisalignedError, match="1 subjects are members of two victims"):
        aligned([replace(attack, sides=sides)])


def test_targets_come_in_the_order_of_the_parties():
    (attack,), _ = federate(np.random.default_rng(2), [11, 12, 13], 14)
    assert [row.victim for row in attack.rows][:2] == ["site 1", "site 2"]
    assert list(groups_of([attack]).inside) == ["site 0", "site 1", "site 2"]
    server = constant(np.repeat([0, 1, -1], 12), ("server",))
    assert list(groups_of([server]).inside) == ["a", "b"]


def test_draws_with_different_people_have_no_groups():
    attacks, member = simulate(np.random.default_rng(3), 20, 23)
    assert groups_of(attacks[:1]).outside.tolist() == np.flatnonzero(~member).tolist()
    with pytest.raises(MisalignedError, match="single draw"):
        groups_of(attacks)
