"""How the training protected people, what that guarantees, and whether attacks or canaries show otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import guaranteed, ranking, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.canaries_json import Canaries, CanaryBound
from memberscan.report.content.finding_json import Finding
from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.content.parts import Estimate
from memberscan.report.content.references_json import Quantizer
from memberscan.report.guaranteed import allowed, private
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table, estimate


@dataclass(frozen=True)
class TrainingDefence:
    """What the section shows; no table where there is no epsilon, or no rate of an attack to compare.

    ``beyond`` is whether an attack found more members than the guarantee allows, and ``compared`` how many
    rates were compared with it; ``answers`` how answers of the model are changed, and ``bypassed`` whether
    this attacker reads the model itself. ``taught_on`` is the number of people held out whose scans a student
    was trained on. ``stated`` is the epsilon with which canaries are compared, ``cannot_break`` whether they
    are too few to show more, ``only_if_independent`` whether only bounds that take canaries for
    independent do, ``gaussian`` whether some bounds assume Gaussian noise, and ``of_updates`` whether
    canaries are updates of a federation and not made-up people. ``quantizer`` is what theory says of
    quantized weights.
    """

    defence: str | None
    guarantee: Guarantee | None
    limits: Table | None
    beyond: bool
    compared: int
    of_a_party: bool
    answers: str | None
    bypassed: bool
    taught_on: int | None
    canaries: Canaries | None
    bounds: Table | None
    stated: str | None
    cannot_break: bool
    only_if_independent: bool
    gaussian: bool
    of_updates: bool
    quantizer: Quantizer | None


def data(audit: AuditContent) -> TrainingDefence | None:
    """Return what the section shows; None where nothing protected people and there are no canaries."""
    planted = audit.canaries
    if audit.target.defence is None and planted is None:
        return None
    limit, best = private(audit), ranking.strongest(audit)
    bounds = () if planted is None else planted.bounds
    compared = limit is not None and best is not None and any(rate.value is not None for rate in best.tpr)
    return TrainingDefence(
        defence=audit.target.defence,
        guarantee=audit.target.guarantee,
        limits=limits(limit, best) if compared and limit is not None and best is not None else None,
        beyond=guaranteed.beyond(audit),
        compared=guaranteed.compared_rates(audit),
        of_a_party=ranking.of_a_party(audit),
        answers=audit.target.answers,
        bypassed=audit.threat.access != "outputs",
        taught_on=audit.target.taught_on,
        canaries=planted,
        bounds=None if planted is None else canary_bounds(planted),
        stated=None if limit is None else guaranteed.limit_of(limit),
        only_if_independent=planted is not None and guaranteed.only_if_independent(planted),
        quantizer=None if audit.references is None else audit.references.quantizer,
        of_updates=any(each.scores == "updates" for each in bounds),
        gaussian=any(each.method.endswith("Gaussian") for each in bounds),
        cannot_break=limit is not None and planted is not None and not guaranteed.can_break(planted, limit),
    )


def limits(limit: Guarantee, finding: Finding) -> Table:
    """Return what the strongest attack found, beside what the guarantee allows."""
    rows = []
    for rate in sorted(finding.tpr, key=lambda rate: rate.fpr):
        if rate.value is None or rate.low is None or rate.high is None:
            continue
        found = Estimate(value=rate.value, low=rate.low, high=rate.high)
        most = Cell(words.percent(allowed(limit, rate.fpr)))
        rows.append([Cell(words.percent(rate.fpr)), most, estimate(found, words.percent)])
    caption = (
        f"Members found by {finding.attack}, the strongest attack, with 95% intervals, beside the most that "
        "any attack may find under the guarantee: e^epsilon × false alarms + delta, or less where few "
        "non-members are left."
    )
    return Table(caption, ("False alarms", "Allowed at most", "Found"), rows)


def canary_bounds(planted: Canaries) -> Table:
    """Return the lower bounds of epsilon that the canaries give."""
    caption = (
        f"Lower bounds of epsilon at delta {planted.delta:g}. Where what they assume is true, all of them "
        f"hold together with {words.percent(planted.level)} confidence."
    )
    columns = ("Seen", "Method", "Epsilon at least", "Right guesses", "Can show at most")
    return Table(caption, columns, [_row(each) for each in planted.bounds])


def _row(bound: CanaryBound) -> list[Cell]:
    right = "none" if bound.guesses is None else f"{bound.correct} of {bound.guesses}"
    return [
        Cell(bound.scores),
        Cell(bound.method),
        Cell(f"{bound.epsilon:.2f}" + (" (above the stated one)" if bound.broken else "")),
        Cell(right),
        Cell(f"{bound.ceiling:.2f}"),
    ]


SECTION = Section(__name__, "defence", "Protection in training", data)
