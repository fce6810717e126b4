"""Compare two audits: the second minus the first, person by person where it is known who is who."""

from __future__ import annotations

from memberscan import __version__
from memberscan.comparison.content import (
    COMPARISON_SCHEMA,
    AttackDifference,
    ComparedAudit,
    ComparisonContent,
    ErrorDifference,
    RateDifference,
)
from memberscan.comparison.people import OpenedAudit, PairedPeople, pair
from memberscan.evidence.differences import difference_of_independent
from memberscan.evidence.intervals import Interval
from memberscan.evidence.rounding import rounded
from memberscan.files import sha256_of
from memberscan.report import AuditContent, ranking, words
from memberscan.report.content.finding_json import Finding, Rate
from memberscan.report.content.parts import Estimate
from memberscan.report.disclosure import published_interval
from memberscan.report.validation import agreeing

_OF_PAIRS = (
    "Of an attack that learns from known people, the AUC is that of each person's mean score over draws, "
    "which can differ a little from the audit's own."
)
_OF_INTERVALS = (
    "Intervals of differences take the audits for independent. If they are of the same people, these are too "
    "wide rather than too narrow."
)
_ALWAYS = (
    "Intervals are 95%, each on its own: of many attacks, some differ by luck. The answer rests on the "
    "strongest attack of each audit alone.",
    "The strongest attack of each audit was chosen on the same people on whom it is compared.",
    "Intervals are for other people like these, given both trained models. Training again may change either; "
    "memberscan frontier compares recipes over several trainings.",
)


@agreeing
def compare_opened(first: OpenedAudit, second: OpenedAudit) -> ComparisonContent:
    """Return the content of comparison.json; the same audits give the same content.

    Raises
    ------
    AuditFileError
        If values of an audit contradict each other.
    """
    people = pair(first, second)
    paired = isinstance(people, PairedPeople)
    one, other = first.content, second.content
    best = ranking.strongest(one), ranking.strongest(other)
    strongest = _difference(first, second, people, best[0], best[1]) if best[0] and best[1] else None
    return ComparisonContent(
        schema=COMPARISON_SCHEMA,
        memberscan=__version__,
        attacker=one.threat.attacker,
        access=one.threat.access,
        variable=one.target.variable,
        first=_side(first),
        second=_side(second),
        paired=paired,
        pairing=_paired(people) if isinstance(people, PairedPeople) else people,
        people=people.shared if isinstance(people, PairedPeople) else None,
        answer=answer(first, second, strongest),
        strongest=strongest,
        attacks=tuple(_common(first, second, people)),
        rates=tuple(_rates(best[0], best[1])),
        errors=tuple(_errors(one, other)),
        caveats=tuple(_caveats(first, second, people)),
    )


def _side(audit: OpenedAudit) -> ComparedAudit:
    target, verdict = audit.content.target, audit.content.verdict
    return ComparedAudit(
        name=audit.name,
        sha256=sha256_of(audit.data),
        model=target.model,
        synthetic=target.synthetic,
        defence=target.defence,
        guarantee=target.guarantee,
        members=target.members,
        nonmembers=target.nonmembers,
        references=audit.content.threat.references or 0,
        verdict=verdict.label,
        sentence=verdict.sentence,
        smallest_detectable_auc=verdict.smallest_detectable_auc,
        strongest=ranking.basis(audit.content).attack,
        mae_members=target.mae_members,
        mae_nonmembers=target.mae_nonmembers,
    )


def _paired(people: PairedPeople) -> str:
    alone = len(people.first) - people.shared
    more = f"; {words.people(alone, 'person', 'people')} of one audit alone count there only" if alone else ""
    return f"Paired: {words.people(people.shared, 'person', 'people')} are in both audits{more}."


def _difference(
    first: OpenedAudit, second: OpenedAudit, people: PairedPeople | str, one: Finding, other: Finding
) -> AttackDifference:
    """Return an attack of each audit with the difference of their AUCs, paired where that is possible."""
    if isinstance(people, PairedPeople):
        before, after = people.aucs(one.attack, other.attack)
        estimates = (
            published_interval(before.interval(), side=0.5),
            published_interval(after.interval(), side=0.5),
        )
        found = (after - before).interval()
    else:
        estimates = _plain(first.content, one), _plain(second.content, other)
        found = difference_of_independent(_interval(estimates[1]), _interval(estimates[0]))
    difference = published_interval(found, side=0)
    return AttackDifference(
        attack_first=one.attack,
        attack_second=other.attack,
        first=estimates[0],
        second=estimates[1],
        difference=difference,
        shown=difference.low > 0 or difference.high < 0,
    )


def _plain(audit: AuditContent, finding: Finding) -> Estimate:
    auc = ranking.judged_auc(audit, finding)
    return Estimate(value=auc.value, low=auc.low, high=auc.high)


