"""Who is exposed: the attack that the verdict rests on, among each group of people."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from memberscan.report import ranking, words
from memberscan.report.content.audit_json import AuditContent, Exposure
from memberscan.report.content.variable_json import Variable
from memberscan.report.drawings import Drawing, both
from memberscan.report.interval_plot import Row, draw_intervals
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table, counted, estimate


@dataclass(frozen=True)
class GroupExposure:
    """What the section shows; no figure where no group was large enough.

    ``within_strata`` is whether people are compared with people who are alike only, ``caution`` whether what
    is shown may come from a difference between the sides.
    """

    within_strata: bool
    caution: bool
    attack: str | None
    figure: Drawing | None
    values: Table


def data(audit: AuditContent) -> GroupExposure:
    """Return what the section shows."""
    exposure, within = audit.exposure, ranking.within_strata(audit)
    # Audits of early versions did not judge groups within strata.
    within = within and audit.verdict.basis is not None
    figure = draw(exposure, audit.target.variable) if exposure.groups else None
    caution = ranking.sides_differ(audit) and not within
    return GroupExposure(
        within, caution, exposure.attack, figure, group_table(exposure, audit.target.variable)
    )


def draw(exposure: Exposure, variable: Variable) -> Drawing:
    """Draw the AUC of the strongest attack in each group of people."""
    rows = [
        Row(
            words.group_of(g.by, g.group, variable)
            + ("" if g.members is None else f" · {words.people(g.members, 'member')}"),
            g.auc,
            note=g.reason or "",
            strong=bool(g.auc and g.auc.low > 0.5),
        )
        for g in exposure.groups
    ]
    said = "; ".join(
        f"{r.label}: {words.fraction(r.estimate.value) if r.estimate else 'not available'}" for r in rows
    )

    def paint(figure: Figure, narrow: bool) -> None:
        draw_intervals(figure.subplots(), rows, gap=None, narrow=narrow)

    return both(
        "exposure",
        (84 + 42 * len(rows),) * 2,
        "AUC by group of people",
        f"AUC of the attack {exposure.attack} by group, where 0.5 is chance. {said}.",
        paint,
    )


def group_table(exposure: Exposure, variable: Variable) -> Table:
    """Return the strongest attack by group of people."""
    rows = [
        [
            Cell(words.group_of(group.by, group.group, variable)),
            Cell(counted(group.members)),
            Cell(counted(group.nonmembers)),
            estimate(group.auc) if group.auc else Cell("n/a", group.reason or ""),
            estimate(group.accuracy, words.percent),
        ]
        for group in exposure.groups
    ]
    caption = f"The attack “{exposure.attack}” by group, with 95% intervals for each group alone."
    return Table(caption, ("Group", "Members", "Non-members", "AUC", "Accuracy"), rows)


SECTION = Section(__name__, "exposure", "Who is exposed", data)
