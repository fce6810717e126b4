"""From what was found of people to error and leakage of every point, rounded for publication."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.auditing.facts import reported_variable
from memberscan.auditing.result import AuditResult
from memberscan.cohort import Cohort
from memberscan.evidence.dominance import certainly, dominates, leakage_of, on_frontier
from memberscan.evidence.intervals import LEVEL, Interval
from memberscan.evidence.over_seeds import OverSeeds
from memberscan.evidence.rounding import rounded
from memberscan.frontier.content import (
    FRONTIER_SCHEMA,
    Change,
    Dominating,
    FrontierContent,
    FrontierPoint,
    Leakage,
    TruePositiveRate,
)
from memberscan.frontier.people import SeedsOfPeople
from memberscan.frontier.points import EARLY_STOPPING, UNDEFENDED, Point
from memberscan.frontier.tasks import AUDIT, RUN, Shared, read_people
from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.disclosure import few, published_interval
from memberscan.report.outcome import SMALLEST_CELL
from memberscan.runs import Run

if TYPE_CHECKING:
    from jaxtyping import Bool

    from memberscan.report.content.variable_json import Variable

RATES = (0.05, 0.01)
"""False-positive rates at which true-positive rates are given."""
LINES_TO_BEAT = (UNDEFENDED, EARLY_STOPPING, "dp-sgd")
_TOO_FEW_REFERENCES = "too few references to say who is exposed; four or more are needed"


@dataclass(frozen=True)
class Measured:
    """A point with the directories of its finished tasks, one for each seed; or why it failed."""

    point: Point
    failed: str | None
    directories: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class _Found:
    """A point that did not fail, with its error and leakage over seeds."""

    measured: Measured
    seeds: SeedsOfPeople
    error: OverSeeds
    auc: OverSeeds

    @property
    def place(self) -> tuple[float, float]:
        """Error and leakage, as points are compared."""
        return float(self.error.values.mean()), float(leakage_of(self.auc.values.mean()))

    @property
    def family(self) -> str:
        """The kind of point."""
        return self.measured.point.family


def collect(measured: Sequence[Measured], cohort: Cohort, shared: Shared, seeds: int) -> FrontierContent:
    """Return the content of frontier.json.

    Parameters
    ----------
    measured
        Every point.
    cohort
        The cohort.
    shared
        What all tasks have in common.
    seeds
        How often each point was trained.
    """
    tables = {m.point.name: [read_people(path) for path in m.directories] for m in measured if not m.failed}
    first = next(iter(tables.values()), [])
    labels = pd.concat([table["label"] for table in first]) if first else cohort.labels
    variable = reported_variable(cohort.target, labels.to_numpy(float))
    found = [_found(m, tables[m.point.name], cohort) for m in measured if not m.failed]
    guesses = [cohort.target.error_of_constant(t["label"][t["member"] == 0].to_numpy(float)) for t in first]
    members = int((first[0]["member"] == 1).sum()) if first else 0
    return FrontierContent(
        schema=FRONTIER_SCHEMA,
        memberscan=version("memberscan"),
        model=shared.model,
        cohort=cohort.fingerprint,
        synthetic=cohort.synthetic,
        variable=variable,
        seeds=seeds,
        members=members,
        nonmembers=len(first[0]) - members if first else 0,
        validation=len(cohort.subjects) - len(first[0]) if first else 0,
        references=shared.references,
        access="outputs" if shared.access.value == "outputs" else "weights",
        attacks=shared.attacks,
        smallest_cell=SMALLEST_CELL,
        constant_error=rounded(float(np.mean(guesses)), variable.step) if guesses else 0.0,
        points=_points(measured, found, variable),
    )


def _found(measured: Measured, tables: Sequence[pd.DataFrame], cohort: Cohort) -> _Found:
    audit = AuditResult.load(measured.directories[0] / AUDIT)
    seeds = SeedsOfPeople.of(tables, cohort.subjects, str(audit.content["verdict"]["basis"]["attack"]))
    return _Found(measured, seeds, seeds.mean_error(of_members=False), seeds.auc())


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
    seeds, directories, finest = one.seeds, one.measured.directories, variable.step
    exposed, reason = seeds.most_exposed, None
    if not exposed.any():
        reason = _TOO_FEW_REFERENCES
    elif seeds.fewest(exposed) < SMALLEST_CELL:
        reason = few(SMALLEST_CELL)
    verdicts = Counter(AuditResult.load(path / AUDIT).verdict for path in directories)
    guarantee = Run.open(directories[0] / RUN).guarantee
    return _failed(one.measured).model_copy(
        update={
            "error": published_interval(one.error.interval(), finest=finest),
            "error_members": published_interval(seeds.mean_error(of_members=True).interval(), finest=finest),
            "everybody": _leakage(seeds, one.auc, seeds.counted),
            "most_exposed": None if reason else _leakage(seeds, seeds.auc(exposed), exposed),
            "most_exposed_reason": reason,
            "verdicts": dict(sorted(verdicts.items())),
            "guarantee": Guarantee(**asdict(guarantee)) if guarantee else None,
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


def _leakage(seeds: SeedsOfPeople, auc: OverSeeds, among: Bool[np.ndarray, "seeds people"]) -> Leakage:
    rates = []
    for fpr in RATES:
        found = seeds.rate(fpr, among)
        rate = None if found is None else published_interval(Interval(*found), side=None)
        rates.append(TruePositiveRate(fpr=fpr, **(rate.dump() if rate else dict.fromkeys(_ENDS))))
    return Leakage(attacks=seeds.chosen, auc=published_interval(auc.interval(), side=0.5), rates=tuple(rates))


_ENDS = ("value", "low", "high")
