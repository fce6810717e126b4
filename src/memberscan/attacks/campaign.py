"""Attacks carried out: fitted on the known subjects of each draw, scored on all others.

And the same again with membership permuted, for what chance alone would show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from memberscan import seeds
from memberscan.attacks.base import Attack, Features
from memberscan.errors import MisalignedError
from memberscan.evidence.roc import aucs_of_rows
from memberscan.evidence.scores import IN, Scores
from memberscan.progress import progress
from memberscan.signals.signals import Signals
from memberscan.threat import ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Observed:
    """One attack with what it saw, once, of every scan."""

    attack: Attack
    features: Features


@dataclass(frozen=True, eq=False)
class Campaign:
    """All attacks of an audit on the same subjects, with the same draws of the subjects that are known.

    Parameters
    ----------
    attacks
        Attacks and their features; all of the same scans in the same order.
    subjects
        Subject ids, sorted, so that the order of scans decides nothing.
    subject
        For each scan, the position of its subject.
    member
        For each subject, whether it was trained on.
    threat
        How many subjects are known, and how often they are drawn.
    seed
        Root seed.
    """

    attacks: Sequence[Observed]
    subjects: tuple[str, ...]
    subject: Int[np.ndarray, " scans"]
    member: Bool[np.ndarray, " subjects"]
    threat: ThreatModel
    seed: int

    @classmethod
    def observe(
        cls, attacks: Iterable[Attack], signals: Signals, member: pd.Series, threat: ThreatModel, seed: int
    ) -> Campaign:
        """Let every attack see the signals; ``member`` is joined to them by subject id.

        Raises
        ------
        MisalignedError
            If an attack's features are not of these scans, or membership not of these subjects.
        """
        scan_ids = signals.scans.index
        codes, subjects = pd.factorize(signals.scans["subject_id"], sort=True)
        if (
            not member.index.is_unique
            or len(subjects) != len(member)
            or not member.index.isin(subjects).all()
        ):
            raise MisalignedError(
                "membership and signals describe different subjects; give one value per subject"
            )
        observed = []
        for attack in attacks:
            features = attack.observe(signals)
            if len(features.scan_ids) != len(scan_ids):
                raise MisalignedError(
                    f"attack {attack.name} describes {len(features.scan_ids)} scans of {len(scan_ids)}; "
                    "its observe() must keep every scan"
                )
            observed.append(Observed(attack, features.at(scan_ids)))
        sides = member.loc[subjects].to_numpy(bool)
        return cls(observed, tuple(subjects.to_numpy(object)), codes.astype(np.int64), sides, threat, seed)

    def scored(self) -> list[Scores]:
        """Carry out every attack with the true membership."""
        draws = self._draws(self.member, seeds.generator(self.seed, "known"))
        with one_thread():
            return [self._carry_out(observed, self.member, draws) for observed in self.attacks]

    def null(self, permutations: int) -> Float[np.ndarray, "permutations attacks"]:
        """Return mean AUCs of every attack, with membership permuted before the known subjects are drawn."""
        aucs = np.empty((permutations, len(self.attacks)))
        with one_thread(), progress("permuting membership", permutations) as advance:
            for b in range(permutations):
                rng = seeds.generator(self.seed, "null", b)
                member = rng.permutation(self.member)
                draws = self._draws(member, rng)
                for k, observed in enumerate(self.attacks):
                    aucs[b, k] = _mean_auc(self._carry_out(observed, member, draws))
                advance(1)
        return aucs

    def _draws(self, member: Bool[np.ndarray, " subjects"], rng: np.random.Generator) -> list[np.ndarray]:
        """Draw which subjects are known, as many on each side, once for each repeat."""
        inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
        k = self.threat.known_per_side(len(inside), len(outside))
        draws = []
        for _ in range(self.threat.repeats):
            known = np.zeros(len(member), dtype=bool)
            known[rng.choice(inside, k, replace=False)] = True
            known[rng.choice(outside, k, replace=False)] = True
            draws.append(known)
        return draws

    def _carry_out(self, observed: Observed, member: np.ndarray, draws: list[np.ndarray]) -> Scores:
        attack, features = observed.attack, observed.features
        if not attack.needs.leaked:
            rule = attack.fit(features.at(()), np.zeros(0, dtype=bool))
            values = self._by_subject(rule.score(features))[None]
            # Without known subjects, the attacker still knows what share of these people was trained on.
            thresholds = np.array([np.quantile(values, 1 - member.mean())])
            return Scores.of_draws(
                attack.name, fitted=False, values=values, member=member, thresholds=thresholds
            )
        rows = [self._by_subject(r) for r in self._fits(observed, member, draws)]
        values = np.where(np.stack(draws), np.nan, np.stack(rows))
        thresholds = np.zeros(len(draws))
        return Scores.of_draws(attack.name, fitted=True, values=values, member=member, thresholds=thresholds)

    def _fits(self, observed: Observed, member: np.ndarray, draws: list[np.ndarray]) -> Iterator[np.ndarray]:
        for known in draws:
            scans = np.flatnonzero(known[self.subject])
            part = Features(observed.features.scan_ids[scans], observed.features.values[scans])
            yield observed.attack.fit(part, member[self.subject[scans]]).score(observed.features)

    def _by_subject(self, values: Float[np.ndarray, " scans"]) -> Float[np.ndarray, " subjects"]:
        """Return the mean over each subject's scans; a sum would set much-scanned subjects apart."""
        count = len(self.member)
        return np.bincount(self.subject, values, count) / np.bincount(self.subject, minlength=count)


def one_thread() -> threadpool_limits:
    """Keep linear algebra to one thread: on small matrices, threads cost several times what they save."""
    return threadpool_limits(1, "blas")


def _mean_auc(scores: Scores) -> float:
    # Every draw leaves as many subjects to score, so the draws make a rectangle.
    kept = scores.compared
    values = scores.values[kept].reshape(len(kept), -1)
    labels = (scores.sides[kept] == IN).reshape(values.shape).astype(float)
    return float(aucs_of_rows(values, labels).mean())
