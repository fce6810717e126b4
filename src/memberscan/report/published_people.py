"""How exposed people are, as audit.json says it: the most exposed as a group, and groups of enough people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from memberscan.evidence.left_out import FEWEST_FOR_ERRORS, Average
from memberscan.evidence.naming import PRIORS, NamedMembers
from memberscan.evidence.person_exposure import DISCOVERY_RATE
from memberscan.evidence.rounding import Measured
from memberscan.report.content import exposure_json
from memberscan.report.content.parts import Estimate
from memberscan.report.disclosure import few, hidden
from memberscan.report.exposure import sides, target_groups

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float

    from memberscan.evidence.intervals import Interval
    from memberscan.evidence.person_exposure import MeanExposure, PersonExposure, Stability
    from memberscan.evidence.reference_power import ReferencePower
    from memberscan.report.outcome import PeopleFacts

_MOST = 100
"""The most exposed are one in this many people, but at least a group that is reported."""
_AT_LEAST = (0.6, 0.7, 0.8, 0.9, 0.95)
_MOST_SCANS = 3
"""People with at least so many scans are one group."""
_TOO_FEW_REFERENCES = (
    f"fewer than {2 * FEWEST_FOR_ERRORS} reference models, so that the error of an estimate cannot be told"
)
By = Literal["age", "sex", "site", "scans", "target"]


def person_exposure(
    found: PersonExposure | None, people: PeopleFacts, smallest: int
) -> exposure_json.PersonExposure | None:
    """Return what is published of how exposed people are; None without references."""
    if found is None:
        return None
    judged = found.judged
    most = min(max(smallest, math.ceil(judged.sum() / _MOST)), int(judged.sum()))
    most_exposed, all_judged = found.about_most_exposed(most), found.about(judged)
    too_few = int((~judged).sum())
    # With the number of all people, it would tell how few are left out.
    told = too_few == 0 or too_few >= smallest
    everybody = int(judged.sum()) if told else None
    return exposure_json.PersonExposure(
        references=found.references,
        too_few=too_few if told else None,
        most_exposed=_about(most_exposed),
        everybody=_about(all_judged).model_copy(update={"people": everybody}),
        median=_median(found.auc[judged]) if len(found.auc_without) else None,
        at_least=_at_least(found, smallest),
        groups=tuple(_groups(found, people, smallest)),
        listed=exposure_json.ExposedList(rate=DISCOVERY_RATE, share=_share(found.listed[judged], smallest)),
        named=None if found.named is None else _named(found.named, smallest),
        stability=None if found.stability is None else _stability(found.stability),
        limits=_limits(found),
        power=None if found.power is None else _power(found.power),
    )


def _at_least(found: PersonExposure, smallest: int) -> tuple[exposure_json.AtLeast, ...]:
    if not len(found.auc_without):
        return ()
    judged = found.auc[found.judged]
    return tuple(exposure_json.AtLeast(auc=auc, share=_share(judged >= auc, smallest)) for auc in _AT_LEAST)


def _stability(found: Stability) -> exposure_json.RankingStability:
    return exposure_json.RankingStability(
        references=found.references,
        rank_correlation=round(found.rank_correlation, 2),
        overlap=round(found.overlap, 2),
    )


def _about(found: MeanExposure) -> exposure_json.ExposedPeople:
    """Return what is said of some people who have enough references; they must be enough to report."""
    auc = _estimate(found.auc)
    if auc is None:
        return exposure_json.ExposedPeople(
            people=found.people, auc=None, tpr=None, right=None, reason=_TOO_FEW_REFERENCES
        )
    # At least a hundredth, since the spread over people leaves out the error that they have in common.
    error = max(found.rate_spreads[0] / math.sqrt(found.people), 0.01)
    return exposure_json.ExposedPeople(
        people=found.people,
        auc=auc,
        tpr=Measured(found.rates[0], error),
        right=_estimate(found.right),
        reason=None,
    )


def _groups(
    found: PersonExposure, people: PeopleFacts, smallest: int
) -> Iterator[exposure_json.ExposedGroup]:
    """Return all groups, small ones hidden, and with them what would reveal them."""
    member = people.member
    for by, cells, rest in _partitions(people, smallest):
        inside = [part & found.judged for _, part in cells]
        hides = hidden([sides(member, part) for part in inside], smallest, rest=sides(member, rest))
        about = [None if hide else found.about(part) for part, hide in zip(inside, hides, strict=True)]
        for (name, whole), part, group in zip(cells, inside, about, strict=True):
            if group is None:
                nothing = dict.fromkeys(("people", "auc", "tpr", "right"))
                yield exposure_json.ExposedGroup(by=by, group=name, **nothing, reason=few(smallest))
                continue
            # Few people without enough references could be found by subtraction from all people of the group.
            lacking = int(whole.sum() - part.sum())
            told = _about(group)
            count = told.people if lacking == 0 or lacking >= smallest else None
            yield exposure_json.ExposedGroup(
                by=by,
                group=name,
                people=count,
                auc=told.auc,
                tpr=told.tpr,
                right=told.right,
                reason=told.reason,
            )


def _partitions(
    people: PeopleFacts, smallest: int
) -> Iterator[tuple[By, list[tuple[str, Bool[np.ndarray, " people"]]], Bool[np.ndarray, " people"]]]:
    """Return the groups by each covariate that is known and differs, and the people who are in none."""
    nobody = np.zeros(len(people.member), dtype=bool)
    for made, groups, _ in target_groups(people, smallest):
        yield made, groups, nobody
    named: tuple[tuple[By, pd.Series | None], ...] = (("sex", people.sex), ("site", people.site))
    for by, levels in named:
        if levels is not None and levels.nunique() > 1:
            ordered = sorted(levels.dropna().unique(), key=str)
            cells = [(str(level), (levels == level).to_numpy(bool)) for level in ordered]
            yield by, cells, levels.isna().to_numpy(bool)
    if people.scans is not None and len(np.unique(people.scans)) > 1:
        counts = np.minimum(people.scans, _MOST_SCANS)
        yield "scans", [(_scans(n), counts == n) for n in np.unique(counts).tolist()], nobody


def _scans(count: int) -> str:
    if count == _MOST_SCANS:
        return f"{count} or more scans"
    return "1 scan" if count == 1 else f"{count} scans"


def _limits(found: PersonExposure) -> exposure_json.OutputLimits | None:
    if found.best is None:
        return None
    attained, best = _estimate(found.best.attained), _estimate(found.best.best)
    if attained is None or best is None:
        return None
    # Unlike shares, the estimate may be below zero by chance.
    bits = None if found.information is None else found.information.bits.interval
    told = None if bits is None else Estimate(value=bits.value, low=bits.low, high=bits.high)
    return exposure_json.OutputLimits(bits=told, attained=attained, best=best)


def _named(found: NamedMembers, smallest: int) -> exposure_json.Named:
    return exposure_json.Named(
        attack=found.attack,
        rate=found.rate,
        members=found.members,
        shares=tuple(
            exposure_json.NamedShare(prior=prior, share=_share(np.arange(found.members) < named, smallest))
            for prior, named in zip(PRIORS, found.named, strict=True)
        ),
    )


def _power(found: ReferencePower) -> exposure_json.PowerCurve:
    points = [(*point, True) for point in found.measured] + [(*point, False) for point in found.expected]
    return exposure_json.PowerCurve(
        attack=found.attack,
        points=tuple(
            exposure_json.WithReferences(references=count, auc=_interval(auc), measured=measured)
            for count, auc, measured in points
        ),
        limit=None if found.limit is None else _interval(found.limit),
    )


def _share(counted: Bool[np.ndarray, " people"], smallest: int) -> Measured | None:
    """Return the share of people who are counted, with its error; None where they, or the others, are few."""
    count, others = int(counted.sum()), int((~counted).sum())
    if 0 < count < smallest or 0 < others < smallest:
        return None
    # Two added successes and failures (Agresti and Coull) keep the error above zero at shares of 0 and 1.
    inner = (count + 2) / (len(counted) + 4)
    return Measured(count / len(counted), math.sqrt(inner * (1 - inner) / (len(counted) + 4)))


def _median(auc: Float[np.ndarray, " people"]) -> Measured:
    """Return the median; its error is half the distance between quantiles one error of the share away."""
    error = 0.5 / math.sqrt(len(auc))
    low, high = np.quantile(auc, np.clip([0.5 - error, 0.5 + error], 0, 1))
    return Measured(np.median(auc), (high - low) / 2)


def _estimate(found: Average | None) -> Estimate | None:
    if found is None or found.interval is None:
        return None
    return _interval(found.interval)


def _interval(found: Interval) -> Estimate:
    return Estimate(value=found.value, low=max(0.0, found.low), high=min(1.0, found.high))
