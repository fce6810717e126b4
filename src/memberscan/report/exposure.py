"""Whether some groups of people are more exposed than others, and the model's errors by age."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from memberscan.evidence.groups import GroupResult, JudgedScores, among
from memberscan.evidence.rounding import YEARS, Measured
from memberscan.report.content.audit_json import Band, Exposure, Group, Quantiles
from memberscan.report.content.parts import Estimate
from memberscan.report.disclosure import few, hidden

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.evidence.intervals import Interval
    from memberscan.report.outcome import PeopleFacts

_PER_EXPOSURE_BAND, _PER_RESIDUAL_BAND = 60, 100
_QUANTILES = (10, 25, 50, 75, 90)


def exposure(judged: JudgedScores | None, people: PeopleFacts, smallest: int) -> Exposure:
    """Return how well the strongest attack does among people of each age band and sex.

    It is judged as the verdict judges it. Each interval is for its group alone; the groups were not chosen
    after looking, but many are looked at. Groups of few people are hidden: see
    :func:`memberscan.report.disclosure.hidden`.
    """
    if judged is None:
        return Exposure(attack=None, groups=())
    member, sex = people.member, people.sex
    bands: list[tuple[Literal["age", "sex"], str, np.ndarray]]
    bands = [("age", band.name, band.inside) for band in people_bands(people, smallest)]
    hides = [False] * len(bands)
    if sex is not None:
        levels = [(str(level), (sex == level).to_numpy(bool)) for level in sorted(sex.dropna().unique())]
        cells = [sides(member, inside) for _, inside in levels]
        rest = sides(member, sex.isna().to_numpy(bool))
        bands += [("sex", level, inside) for level, inside in levels]
        hides += hidden(cells, smallest, rest=rest)
    found = [among(judged, inside) for _, _, inside in bands]
    groups = [_group(*band, member, result) for band, result in zip(bands, found, strict=True)]
    shown = [_hidden(g, smallest) if hide else g for g, hide in zip(groups, hides, strict=True)]
    return Exposure(attack=judged.scores.attack, groups=tuple(shown))


def people_bands(people: PeopleFacts, smallest: int) -> list[AgeBand]:
    """Return the age bands by which exposure is reported."""
    return age_bands(people.age, people.member, people=_PER_EXPOSURE_BAND, most=5, smallest=smallest)


def sides(member: Bool[np.ndarray, " people"], inside: Bool[np.ndarray, " people"]) -> tuple[int, int]:
    """Return how many members, and non-members, are inside."""
    return int((member & inside).sum()), int((~member & inside).sum())


def _group(
    by: Literal["age", "sex"],
    name: str,
    inside: Bool[np.ndarray, " people"],
    member: Bool[np.ndarray, " people"],
    found: GroupResult,
) -> Group:
    members, nonmembers = sides(member, inside)
    return Group(
        by=by,
        group=name,
        members=members,
        nonmembers=nonmembers,
        auc=_estimate(found.auc),
        accuracy=_estimate(found.accuracy),
        reason=found.reason,
    )


def _hidden(group: Group, smallest: int) -> Group:
    nothing = dict.fromkeys(("members", "nonmembers", "auc", "accuracy"))
    return group.model_copy(update={**nothing, "reason": few(smallest)})


def _estimate(interval: Interval | None) -> Estimate | None:
    return None if interval is None else Estimate(value=interval.value, low=interval.low, high=interval.high)


def residual_bands(people: PeopleFacts, smallest: int) -> tuple[Band, ...]:
    """Return quantiles of signed residuals (years) of both sides by age band.

    The bands differ from those of :func:`exposure`, and leave no small group between the edges of the two.
    """
    age, member, residual = people.age, people.member, people.residual
    beside = people_bands(people, smallest)
    bands = age_bands(age, member, people=_PER_RESIDUAL_BAND, most=8, smallest=smallest, beside=beside)
    return tuple(
        Band(
            low=band.low,
            high=band.high,
            members=quantiles(residual[band.inside & member], smallest),
            nonmembers=quantiles(residual[band.inside & ~member], smallest),
        )
        for band in bands
    )


@dataclass(frozen=True, eq=False)
class AgeBand:
    """People from one whole year to below another; None where a band has no end, so that no extreme shows."""

    low: float | None
    high: float | None
    inside: Bool[np.ndarray, " subjects"]

    @property
    def name(self) -> str:
        """ "under 45", "45–55", "75 and over" or "all ages"."""
        if self.low is None:
            return "all ages" if self.high is None else f"under {self.high:.0f}"
        return f"{self.low:.0f} and over" if self.high is None else f"{self.low:.0f}–{self.high:.0f}"


def age_bands(
    age: Float[np.ndarray, " subjects"],
    member: Bool[np.ndarray, " subjects"],
    *,
    people: int,
    most: int,
    smallest: int,
    beside: Sequence[AgeBand] = (),
) -> list[AgeBand]:
    """Cut ages into bands of about equal numbers at whole years, each with enough people on both sides.

    Parameters
    ----------
    age, member
        Of each person.
    people, most
        How many people a band should have, and the greatest number of bands.
    smallest
        Fewest members, and non-members, of a band; one that has fewer is joined with its neighbour.
    beside
        Other bands of the same people that are published too. The people between one of their cuts and a cut
        of these can be found by subtraction; where they are too few, the other cut is used instead.
    """
    theirs = [float(band.low) for band in beside if band.low is not None]

    def enough(low: float, high: float) -> bool:
        part = (age >= low) & (age < high)
        return min(int((part & member).sum()), int((part & ~member).sum())) >= smallest

    def safe(cut: float) -> bool:
        below = max((c for c in theirs if c < cut), default=-np.inf)
        above = min((c for c in theirs if c > cut), default=np.inf)
        return cut in theirs or (enough(below, cut) and enough(cut, above))

    count = int(np.clip(len(age) // people, 1, most))
    cuts = np.unique(np.round(np.quantile(age, np.arange(1, count) / count))).tolist()
    edges = [-np.inf]
    for wanted in cuts:
        cut = wanted if safe(wanted) else min(theirs, key=lambda c: abs(c - wanted), default=wanted)
        if enough(edges[-1], cut) and enough(cut, np.inf):
            edges.append(cut)
    edges.append(np.inf)
    return [
        AgeBand(
            None if low == -np.inf else float(low),
            None if high == np.inf else float(high),
            (age >= low) & (age < high),
        )
        for low, high in itertools.pairwise(edges)
    ]


def quantiles(values: Float[np.ndarray, " n"], smallest: int) -> Quantiles:
    """Return quantiles of years with their errors; None where fewer than ``smallest`` people lie beyond one.

    The error of a quantile is half the distance between the quantiles one standard error of the share away
    (Woodruff, JASA 47, 1952).
    """
    found: dict[str, float | None] = {}
    for q in _QUANTILES:
        share = q / 100
        if len(values) * min(share, 1 - share) < smallest:
            found[f"q{q}"] = None
            continue
        error = np.sqrt(share * (1 - share) / len(values))
        low, high = np.quantile(values, np.clip([share - error, share + error], 0, 1))
        found[f"q{q}"] = Measured(np.quantile(values, share), (high - low) / 2, finest=YEARS)
    return Quantiles.model_validate({"n": len(values), **found})