def _interval(found: Estimate) -> Interval:
    return Interval(found.value, found.low, found.high)


def _common(first: OpenedAudit, second: OpenedAudit, people: PairedPeople | str) -> list[AttackDifference]:
    """Return the attacks that ran in both audits, in the order of the first."""
    there = {finding.attack: finding for finding in second.content.findings}
    return [
        _difference(first, second, people, finding, there[finding.attack])
        for finding in ranking.ranked(first.content)
        if finding.attack in there
    ]


def _rates(one: Finding | None, other: Finding | None) -> list[RateDifference]:
    if one is None or other is None:
        return []
    there = {rate.fpr: rate for rate in other.tpr}
    rows = []
    for rate in sorted(one.tpr, key=lambda rate: -rate.fpr):
        if rate.fpr not in there:
            continue
        before, after = _rate(rate), _rate(there[rate.fpr])
        difference = None
        if before is not None and after is not None:
            difference = published_interval(
                difference_of_independent(_interval(after), _interval(before)), side=0
            )
        rows.append(RateDifference(fpr=rate.fpr, first=before, second=after, difference=difference))
    return rows


def _rate(rate: Rate) -> Estimate | None:
    if rate.value is None or rate.low is None or rate.high is None:
        return None
    return Estimate(value=rate.value, low=rate.low, high=rate.high)


def _errors(one: AuditContent, other: AuditContent) -> list[ErrorDifference]:
    step = one.target.variable.step
    sides = (
        ("members", one.target.mae_members, other.target.mae_members),
        ("non-members", one.target.mae_nonmembers, other.target.mae_nonmembers),
    )
    return [
        ErrorDifference.model_validate(
            {
                "side": side,
                "first": before,
                "second": after,
                "difference": rounded(after - before, min(step, 0.1)),
            }
        )
        for side, before, after in sides
    ]


def answer(first: OpenedAudit, second: OpenedAudit, found: AttackDifference | None) -> str:
    """Return in a sentence whether the second audit's strongest attack finds less than the first's."""
    if found is None:
        return "They cannot be compared: no attack ran in one of the audits."
    size = f"{words.signed(found.difference.value)} ({words.span(found.difference, words.signed)})"
    compared = f"the AUC of the strongest attack differs by {size}"
    one, other = (f"“{audit.name}”" for audit in (first, second))
    verdicts = first.content.verdict.label, second.content.verdict.label
    if "confounded" in verdicts:
        which = one if verdicts[0] == "confounded" else other
        return (
            f"There is no answer: {compared}, but {which} is confounded, and its attacks may have found "
            "another difference between members and non-members than the model."
        )
    if not found.shown:
        said = f"No difference between {one} and {other} is shown: {compared}."
        if verdicts[0] != verdicts[1]:
            said += (
                f" Their verdicts differ ({verdicts[0]}; {verdicts[1]}), which alone shows no difference: "
                "one audit may just see more than the other."
            )
        return said
    less = found.difference.high < 0
    said = f"{other} gives away {'less' if less else 'more'} than {one}: {compared}."
    lower, label = (other, verdicts[1]) if less else (one, verdicts[0])
    return said + {
        "leaks": f" {lower} still leaks.",
        "no leak shown": f" No leak of {lower} is shown, which is no proof that there is none.",
    }.get(label, "")


def _caveats(first: OpenedAudit, second: OpenedAudit, people: PairedPeople | str) -> list[str]:
    """Return what is not the same in both audits, and what the comparison cannot show."""
    labels = {each.content.verdict.label: each.name for each in (second, first)}
    doubtful = [
        f"“{labels[label]}” is {label}, so that its AUCs may say nothing of its model."
        for label in ("confounded", "inconclusive")
        if label in labels
    ]
    of_pairs = _OF_PAIRS if isinstance(people, PairedPeople) else _OF_INTERVALS
    return [*_not_the_same(first.content, second.content), *doubtful, of_pairs, *_ALWAYS]


def _not_the_same(one: AuditContent, other: AuditContent) -> list[str]:
    said = []
    if one.provenance.cohort != other.provenance.cohort:
        said.append("The audits are of different data, or it is not known whether they are of the same.")
    if one.threat.references != other.threat.references:
        counts = f"{one.threat.references or 0} and {other.threat.references or 0}"
        said.append(f"The attackers trained different numbers of reference models: {counts}.")
    if one.threat.checkpoints != other.threat.checkpoints:
        counts = f"{one.threat.checkpoints or 0} and {other.threat.checkpoints or 0}"
        said.append(f"The attackers have different numbers of checkpoints: {counts}.")
    if one.threat.known != other.threat.known:
        said.append("The attackers know different numbers of people.")
    if one.target.answers != other.target.answers:
        said.append("The service changes its answers in one of them, or in different ways.")
    return said
