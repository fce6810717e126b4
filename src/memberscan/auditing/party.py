"""One party of a federation that is audited: whom it knows, what stands in its way, and what it sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.attacks import Attack, UpdateAttack
from memberscan.attacks.parties import HELD_OUT, Parties, by_learners, by_one
from memberscan.auditing.ascents import ascents, cannot_simulate
from memberscan.auditing.source import RunSource, Source
from memberscan.errors import BadInputError, RolesError, TooFewSubjectsError
from memberscan.evidence.scores import Scores
from memberscan.limits import FEWEST_PER_SIDE
from memberscan.signals.signals import ROUND_PREDICTIONS, Signals
from memberscan.signals.updates import AGGREGATE, Updates
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.runs import Transcript


@dataclass(frozen=True, eq=False)
class View:
    """What an attacker sees of all scans.

    Parameters
    ----------
    final
        Signals of the final global model, and the predictions of each round's.
    updates
        What the updates show, or the answers to an active server's broadcasts; None for a learner.
    rounds
        The rounds that it looks at; an active server's broadcasts come after the federation's.
    """

    final: Signals
    updates: Updates | None
    rounds: tuple[int, ...]

    @property
    def seen(self) -> Updates:
        """The updates, of an attacker that sees them."""
        assert self.updates is not None
        return self.updates


@dataclass(frozen=True, eq=False)
class Party:
    """One party of a federation.

    Parameters
    ----------
    target, transcript
        The run, and what passed between its parties.
    threat
        Who attacks, and what it knows.
    rounds
        The rounds that it looks at.
    who
        Who is whose, and whom of the held-out it knows: the same people for every party, given the seed.
    seed
        Root seed.
    """

    target: RunSource
    transcript: Transcript
    threat: ThreatModel
    rounds: tuple[int, ...]
    who: Parties
    seed: int

    @classmethod
    def open(cls, target: Source, threat: ThreatModel, seed: int) -> Party:
        """Take a party's place in a federated run; nothing is written.

        Raises
        ------
        BadInputError
            If there is no federation, or it has no finished round.
        RolesError
            If a member is held by nobody, or by a learner that the transcript does not name.
        TooFewSubjectsError
            If fewer than ten held-out subjects are left to score.
        """
        if not isinstance(target, RunSource):
            raise BadInputError(
                f"a {threat.attacker} is a party of a federation, and a predictions file shows none; "
                "audit a run"
            )
        if target.run.federation is None:
            raise BadInputError(
                f"the run {target.run.path} is not of a federation, so nobody is a party to it; audit it as "
                "an outsider (--attacker outsider), or federate first"
            )
        transcript = target.run.transcript
        if not transcript.rounds:
            raise BadInputError(f"{transcript.path} has no finished round; federate first")
        who = _who_is_whose(target, transcript, threat, seed)
        return cls(target, transcript, threat, threat.looks_at(len(transcript.rounds)), who, seed)

    @property
    def attacker(self) -> Attacker:
        """Who it is."""
        return self.threat.attacker

    @property
    def sees_ciphertexts(self) -> bool:
        """Whether it is a server whose learners encrypted their updates."""
        servers = (Attacker.SERVER, Attacker.ACTIVE_SERVER)
        return self.transcript.secure != "none" and self.attacker in servers

    def obstacle(self, attack: Attack | UpdateAttack) -> str | None:
        """Return why an attack cannot be run by this party, or None."""
        if self.sees_ciphertexts:
            return (
                "the updates were encrypted (ckks): the server saw ciphertexts only, and no model at all; it "
                "knows who took part and with how many scans"
            )
        updates = isinstance(attack, UpdateAttack)
        if updates != (self.attacker is not Attacker.LEARNER):
            kind = "the learners' updates" if updates else "people of its own, as a learner has them"
            return f"needs {kind}; this attacker ({self.attacker}) does not have them"
        active = self.attacker is Attacker.ACTIVE_SERVER
        if attack.needs.active != active:
            return (
                "reads rounds that nobody meddled with (--attacker server)"
                if active
                else "needs a server that changes what it broadcasts (--attacker active-server)"
            )
        if active and (reason := cannot_simulate(self.target)):
            return reason
        if attack.needs.others > (others := self._most_others()):
            return (
                f"compares with {attack.needs.others} other learners or more; this attacker sees {others} in "
                "any round that it looks at"
            )
        if attack.needs.leaked and not self.who.known.any():
            return "learns from held-out people that are known, and this audit assumes none (--leaked 0.5)"
        if attack.needs.leaked and len(self.who.victims) < 2:
            return "learns from the attacking learner's own people, and only the victim's are here"
        return self.target.lacks(attack.needs) or self.target.hides(attack.needs)

    def _most_others(self) -> int:
        """Return the largest number of other learners in any round that the attacker looks at."""
        if self.attacker is Attacker.AGGREGATE:
            return 0
        taking_part = (len(self.transcript.rounds[number - 1].took_part) for number in self.rounds)
        return max(0, max(taking_part) - 1)

    def unseen(self, attack: Attack | UpdateAttack, victim: str) -> str:
        """Return why an attack has no scores for a victim."""
        present = [n for n in self.rounds if victim in self.transcript.rounds[n - 1].took_part]
        if not present and victim != AGGREGATE:
            return f"{victim} took part in no round that the attacker looked at, so nothing was seen of it"
        others = attack.needs.others
        if others and max(len(self.transcript.rounds[n - 1].took_part) for n in present) <= others:
            return (
                f"{victim} took part beside {others} others in no round, so there was nothing to compare with"
            )
        return f"{victim} sent nothing that this attack can read: its model did not change"

    def see(self, attacks: Mapping[str, Attack | UpdateAttack], directory: Path) -> View:
        """Work out what it sees for these attacks; wide arrays stay in ``directory``."""
        target, folder = self.target, directory / "signals"
        final = target.signals([a.needs for a in attacks.values() if isinstance(a, Attack)], folder)
        if self.attacker is Attacker.LEARNER:
            by_round = target.predictions_by_round(self.transcript, self.rounds, folder / "rounds")
            arrays = {**final.arrays, ROUND_PREDICTIONS: by_round}
            return View(dataclasses.replace(final, arrays=arrays), None, self.rounds)
        if not attacks:
            return View(final, None, self.rounds)
        if self.attacker is Attacker.ACTIVE_SERVER:
            answers = ascents(target, self.who, folder / "active", self.seed)
            return View(final, answers, answers.rounds)
        aggregate = self.attacker is Attacker.AGGREGATE
        updates = target.updates(self.transcript, self.rounds, folder / "updates", aggregate=aggregate)
        return View(final, updates, self.rounds)

    def carry_out(self, attack: Attack | UpdateAttack, view: View) -> Scores:
        """Let it attack every victim."""
        if isinstance(attack, Attack):
            return by_learners(attack, view.final, self.who, self.transcript.learners)
        return self.scored(attack.name, self.of_victims(attack.score(view.seen), view))

    def scored(self, name: str, scores: np.ndarray) -> Scores:
        """Return scores of scans, one column a victim, as those of this one attacker."""
        return by_one(name, str(self.attacker), scores, self.who)

    def of_victims(self, scores: np.ndarray, view: View) -> np.ndarray:
        """Return the columns of the victims, of scores of all learners."""
        return np.asarray(scores[..., [view.seen.learners.index(v) for v in self.who.victims]])


def _who_is_whose(target: RunSource, transcript: Transcript, threat: ThreatModel, seed: int) -> Parties:
    """Say who is whose, and draw the held-out subjects that attackers know."""
    codes, names = pd.factorize(target.scans["subject_id"], sort=True)
    learner = target.run.roles.learner
    victims: tuple[str, ...] = tuple(n for n in transcript.learners if n in set(target.run.roles.learners))
    if not victims:
        raise BadInputError(
            f"no learner of the transcript ({', '.join(transcript.learners)}) holds a member in roles.tsv; "
            "its column learner must name them"
        )
    member = target.member.loc[names].to_numpy(bool)
    place = {name: k for k, name in enumerate(victims)}
    for subject in names[member]:
        if learner.get(subject) not in place:
            raise RolesError(
                f"member {subject!r} is held by {learner.get(subject, 'no learner')} in roles.tsv; the "
                f"transcript's learners are {', '.join(transcript.learners)}"
            )
    home = np.array([place[learner[s]] if m else HELD_OUT for s, m in zip(names, member, strict=True)])
    if threat.attacker is Attacker.AGGREGATE:
        victims, home = (AGGREGATE,), np.where(member, 0, HELD_OUT)
    outside = np.flatnonzero(~member)
    known = np.zeros(len(names), dtype=bool)
    count = int(threat.leaked * len(outside) + 1e-9)
    known[seeds.generator(seed, "known-held-out").choice(outside, count, replace=False)] = True
    if len(outside) - count < FEWEST_PER_SIDE:
        leaked = int(100 * (1 - FEWEST_PER_SIDE / len(outside))) / 100
        fewer = f", or let them know fewer (--leaked {leaked:g})"
        raise TooFewSubjectsError(
            f"{len(outside)} people are held out, and attackers know {count} of them; at least "
            f"{FEWEST_PER_SIDE} must be left to score: hold out more"
            f"{fewer if len(outside) >= FEWEST_PER_SIDE else ''}"
        )
    return Parties(tuple(names), codes.astype(np.int64), victims, home.astype(np.int64), known)
