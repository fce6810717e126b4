"""The page of a comparison: an answer, both audits, differences of attacks, and what they do not show."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from memberscan.comparison.content import AttackDifference, ComparedAudit, ComparisonContent
from memberscan.report import words
from memberscan.report.content.parts import Estimate
from memberscan.report.drawings import Drawing, both
from memberscan.report.interval_plot import Row, draw_intervals
from memberscan.report.pages import Link, environment, page_of
from memberscan.report.table_cells import NONE, Cell, Table, estimate

_ENVIRONMENT = environment("memberscan.comparison")
_CONTENTS = (
    Link("audits", "The two audits"),
    Link("differences", "Differences"),
    Link("compared", "How they were compared"),
)
_HEIGHT = 150


@dataclass(frozen=True)
class Shown:
    """What the templates show."""

    content: ComparisonContent
    audits: Table
    errors: Table
    figure: Drawing | None
    attacks: Table | None
    rates: Table | None


def render(content: ComparisonContent) -> str:
    """Return the page; the same content gives the same bytes. It needs no network and no JavaScript."""
    shown = Shown(
        content=content,
        audits=_audits(content),
        errors=_errors(content),
        figure=_draw(content.strongest, content) if content.strongest else None,
        attacks=_attacks(content),
        rates=_rates(content),
    )
    title = f"{content.first.name} and {content.second.name} compared"
    return page_of(_ENVIRONMENT, shown, "header", _CONTENTS, title=title, version=content.memberscan)


def _audits(content: ComparisonContent) -> Table:
    rows = [
        [
            Cell(audit.name, f"model {audit.model}"),
            Cell(words.LABELS[audit.verdict], f"could see an AUC of {_detectable(audit)}"),
            Cell(audit.strongest or "none ran"),
            Cell(audit.defence or "none", _enforced(audit)),
            Cell(f"{audit.members:,}\u00a0+\u00a0{audit.nonmembers:,}", _references(audit)),
        ]
        for audit in (content.first, content.second)
    ]
    columns = ("Audit", "Verdict", "Strongest attack", "Defence", "Members + others")
    return Table("Each audit keeps its own verdict; a comparison has none.", columns, rows)


def _detectable(audit: ComparedAudit) -> str:
    return words.detectable(audit.smallest_detectable_auc)


def _enforced(audit: ComparedAudit) -> str:
    return f"enforced by {audit.guarantee.enforced_by}" if audit.guarantee else ""


def _references(audit: ComparedAudit) -> str:
    return words.people(audit.references, "reference model") if audit.references else "no reference models"


def _difference(found: Estimate | None) -> Cell:
    return estimate(found, words.signed)


def _points(difference: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{100 * difference:+.0f}".replace("-", "−")


def _attacks(content: ComparisonContent) -> Table | None:
    if not content.attacks:
        return None
    rows = [
        [
            Cell(row.attack_first),
            estimate(row.first),
            estimate(row.second),
            _difference(row.difference),
            Cell("yes" if row.shown else "no"),
        ]
        for row in content.attacks
    ]
    caption = (
        f"AUC of every attack that ran in both, with 95% intervals; {content.second.name} minus "
        f"{content.first.name}. Of many attacks, some differ by luck."
    )
    columns = ("Attack", content.first.name, content.second.name, "Difference", "Leaves out zero")
    return Table(caption, columns, rows)


def _rates(content: ComparisonContent) -> Table | None:
    rows = [
        [
            Cell(words.percent(row.fpr)),
            estimate(row.first, words.percent) if row.first else NONE,
            estimate(row.second, words.percent) if row.second else NONE,
            estimate(row.difference, _points) if row.difference else NONE,
        ]
        for row in content.rates
    ]
    caption = (
        "Members found by the strongest attack of each audit if so many non-members may be named by mistake. "
        "Differences are percentage points and never paired here; n/a where too few non-members were scored."
    )
    columns = ("False alarms", content.first.name, content.second.name, "Difference")
    return Table(caption, columns, rows) if rows else None


def _errors(content: ComparisonContent) -> Table:
    variable = content.variable
    rows = [
        [
            Cell(row.side),
            Cell(words.error_of_model(row.first, variable)),
            Cell(words.error_of_model(row.second, variable)),
            Cell(f"{row.difference:+.2g}".replace("-", "−")),
        ]
        for row in content.errors
    ]
    caption = "Mean errors of the models; audits keep no intervals of them."
    return Table(caption, ("On", content.first.name, content.second.name, "Difference"), rows)


def _draw(found: AttackDifference, content: ComparisonContent) -> Drawing:
    rows = [
        Row(f"{name}: {attack}", auc, strong=True)
        for name, attack, auc in (
            (content.first.name, found.attack_first, found.first),
            (content.second.name, found.attack_second, found.second),
        )
    ]

    def paint(figure: Figure, narrow: bool) -> None:
        draw_intervals(figure.subplots(), rows, gap=None, narrow=narrow)

    said = "; ".join(f"{row.label}, AUC {words.fraction(row.estimate.value)}" for row in rows if row.estimate)
    return both("strongest", (_HEIGHT, _HEIGHT), "The strongest attack of each audit", f"{said}.", paint)
