"""Every attack that was run: its AUC with its bounds, what more access adds, and what could not be run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from matplotlib.figure import Figure

from memberscan.report import ranking, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.finding_json import Finding, Gain
from memberscan.report.content.parts import NotRun
from memberscan.report.drawings import Drawing, both
from memberscan.report.interval_plot import Row, draw_intervals
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table, counted, estimate

_ROOM = 38


@dataclass(frozen=True)
class AttackResults:
    """What the section shows; no figure and no table of attacks where none was run."""

    of_a_party: bool
    within_strata: bool
    order: str
    coloured: str | None
    figure: Drawing | None
    attacks: Table | None
    gains: Table | None
    not_run: Table | None


def data(audit: AuditContent) -> AttackResults:
    """Return what the section shows."""
    return AttackResults(
        of_a_party=ranking.of_a_party(audit),
        within_strata=ranking.within_strata(audit),
        order=_order(audit),
        coloured=_coloured(audit),
        figure=draw(audit) if audit.findings else None,
        attacks=attack_table(audit) if audit.findings else None,
        gains=gain_table(audit.gains) if audit.gains else None,
        not_run=not_run_table(audit.not_run) if audit.not_run else None,
    )


def _order(audit: AuditContent) -> str:
    """Return by what the attacks are ordered."""
    if ranking.basis(audit).rule == "permutation":
        return "With so few people, attacks are ordered by their p-value, which is corrected for all attacks"
    return (
        f"The thin line ends at the lower bound that holds for all attacks together ({_level(audit)}), by "
        "which the attacks are ordered"
    )


def _coloured(audit: AuditContent) -> str | None:
    """Return which attacks are coloured; None if none is."""
    basis = ranking.basis(audit)
    if not basis.shown:
        return None
    by = "p-value is below 0.01" if basis.rule == "permutation" else "bound is above chance"
    return f"attacks whose {by}"


def _level(audit: AuditContent) -> str:
    return words.percent(audit.findings[0].auc.simultaneous.level) if audit.findings else "99%"


def draw(audit: AuditContent) -> Drawing:
    """Draw the AUC of every attack with its 95% interval and simultaneous lower bound, strongest first."""
    basis = ranking.basis(audit)
    rows = [
        Row(
            finding.attack,
            ranking.judged_auc(audit, finding),
            bound=_bound(audit, finding),
            marker="o" if finding.access == "outputs" else "s",
            strong=finding.attack in basis.shown,
        )
        for finding in ranking.ranked(audit)
    ]
    said = "; ".join(f"{r.label} {words.fraction(r.estimate.value)}" for r in rows if r.estimate)
    gap = audit.checks.gap.auc.value

    def paint(figure: Figure, narrow: bool) -> None:
        shown = [replace(row, label=_short(row.label)) for row in rows] if narrow else rows
        draw_intervals(figure.subplots(), shown, gap=gap, narrow=narrow)

    return both(
        "attacks",
        (84 + 42 * len(rows),) * 2,
        "AUC of every attack",
        f"Areas under the ROC curve, where 0.5 is chance: {said}. The error gap alone predicts "
        f"{words.fraction(gap)}. The table below holds all values.",
        paint,
    )


def _bound(audit: AuditContent, finding: Finding) -> float | None:
    """Return the lower bound that holds for all attacks together; None where p-values decide instead."""
    if ranking.basis(audit).rule == "permutation":
        return None
    return ranking.judged_auc(audit, finding).simultaneous.low


def _short(attack: str) -> str:
    """Return the name of an attack, cut in its middle where a phone has no room for it beside its value."""
    return attack if len(attack) <= _ROOM else f"{attack[: _ROOM // 2]}…{attack[-_ROOM // 2 + 1 :]}"


def attack_table(audit: AuditContent) -> Table:
    """Return all attacks with their AUC, its bounds, accuracy and p-value."""
    strata, bounds = ranking.within_strata(audit), ranking.basis(audit).rule != "permutation"
    rows = []
    for finding in ranking.ranked(audit):
        row = [Cell(finding.attack, finding.title), Cell(finding.access), estimate(finding.auc)]
        if strata:
            row.append(estimate(finding.within_strata.auc if finding.within_strata else None))
        bound = _bound(audit, finding)
        if bound is not None:
            row.append(Cell(words.at_least(bound)))
        row += [
            estimate(finding.accuracy, words.percent),
            Cell(words.p_value(finding.p_value)),
            Cell(f"{counted(finding.scored.members)}\u00a0+\u00a0{finding.scored.nonmembers:,}"),
        ]
        rows.append(row)
    caption = "Every attack that was run, strongest first. Its 95% interval is below each estimate; "
    if bounds:
        caption += (
            f"“at least” is the lower bound that holds for all attacks together with {_level(audit)} "
            "confidence. "
        )
    else:
        caption += "the p-value is corrected for all attacks together. "
    caption += "Accuracy is balanced: guessing gives 50%. Scored: members + non-members scored in some draw."
    if strata:
        caption += " Only “AUC within strata” and “at least” adjust for the difference between the sides."
    within = ("AUC within strata",) if strata else ()
    least = (f"At least ({_level(audit)})",) if bounds else ()
    columns = ("Attack", "Sees", "AUC", *within, *least, "Accuracy", "p\u2011value", "Scored")
    return Table(caption, columns, rows)


def gain_table(gains: tuple[Gain, ...]) -> Table:
    """Return what one attack gains over another."""
    rows = []
    for gain in gains:
        value, low, high = (
            words.signed(number)
            for number in (gain.difference.value, gain.difference.low, gain.difference.high)
        )
        rows.append([Cell(gain.attack), Cell(gain.over), Cell(value), Cell(f"{low} to {high}")])
    caption = "Differences in AUC on the same people. An interval that contains 0 shows no gain."
    return Table(caption, ("Attack", "Compared with", "Difference in AUC", "95% interval"), rows)


def not_run_table(rows: tuple[NotRun, ...]) -> Table:
    """Return the attacks that were not run."""
    cells = [[Cell(entry.attack), Cell(entry.reason)] for entry in rows]
    return Table("Nothing is known about what these attacks would have shown.", ("Attack", "Reason"), cells)


SECTION = Section(__name__, "attacks", "Attacks", data)
