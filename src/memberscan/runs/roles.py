"""Who was in the training set: one role a subject, never a scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan.cohort.covariates import read_text_table
from memberscan.errors import (
    BadInputError,
    DataLeakageError,
    ParticipantsError,
    RolesError,
    TooFewSubjectsError,
)
from memberscan.files import fingerprint, write_table

MINIMUM_PER_SIDE = 10


class Role(StrEnum):
    """What a subject was to the training of one model."""

    MEMBER = "member"
    NONMEMBER = "non-member"
    VALIDATION = "validation"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Roles:
    """Every subject's one role; subjects that are not named took no part.

    Parameters
    ----------
    of
        Role by subject id.
    """

    of: Mapping[str, Role]

    @classmethod
    def draw(
        cls, subjects: Sequence[str], *, members: float, validation: float, rng: np.random.Generator
    ) -> Roles:
        """Draw roles at random: a share of members, of them a share for validation, the rest non-members.

        Validation subjects come out of the members' share, as the paper's validation set comes out of its
        training set, so that members and non-members stay exchangeable.
        """
        if not 0 < members < 1:
            raise BadInputError(f"members is {members}; it is a share between 0 and 1, or a roles file")
        if not 0 <= validation < 1:
            raise BadInputError(f"validation is {validation}; it is a share from 0 to below 1")
        order = rng.permutation(len(subjects))
        inside = round(members * len(subjects))
        held = round(validation * inside)
        role_at = [Role.VALIDATION] * held + [Role.MEMBER] * (inside - held)
        role_at += [Role.NONMEMBER] * (len(subjects) - inside)
        of = dict(zip(order.tolist(), role_at, strict=True))
        return cls({subject: of[place] for place, subject in enumerate(subjects)})

    @classmethod
    def read(cls, path: Path) -> Roles:
        """Read ``roles.tsv``: columns subject and role, one line a subject.

        Raises
        ------
        RolesError
            If the file is missing, a column is missing, or a role is unknown.
        DataLeakageError
            If a subject has two roles.
        """
        try:
            table = read_text_table(path)
        except ParticipantsError as error:
            raise RolesError(str(error)) from error
        if missing := {"subject", "role"} - set(table.columns):
            raise RolesError(
                f"{path} has no column {' and '.join(sorted(missing))}; it needs subject and role"
            )
        return cls.from_pairs(zip(table["subject"], table["role"], strict=True), source=str(path))

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]], *, source: str = "roles") -> Roles:
        """Check (subject, role) pairs; ``source`` names them in errors."""
        of: dict[str, Role] = {}
        for subject, text in pairs:
            try:
                role = Role(text.strip().lower())
            except ValueError:
                known = ", ".join(Role)
                raise RolesError(
                    f"{source}: subject {subject!r} has the unknown role {text!r}; roles are {known}"
                ) from None
            if of.setdefault(subject, role) is not role:
                raise DataLeakageError(
                    f"{source}: subject {subject!r} is both {of[subject]} and {role}; "
                    "every subject has exactly one role"
                )
        return cls(of)

    def subjects(self, role: Role) -> list[str]:
        """Return the subjects of one role, in the order they were given."""
        return [subject for subject, its in self.of.items() if its is role]

    def restrict(self, present: Sequence[str], *, absent: Sequence[str] = ()) -> Roles:
        """Keep the subjects of a cohort, in the cohort's order.

        Parameters
        ----------
        present
            Subjects that the cohort has.
        absent
            Subjects that the cohort excluded; they may have a role, which is dropped.

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
        return Roles({s: self.of[s] for s in present if s in self.of})

    def require_both_sides(self) -> None:
        """Raise :class:`TooFewSubjectsError` unless there are at least ten members and ten non-members."""
        require_both_sides(len(self.subjects(Role.MEMBER)), len(self.subjects(Role.NONMEMBER)))

    def write(self, path: Path) -> None:
        """Write ``roles.tsv``."""
        rows = {"subject": list(self.of), "role": [str(r) for r in self.of.values()]}
        write_table(path, pd.DataFrame(rows), mode=0o600)

    @property
    def fingerprint(self) -> str:
        """A digest of who has which role."""
        return fingerprint(sorted((s, str(r)) for s, r in self.of.items()))


def require_both_sides(members: int, nonmembers: int) -> None:
    """Raise :class:`TooFewSubjectsError` unless there are at least ten members and ten non-members."""
    if min(members, nonmembers) < MINIMUM_PER_SIDE:
        raise TooFewSubjectsError(
            f"there are {members} members and {nonmembers} non-members; "
            f"an audit needs at least {MINIMUM_PER_SIDE} of each"
        )
