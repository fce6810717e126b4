"""Measures that protect people in training and at output, who enforced them, and what else there is."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.dossier.content import Alternative, Measure
from memberscan.dossier.sources import Audited, Sources
from memberscan.report import guaranteed

NOT_STATED = "not stated"


def measures_of(audits: Sequence[Audited]) -> list[Measure]:
    """Return the measures that the audits state, each once."""
    found = [
        measure for audit in audits for measure in (*_training(audit), *_output(audit), *_federation(audit))
    ]
    once: dict[tuple[str, str], Measure] = {}
    for measure in found:
        kept = once.get((measure.stage, measure.what))
        if kept is None or _says_more(measure, kept):
            once[measure.stage, measure.what] = measure
    return list(once.values())


_UNTESTED = "Not tested: no canaries, and no guarantee that attacks could contradict."


def _says_more(one: Measure, other: Measure) -> bool:
    """Return whether one audit says more of a measure than another: that it failed, or that it was tested."""
    if one.contradicted != other.contradicted:
        return one.contradicted
    return other.read_back == _UNTESTED != one.read_back


def _training(audit: Audited) -> list[Measure]:
    target = audit.content.target
    if target.defence is None:
        return []
    guarantee = target.guarantee
    return [
        Measure(
            stage="training",
            what=target.defence,
            statement=guarantee.statement if guarantee else None,
            enforced_by=guarantee.enforced_by if guarantee else NOT_STATED,
            read_back=_read_back(audit),
            contradicted=_contradicted(audit),
            source=audit.at("target.guarantee", "target.defence"),
        )
    ]


def _read_back(audit: Audited) -> str:
    """Return whether canaries or attacks contradict the guarantee."""
    content, said = audit.content, []
    if (in_words := guaranteed.in_words(content)) is not None:
        said.append(in_words[0])
    if guaranteed.beyond(content):
        said.append("An attack found more members than the guarantee allows.")
    elif guaranteed.private(content) is not None and guaranteed.compared_rates(content):
        said.append("No attack found more members than the guarantee allows, which is no proof of it.")
    return " ".join(said) or _UNTESTED


def _contradicted(audit: Audited) -> bool:
    planted = audit.content.canaries
    return bool(planted and planted.broken) or guaranteed.beyond(audit.content)


def _output(audit: Audited) -> list[Measure]:
    target = audit.content.target
    if target.answers is None:
        return []
    seen = audit.content.threat.access == "outputs"
    return [
        Measure(
            stage="output",
            what=target.answers,
            statement=None,
            enforced_by="whoever runs the service; the weights themselves are unchanged",
            read_back=(
                "The audit attacked the changed answers."
                if seen
                else "An attacker with the weights bypasses it; the audit attacked the model itself."
            ),
            contradicted=False,
            source=audit.at("target.answers"),
        )
    ]


def _federation(audit: Audited) -> list[Measure]:
    federation = audit.content.federation
    if federation is None or federation.secure == "none":
        return []
    return [
        Measure(
            stage="federation",
            what=f"encryption of updates ({federation.secure})",
            statement="The server adds ciphertexts and sees no learner's model; all learners hold the key.",
            enforced_by="the learners, who hold the key; it ends if one of them gives it to the server",
            read_back="Learners still see the global model of every round; audit them as attackers.",
            contradicted=False,
            source=audit.at("federation.secure"),
        )
    ]


def alternatives_of(sources: Sources) -> list[Alternative]:
    """Return the recipes on the frontier: no other measured one has less of both error and leakage."""
    return [
        Alternative(
            name=point.name,
            error=point.error,
            auc=point.everybody.auc,
            unit=content.variable.unit,
            enforced_by=point.guarantee.enforced_by if point.guarantee else None,
            source=given.at(f"points[{k}]"),
        )
        for given, content in sources.frontiers
        for k, point in enumerate(content.points)
        if point.on_frontier and point.error is not None and point.everybody is not None
    ]
