"""What attacks achieve at low false-positive rates: true-positive rates, ROC curves, precision."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from memberscan.evidence.privacy_region import largest_tpr
from memberscan.report import ranking, svg, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.finding_json import Finding, Rate, Roc
from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.content.parts import Estimate
from memberscan.report.disclosure import ROC_RATES
from memberscan.report.drawings import Drawing, both
from memberscan.report.guaranteed import private
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table, estimate

HIGHEST_START = 0.2
"""A curve that is known only above this false-positive rate is not drawn: it shows no low rate."""


@dataclass(frozen=True)
class FalseAlarms:
    """What the section shows.

    ``caution`` is whether what it shows may come from a difference between the sides; ``named`` says how many
    people the strongest attack names; ``others`` how many attacks are neither the strongest nor the
    runner-up. There is no figure where only high false-positive rates can be measured.
    """

    caution: bool
    low_rates: Table
    named: str
    strongest: str
    runner_up: Finding | None
    others: int
    figure: Drawing | None
    curve_values: Table
    precision: Table | None
    precision_of_all: Table | None
    guarantee: bool


def data(audit: AuditContent) -> FalseAlarms | None:
    """Return what the section shows; None if no attack was run."""
    best, second = ranking.strongest(audit), ranking.runner_up(audit)
    if best is None:
        return None
    precision = named_correctly(audit, [best])
    everybody = named_correctly(audit, ranking.ranked(audit))
    return FalseAlarms(
        caution=ranking.sides_differ(audit),
        low_rates=low_false_alarms(audit),
        named=named(audit, best),
        strongest=best.attack,
        runner_up=second,
        others=len(audit.findings) - (2 if second else 1),
        figure=draw(audit) if lowest_rate(audit) <= HIGHEST_START else None,
        curve_values=curve_table(audit),
        precision=precision if precision.rows else None,
        precision_of_all=everybody if precision.rows and len(audit.findings) > 1 else None,
        guarantee=private(audit) is not None,
    )


def named(audit: AuditContent, finding: Finding) -> str:
    """Return how many members an attack names at the lowest false-positive rate that was resolved."""
    resolved = [rate for rate in finding.tpr if rate.value is not None]
    if not resolved:
        return "Too few non-members were scored to say how many members can be named with few false alarms."
    rate = min(resolved, key=lambda rate: rate.fpr)
    members, found = finding.scored.members, _known(rate.value, rate.low, rate.high)
    assert found is not None
    share = f"{words.percent(found.value)} of members"
    # A party's rates are means over pairs, and have no single number of members.
    if members is not None and not ranking.of_a_party(audit):
        share += f", about {round(found.value * members):,} of {members:,}"
    return (
        f"At {words.percent(rate.fpr)} false alarms, the attack {finding.attack} names {share} (95% interval "
        f"{words.span(found, words.percent)}). Guessing would name {words.percent(rate.fpr)}."
    )


def low_false_alarms(audit: AuditContent) -> Table:
    """Return the share of members found at each low false-positive rate."""
    findings = ranking.ranked(audit)
    entries = [entry for finding in findings for entry in finding.tpr]
    rates = sorted({entry.fpr for entry in entries}, reverse=True)
    notes = tuple(dict.fromkeys(entry.reason for entry in entries if entry.value is None))
    rows = []
    for finding in findings:
        by_rate = {entry.fpr: entry for entry in finding.tpr}
        rows.append([Cell(finding.attack), *(_rate(by_rate.get(rate), notes) for rate in rates)])
    caption = (
        "Share of members found (true-positive rate) at a fixed share of non-members named by mistake "
        "(false-positive rate), with 95% intervals. For an attack no better than chance the two shares are "
        "equal."
    )
    columns = ("Attack", *(f"{words.percent(rate)} false alarms" for rate in rates))
    return Table(caption, columns, rows, tuple(note or "not available" for note in notes))


def _rate(entry: Rate | None, notes: tuple[str | None, ...]) -> Cell:
    if entry is None:
        return NONE
    if entry.value is None:
        return Cell("n/a", mark=1 + notes.index(entry.reason))
    return estimate(_known(entry.value, entry.low, entry.high), words.percent)


def _known(value: float | None, low: float | None, high: float | None) -> Estimate | None:
    if value is None:
        return None
    if low is None or high is None:
        raise ValueError("a rate has no interval")
    return Estimate(value=value, low=low, high=high)


def named_correctly(audit: AuditContent, findings: Sequence[Finding]) -> Table:
    """Return, of those named as members, the share who are, by prior; only for resolved rates."""
    resolved = [(f, entry) for f in findings for entry in f.tpr if entry.value is not None]
    priors = sorted({p.prior for f in audit.findings for e in f.tpr for p in e.ppv}, reverse=True)
    rows = []
    for finding, entry in resolved:
        shares = {p.prior: _known(p.value, p.low, p.high) for p in entry.ppv}
        cells = [estimate(shares.get(prior), words.percent) for prior in priors]
        rows.append([Cell(finding.attack), Cell(words.percent(entry.fpr)), *cells])
    caption = (
        "Of the people named as members, how many are (positive predictive value), by how common members are "
        "among the people the attacker asks about."
    )
    columns = ("Attack", "False alarms", *(f"{words.percent(p)} members" for p in priors))
    return Table(caption, columns, rows)


def curve_table(audit: AuditContent) -> Table:
    """Return points of the ROC curves that the scored non-members can resolve."""
    rows = []
    for finding in ranking.ranked(audit):
        floor = _start(finding)
        cells = [
            Cell(words.percent(true_positive_rate(finding.roc, rate))) if rate >= floor else NONE
            for rate in ROC_RATES
        ]
        rows.append([Cell(finding.attack), *cells])
    caption = "Share of members found, by the share of non-members wrongly named. n/a: too few non-members."
    return Table(caption, ("Attack", *map(words.percent, ROC_RATES)), rows)


def true_positive_rate(curve: Roc, rate: float) -> float:
    """Return the highest true-positive rate at false-positive rates up to ``rate``; never interpolated."""
    reached = bisect_right(curve.fpr, rate + 1e-12)
    return curve.tpr[reached - 1] if reached else 0.0


def lowest_rate(audit: AuditContent) -> float:
    """Return the lowest false-positive rate at which a curve is known."""
    return min((_start(finding) for finding in audit.findings), default=1.0)


def _start(finding: Finding) -> float:
    # Curves of early versions have every step, and begin below the rate of a single non-member.
    return max(1 / max(1, finding.scored.nonmembers), finding.roc.fpr[0])


def draw(audit: AuditContent) -> Drawing:
    """Draw the ROC curves on log-log axes, down to the lowest rate at which one is known."""
    first, second = ranking.strongest(audit), ranking.runner_up(audit)
    floor = lowest_rate(audit)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        _roc_axes(axes, floor, narrow)
        if (limit := private(audit)) is not None:
            _forbidden(axes, limit)
        for finding in audit.findings:
            if finding is not first and finding is not second:
                _curve(axes, finding, color=svg.MUTED, linewidth=1, alpha=0.5)
        if second is not None:
            _curve(axes, second, color=svg.SECOND, linewidth=2, linestyle=(0, (5, 2)))
        if first is not None:
            _curve(axes, first, color=svg.TONE, linewidth=2.6)

    shown = words.listed([f.attack for f in (first, second) if f])
    return both(
        "roc",
        (490, 315),
        "ROC curves on logarithmic axes",
        f"Share of members found against share of non-members wrongly named; {shown} stand out. "
        f"Rates below {words.percent(floor)} cannot be measured. The table below holds values.",
        paint,
    )


def _roc_axes(axes: Axes, floor: float, narrow: bool) -> None:
    start = min(floor / 2.2, 0.1)
    axes.set(xscale="log", yscale="log", xlim=(start, 1), ylim=(start, 1))
    axes.set_box_aspect(0.8 if narrow else 0.62)
    axes.grid(True)
    axes.axvspan(start, floor, color=svg.SHADE, linewidth=0)
    axes.plot([start, 1], [start, 1], color=svg.MUTED, linewidth=1, linestyle=(0, (2, 3)))
    axes.annotate(
        "chance", (0.55, 0.55), (3, -9), textcoords="offset points", fontsize="small", color=svg.MUTED
    )
    middle = (start * floor) ** 0.5
    axes.text(
        middle,
        start**0.5,
        "too few people to tell",
        rotation=90,
        ha="center",
        va="center",
        fontsize="small",
        color=svg.MUTED,
    )
    ticks = [t for t in (0.0001, 0.001, 0.01, 0.1, 1) if t >= start]
    if len(ticks) < 3:
        ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if t >= start]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda x, _: words.percent(x)))
    axes.set_xlabel("non-members wrongly named")
    axes.set_ylabel("members found")


def _forbidden(axes: Axes, limit: Guarantee) -> None:
    """Hatch what differential privacy does not allow."""
    rates = np.geomspace(axes.get_xlim()[0], 1, 160)
    allowed = largest_tpr(rates, limit.epsilon or 0.0, limit.delta or 0.0)
    axes.fill_between(rates, allowed, 1, facecolor="none", edgecolor=svg.RULE, hatch="///", linewidth=0)
    axes.plot(rates, allowed, color=svg.SIGNAL, linewidth=1.4)


def _curve(axes: Axes, finding: Finding, **style: Any) -> None:
    """Draw one curve as steps, with no more points than can be seen, from one non-member upwards."""
    floor = 1 / max(1, finding.scored.nonmembers)
    rates = np.geomspace(floor, 1, 160)
    found = np.array([true_positive_rate(finding.roc, rate) for rate in rates])
    change = np.concatenate([[True], np.diff(found) > 0])
    change[-1] = True
    change &= found > 0
    axes.plot(rates[change], found[change], drawstyle="steps-post", **style)


SECTION = Section(__name__, "alarms", "Few false alarms", data)
