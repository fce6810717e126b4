"""Who can learn about whom: attackers by victims, as a grid of coloured cells with their values."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.report import party_words, words
from memberscan.report.content.federation_json import Pair

STEPS = (0.0, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9)
"""AUCs at which the colour changes; fixed, so that grids of different audits can be compared."""


@dataclass(frozen=True)
class Square:
    """One cell: its text, its colour step or None, whether it is significant, and why it is empty."""

    text: str
    step: int | None = None
    shown: bool = False
    own: bool = False
    reason: str = ""


@dataclass(frozen=True)
class PairGrid:
    """One attack's AUC for each attacker (rows) and victim (columns)."""

    attack: str
    attackers: list[str]
    victims: list[str]
    stem: str
    heads: list[str]
    squares: list[list[Square]]
    reasons: list[str]

    @property
    def steps(self) -> tuple[float, ...]:
        """AUCs at which the colour changes."""
        return STEPS

    @property
    def compact(self) -> bool:
        """Whether the column names are short enough to be written horizontally."""
        return max(map(len, self.heads), default=0) <= 3


def build(pairs: Sequence[Pair], attack: str) -> PairGrid:
    """Return the grid of one attack, in the order in which parties first appear.

    Parameters
    ----------
    pairs
        Pairs of an audit, or of several joined.
    attack
        The attack to show.
    """
    mine = {(p.attacker, p.victim): p for p in pairs if p.attack == attack}
    victims = sorted({v for _, v in mine}, key=words.natural)
    attackers = sorted({a for a, _ in mine}, key=words.natural)
    squares = [[_square(mine.get((a, v)), own=a == v) for v in victims] for a in attackers]
    reasons = dict.fromkeys(s.reason for row in squares for s in row if s.reason)
    return PairGrid(attack, attackers, victims, *_short(victims), squares, list(reasons))


def _short(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return what all names begin with, up to a hyphen, and the rest of each: "learner" and "1", "2"."""
    stems = {"".join(name.rpartition("-")[:2]) for name in names}
    stem = stems.pop() if len(stems) == 1 and len(names) > 1 else ""
    return stem.rstrip("-"), [name.removeprefix(stem) for name in names]


def _square(pair: Pair | None, *, own: bool) -> Square:
    if own:
        return Square("own", own=True)
    if pair is None:
        return Square("n/a", reason="not part of these audits")
    if pair.auc is None:
        return Square("n/a", reason=pair.reason or "not judged")
    value = pair.auc.value
    return Square(words.rough(value), bisect_right(STEPS, round(value, 2)) - 1, party_words.shown(pair))
