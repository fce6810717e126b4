"""Divide subjects among learners as in the paper's federated environments, for any number of learners."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, CohortError
from memberscan.runs import Role, Roles
from memberscan.runs.names import RULE, unusable_name

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ENVIRONMENTS = ("uniform-iid", "uniform-noniid", "skewed-iid", "skewed-noniid")
BY_COLUMN = "by-site"
"""The environment of a federation whose learners are the values of a column."""
SKEW = 1.35
AGE_GROUPS = 4


def divide(
    cohort: Cohort,
    rng: np.random.Generator,
    *,
    environment: str,
    learners: int,
    held_out: float,
    by: str | None,
) -> Roles:
    """Return the roles of a federation: by the values of a covariate, or else of an environment.

    Parameters, errors raised: as of :func:`roles_by_column` with the column ``by``, and of
    :func:`draw_roles`.
    """
    if by is not None:
        return roles_by_column(cohort, by, held_out, rng)
    return draw_roles(cohort, environment, learners, held_out, rng)


def draw_roles(
    cohort: Cohort, environment: str, learners: int, held_out: float, rng: np.random.Generator
) -> Roles:
    """Draw which subjects are held out, and which learner holds each of the others.

    In uniform environments, all learners hold the same number of subjects; in skewed ones, the numbers form a
    geometric series of ratio 1.35. IID learners get random subjects. Non-IID learners each get one quarter of
    the age range, in turn: the first learner gets the youngest quarter if uniform, the oldest if skewed.
    Held-out subjects are drawn at random beforehand, so only members of IID learners are exchangeable with
    them.

    Source: the environments of Gupta et al. (MIDL 2021).

    Parameters
    ----------
    cohort
        All subjects.
    environment
        One of :data:`ENVIRONMENTS`.
    learners
        Number of learners; at least two.
    held_out
        Share of the subjects kept out of training.
    rng
        Random generator of the draw.

    Raises
    ------
    BadInputError
        If an argument is out of range, or there are fewer subjects than learners.
    """
    if environment not in ENVIRONMENTS:
        raise BadInputError(f"environment {environment!r} is unknown; choose {', '.join(ENVIRONMENTS)}")
    if learners < 2:
        raise BadInputError(f"learners is {learners}; a federation has at least 2")
    members, nonmembers = _hold_out(cohort.subjects, held_out, rng)
    return _roles(cohort, divide_members(cohort, members, environment, learners, rng), nonmembers)


def divide_members(
    cohort: Cohort, members: list[str], environment: str, learners: int, rng: np.random.Generator
) -> dict[str, str]:
    """Return which learner holds each of these subjects: see :func:`draw_roles`.

    Raises
    ------
    BadInputError
        If there are fewer members than learners.
    """
    size, kind = environment.split("-")
    sizes = apportion(len(members), np.ones(learners) if size == "uniform" else SKEW ** -np.arange(learners))
    if min(sizes) < 1:
        raise BadInputError(
            f"{len(members)} members are too few for {learners} learners of environment {environment}"
        )
    by_person = cohort.labels.groupby(cohort.scans["subject_id"]).mean()
    labels = by_person.loc[members].to_numpy(float)
    groups = np.zeros(learners, dtype=int)
    if kind == "noniid":
        groups = np.arange(learners) % min(AGE_GROUPS, learners)
        groups = groups if size == "uniform" else groups.max() - groups
    held_by = _by_label(labels, sizes, groups, rng)
    names = [f"learner-{k + 1}" for k in range(learners)]
    return {s: names[k] for s, k in zip(members, held_by, strict=True)}


def roles_by_column(cohort: Cohort, column: str, held_out: float, rng: np.random.Generator) -> Roles:
    """Make one learner of each value of a covariate, such as site; a share of all subjects is held out.

    Raises
    ------
    CohortError
        If the cohort has no such covariate, a subject has no value or several values, or there is only one
        value.
    """
    if column not in cohort.covariates:
        raise CohortError(
            f"the cohort has no covariate {column!r} to tell learners apart by; it has "
            f"{', '.join(cohort.covariates) or 'none'}"
        )
    values = cohort.scans.groupby("subject_id")[column]
    if len(torn := values.nunique(dropna=False).loc[lambda n: n != 1].index):
        raise CohortError(
            f"subject {torn[0]!r} has several values of {column}; one learner holds one subject"
        )
    value = values.first().dropna().astype(str)
    if len(nobody := sorted(set(cohort.subjects) - set(value.index))):
        raise CohortError(f"subject {nobody[0]!r} has no {column}; leave it out of the cohort, or fill it in")
    names = {v: re.sub(r"[^A-Za-z0-9._-]+", "-", v).strip("-._") or "site" for v in value.unique()}
    if len(names) < 2:
        raise CohortError(f"{column} has one value only, {next(iter(names))!r}; a federation has at least 2")
    if bad := unusable_name(names.values()):
        value = next(v for v, name in reversed(names.items()) if name == bad)
        raise CohortError(
            f"the value {value!r} of {column} cannot name a learner as {bad!r}: {RULE}; rename it"
        )
    members, nonmembers = _hold_out(cohort.subjects, held_out, rng)
    return _roles(cohort, {s: names[value[s]] for s in members}, nonmembers)


def apportion(total: int, shares: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return whole numbers in these proportions that add up to ``total`` (largest remainders)."""
    exact = total * shares / shares.sum()
    whole = np.floor(exact).astype(int)
    # Rounding and a stable sort give tied remainders to the first learners, whatever the last bits are.
    order = np.argsort(-np.round(exact - whole, 9), kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return np.asarray(whole)


def _by_label(
    labels: Float[np.ndarray, " members"],
    sizes: Int[np.ndarray, " learners"],
    groups: Int[np.ndarray, " learners"],
    rng: np.random.Generator,
) -> Int[np.ndarray, " members"]:
    """Return each member's learner: learners of one group share a range of labels, at random within it."""
    ordered = np.lexsort((rng.permutation(len(labels)), labels if groups.any() else np.zeros(len(labels))))
    held_by = np.empty(len(labels), dtype=int)
    start = 0
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        stretch = rng.permutation(ordered[start : start + sizes[inside].sum()])
        held_by[stretch] = np.repeat(inside, sizes[inside])
        start += len(stretch)
    return held_by


def _hold_out(subjects: list[str], held_out: float, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    if not 0 < held_out < 1:
        raise BadInputError(f"held_out is {held_out}; it is a share between 0 and 1")
    order = [subjects[k] for k in rng.permutation(len(subjects))]
    cut = round(held_out * len(subjects))
    return sorted(order[cut:]), order[:cut]


def _roles(cohort: Cohort, learner: dict[str, str], nonmembers: list[str]) -> Roles:
    outside = set(nonmembers)
    of = {s: Role.NONMEMBER if s in outside else Role.MEMBER for s in cohort.subjects}
    return Roles(of, {s: learner[s] for s in cohort.subjects if s in learner})


def label_table(cohort: Cohort, roles: Roles) -> pd.DataFrame:
    """Return one row per learner: number of members, and mean and spread of their labels, such as ages."""
    labels = cohort.labels.groupby(cohort.scans["subject_id"]).mean()
    rows = []
    for name in roles.learners:
        held = labels.loc[roles.members_of(name)]
        rows.append(
            {
                "name": name,
                "members": len(held),
                "age_mean": held.mean(),
                "age_sd": held.std(ddof=1) if len(held) > 1 else 0.0,
            }
        )
    return pd.DataFrame(rows)
