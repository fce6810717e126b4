"""The page of a reproduction: an answer, the claims, both tables, what failed, and how it was done."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.federation.environments import ENVIRONMENTS
from memberscan.report import words
from memberscan.report.content.parts import Estimate
from memberscan.report.drawings import Drawing
from memberscan.report.pages import Link, environment, page_of
from memberscan.report.table_cells import NONE, Cell, Table, estimate
from memberscan.reproduction import paper
from memberscan.reproduction.content import CentralRow, Claim, Curve, ReproductionContent
from memberscan.reproduction.figure import draw_curves, draw_overfitting

_ENVIRONMENT = environment("memberscan.reproduction")
OUTCOMES = ("agrees", "disagrees", "cannot be judged")

_CONTENTS = (
    Link("claims", "The paper’s claims"),
    Link("central", "In one place"),
    Link("growth", "Overfitting"),
    Link("federations", "Federations"),
    Link("settings", "What was done as in the paper"),
    Link("undone", "What failed"),
    Link("procedure", "How this was measured"),
)


@dataclass(frozen=True)
class Asserted:
    """Claims of one kind: their title, what they say by name, and what was found."""

    title: str
    said: dict[str, list[str]]
    outcomes: Table


@dataclass(frozen=True)
class Shown:
    """What the templates show."""

    content: ReproductionContent
    title: str
    answer: str
    reservations: list[str]
    claims: list[Asserted]
    central: Table | None
    overfitting: Drawing | None
    lengths: Table | None
    figures: list[tuple[str, Drawing]]
    federated: Table
    settings: Table
    failed: Table | None


def render(content: ReproductionContent) -> str:
    """Return the page; the same content gives the same bytes. It needs no network and no JavaScript."""
    shown = shown_of(content)
    absent = {"undone": not shown.failed, "growth": not shown.lengths}
    contents = [link for link in _CONTENTS if not absent.get(link.anchor)]
    return page_of(
        _ENVIRONMENT,
        shown,
        "title",
        contents,
        title=f"Reproduction of {paper.TITLE}",
        version=content.memberscan,
    )


def shown_of(content: ReproductionContent) -> Shown:
    """Return what the page shows of a reproduction."""
    figures = [
        (model, drawing)
        for model in paper.MODELS
        if (drawing := draw_curves(model, [each for each in content.curves if each.model == model]))
    ]
    return Shown(
        content=content,
        title=paper.TITLE,
        answer=answer(content),
        reservations=reservations(content),
        claims=_claims(content),
        central=_central(content),
        overfitting=draw_overfitting(content.lengths),
        lengths=_lengths(content),
        figures=figures,
        federated=_federated(content),
        settings=_settings(content),
        failed=_failed(content),
    )


def answer(content: ReproductionContent) -> str:
    """Return the answer in one sentence."""
    count = {name: sum(claim.outcome == name for claim in content.claims) for name in OUTCOMES}
    return (
        f"Of {len(content.claims)} claims, each counted for every model and environment that it is about, "
        f"these figures agree with {count['agrees']} and disagree with {count['disagrees']}; "
        f"{count['cannot be judged']} cannot be judged here."
    )


def reservations(content: ReproductionContent) -> list[str]:
    """Return what the answer leaves open, one sentence each."""
    said = [
        f"The paper had {paper.PEOPLE:,} people and this cohort has {content.people:,}: models of fewer "
        "people overfit more, so that figures need not be the paper’s even where a claim is true."
    ]
    if content.length < 1:
        said.append(
            f"Trainings had {words.percent(content.length)} of the paper’s epochs and rounds. Leakage grows "
            "with training, so that a claim of more leakage is not called wrong here."
        )
    if differing := [each.name for each in content.settings if not each.same and each.name != "people"]:
        said.append(f"These settings are not the paper’s: {words.listed(differing)}.")
    once = {"members": content.draws == 1, "each federation": content.federated_draws == 1}
    if names := [name for name, alone in once.items() if alone]:
        said.append(
            f"There was one draw of {words.listed(names)}: those intervals are for other people, and not for "
            "other draws and trainings."
        )
    return said


def _claims(content: ReproductionContent) -> list[Asserted]:
    """Return the claims about training in one place, and those about federations."""
    central = [claim for claim in content.claims if claim.environment is None]
    federated = [claim for claim in content.claims if claim.environment is not None]
    parts = (("In one place", central), ("In federations", federated))
    return [Asserted(title, _said(claims), _outcomes(title, claims)) for title, claims in parts]


def _said(claims: list[Claim]) -> dict[str, list[str]]:
    """Return by name the claims in full, each once, with the figure and the rule."""
    said: dict[str, list[str]] = {}
    for claim in claims:
        mine = said.setdefault(claim.name, [])
        text = f"{claim.claim} Judged by: {claim.measure}. Agrees if {claim.rule}."
        if text not in mine:
            mine.append(text)
    return said


def _outcomes(title: str, claims: list[Claim]) -> Table:
    notes = list(dict.fromkeys(claim.reason for claim in claims if claim.reason))
    rows = [
        [
            Cell(claim.name, _about(claim)),
            Cell(claim.paper),
            estimate(claim.found, words.rough),
            Cell(claim.outcome, mark=notes.index(claim.reason) + 1 if claim.reason else 0),
        ]
        for claim in claims
    ]
    caption = f"{title}: the paper’s figures and those found here, with 95% intervals below."
    return Table(caption, ("Claim", "Paper", "Here", "Outcome"), rows, tuple(notes))


def _about(claim: Claim) -> str:
    return ", ".join(part for part in (claim.model or "both models", claim.environment) if part)


def _central(content: ReproductionContent) -> Table | None:
    """Return the centralized table: attacks down, models across; None if no model was measured."""
    by = {(row.attack, row.model): row for row in content.central}
    if not by:
        return None
    rows = [
        [Cell(attack, _access(by, attack)), *(_pair(by.get((attack, model))) for model in paper.MODELS)]
        for attack in paper.ATTACKS
    ]
    caption = (
        "Balanced accuracy of the paper’s eight attacks, with its 95% interval below. Half of the people on "
        "each side are known to the attacker; the others are scored."
    )
    return Table(caption, ("Attack", *paper.MODELS), rows)


def _access(by: dict[tuple[str, str], CentralRow], attack: str) -> str:
    return next((f"sees {by[attack, m].access}" for m in paper.MODELS if (attack, m) in by), "")


def _pair(row: CentralRow | None) -> Cell:
    return estimate(row.accuracy, words.rough) if row else NONE


def _lengths(content: ReproductionContent) -> Table | None:
    rows = [
        [
            Cell(f"{each.model}, {words.people(each.epochs, 'epoch')}"),
            Cell(f"{each.error_members:.1f}"),
            Cell(f"{each.error_nonmembers:.1f}"),
            estimate(each.accuracy, words.rough),
        ]
        for each in content.lengths
    ]
    caption = "The same draws of members, trained for longer and longer; the last epoch is kept."
    columns = ("Training", "Error on members (years)", "Error on non-members (years)", "Accuracy")
    return Table(caption, columns, rows) if rows else None


def _federated(content: ReproductionContent) -> Table:
    rows = []
    for model in paper.MODELS:
        for name in ENVIRONMENTS:
            curve = next((c for c in content.curves if (c.model, c.environment) == (model, name)), None)
            rows.append([Cell(f"{model}, {name}", (curve.failed or "") if curve else ""), *_course(curve)])
    caption = (
        "Accuracy of the attack on prediction and label after the first and the last round, and of the "
        "white-box attack after the last, pooled over all pairs of learners with ten or more people a side."
    )
    columns = ("Federation", "First round", "Last round", "White-box", "Told without the model")
    return Table(caption, columns, rows)


def _course(curve: Curve | None) -> list[Cell]:
    if curve is None or not curve.rounds:
        return [NONE] * 4
    ends: list[Estimate] = [curve.rounds[0].accuracy, curve.rounds[-1].accuracy]
    told = Cell(words.people(curve.told_blind, "learner") if curve.told_blind else "none")
    return [*(estimate(end, words.rough) for end in ends), estimate(curve.white_box, words.rough), told]


def _settings(content: ReproductionContent) -> Table:
    rows = [
        [Cell(each.name), Cell(each.paper), Cell(each.here, "" if each.same else "differs")]
        for each in content.settings
    ]
    return Table("Settings of the paper, and here.", ("Setting", "Paper", "Here"), rows)


def _failed(content: ReproductionContent) -> Table | None:
    rows = [[Cell(each.what), Cell(each.reason)] for each in content.failed]
    caption = "These models were not measured; nothing is known of their leakage."
    return Table(caption, ("Model", "Reason"), rows) if rows else None
