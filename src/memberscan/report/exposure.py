"""Whether some groups of people are more exposed than others, and the model's errors by age."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from memberscan.evidence.groups import GroupResult, JudgedScores, among
from memberscan.evidence.rounding import Measured
from memberscan.report.content.audit_json import Band, Exposure, Group, Quantiles
from memberscan.report.content.parts import Estimate
from memberscan.report.disclosure import few, hidden

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.evidence.intervals import Interval
    from memberscan.report.outcome import PeopleFacts

_PER_EXPOSURE_BAND, _PER_RESIDUAL_BAND = 60, 100
_WHOLE = 10
"""Cuts between bands are multiples of this many steps: of one year, for ages."""
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
    bands: list[tuple[By, str, np.ndarray]] = []
    hides: list[bool] = []
    for by, groups_by, hide in target_groups(people, smallest):
        bands += [(by, name, inside) for name, inside in groups_by]
        hides += hide
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


By = Literal["age", "sex", "target"]
_Groups = list[tuple[str, "Bool[np.ndarray, ' people']"]]


def target_groups(people: PeopleFacts, smallest: int) -> Iterator[tuple[By, _Groups, list[bool]]]:
    """Yield groups of people by the target, and by age where that is known and not the target.

    Each comes with whether it must be hidden. Bands never are, since each has enough people.
    """
    variable, member = people.variable, people.member
    if variable.classes:
        named = [(name, people.label.round() == k) for k, name in enumerate(variable.classes)]
        held: _Groups = [(name, inside) for name, inside in named if inside.any()]
        yield "target", held, hidden([sides(member, inside) for _, inside in held], smallest, rest=(0, 0))
    else:
        bands = people_bands(people, smallest)
        yield (
            "age" if variable.is_age else "target",
            [(band.name, band.inside) for band in bands],
            [False] * len(bands),
        )
    if people.age is not None and np.isfinite(people.age).all():
        beside = bands_of(people.age, member, people=_PER_EXPOSURE_BAND, most=5, smallest=smallest)
        yield "age", [(band.name, band.inside) for band in beside], [False] * len(beside)


def people_bands(people: PeopleFacts, smallest: int) -> list[TargetBand]:
    """Return the bands of a number, such as age, by which exposure is reported."""
    return bands_of(
        people.label,
        people.member,
        people=_PER_EXPOSURE_BAND,
        most=5,
        smallest=smallest,
        whole=_WHOLE * people.variable.step,
    )


def sides(member: Bool[np.ndarray, " people"], inside: Bool[np.ndarray, " people"]) -> tuple[int, int]:
    """Return how many members, and non-members, are inside."""
    return int((member & inside).sum()), int((~member & inside).sum())


def _group(
    by: By,
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
    """Return quantiles of signed residuals of both sides by band of the target; none for classes.

    The bands differ from those of :func:`exposure`, and leave no small group between the edges of the two.
    """
    if people.variable.classes:
        return ()
    label, member, residual = people.label, people.member, people.residual
    step = people.variable.step
    bands = bands_of(
        label,
        member,
        people=_PER_RESIDUAL_BAND,
        most=8,
        smallest=smallest,
        beside=people_bands(people, smallest),
        whole=_WHOLE * step,
    )
    return tuple(
        Band(
            low=band.low,
            high=band.high,
            members=quantiles(residual[band.inside & member], smallest, step),
            nonmembers=quantiles(residual[band.inside & ~member], smallest, step),
        )
        for band in bands
    )


@dataclass(frozen=True, eq=False)
class TargetBand:
    """People from one round value to below another; None where a band has no end, to show no extreme."""

    low: float | None
    high: float | None
    inside: Bool[np.ndarray, " subjects"]

    @property
    def name(self) -> str:
        """ "under 45", "45–55", "75 and over" or "all"."""
        if self.low is None:
            return "all" if self.high is None else f"under {self.high:.6g}"
        return f"{self.low:.6g} and over" if self.high is None else f"{self.low:.6g}–{self.high:.6g}"


def bands_of(
    values: Float[np.ndarray, " subjects"],
    member: Bool[np.ndarray, " subjects"],
    *,
    people: int,
    most: int,
    smallest: int,
    beside: Sequence[TargetBand] = (),
    whole: float = 1.0,
) -> list[TargetBand]:
    """Cut values into bands of about equal numbers at round values, each with enough people on both sides.

    Parameters
    ----------
    values, member
        Of each person.
    people, most
        How many people a band should have, and the greatest number of bands.
    smallest
        Fewest members, and non-members, of a band; one that has fewer is joined with its neighbour.
    beside
        Other bands of the same people that are published too. The people between one of their cuts and a cut
        of these can be found by subtraction; where they are too few, the other cut is used instead.
    whole
        Cuts are multiples of this: whole years, for ages.
    """
    theirs = [float(band.low) for band in beside if band.low is not None]

    def enough(low: float, high: float) -> bool:
        part = (values >= low) & (values < high)
        return min(int((part & member).sum()), int((part & ~member).sum())) >= smallest

    def safe(cut: float) -> bool:
        below = max((c for c in theirs if c < cut), default=-np.inf)
        above = min((c for c in theirs if c > cut), default=np.inf)
        return cut in theirs or (enough(below, cut) and enough(cut, above))

    count = int(np.clip(len(values) // people, 1, most))
    cuts = np.unique(whole * np.round(np.quantile(values, np.arange(1, count) / count) / whole)).tolist()
    edges = [-np.inf]
    for wanted in cuts:
        cut = wanted if safe(wanted) else min(theirs, key=lambda c: abs(c - wanted), default=wanted)
        if enough(edges[-1], cut) and enough(cut, np.inf):
            edges.append(cut)
    edges.append(np.inf)
    return [
        TargetBand(
            None if low == -np.inf else float(low),
            None if high == np.inf else float(high),
            (values >= low) & (values < high),
        )
        for low, high in itertools.pairwise(edges)
    ]


def quantiles(values: Float[np.ndarray, " n"], smallest: int, step: float) -> Quantiles:
    """Return quantiles with their errors; None where fewer than ``smallest`` people lie beyond one.

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
        found[f"q{q}"] = Measured(np.quantile(values, share), (high - low) / 2, finest=step)
    return Quantiles.model_validate({"n": len(values), **found})
