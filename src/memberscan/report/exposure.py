"""Whether some people are more exposed than others, and how far off the model is for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from memberscan.evidence.groups import GroupResult, JudgedScores, among
from memberscan.report.content.audit_json import Band, Exposure, Group
from memberscan.report.content.parts import Estimate
from memberscan.report.disclosure import AgeBand, age_bands, few, hidden, quantiles

if TYPE_CHECKING:
    from jaxtyping import Bool

    from memberscan.evidence.intervals import Interval
    from memberscan.report.outcome import PeopleFacts

_PER_EXPOSURE_BAND, _PER_RESIDUAL_BAND = 60, 100


def exposure(judged: JudgedScores | None, people: PeopleFacts, smallest: int) -> Exposure:
    """Return how well the strongest attack does among people of each age band and sex.

    It is judged as the verdict judges it. Each interval is for its group alone; the groups were not chosen
    after looking, but many are looked at. Groups of few people are hidden: see
    :func:`memberscan.report.disclosure.hidden`.
    """
    if judged is None:
        return Exposure(attack=None, groups=())
    member, sex = people.member, people.sex
    groups = [
        _group("age", band.name, member, band.inside, among(judged, band.inside))
        for band in _bands(people, smallest)
    ]
    if sex is not None:
        levels = [(str(level), (sex == level).to_numpy(bool)) for level in sorted(sex.dropna().unique())]
        cells = [_sides(member, inside) for _, inside in levels]
        rest = _sides(member, sex.isna().to_numpy(bool))
        for (level, inside), hides in zip(levels, hidden(cells, smallest, rest=rest), strict=True):
            group = _group("sex", level, member, inside, among(judged, inside))
            groups.append(_hidden(group, smallest) if hides else group)
    return Exposure(attack=judged.scores.attack, groups=tuple(groups))


def _bands(people: PeopleFacts, smallest: int) -> list[AgeBand]:
    return age_bands(people.age, people.member, people=_PER_EXPOSURE_BAND, most=5, smallest=smallest)


def _sides(member: Bool[np.ndarray, " people"], inside: Bool[np.ndarray, " people"]) -> tuple[int, int]:
    return int((member & inside).sum()), int((~member & inside).sum())


def _group(
    by: Literal["age", "sex"],
    name: str,
    member: Bool[np.ndarray, " people"],
    inside: Bool[np.ndarray, " people"],
    found: GroupResult,
) -> Group:
    members, nonmembers = _sides(member, inside)
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
    """Return rounded quantiles of signed residuals (years) of both sides by age band.

    The bands differ from those of :func:`exposure`, and leave no small group between the edges of the two.
    """
    age, member, residual = people.age, people.member, people.residual
    beside = _bands(people, smallest)
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
