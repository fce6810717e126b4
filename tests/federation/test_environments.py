from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import BadInputError, CohortError
from memberscan.federation.environments import (
    ENVIRONMENTS,
    SKEW,
    apportion,
    draw_roles,
    label_table,
    roles_by_column,
)
from memberscan.runs import Role

environments = st.sampled_from(ENVIRONMENTS)
random_states = st.integers(0, 2**32 - 1)


def people(ages: Any, **columns: Any) -> Any:
    """Return as much of a cohort as an environment looks at, one scan a person."""
    subjects = [f"p {n}" for n in range(len(ages))]
    scans = pd.DataFrame({"subject_id": subjects, "age": np.asarray(ages, float), **columns})
    return SimpleNamespace(subjects=subjects, scans=scans, labels=scans["age"], covariates=tuple(columns))


def naive_apportion(total: int, shares: list[int]) -> list[int]:
    exact = [Fraction(total * share, sum(shares)) for share in shares]
    whole = [e.numerator // e.denominator for e in exact]
    while sum(whole) < total:
        remainders = [e - w for e, w in zip(exact, whole, strict=True)]
        whole[remainders.index(max(remainders))] += 1
    return whole


@given(st.integers(0, 500), st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_largest_remainders_are_those_of_exact_fractions(total: int, shares: list[int]) -> None:
    assert apportion(total, np.array(shares, float)).tolist() == naive_apportion(total, shares)


@given(environments, st.integers(40, 160), st.integers(2, 9), st.floats(0.05, 0.6), random_states)
def test_every_subject_has_one_place_and_sizes_are_as_said(
    environment: str, count: int, learners: int, held_out: float, seed: int
) -> None:
    cohort = people(np.random.default_rng(seed).integers(40, 90, count))
    try:
        roles = draw_roles(cohort, environment, learners, held_out, np.random.default_rng(seed))
    except BadInputError as error:
        assert "too few" in str(error)
        assert count * (1 - held_out) / sum(SKEW**k for k in range(learners)) < 2
        return
    members, outside = roles.subjects(Role.MEMBER), roles.subjects(Role.NONMEMBER)
    assert list(roles.of) == cohort.subjects
    assert len(outside) == round(held_out * count)
    assert roles.learners == tuple(f"learner-{k + 1}" for k in range(learners))
    assert sorted(s for name in roles.learners for s in roles.members_of(name)) == sorted(members)
    assert not set(roles.learner) & set(outside)
    sizes = np.array([len(roles.members_of(name)) for name in roles.learners])
    if environment.startswith("uniform"):
        assert np.ptp(sizes) <= 1
    else:
        exact = SKEW ** -np.arange(learners) * len(members) / (SKEW ** -np.arange(learners)).sum()
        assert np.abs(sizes - exact).max() < 1
        assert (np.diff(sizes) <= 0).all()


def test_the_skew_is_the_ratio_of_neighbours() -> None:
    cohort = people(np.arange(5000) % 50)
    roles = draw_roles(cohort, "skewed-iid", 4, 0.2, np.random.default_rng(0))
    sizes = np.array([len(roles.members_of(name)) for name in roles.learners])
    np.testing.assert_allclose(sizes[:-1] / sizes[1:], 1.35, atol=0.005)


@given(random_states, st.sampled_from(["uniform-noniid", "skewed-noniid"]), st.integers(2, 9))
def test_ages_of_learners_without_iid_are_stretches_that_repeat(
    seed: int, environment: str, learners: int
) -> None:
    rng = np.random.default_rng(seed)
    cohort = people(rng.uniform(45, 80, 160))
    roles = draw_roles(cohort, environment, learners, 0.2, rng)
    ages = cohort.scans.set_index("subject_id")["age"]
    its = [ages[roles.members_of(name)] for name in roles.learners]
    stretches = min(4, learners)
    for k, mine in enumerate(its):
        for n, other in enumerate(its):
            older = (n % stretches) - (k % stretches)
            older = older if environment.startswith("uniform") else -older
            if older > 0:
                assert mine.max() <= other.min()
    same = [k for k in range(learners) if k % stretches == 0]
    if len(same) > 1:
        assert max(its[k].min() for k in same) < min(its[k].max() for k in same)


def test_the_papers_eight_learners_have_the_means_of_quartiles() -> None:
    cohort = people(np.random.default_rng(0).uniform(45, 80, 4000))
    table = label_table(cohort, draw_roles(cohort, "uniform-noniid", 8, 0.2, np.random.default_rng(0)))
    quartiles = 45 + 35 * np.array([1, 3, 5, 7, 1, 3, 5, 7]) / 8
    np.testing.assert_allclose(table["age_mean"], quartiles, atol=0.6)
    assert table["age_sd"].max() < 35 / 4 / np.sqrt(12) * 1.1
    oldest = label_table(cohort, draw_roles(cohort, "skewed-noniid", 4, 0.2, np.random.default_rng(0)))
    assert (np.diff(oldest["age_mean"]) < 0).all()


@pytest.mark.parametrize("environment", ["uniform-iid", "skewed-iid"])
def test_iid_learners_have_the_ages_of_all(environment: str) -> None:
    cohort = people(np.random.default_rng(0).uniform(45, 80, 4000))
    table = label_table(cohort, draw_roles(cohort, environment, 8, 0.2, np.random.default_rng(0)))
    errors = (table["age_mean"] - cohort.scans["age"].mean()) / (10.1 / np.sqrt(table["members"]))
    assert errors.abs().max() < 4
    assert table["members"].sum() == 3200


def test_members_and_held_out_of_iid_learners_are_exchangeable() -> None:
    cohort, rng = people(np.arange(30)), np.random.default_rng(0)
    draws = [draw_roles(cohort, "skewed-iid", 3, 0.4, rng) for _ in range(1500)]
    first = np.mean([[r.learner.get(s) == "learner-1" for s in cohort.subjects] for r in draws], axis=0)
    outside = np.mean([[r.of[s] is Role.NONMEMBER for s in cohort.subjects] for r in draws], axis=0)
    for share in (first, outside):
        expected = share.mean()
        assert np.abs(share - expected).max() < 5 * np.sqrt(expected * (1 - expected) / 1500)


def test_a_subject_with_two_scans_is_dealt_out_once() -> None:
    cohort = people(np.arange(60))
    cohort.scans = pd.concat([cohort.scans, cohort.scans.iloc[:20]], ignore_index=True)
    roles = draw_roles(cohort, "uniform-noniid", 4, 0.2, np.random.default_rng(0))
    assert [len(roles.members_of(name)) for name in roles.learners] == [12] * 4


def test_equal_generators_draw_equal_roles_and_others_do_not() -> None:
    def draw(environment: str, seed: int) -> str:
        rng = np.random.default_rng(seed)
        return draw_roles(people(np.arange(80)), environment, 4, 0.2, rng).fingerprint

    for environment in ENVIRONMENTS:
        assert draw(environment, 0) == draw(environment, 0) != draw(environment, 1)
    assert len({draw(environment, 0) for environment in ENVIRONMENTS}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("uniform", 4, 0.2), "environment 'uniform' is unknown; choose uniform-iid"),
        (("uniform-iid", 1, 0.2), "learners is 1"),
        (("uniform-iid", 4, 0.0), "held_out is 0.0"),
        (("uniform-iid", 4, 1.0), "held_out is 1.0"),
        (("uniform-iid", 4, float("nan")), "held_out is nan"),
        (("uniform-iid", 33, 0.2), "32 members are too few for 33 learners"),
        (("skewed-iid", 20, 0.2), "32 members are too few for 20 learners of environment skewed-iid"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(arguments: tuple[str, int, float], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        draw_roles(people(np.arange(40)), *arguments, np.random.default_rng(0))


def test_sites_are_learners_and_a_share_of_all_is_held_out() -> None:
    sites = ["St. Mary's", "Oslo", "_Köln", "7"] * 15
    cohort = people(np.arange(60), site=sites)
    roles = roles_by_column(cohort, "site", 0.2, np.random.default_rng(0))
    assert roles.learners == ("7", "K-ln", "Oslo", "St.-Mary-s")
    assert len(roles.subjects(Role.NONMEMBER)) == 12
    site = dict(zip(cohort.subjects, sites, strict=True))
    assert {site[s] for s in roles.members_of("Oslo")} == {"Oslo"}
    assert sorted(roles.learner) == sorted(roles.subjects(Role.MEMBER))


def test_numbers_name_sites_too() -> None:
    roles = roles_by_column(
        people(np.arange(40), site=[1, 10, 2, 3] * 10), "site", 0.2, np.random.default_rng(0)
    )
    assert roles.learners == ("1", "2", "3", "10")


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        (["A"] * 40, "site has one value only, 'A'"),
        (["A b", "A-b"] * 20, "value 'A-b' of site cannot name a learner as 'A-b'.*only by case; rename it"),
        (["A", "a"] * 20, "value 'a' of site cannot name a learner"),
        (["A", "global"] * 20, "value 'global' of site cannot name a learner"),
        (["A", "Global"] * 20, "value 'Global' of site cannot name a learner"),
        (["A", "(all)"] * 20, r"value '\(all\)' of site cannot name a learner as 'all'"),
        (["A"] * 39 + [None], "'p 39' has no site"),
    ],
)
def test_values_that_name_no_learners_are_refused(sites: list[str | None], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        roles_by_column(people(np.arange(40), site=sites), "site", 0.2, np.random.default_rng(0))


def test_a_column_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(CohortError, match=r"no covariate 'site' .*; it has sex"):
        roles_by_column(people(np.arange(40), sex=["F", "M"] * 20), "site", 0.2, np.random.default_rng(0))
    with pytest.raises(CohortError, match="it has none"):
        roles_by_column(people(np.arange(40)), "site", 0.2, np.random.default_rng(0))


def test_a_subject_of_two_sites_is_refused() -> None:
    cohort = people(np.arange(40), site=["A", "B"] * 20)
    again = cohort.scans.iloc[[0]].assign(site="B")
    cohort.scans = pd.concat([cohort.scans, again], ignore_index=True)
    with pytest.raises(CohortError, match="'p 0' has several values of site"):
        roles_by_column(cohort, "site", 0.2, np.random.default_rng(0))
