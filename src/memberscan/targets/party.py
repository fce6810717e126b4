"""A federation as the target of one of its parties: what it sees of the others, and which people it knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from memberscan import seeds
from memberscan.errors import BadInputError, RolesError, TooFewSubjectsError
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair
from memberscan.limits import FEWEST_PER_SIDE
from memberscan.runs import Run, Transcript
from memberscan.targets import known
from memberscan.targets.known import Comparison, Known
from memberscan.targets.target import Group, Target
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import nn

ALL = "all"
"""Name for all learners together, for an attacker that only sees sums."""
EVERYONE = "all learners"
"""Name of the group of all members and all held-out people; no learner's name has a space."""
HELD_OUT = -1
"""Home of people that no learner trained on."""


@dataclass(frozen=True, eq=False)
class Party(TrainedModel):
    """One party of a federation, which attacks the people of the others.

    Parameters
    ----------
    transcript
        The messages between the parties.
    rounds
        The rounds that the attacker looks at.
    """

    transcript: Transcript = field(kw_only=True)
    rounds: tuple[int, ...] = field(kw_only=True)

    @classmethod
    def open(
        cls,
        path: Path,
        threat: ThreatModel,
        *,
        cohort: Path | None = None,
        model: str | None = None,
        seed: int = 0,
    ) -> Self:
        """Open a federated run for one of its parties; nothing is written.

        Raises
        ------
        BadInputError
            If there is no federation, or it has no finished round.
        RolesError
            If a member has no learner, or one that the transcript does not name.
        TooFewSubjectsError
            If fewer than ten held-out subjects are left to score.
        """
        facts = cls._facts(path, threat, cohort=cohort, model=model, seed=seed)
        transcript = _transcript(facts["run"])
        party = cls(**facts, transcript=transcript, rounds=threat.looks_at(len(transcript.rounds)))
        party._require_homes()
        party._require_held_out()
        return party

    @cached_property
    def victims(self) -> tuple[str, ...]:
        """The learners whose people are here, in the transcript's order; "all" if only sums are seen."""
        if self.threat.attacker is Attacker.AGGREGATE:
            return (ALL,)
        return self._holders

    @cached_property
    def _holders(self) -> tuple[str, ...]:
        return tuple(n for n in self.transcript.learners if n in set(self.run.roles.learners))

    @cached_property
    def home(self) -> Int[np.ndarray, " people"]:
        """For each person the position of the victim that trained on it; -1 for held-out ones."""
        if self.threat.attacker is Attacker.AGGREGATE:
            return np.where(self.member, 0, HELD_OUT)
        place = {name: k for k, name in enumerate(self._holders)}
        learner = self.run.roles.learner
        return np.array(
            [place[learner[s]] if m else HELD_OUT for s, m in zip(self.people.ids, self.member, strict=True)]
        )

    @cached_property
    def known_nonmembers(self) -> Bool[np.ndarray, " people"]:
        """The held-out people that every attacker knows: attacks learn from them, and do not score them."""
        rng = seeds.generator(self.seed, "known-held-out")
        return known.known_held_out(self.threat, np.flatnonzero(~self.member), len(self.people), rng)

    def _require_homes(self) -> None:
        names = ", ".join(self.transcript.learners)
        if not self._holders:
            raise BadInputError(
                f"no learner of the transcript ({names}) has a member in roles.tsv; its column learner "
                "must name them"
            )
        for subject in np.array(self.people.ids, dtype=object)[self.member]:
            if (holder := self.run.roles.learner.get(subject)) not in self._holders:
                raise RolesError(
                    f"member {subject!r} is held by {holder or 'no learner'} in roles.tsv; the transcript's "
                    f"learners are {names}"
                )

    def _require_held_out(self) -> None:
        outside, count = int((~self.member).sum()), int(self.known_nonmembers.sum())
        if outside - count < FEWEST_PER_SIDE:
            most = int(100 * (1 - FEWEST_PER_SIDE / outside)) / 100 if outside else 0
            fewer = f", or let them know fewer (--leaked {most:g})" if outside >= FEWEST_PER_SIDE else ""
            raise TooFewSubjectsError(
                f"{outside} people are held out, and attackers know {count} of them; at least "
                f"{FEWEST_PER_SIDE} must be left to score: hold out more{fewer}"
            )

    def load(self) -> nn.Module:
        """See :class:`.TrainedModel`; a defence may change the finished model, which parties saw before."""
        if self.run.defence is None or self.transcript.secure != "none":
            return self.run.load()
        return self.run.model_with(self.transcript.global_model(len(self.transcript.rounds)))

    @property
    def conceals(self) -> str | None:
        """See :class:`.Target`: a server whose learners encrypt receives nothing that it could attack."""
        servers = (Attacker.SERVER, Attacker.ACTIVE_SERVER)
        if self.transcript.secure == "none" or self.threat.attacker not in servers:
            return None
        return (
            "the updates were encrypted (ckks): the server saw ciphertexts only, and no model at all; it "
            "knows who took part and with how many scans"
        )

    def comparisons(self, *, learns: bool) -> list[Comparison]:
        """Return a row for each attacker and each victim that is another party.

        A learner knows its own people as members. Learners whose people are not here cannot learn from them,
        but can run attacks that need no known people. Attackers that are not learners know no members.
        """
        attackers: tuple[str, ...] = (str(self.threat.attacker),)
        if self.threat.attacker is Attacker.LEARNER:
            attackers = self.victims if learns else self.transcript.learners
        rows = []
        for attacker in attackers:
            own = np.zeros(len(self.people), dtype=bool)
            if attacker in self.victims:
                own = self.home == self.victims.index(attacker)
            knows = Known(own, self.known_nonmembers)
            for place, victim in enumerate(self.victims):
                if victim != attacker:
                    rows.append(Comparison(Pair(attacker, victim), knows, self._sides(place)))
        return rows

    def _sides(self, victim: int) -> Int[np.ndarray, " people"]:
        """Return who is compared for one victim: its people, and the held-out people who are not known."""
        sides = np.full(len(self.people), ASIDE, dtype=np.int8)
        sides[self.home == victim] = IN
        sides[(self.home == HELD_OUT) & ~self.known_nonmembers] = OUT
        return sides

    @property
    def nothing_to_learn_from(self) -> str | None:
        """See :class:`.Target`."""
        if not self.known_nonmembers.any():
            return "needs known held-out people, but this audit assumes none; use --leaked 0.5"
        if len(self.victims) < 2:
            return "needs the attacking learner's own people, but only the victim's are here"
        return None

    @property
    def saw_nothing(self) -> str:
        """See :class:`.Target`."""
        return "none of the updates that this attacker looked at has the signals that this attack needs"

    @property
    def known_people(self) -> tuple[int, int]:
        """How many members, and non-members, an attacker knows; for learners, the smallest number."""
        own = 0
        if self.threat.attacker is Attacker.LEARNER:
            own = int(np.bincount(self.home[self.member], minlength=len(self.victims)).min())
        return own, int(self.known_nonmembers.sum())

    def most_others(self) -> int:
        """Return the largest number of other learners in any round that the attacker looks at."""
        if self.threat.attacker is Attacker.AGGREGATE:
            return 0
        taking_part = (len(self.transcript.rounds[number - 1].took_part) for number in self.rounds)
        return max(0, max(taking_part) - 1)

    def unseen(self, victim: str, others: int) -> str:
        """Return why an attack that needs ``others`` other learners has no scores for a victim."""
        present = [n for n in self.rounds if victim in self.transcript.rounds[n - 1].took_part]
        if not present and victim != ALL:
            return f"{victim} took part in none of the rounds that the attacker looked at"
        if others and max(len(self.transcript.rounds[n - 1].took_part) for n in present) <= others:
            return (
                f"{victim} never took part in a round with {others} other learners, so there was nothing to "
                "compare"
            )
        return f"{victim} sent a model that did not change, so this attack has nothing to measure"

    @property
    def groups(self) -> list[Group]:
        """See :class:`.Target`: each victim's people, and all members, each with the held-out people."""
        each = [
            Group(
                victim,
                (self.home == place) | (self.home == HELD_OUT),
                self.home == place,
                self.run.randomised or (victim == ALL and self.held_out_at_random),
                ("blind", victim),
            )
            for place, victim in enumerate(self.victims)
        ]
        if len(each) == 1:
            return each
        # Attacks are pooled over victims, so a difference that is too small to show in one victim's people
        # may explain what they find.
        everybody = np.ones(len(self.people), dtype=bool)
        randomised = self.run.randomised or self.held_out_at_random
        return [*each, Group(EVERYONE, everybody, self.member, randomised, ("blind", EVERYONE), pooled=True)]


def as_party(target: Target) -> Party:
    """Return a target as a party; providers of a federation's signals are called for no other target."""
    assert isinstance(target, Party)
    return target


def _transcript(run: Run) -> Transcript:
    if run.federation is None:
        raise BadInputError(
            f"the run {run.path} is not a federated run, so it has no parties; audit it as an outsider "
            "(--attacker outsider), or federate first"
        )
    transcript = run.transcript
    if not transcript.rounds:
        raise BadInputError(f"{transcript.path} has no finished round; federate first")
    return transcript
