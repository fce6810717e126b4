"""Attacks within a federation: each party fits on what it knows, and scores the others' people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Attack, Features
from memberscan.evidence.pairs import HELD_OUT, PairScores

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.signals.signals import Signals


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


def by_learners(attack: Attack, signals: Signals, parties: Parties, learners: tuple[str, ...]) -> PairScores:
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
    scores = np.full((len(attackers), len(parties.victims), len(parties.subjects)), np.nan)
    thresholds = np.zeros(scores.shape[:2])
    # Features that are the same for every scan would make everybody alike, as if the attack had failed.
    for a, attacker in enumerate(attackers if features.vary else ()):
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
        for v, victim in enumerate(parties.victims):
            if victim != attacker:
                scores[a, v] = row
                if not attack.needs.leaked:
                    thresholds[a, v] = share_threshold(row, parties.home, v)
    return PairScores(attack.name, attack.needs.leaked, attackers, parties.victims, scores, thresholds)


def by_one(
    name: str, attacker: str, scores: Float[np.ndarray, "scans victims"], parties: Parties
) -> PairScores:
    """Return the scores of one attacker, such as the server, that knows of nobody's membership beforehand."""
    rows = np.where(parties.known, np.nan, parties.by_subject(scores.T))
    thresholds = [share_threshold(row, parties.home, v) for v, row in enumerate(rows)]
    return PairScores(name, False, (attacker,), parties.victims, rows[None], np.array([thresholds]))


def share_threshold(
    row: Float[np.ndarray, " subjects"], home: Int[np.ndarray, " subjects"], victim: int
) -> float:
    """Return the threshold of an attacker that knows only which share of those compared is the victim's."""
    asked = ~np.isnan(row) & ((home == victim) | (home == HELD_OUT))
    if not asked.any():
        return 0.0
    return float(np.quantile(row[asked], 1 - np.mean(home[asked] == victim)))
