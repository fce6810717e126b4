"""From what was found of people to error and leakage of every point, rounded for publication."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

import memberscan.guarantee
from memberscan.auditing.facts import reported_variable
from memberscan.cohort import Cohort
from memberscan.evidence.dominance import certainly, dominates, leakage_of, on_frontier
from memberscan.evidence.intervals import LEVEL, Interval
from memberscan.evidence.over_seeds import OverSeeds
from memberscan.evidence.rounding import rounded
from memberscan.frontier.content import (
    FRONTIER_SCHEMA,
    Change,
    Dominating,
    Federation,
    FrontierContent,
    FrontierPoint,
    Leakage,
    TruePositiveRate,
)
from memberscan.frontier.people import RATES, Leak, SeedsOfPeople
from memberscan.frontier.points import EARLY_STOPPING, UNDEFENDED, Point
from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.disclosure import published_interval
from memberscan.report.outcome import SMALLEST_CELL
from memberscan.threat import Access, Attacker

if TYPE_CHECKING:
    from memberscan.report.content.variable_json import Variable

LINES_TO_BEAT = (UNDEFENDED, EARLY_STOPPING, "dp-sgd")


@dataclass(frozen=True)
class View:
    """How all points of a frontier were attacked, as its page says.

    Parameters
    ----------
    model, references, attacks
        Name of the model, number of references for each point and seed, and the attacks that were tried.
    attacker, access
        Who attacks, and what it sees.
    federation
        The federations of all points; None for models of one training each.
    """

    model: str
    references: int
    attacks: tuple[str, ...]
    attacker: Attacker
    access: Access
    federation: Federation | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """A point with what was found of it; or why it failed.

    ``verdicts`` has that of each seed, ``guarantee`` what the defence guarantees.
    """

    point: Point
    failed: str | None = None
    seeds: SeedsOfPeople | None = None
    verdicts: tuple[str, ...] = ()
    guarantee: memberscan.guarantee.Guarantee | None = None


@dataclass(frozen=True, eq=False)
class _Found:
    """A point that did not fail, with its error and leakage over seeds."""

    measured: Measured
    seeds: SeedsOfPeople
    error: OverSeeds
    leak: Leak

    @property
    def auc(self) -> OverSeeds:
        """Leakage of everybody."""
        return self.leak.auc

    @property
    def place(self) -> tuple[float, float]:
        """Error and leakage, as points are compared."""
        return float(self.error.values.mean()), float(leakage_of(self.auc.values.mean()))

    @property
    def family(self) -> str:
        """The kind of point."""
        return self.measured.point.family


def collect(measured: Sequence[Measured], cohort: Cohort, view: View, seeds: int) -> FrontierContent:
    """Return the content of frontier.json.

    Parameters
    ----------
    measured
        Every point.
    cohort
        The cohort.
    view
        How they were attacked.
    seeds
        How often each point was trained.
    """
    found = [
        _Found(m, m.seeds, m.seeds.mean_error(of_members=False), m.seeds.everybody())
        for m in measured
        if m.seeds
    ]
    first = found[0].seeds if found else None
    labels = cohort.labels.to_numpy(float) if first is None else first.label[first.counted]
    variable = reported_variable(cohort.target, labels)
    outside = [] if first is None else list(first.counted & ~first.member)
    members, counted = (0, 0) if first is None else (int(first.member[0].sum()), int(first.counted[0].sum()))
    guesses = [
        cohort.target.error_of_constant(label[side])
        for label, side in zip([] if first is None else first.label, outside, strict=True)
    ]
    return FrontierContent(
        schema=FRONTIER_SCHEMA,
        memberscan=version("memberscan"),
        model=view.model,
        cohort=cohort.fingerprint,
        synthetic=cohort.synthetic,
        variable=variable,
        seeds=seeds,
        members=members,
        nonmembers=counted - members,
        validation=len(cohort.subjects) - counted if first is not None else 0,
        references=view.references,
        attacker=view.attacker.value,
        access=view.access.value,
        federation=view.federation,
        attacks=view.attacks,
        smallest_cell=SMALLEST_CELL,
        constant_error=rounded(float(np.mean(guesses)), variable.step) if guesses else 0.0,
        points=_points(measured, found, variable),
    )


def _points(
    measured: Sequence[Measured], found: Sequence[_Found], variable: Variable
) -> tuple[FrontierPoint, ...]:
    """Return all points in their order, each compared with the others."""
    error, leakage = np.array([each.place for each in found]).reshape(-1, 2).T
    best = dict(
        zip((each.measured.point for each in found), on_frontier(error, leakage).tolist(), strict=True)
    )
    by_point = {each.measured.point: each for each in found}
    plain = next((each for each in found if each.family == UNDEFENDED), None)
    points = []
    for m in measured:
        one = by_point.get(m.point)
        if one is None:
            points.append(_failed(m))
            continue
        relations = {
            "on_frontier": best[m.point],
            "dominated_by": dominated_by(one, found),
            "change": None if plain in (None, one) else _change(one, plain, variable),
        }
        points.append(_point(one, variable).model_copy(update=relations))
    return tuple(points)


def dominated_by(one: _Found, found: Sequence[_Found]) -> tuple[Dominating, ...]:
    """Return the lines to beat, of other kinds than the point itself, that dominate it."""
    rivals = [each for each in found if each.family in LINES_TO_BEAT and each.family != one.family]
    dominating = []
    for rival in rivals:
        if not dominates(*rival.place, *one.place):
            continue
        # The best of several points of a kind is compared, which Bonferroni's correction allows for.
        level = 1 - (1 - LEVEL) / sum(each.family == rival.family for each in rivals)
        excess = (one.error - rival.error).interval(level), (one.auc - rival.auc).interval(level)
        name = rival.measured.point.name
        dominating.append(Dominating(point=name, family=rival.family, certain=certainly(*excess)))
    return tuple(dominating)


def _change(one: _Found, plain: _Found | None, variable: Variable) -> Change | None:
    if plain is None:
        return None
    return Change(
        error_difference=published_interval(
            (one.error - plain.error).interval(), side=0, finest=variable.step / 10
        ),
        auc_difference=published_interval((one.auc - plain.auc).interval(), side=0),
    )


def _point(one: _Found, variable: Variable) -> FrontierPoint:
    """Return a point with its numbers, not yet compared with others."""
    seeds, measured, finest = one.seeds, one.measured, variable.step
    exposed = seeds.most_exposed(SMALLEST_CELL)
    return _failed(measured).model_copy(
        update={
            "error": published_interval(one.error.interval(), finest=finest),
            "error_members": published_interval(seeds.mean_error(of_members=True).interval(), finest=finest),
            "everybody": _leakage(seeds.chosen, one.leak),
            "most_exposed": None if isinstance(exposed, str) else _leakage(seeds.chosen, exposed),
            "most_exposed_reason": exposed if isinstance(exposed, str) else None,
            "verdicts": dict(sorted(Counter(measured.verdicts).items())),
            "guarantee": Guarantee(**asdict(measured.guarantee)) if measured.guarantee else None,
        }
    )


def _failed(measured: Measured) -> FrontierPoint:
    """Return a point without any number."""
    return FrontierPoint(
        name=measured.point.name,
        family=measured.point.family,
        defence=measured.point.defence,
        settings=dict(measured.point.settings),
        failed=measured.failed,
        error=None,
        error_members=None,
        everybody=None,
        most_exposed=None,
        most_exposed_reason=None,
        verdicts={},
        guarantee=None,
        on_frontier=False,
        dominated_by=(),
        change=None,
    )


def _leakage(chosen: Sequence[str], leak: Leak) -> Leakage:
    rates = []
    for fpr, found in zip(RATES, leak.rates, strict=True):
        rate = None if found is None else published_interval(Interval(*found), side=None)
        rates.append(TruePositiveRate(fpr=fpr, **(rate.dump() if rate else dict.fromkeys(_ENDS))))
    auc = published_interval(leak.auc.interval(), side=0.5)
    return Leakage(attacks=tuple(chosen), auc=auc, rates=tuple(rates))


_ENDS = ("value", "low", "high")
