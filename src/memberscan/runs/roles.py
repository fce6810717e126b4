"""Who was in the training set, and of which learner: one role per subject, never per scan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan.cohort.cells import MISSING
from memberscan.cohort.ids import alike, is_nobody, same_person
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import (
    BadInputError,
    DataLeakageError,
    ParticipantsError,
    RolesError,
    TooFewSubjectsError,
)
from memberscan.files import OWNER_ONLY, fingerprint, write_table
from memberscan.limits import FEWEST_PER_SIDE
from memberscan.runs.names import RULE, unusable_name


class Role(StrEnum):
    """The part that a subject had in the training of one model."""

    MEMBER = "member"
    NONMEMBER = "non-member"
    VALIDATION = "validation"


@dataclass(frozen=True)
class Roles:
    """The role of every subject; subjects that are not listed took no part.

    Parameters
    ----------
    of
        Role by subject id.
    learner
        In a federation, the learner that holds each subject, by subject id. Held-out subjects may have none.
    """

    of: Mapping[str, Role]
    learner: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def draw(
        cls, subjects: Sequence[str], *, members: float, validation: float, rng: np.random.Generator
    ) -> Roles:
        """Draw roles at random: a share of members, part of it for validation; the rest are non-members.

        Validation subjects are taken from the members' share, as the paper takes its validation set from its
        training set, so that members and non-members stay exchangeable.
        """
        if not 0 < members < 1:
            raise BadInputError(f"members is {members}; give a share between 0 and 1, or a roles file")
        if not 0 <= validation < 1:
            raise BadInputError(f"validation is {validation}; give a share that is at least 0 and below 1")
        order = rng.permutation(len(subjects))
        inside = round(members * len(subjects))
        held = round(validation * inside)
        role_at = [Role.VALIDATION] * held + [Role.MEMBER] * (inside - held)
        role_at += [Role.NONMEMBER] * (len(subjects) - inside)
        of = dict(zip(order.tolist(), role_at, strict=True))
        return cls({subject: of[place] for place, subject in enumerate(subjects)})

    @classmethod
    def read(cls, path: Path) -> Roles:
        """Read ``roles.tsv``: columns subject, role and, for a federation, learner; one row per subject.

        Raises
        ------
        RolesError
            If the file, a column or an id is missing, a role is unknown, two ids of one role are probably one
            person, or a learner has a name that is not allowed.
        DataLeakageError
            If a subject has two roles, possibly under two ids, or is held by two learners.
        """
        try:
            table = read_text_table(path)
        except ParticipantsError as error:
            raise RolesError(str(error)) from error
        if missing := {"subject", "role"} - set(table.columns):
            raise RolesError(
                f"{path} has no column {' and '.join(sorted(missing))}; give columns subject and role"
            )
        if (nameless := is_nobody(table["subject"])).any():
            row = int(nameless.argmax())
            raise RolesError(
                f"{path}: row {row + 2} has no subject (written {table['subject'].iloc[row]!r}); "
                "every row needs an id"
            )
        columns = [c for c in ("subject", "role", "learner") if c in table]
        roles = cls.from_rows(table[columns].itertuples(index=False), source=str(path))
        _require_distinct(path, roles.of)
        return roles

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[str]], *, source: str = "roles") -> Roles:
        """Check rows of subject, role and, if any, learner; error messages call the rows ``source``."""
        of: dict[str, Role] = {}
        held: dict[str, str] = {}
        for subject, text, *its_learner in rows:
            try:
                role = Role(text.strip().lower())
            except ValueError:
                known = ", ".join(Role)
                raise RolesError(
                    f"{source}: subject {subject!r} has the unknown role {text!r}; use one of {known}"
                ) from None
            if of.setdefault(subject, role) is not role:
                raise DataLeakageError(
                    f"{source}: subject {subject!r} is both {of[subject]} and {role}; "
                    "every subject has exactly one role"
                )
            learner = str(its_learner[0]).strip() if its_learner else ""
            if learner in MISSING:
                continue
            if held.setdefault(subject, learner) != learner:
                raise DataLeakageError(
                    f"{source}: subject {subject!r} is held by both {held[subject]} and {learner}; "
                    "every subject belongs to one learner"
                )
        if bad := unusable_name(sorted(set(held.values()))):
            raise RolesError(f"{source}: a learner cannot be called {bad!r}: {RULE}")
        return cls(of, held)

    def subjects(self, role: Role) -> list[str]:
        """Return the subjects of one role, in the order in which they were given."""
        return [subject for subject, its in self.of.items() if its is role]

    @property
    def learners(self) -> tuple[str, ...]:
        """The learners that hold members, in natural order: learner-2 before learner-10."""
        names = {self.learner[s] for s, role in self.of.items() if role is Role.MEMBER and s in self.learner}
        return natural_order(names)

    def members_of(self, learner: str) -> list[str]:
        """Return the members that a learner trained on, in the order in which they were given."""
        return [s for s in self.subjects(Role.MEMBER) if self.learner.get(s) == learner]

    def restrict(self, present: Sequence[str], *, absent: Sequence[str] = ()) -> Roles:
        """Keep the subjects of a cohort, in the cohort's order.

        Parameters
        ----------
        present
            Subjects that the cohort has.
        absent
            Subjects that the cohort excluded; if they have a role, it is dropped.

        Raises
        ------
        RolesError
            If a subject with a role is neither present nor excluded.
        """
        known = set(present) | set(absent)
        if unknown := [s for s in self.of if s not in known]:
            named = ", ".join(repr(s) for s in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            raise RolesError(
                f"{len(unknown)} subjects with a role are not in the cohort ({named}); "
                f"its subjects look like {list(present[:3])}"
            )
        kept = [s for s in present if s in self.of]
        return Roles({s: self.of[s] for s in kept}, {s: self.learner[s] for s in kept if s in self.learner})

    def require_both_sides(self) -> None:
        """Raise :class:`TooFewSubjectsError` unless there are at least ten members and ten non-members."""
        require_both_sides(len(self.subjects(Role.MEMBER)), len(self.subjects(Role.NONMEMBER)))

    def write(self, path: Path, *, new: bool = False) -> None:
        """Write ``roles.tsv``; if ``new``, raise :class:`FileExistsError` if it already exists."""
        rows = {"subject": list(self.of), "role": [str(r) for r in self.of.values()]}
        if self.learner:
            rows["learner"] = [self.learner.get(s, "n/a") for s in self.of]
        write_table(path, pd.DataFrame(rows), mode=OWNER_ONLY, new=new)

    @property
    def fingerprint(self) -> str:
        """A digest of all roles and learners."""
        pairs = sorted((s, str(r)) for s, r in self.of.items())
        return fingerprint([pairs, sorted(self.learner.items())] if self.learner else pairs)


def _require_distinct(path: Path, of: Mapping[str, Role]) -> None:
    pairs = alike(list(of))
    if across := [pair for pair in pairs if of[pair[0]] is not of[pair[1]]]:
        one, other = across[0]
        raise DataLeakageError(
            f"{path}: subjects {same_person(across[0])}, with the roles {of[one]} and {of[other]}; "
            "write each person once, under the id of the cohort"
        )
    if pairs:
        raise RolesError(f"{path}: subjects {same_person(pairs[0])}; write each person's id in one way")


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names sorted, with the numbers in them compared as numbers."""
    # In pieces of at most 18 digits, because Python refuses to convert numbers with thousands of digits.
    pieces = {name: [int(p) if p.isdecimal() else p for p in re.split(r"(\d{1,18})", name)] for name in names}
    # The name itself breaks ties such as site-1 and site-01, so that the order never depends on the input.
    return tuple(sorted(pieces, key=lambda name: (pieces[name], name)))


def require_both_sides(members: int, nonmembers: int) -> None:
    """Raise :class:`TooFewSubjectsError` unless there are at least ten members and ten non-members."""
    if min(members, nonmembers) < FEWEST_PER_SIDE:
        raise TooFewSubjectsError(
            f"there are {members} members and {nonmembers} non-members; "
            f"an audit needs at least {FEWEST_PER_SIDE} of each"
        )
