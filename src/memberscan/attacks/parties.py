"""Attacks within a federation: each party fits on what it knows, and scores the others' people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Attack, Features
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair, Scores

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.signals.signals import Signals

HELD_OUT = -1
"""Home of subjects that no learner trained on."""


@dataclass(frozen=True, eq=False)
class Parties:
    """Who is whose in a federation that is audited.

    Parameters
    ----------
    subjects
        Subject ids, sorted.
    subject
        For each scan, the position of its subject.
    victims
        Learners whose people are scored.
    home
        For each subject, the victim that trained on it; -1 for held-out ones.
    known
        Which held-out subjects the attackers know: they are learnt from, and never scored.
    """

    subjects: tuple[str, ...]
    subject: Int[np.ndarray, " scans"]
    victims: tuple[str, ...]
    home: Int[np.ndarray, " subjects"]
    known: Bool[np.ndarray, " subjects"]

    @property
    def member(self) -> Bool[np.ndarray, " subjects"]:
        """Who was trained on, by anybody."""
        return np.asarray(self.home != HELD_OUT)

    def by_subject(self, values: Float[np.ndarray, "*more scans"]) -> Float[np.ndarray, "*more subjects"]:
        """Return the mean over each subject's scans, on the last axis."""
        count = len(self.subjects)
        flat = np.asarray(values, dtype=float).reshape(-1, len(self.subject))
        sums = np.stack([np.bincount(self.subject, row, count) for row in flat])
        means = sums / np.bincount(self.subject, minlength=count)
        return means.reshape(*values.shape[:-1], count)

    def scores(
        self, attack: str, *, fitted: bool, rows: Mapping[Pair, Float[np.ndarray, " subjects"]]
    ) -> Scores:
        """Return an attack's scores of all subjects in each pair, with their sides and thresholds.

        Parameters
        ----------
        attack
            Its name.
        fitted
            Whether it learned from known people; it then decides at 0. Otherwise the attacker knows only
            which share of those compared is the victim's.
        rows
            Values of all subjects; NaN for those that the attacker knows.
        """
        values = np.array(list(rows.values())).reshape(len(rows), len(self.subjects))
        sides = np.full(values.shape, ASIDE, dtype=np.int8)
        thresholds = np.zeros(len(rows))
        for k, pair in enumerate(rows):
            scored, home = ~np.isnan(values[k]), self.victims.index(pair.victim)
            sides[k, scored & (self.home == home)] = IN
            sides[k, scored & (self.home == HELD_OUT)] = OUT
            if not fitted:
                thresholds[k] = share_threshold(values[k], self.home, home)
        return Scores(attack, fitted, tuple(rows), values, sides, thresholds)


def by_learners(attack: Attack, signals: Signals, parties: Parties, learners: tuple[str, ...]) -> Scores:
    """Carry out an attack as each learner: its own people are known members, the known held-out non-members.

    All scores are NaN where the attack's features are the same for every scan: nothing was seen then.

    Parameters
    ----------
    attack
        An attack on the global models.
    signals
        Of all scans, in the order of ``parties.subject``.
    parties
        Who is whose.
    learners
        All learners. Those whose people are not here cannot fit an attack, but can carry out one that needs
        nobody's membership.
    """
    features = attack.observe(signals)
    attackers = tuple(n for n in learners if not attack.needs.leaked or n in parties.victims)
    rows = {
        Pair(attacker, victim): np.full(len(parties.subjects), np.nan)
        for attacker in attackers
        for victim in parties.victims
        if victim != attacker
    }
    # Features that are the same for every scan would make everybody alike, as if the attack had failed.
    for attacker in attackers if features.vary else ():
        own = np.zeros(len(parties.subjects), dtype=bool)
        if attacker in parties.victims:
            own = parties.home == parties.victims.index(attacker)
        if attack.needs.leaked:
            scans = np.flatnonzero((own | parties.known)[parties.subject])
            part = Features(features.scan_ids[scans], features.values[scans])
            rule = attack.fit(part, own[parties.subject[scans]])
        else:
            rule = attack.fit(features.at(()), np.zeros(0, dtype=bool))
        row = np.where(own | parties.known, np.nan, parties.by_subject(rule.score(features)))
        rows |= {pair: row for pair in rows if pair.attacker == attacker}
    return parties.scores(attack.name, fitted=attack.needs.leaked, rows=rows)


def by_one(name: str, attacker: str, scores: Float[np.ndarray, "scans victims"], parties: Parties) -> Scores:
    """Return the scores of one attacker, such as the server, that knows of nobody's membership beforehand."""
    values = np.where(parties.known, np.nan, parties.by_subject(scores.T))
    rows = {Pair(attacker, victim): row for victim, row in zip(parties.victims, values, strict=True)}
    return parties.scores(name, fitted=False, rows=rows)


def share_threshold(
    row: Float[np.ndarray, " subjects"], home: Int[np.ndarray, " subjects"], victim: int
) -> float:
    """Return the threshold of an attacker that knows only which share of those compared is the victim's."""
    asked = ~np.isnan(row) & ((home == victim) | (home == HELD_OUT))
    if not asked.any():
        return 0.0
    return float(np.quantile(row[asked], 1 - np.mean(home[asked] == victim)))
