"""Draw the canaries of a training: who they are, what labels they get, and which of them are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, TooFewSubjectsError
from memberscan.runs import Role, Roles
from memberscan.runs.canaries import Canaries, Canary

if TYPE_CHECKING:
    from memberscan.training.config import TrainingConfig

FEWEST, MOST = 10, 2_000
"""Numbers of canaries that are accepted: with fewer, even perfect guesses show next to nothing."""
SHIFT = 3.0
"""How far labels are moved, in standard deviations of the labels of non-members."""
WHAT = (
    "made-up people with scans of people outside the training and labels far from the true ones, each put in "
    "or left out by a fair coin"
)


def require_canaries(count: int) -> None:
    """Raise :class:`BadInputError` unless it is 0 or an accepted number of canaries."""
    if count and not FEWEST <= count <= MOST:
        raise BadInputError(
            f"canaries is {count}; give from {FEWEST} to {MOST:,}, such as 200, or leave it out"
        )


def draw_canaries(
    cohort: Cohort, roles: Roles, count: int, seed: int, config: TrainingConfig
) -> tuple[Canaries, Roles]:
    """Draw canaries from people who are not members, and take those people out of the roles.

    At most half of the non-members are used. Each gives one canary with copies of all of that person's scans.
    Where there are not enough, further canaries are mixed from two of these people.

    Labels of a number move by :data:`SHIFT` standard deviations of the non-members' labels, up or down by a
    coin; instead of a class another one is drawn. Nothing of a canary depends on the members: otherwise each
    member would change all canaries, and so the model more than a guarantee for one person allows.

    Parameters
    ----------
    cohort, roles
        Who takes part in the training, and who does not.
    count
        Number of canaries, in and out together.
    seed
        Secret: whoever has it knows which canaries are in.
    config
        How the run is trained.

    Raises
    ------
    TooFewSubjectsError
        If there are too few non-members to take people from.
    """
    rng = seeds.generator(seed, "canaries")
    outside = roles.subjects(Role.NONMEMBER)
    donors = rng.permutation(np.array(outside, dtype=object))[: min(count, len(outside) // 2)].tolist()
    if len(donors) < 2:
        raise TooFewSubjectsError(
            f"canaries are made from non-members, of whom there are {len(outside)}; leave more people out of "
            "the training, with a smaller share of members"
        )
    inside = seeds.generator(seed, "coins").random(count) < 0.5
    spread = float(cohort.labels[cohort.scans["subject_id"].isin(outside)].std())
    labels, classes = cohort.labels.to_dict(), len(cohort.target.classes)
    scans = dict(list(cohort.scans.groupby("subject_id", sort=False).groups.items()))
    made = []
    for number in range(count):
        first = donors[number % len(donors)]
        second = first if number < len(donors) else _another(first, donors, rng)
        own = scans[first].tolist()
        beside = [scans[second][k % len(scans[second])] for k in range(len(own))]
        pairs = [(labels[one], labels[other]) for one, other in zip(own, beside, strict=True)]
        true, given = _labels(pairs, classes, spread, rng)
        made.append(
            Canary(f"canary {number + 1}", tuple(own), tuple(beside), true, given, bool(inside[number]))
        )
    left = replace(roles, of={s: role for s, role in roles.of.items() if s not in set(donors)})
    return Canaries(seeds.integer(seed, "mixing"), config.seed, tuple(made)), left


def _another(first: str, donors: Sequence[str], rng: np.random.Generator) -> str:
    others = [donor for donor in donors if donor != first]
    return others[int(rng.integers(len(others)))]


def _labels(
    pairs: Sequence[tuple[float, float]], classes: int, spread: float, rng: np.random.Generator
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the true labels of a canary's scans, and those that it is given, from those of its sources."""
    if classes:
        # Any class but that of the first scan; all scans of a canary get the same.
        wrong = (pairs[0][0] + 1 + int(rng.integers(classes - 1))) % classes
        return tuple(float(first) for first, _ in pairs), (float(wrong),) * len(pairs)
    true = [(float(first) + float(second)) / 2 for first, second in pairs]
    moved = float(rng.choice([-1, 1])) * SHIFT * spread
    return tuple(true), tuple(label + moved for label in true)
