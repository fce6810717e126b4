"""Which score of one audit belongs to the same person as which of another; only their owner can know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.auditing.result import DONE, SCORES
from memberscan.auditing.tables import KEY
from memberscan.errors import BadInputError, MisalignedError
from memberscan.evidence.differences import auc_of_people
from memberscan.evidence.over_seeds import OverSeeds
from memberscan.files import read_table
from memberscan.limits import FEWEST_PER_SIDE
from memberscan.received import JSON_LIMIT, read_limited
from memberscan.report import AuditContent, ranking

if TYPE_CHECKING:
    from jaxtyping import Bool

PSEUDONYM, SUBJECT, MEMBER = "pseudonym", "subject", "member"


@dataclass(frozen=True, eq=False)
class OpenedAudit:
    """An audit, with the scores of people if it says whose they are.

    Parameters
    ----------
    name
        What it is called.
    content
        Its content.
    data
        The bytes of its audit.json.
    people
        One row a person, indexed by subject: member, and the mean score of each attack; None where it is not
        known whose they are.
    """

    name: str
    content: AuditContent
    data: bytes
    people: pd.DataFrame | None


def open_audit(source: Path, name: str, content: AuditContent) -> OpenedAudit:
    """Open an audit's directory, or its audit.json alone.

    Raises
    ------
    BadInputError
        If the tables of people do not belong together.
    """
    file = source / DONE if source.is_dir() else source
    return OpenedAudit(name, content, read_limited(file, JSON_LIMIT), _people(source))


def _people(source: Path) -> pd.DataFrame | None:
    if not ((source / SCORES).is_file() and (source / KEY).is_file()):
        return None
    scores, key = (read_table(source / name, dtype={SUBJECT: str, PSEUDONYM: str}) for name in (SCORES, KEY))
    if not ({PSEUDONYM, MEMBER} <= set(scores) and {PSEUDONYM, SUBJECT} <= set(key)):
        raise BadInputError(f"{source / SCORES} and {KEY} do not name people as an audit does; audit again")
    joined = scores.merge(key, on=PSEUDONYM, how="left")
    if joined[SUBJECT].isna().any() or joined[SUBJECT].duplicated().any():
        raise BadInputError(f"{source / SCORES} and {KEY} are not of one audit; restore them, or audit again")
    return joined.set_index(SUBJECT).drop(columns=PSEUDONYM)


@dataclass(frozen=True, eq=False)
class PairedPeople:
    """The people of two audits in one order; those of one audit alone are there too, without a score."""

    first: pd.DataFrame
    second: pd.DataFrame
    shared: int

    def aucs(self, attack_first: str, attack_second: str) -> tuple[OverSeeds, OverSeeds]:
        """Return the AUCs of an attack in each audit, with what each person adds to their deviations."""
        one, other = (
            auc_of_people(table[attack].to_numpy(float), _member(table))
            for table, attack in ((self.first, attack_first), (self.second, attack_second))
        )
        return one, other


def _member(table: pd.DataFrame) -> Bool[np.ndarray, " people"]:
    return np.asarray(table[MEMBER].to_numpy(float) == 1)


def pair(first: OpenedAudit, second: OpenedAudit) -> PairedPeople | str:
    """Return the people of both audits, or why they cannot be paired."""
    for audit in (first, second):
        if ranking.of_a_party(audit.content):
            return "Not paired: the scores of a party of a federation are of pairs that share people."
        if ranking.within_strata(audit.content):
            return (
                f"Not paired: “{audit.name}” is judged among people who are alike, within strata of its own."
            )
        if audit.people is None:
            return (
                f"Not paired: “{audit.name}” does not say whose scores are whose. Audit both with "
                "--pseudonyms, and give their directories."
            )
    assert first.people is not None and second.people is not None
    shared = first.people.index.intersection(second.people.index)
    if len(shared) < 2 * FEWEST_PER_SIDE:
        return f"Not paired: the audits have {len(shared)} people in common, too few to compare them."
    everybody = first.people.index.union(second.people.index, sort=True)
    return PairedPeople(first.people.reindex(everybody), second.people.reindex(everybody), len(shared))


def require_same_question(first: AuditContent, second: AuditContent) -> None:
    """Refuse audits of another attacker or another target: their difference would say nothing of the models.

    Raises
    ------
    MisalignedError
        If they differ.
    """
    questions = [
        (f"{audit.threat.attacker} who sees {audit.threat.access}", audit.target.variable.name)
        for audit in (first, second)
    ]
    if questions[0][0] != questions[1][0]:
        raise MisalignedError(
            f"the audits are of different attackers ({questions[0][0]}; {questions[1][0]}); compare audits "
            "of the same attacker"
        )
    if bool(first.threat.references) != bool(second.threat.references):
        raise MisalignedError(
            "in one of the audits the attacker trained reference models, and in the other not; compare "
            "audits with references, or audits without"
        )
    if questions[0][1] != questions[1][1] or first.target.variable.unit != second.target.variable.unit:
        raise MisalignedError(
            f"the models predict different things ({questions[0][1]}; {questions[1][1]}); compare models of "
            "the same target"
        )
