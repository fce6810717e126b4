"""The most exposed people, as a group, and how exposed groups are: how much training on a person shows."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from memberscan.report import words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.exposure_json import (
    ExposedGroup,
    ExposedList,
    ExposedPeople,
    Named,
    OutputLimits,
    PersonExposure,
    PowerCurve,
    RankingStability,
)
from memberscan.report.content.parts import Estimate
from memberscan.report.content.variable_json import Variable
from memberscan.report.drawings import Drawing, both
from memberscan.report.interval_plot import Row, draw_intervals
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table, counted, estimate


@dataclass(frozen=True)
class ExposureByPerson:
    """What the section shows; sentences are empty, and tables None, where nothing is known.

    ``lead`` is about the most exposed, ``names`` about who can be named, ``reliance`` about how far this can
    be relied on, and ``limits`` about what no attack on outputs exceeds.
    """

    references: int
    lead: str
    figure: Drawing | None
    values: Table | None
    distribution: Table | None
    names: list[str]
    reliance: list[str]
    limits: list[str]
    power: Table | None


def data(audit: AuditContent) -> ExposureByPerson | None:
    """Return what the section shows; None without reference models."""
    found = audit.person_exposure
    if found is None:
        return None
    smallest = audit.disclosure.smallest_cell
    return ExposureByPerson(
        references=found.references,
        lead=lead(found),
        figure=draw(found, audit.target.variable) if found.everybody.auc else None,
        values=group_table(found, audit.target.variable) if found.everybody.auc else None,
        distribution=_distribution(found, smallest),
        names=[_listed(found.listed, smallest), *([_named(found.named, smallest)] if found.named else [])],
        reliance=_reliance(found, smallest),
        limits=_limits(found.limits) if found.limits else [],
        power=power_table(found.power) if found.power else None,
    )


def lead(found: PersonExposure) -> str:
    """Return how often an attacker is right about the most exposed people, and about everybody."""
    most, everybody = found.most_exposed, found.everybody
    if most.auc is None or everybody.auc is None:
        return f"How exposed people are is not said: there are {everybody.reason}."
    of = f" of {words.count(everybody.people)} people" if everybody.people is not None else " people"
    them = f"the {words.count(most.people)} most exposed{of}"
    if most.right is None or everybody.right is None:
        return (
            f"The mean AUC of {them} is {_with_span(most.auc)}; that of everybody is "
            f"{_with_span(everybody.auc)}."
        )
    return (
        f"Asked whether a model was trained on one of {them}, an attacker with reference models answers "
        f"right {words.in_hundred(most.right.value)} (95% interval {words.span(most.right, words.percent)}). "
        f"Asked about anybody, it answers right {words.in_hundred(everybody.right.value)}. Guessing is right "
        "50 times in 100."
    )


def _with_span(found: Estimate) -> str:
    return f"{words.fraction(found.value)} (95% interval {words.span(found)})"


def draw(found: PersonExposure, variable: Variable) -> Drawing:
    """Draw the mean AUC of the most exposed, of everybody and of each group."""
    rows = [
        Row(_label(name, people), people.auc, strong=bool(people.right and people.right.low > 0.5))
        for name, people in _named_groups(found, variable)
        if people.auc is not None
    ]
    values = ((row.label, row.estimate) for row in rows)
    said = "; ".join(
        f"{name}: {words.fraction(auc.value) if auc else 'not available'}" for name, auc in values
    )

    def paint(figure: Figure, narrow: bool) -> None:
        draw_intervals(figure.subplots(), rows, gap=None, narrow=narrow)

    return both(
        "people",
        (84 + 42 * len(rows),) * 2,
        "Exposure of the most exposed people, of everybody and of groups",
        f"Mean over people of the AUC of each person, where 0.5 means not exposed at all. {said}.",
        paint,
    )


def _label(name: str, people: ExposedPeople) -> str:
    return name if people.people is None else f"{name} · {words.people(people.people, 'person', 'people')}"


def group_table(found: PersonExposure, variable: Variable) -> Table:
    """Return the values of the figure."""
    rows = [
        [
            Cell(name),
            Cell(counted(people.people)),
            estimate(people.auc) if people.auc else Cell("n/a", people.reason or ""),
            Cell("n/a" if people.tpr is None else words.percent(people.tpr)),
            estimate(people.right, words.percent),
        ]
        for name, people in _named_groups(found, variable)
    ]
    caption = (
        "Means over people, with 95% intervals over reference models. Found: share of models with the person "
        "in training that are recognised, if 1% of those without it are mistaken for them. Right: share of "
        "right answers about models that were left out; 50% is guessing."
    )
    return Table(caption, ("People", "Number", "AUC", "Found", "Right"), rows)


def _named_groups(found: PersonExposure, variable: Variable) -> list[tuple[str, ExposedPeople]]:
    groups: list[tuple[str, ExposedPeople]] = [(group_name(group, variable), group) for group in found.groups]
    return [("the most exposed", found.most_exposed), ("everybody", found.everybody), *groups]


def group_name(group: ExposedGroup, variable: Variable) -> str:
    """Return "45 to 55 years", "site: A" or "2 scans"."""
    return group.group if group.by == "scans" else words.group_of(group.by, group.group, variable)


def _distribution(found: PersonExposure, smallest: int) -> Table | None:
    if found.median is None:
        return None
    shares = []
    for k, row in enumerate(found.at_least):
        # Where less than half are above a smaller AUC, those who are not told are few, and not nearly all.
        below = [r.share for r in found.at_least[:k] if r.share is not None]
        few = f"fewer than {smallest}" if below and min(below) < 0.5 else "hidden"
        shares.append(Cell(few if row.share is None else words.percent(row.share)))
    columns = ("", *(f"{row.auc:.2f} or more" for row in found.at_least))
    caption = (
        f"Share of people by their AUC; not told where they, or all others, are fewer than {smallest}. "
        f"The median is {words.fraction(found.median)}."
    )
    return Table(caption, columns, [[Cell("People"), *shares]])


def _listed(found: ExposedList, smallest: int) -> str:
    rate = words.percent(found.rate)
    if found.share == 0:
        return (
            f"No list of exposed people can be made of whom at most {rate} are expected to be there by "
            "mistake. That takes more people who are clearly exposed, or more reference models."
        )
    share = _share(found.share, smallest, "people")
    return (
        f"{share[0].upper()}{share[1:]} are on a list of those to whom it makes a difference whether a model "
        f"was trained on them; at most {rate} of those on the list are expected to be there by mistake."
    )


def _named(found: Named, smallest: int) -> str:
    said = []
    for row in found.shares:
        asked = f"if {words.percent(row.prior)} of those it asks about are members"
        said.append(f"{_share(row.share, smallest, 'members')} {asked}")
    return (
        f"Of the {words.people(found.members, 'member')} of this model, the attack {found.attack} names "
        f"{', and '.join(said)}, with at most {words.percent(found.rate)} of its names expected to be wrong."
    )


def _share(share: float | None, smallest: int, who: str) -> str:
    """Return "12% of people", "none", or what can be said where the people, or the others, are few."""
    if share is None:
        return f"few or nearly all {who} (fewer than {smallest} on a side)"
    return "none" if share == 0 else f"all {who}" if share == 1 else f"{words.percent(share)} of {who}"


def _reliance(found: PersonExposure, smallest: int) -> list[str]:
    """Return for whom nothing is known, and how stable the ranking is, one paragraph each."""
    said = []
    if found.too_few is None or found.too_few:
        who = f"fewer than {smallest} people"
        if found.too_few is not None:
            who = words.people(found.too_few, "person", "people")
        said.append(
            f"For {who} too few reference models were trained, with them or without them. Nothing is known "
            "of how exposed they are, and they may be among the most exposed."
        )
    return [*said, _stability(found.stability)]


def _stability(found: RankingStability | None) -> str:
    if found is None:
        return (
            "Whether other reference models would give the same ranking of people is not known. It takes at "
            "least eight reference models to tell."
        )
    count, overlap = found.references, words.percent(found.overlap)
    return (
        f"Who is most exposed depends on the reference models too. Of the most exposed tenth by {count} of "
        f"them, {overlap} are among that tenth by {count} others (10% by chance; rank correlation of all "
        f"people {words.rough(found.rank_correlation)}). All reference models together rank more "
        "steadily."
    )


def _limits(found: OutputLimits) -> list[str]:
    """Return the best accuracy on outputs, and the information about pairs, one paragraph each."""
    best, attained = found.best, found.attained
    said = [
        "As a mean over people, no attack that sees only the predictions for a person’s scans is right more "
        f"often than about {words.in_hundred(best.value)} (95% interval {words.span(best, words.percent)}), "
        "if a person’s predictions vary normally from model to model. About models that were left out, "
        f"{words.in_hundred(attained.value)} were reached."
    ]
    if found.bits is not None:
        said.append(
            "Which of two people was trained on is one bit. The predictions for both say at least "
            f"{words.rough(max(found.bits.value, 0.0))} of it (95% interval "
            f"{words.span(found.bits, words.rough)}): 0 is nothing, and 1 is the whole answer."
        )
    return said


def power_table(found: PowerCurve) -> Table:
    """Return the attack's AUC by the number of references."""
    rows = [
        [Cell(str(p.references)), Cell("measured" if p.measured else "expected"), estimate(p.auc)]
        for p in found.points
    ]
    if found.limit is not None:
        rows.append([Cell("any number"), Cell("expected"), estimate(found.limit)])
    caption = (
        f"AUC of the attack {found.attack} on this model by the number of reference models, with 95% "
        "intervals over the choice of reference models."
    )
    return Table(caption, ("Reference models", "How it is known", "AUC"), rows)


SECTION = Section(__name__, "people", "The most exposed", data)
