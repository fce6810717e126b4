"""The page of a frontier: an answer, a figure, tables, what failed, and how it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.defences import teaches
from memberscan.frontier.content import Dominating, FrontierContent, FrontierPoint, Leakage
from memberscan.frontier.figure import draw
from memberscan.frontier.points import EARLY_STOPPING, UNDEFENDED
from memberscan.report import words
from memberscan.report.content.parts import Estimate
from memberscan.report.drawings import Drawing
from memberscan.report.pages import Link, environment, page_of
from memberscan.report.table_cells import NONE, Cell, Table, estimate

_ENVIRONMENT = environment("memberscan.frontier")

_PARTIES = {"learner": "another learner", "server": "the server"}
_CONTENTS = (
    Link("frontier", "The frontier"),
    Link("changes", "What each point changes"),
    Link("exposed", "The most exposed tenth"),
    Link("failed", "What failed"),
    Link("method", "How this was measured"),
)


@dataclass(frozen=True)
class Shown:
    """What the templates show."""

    content: FrontierContent
    party: str
    others: list[tuple[str, str]]
    answer: str
    reservations: list[str]
    figure: Drawing | None
    points: Table
    changes: Table | None
    exposed: Table | None
    nobody: str
    guarantees: Table | None
    failed: Table | None


def render(content: FrontierContent) -> str:
    """Return the page; the same content gives the same bytes. It needs no network and no JavaScript."""
    shown = shown_of(content)
    there = {
        "frontier": True,
        "changes": shown.changes,
        # Only references say who is exposed, and parties of federations have none here.
        "exposed": content.federation is None,
        "failed": shown.failed,
        "method": True,
    }
    contents = [link for link in _CONTENTS if there[link.anchor]]
    return page_of(
        _ENVIRONMENT,
        shown,
        "header",
        contents,
        title=f"Error against leakage of {content.model}{f', attacked by {shown.party}' * bool(shown.party)}",
        version=content.memberscan,
    )


def shown_of(content: FrontierContent) -> Shown:
    """Return what the page shows of a frontier."""
    numbers = {point.name: k + 1 for k, point in enumerate(content.points)}
    measured = [point for point in content.points if point.everybody is not None]
    parties = content.federation.parties if content.federation else ()
    return Shown(
        content=content,
        party=_PARTIES[content.attacker] if content.federation else "",
        others=[(name, _PARTIES[name]) for name in parties if name != content.attacker],
        answer=answer(content),
        reservations=reservations(content),
        figure=draw(content, numbers) if measured else None,
        points=_points(content, numbers),
        changes=_changes(content, numbers),
        exposed=_exposed(measured, numbers),
        nobody=next(
            (p.most_exposed_reason for p in measured if p.most_exposed_reason), "no point was measured"
        ),
        guarantees=_guarantees(measured, numbers),
        failed=_failed(content, numbers),
    )


def answer(content: FrontierContent) -> str:
    """Return the answer in one sentence."""
    measured = [point for point in content.points if point.everybody is not None]
    if not measured:
        return "No point could be measured."
    best = [point.name for point in measured if point.on_frontier]
    total = words.people(len(measured), "point")
    verb = "is" if len(best) == 1 else "are"
    return f"Of {total}, {len(best)} {verb} on the frontier in these estimates: {words.listed(best)}."


def reservations(content: FrontierContent) -> list[str]:
    """Return what the answer leaves open, one sentence each."""
    defended = [p for p in content.points if p.everybody and p.family not in (UNDEFENDED, EARLY_STOPPING)]
    said = []
    if not any(p.family == EARLY_STOPPING and p.everybody for p in content.points):
        said.append("No early stopping was measured, so that no defence was compared with it.")
    elif defended:
        early = [p for p in defended if _by(p, EARLY_STOPPING)]
        certain = sum(any(d.certain for d in _by(p, EARLY_STOPPING)) for p in early)
        said.append(
            f"Early stopping has no more error and no more leakage than {len(early)} of the {len(defended)} "
            f"recipes with a defence or other settings; for {certain or 'none'} of them this is certain by "
            "the intervals of the paired differences."
        )
    at_chance = [p.name for p in content.points if p.everybody and p.everybody.auc.low <= 0.5]
    if at_chance:
        said.append(
            f"The interval of {words.listed(at_chance)} includes chance. That is not evidence of no leakage: "
            f"with {content.members + content.nonmembers} people, a leak inside the interval cannot be seen."
        )
    if students := [p.name for p in content.points if p.everybody and teaches(p.defence)]:
        said.append(
            f"{words.listed(students)}: these models were trained on the scans of the "
            f"{words.people(content.validation, 'person', 'people')} held out. What gives these people away "
            "is not part of the leakage here."
        )
    return said


def _by(point: FrontierPoint, family: str) -> list[Dominating]:
    return [each for each in point.dominated_by if each.family == family]


def _named(point: FrontierPoint, numbers: dict[str, int], note: str = "") -> Cell:
    return Cell(f"{numbers[point.name]}\u00a0 {point.name}", note)


def _error(found: Estimate | None, content: FrontierContent) -> Cell:
    return estimate(found, lambda value: words.amount(value, content.variable))


def _rate(found: Leakage | None, place: int) -> Cell:
    rate = found.rates[place] if found else None
    if rate is None or rate.value is None or rate.low is None or rate.high is None:
        return NONE
    return estimate(Estimate(value=rate.value, low=rate.low, high=rate.high), words.percent)


def _points(content: FrontierContent, numbers: dict[str, int]) -> Table:
    rows = []
    for point in content.points:
        if point.everybody is None:
            rows.append([_named(point, numbers, "failed"), *[NONE] * 5])
            continue
        rows.append(
            [
                _named(point, numbers, "on the frontier" if point.on_frontier else ""),
                _error(point.error, content),
                estimate(point.everybody.auc),
                *(_rate(point.everybody, k) for k in range(len(point.everybody.rates))),
                Cell(_beaten(point)),
            ]
        )
    unit = content.variable.unit or "deviance residual"
    caption = (
        "Every point, with its 95% interval below each estimate. TPR: the share of members found if 5% or 1% "
        "of the non-members may be named by mistake; n/a where too few non-members were scored."
    )
    columns = ("Point", f"Error ({unit})", "AUC", "TPR at 5%", "TPR at 1%", "Dominated by")
    return Table(caption, columns, rows)


def _beaten(point: FrontierPoint) -> str:
    if not point.dominated_by:
        return "none of the lines to beat"
    return "; ".join(f"{d.point} ({'certain' if d.certain else 'in estimates'})" for d in point.dominated_by)


def _changes(content: FrontierContent, numbers: dict[str, int]) -> Table | None:
    rows = []
    for point in content.points:
        if point.change is not None:
            error, auc = point.change.error_difference, point.change.auc_difference
            rows.append([_named(point, numbers), _difference(error, 2), _difference(auc, 3)])
    caption = (
        "Each point minus the undefended model, on the same people and seeds. An interval that contains 0 "
        "shows no change."
    )
    columns = ("Point", f"Error ({content.variable.unit or 'deviance residual'})", "AUC")
    return Table(caption, columns, rows) if rows else None


def _difference(found: Estimate, decimals: int) -> Cell:
    def signed(value: float) -> str:
        return f"{value:+.{decimals}f}".replace("-", "−")

    return estimate(found, signed)


def _exposed(measured: list[FrontierPoint], numbers: dict[str, int]) -> Table | None:
    """Return the leakage of the most exposed tenth beside that of everybody; None if it is not known."""
    if not any(point.most_exposed for point in measured):
        return None
    rows = []
    for point in measured:
        assert point.everybody is not None
        hidden = Cell("n/a", point.most_exposed_reason or "")
        rows.append(
            [
                _named(point, numbers),
                estimate(point.most_exposed.auc) if point.most_exposed else hidden,
                estimate(point.everybody.auc),
                _rate(point.most_exposed, 0),
                _rate(point.everybody, 0),
            ]
        )
    caption = "Leakage among the most exposed tenth, beside that of all people; 95% intervals below."
    columns = ("Point", "AUC, most exposed", "AUC, all", "TPR at 5%, most exposed", "TPR at 5%, all")
    return Table(caption, columns, rows)


def _guarantees(measured: list[FrontierPoint], numbers: dict[str, int]) -> Table | None:
    rows = [
        [_named(point, numbers), Cell(point.guarantee.statement), Cell(point.guarantee.enforced_by)]
        for point in measured
        if point.guarantee is not None
    ]
    caption = "What defences guarantee by themselves, and who must be trusted for it."
    return Table(caption, ("Point", "Guarantee", "Enforced by"), rows) if rows else None


def _failed(content: FrontierContent, numbers: dict[str, int]) -> Table | None:
    rows = [[_named(point, numbers), Cell(point.failed)] for point in content.points if point.failed]
    caption = "These points were not measured; nothing is known of their error or leakage."
    return Table(caption, ("Point", "Reason"), rows) if rows else None
