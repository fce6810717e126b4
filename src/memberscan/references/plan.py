"""Which people each reference model is trained on: one of each pair of people who are alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.errors import ReferencesError
from memberscan.files import OWNER_ONLY, fingerprint, read_table, write_table

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

PLAN = "plan.tsv"
FEWEST, MOST = 2, 1024
ALONE = -1
"""Pair of a person without a partner."""
_LEVELS = (("site", "sex"), ("sex",), ())
"""In which people must agree to form a pair, first as strictly as possible; within these, by label."""


def name_of(reference: int) -> str:
    """Return the name of a reference by its place, from 0."""
    return f"reference-{reference + 1:03d}"


@dataclass(frozen=True, eq=False)
class Plan:
    """Which people each reference is trained on.

    References 2j and 2j + 1 are twins: of each pair of people, the second is trained on the one that the
    first is not trained on. Everybody is therefore in about as many references as out of them, and the same
    references serve attacks and the estimate of f-CMI, which needs pairs of which one was trained on.

    Parameters
    ----------
    subjects
        The people, sorted by id.
    pair
        Number of the pair of each person, or :data:`ALONE`.
    inside
        Whether each reference is trained on each person.
    """

    subjects: tuple[str, ...]
    pair: Int[np.ndarray, " people"]
    inside: Bool[np.ndarray, "references people"]

    @classmethod
    def draw(cls, people: pd.DataFrame, *, count: int, size: int, seed: int) -> Plan:
        """Draw who is in each reference.

        Parameters
        ----------
        people
            One row per person, indexed by subject id: ``label``, the true value of the target, and ``sex``
            and ``site`` if known.
        count
            Number of references; even, since they come in twins.
        size
            Number of people that each is trained on: as many as the target, because a model that is trained
            on fewer people fits them more closely.
        seed
            Root seed. More references of the same seed begin with the same ones.

        Raises
        ------
        ReferencesError
            If the count is odd or out of range, or ``size`` leaves nobody in or out.
        """
        if count % 2 or not FEWEST <= count <= MOST:
            raise ReferencesError(
                f"count is {count}; give an even number from {FEWEST} to {MOST}, since references are "
                "trained in twins: one on each person of a pair"
            )
        if not 0 < size < len(people):
            raise ReferencesError(
                f"each reference would be trained on {size} of {len(people)} people; some must be in and "
                "some out"
            )
        people = people.sort_index()
        pair = matched_pairs(people)
        rows = [row for twins in range(count // 2) for row in _twins(pair, size, seed, twins)]
        return cls(tuple(people.index), pair, np.stack(rows))

    def members(self, reference: int) -> list[str]:
        """Return the people that a reference is trained on."""
        return [self.subjects[place] for place in np.flatnonzero(self.inside[reference])]

    def first(self, count: int) -> Plan:
        """Return the plan of the first references."""
        return Plan(self.subjects, self.pair, self.inside[:count])

    @property
    def fingerprint(self) -> str:
        """A digest of the plan."""
        return fingerprint([list(self.subjects), self.pair.tolist(), self.inside.astype(int).tolist()])

    def write(self, directory: Path) -> None:
        """Write ``plan.tsv``, which names people, so only its owner can read it."""
        columns = {name_of(k): row.astype(int) for k, row in enumerate(self.inside)}
        table = pd.DataFrame({"subject": self.subjects, "pair": self.pair, **columns})
        write_table(directory / PLAN, table, mode=OWNER_ONLY)

    @classmethod
    def read(cls, directory: Path) -> Plan:
        """Read ``plan.tsv``.

        Raises
        ------
        ReferencesError
            If it is missing or was changed into something else.
        """
        path = directory / PLAN
        if not path.is_file():
            raise ReferencesError(f"{directory} has no {PLAN}; make one with memberscan references plan")
        table = read_table(path, dtype={"subject": str})
        names = [name_of(k) for k in range(len(table.columns) - 2)]
        if list(table.columns) != ["subject", "pair", *names] or len(names) < FEWEST:
            raise ReferencesError(f"{path} is not a plan of references; restore it")
        inside = table[names].to_numpy().T
        if not np.isin(inside, (0, 1)).all() or not table["subject"].is_unique:
            raise ReferencesError(f"{path} has other values than 0 and 1, or repeats a subject; restore it")
        return cls(tuple(table["subject"]), table["pair"].to_numpy(np.int64), inside.astype(bool))


def matched_pairs(people: pd.DataFrame) -> Int[np.ndarray, " people"]:
    """Return the pair of each person: neighbours in label of the same sex and site, as far as there are any.

    Parameters
    ----------
    people
        One row per person: ``label``, and ``sex`` and ``site`` if known.
    """
    pair = np.full(len(people), ALONE, dtype=np.int64)
    label, made = people["label"].to_numpy(float), 0
    for level in _LEVELS:
        free = np.flatnonzero(pair == ALONE)
        # People who agree in the level's columns have one code.
        known = [people[key].iloc[free].astype(str) for key in level if key in people]
        code = pd.factorize(pd.Series(list(zip(*known, strict=True))), sort=True)[0] if known else 0 * free
        ordered = free[np.lexsort((label[free], code))]
        ends = np.flatnonzero(np.diff(np.sort(code))) + 1
        for group in np.split(ordered, ends):
            couples = group[: len(group) // 2 * 2].reshape(-1, 2)
            pair[couples] = made + np.arange(len(couples))[:, None]
            made += len(couples)
    return pair


def _twins(
    pair: Int[np.ndarray, " people"], size: int, seed: int, number: int
) -> Iterator[Bool[np.ndarray, " people"]]:
    """Draw twins: one person of each pair for the first, the other for the second; both of ``size``."""
    rng = seeds.generator(seed, "twins", number)
    couples = np.argsort(pair, kind="stable")[(pair == ALONE).sum() :].reshape(-1, 2)
    first = np.zeros(len(pair), dtype=bool)
    first[pair == ALONE] = rng.random((pair == ALONE).sum()) < 0.5
    first[couples[np.arange(len(couples)), rng.integers(2, size=len(couples))]] = True
    for twin, inside in enumerate((first, ~first)):
        # Where the target was trained on more (or less) than half of the people, both (or none) of as many
        # pairs as it takes are in.
        missing = size - int(inside.sum())
        chosen = _in_turn(len(couples), abs(missing), 2 * number + twin, seed)
        inside[couples[chosen]] = missing > 0
        yield inside


def _in_turn(pairs: int, count: int, reference: int, seed: int) -> Int[np.ndarray, " count"]:
    """Return which pairs are treated alike in a reference, so that all pairs have their turn."""
    if not count:
        return np.zeros(0, dtype=np.int64)
    block, place = divmod(reference, pairs // count)
    return seeds.generator(seed, "turns", block).permutation(pairs)[place * count : (place + 1) * count]
