"""Merge several audits: those of sites are joined, those of other attackers and federations are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import combinations
from typing import Any, TypeVar

from memberscan.errors import BadInputError, MisalignedError
from memberscan.report import joining, party_words, ranking, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.consortium_json import (
    CONSORTIUM_SCHEMA,
    Against,
    Comparison,
    ConsortiumContent,
    Entry,
    JoinedAudit,
    JoinedFinding,
    NotRunBy,
    Site,
)
from memberscan.report.content.federation_json import Federation, Learner, Pair, SourceInference, Victim
from memberscan.report.validation import agreeing, check

Audits = Mapping[str, AuditContent]
Named = TypeVar("Named", Learner, Victim)


@agreeing
def consortium(audits: Mapping[str, AuditContent | Mapping[str, Any]]) -> ConsortiumContent:
    """Return the content of consortium.json.

    Audits of one transcript and one attacker are treated as those of different sites, each with its own
    people as victims: pairs and victims are joined, Holm's correction runs over all pairs of all attacks, and
    pooled values are means over sites (:func:`memberscan.report.joining.mean_over_sites` says what they are
    not). All others are listed separately. An audit given twice counts once.

    No verdict is made here: each audit keeps its own.

    Parameters
    ----------
    audits
        Contents of audit.json by the name under which each is shown.

    Raises
    ------
    BadInputError
        If there is no audit.
    AuditFileError
        If one of them is incomplete, or of a schema this version does not know.
    MisalignedError
        If two audits of one transcript and attacker hold pairs of the same victim.
    """
    if not audits:
        raise BadInputError(
            "there is no audit to merge; name at least one directory that memberscan audit wrote"
        )
    groups: dict[tuple[str, ...], dict[str, AuditContent]] = {}
    for name, given in audits.items():
        audit = check(given)
        federation = audit.federation
        key = (federation.transcript, federation.attacker) if federation else ("", name)
        groups.setdefault(key, {})[name] = audit
    labels = _labels(list(groups.values()))
    entries = tuple(_entry(group, *label) for group, label in zip(groups.values(), labels, strict=True))
    everything = {name: audit for group in groups.values() for name, audit in group.items()}
    return ConsortiumContent(
        schema=CONSORTIUM_SCHEMA,
        memberscan=version("memberscan"),
        audits=tuple(_audit(name, everything[name], entry) for entry in entries for name in entry.audits),
        entries=entries,
        secure=_secure(entries),
        sites=_sites(entries),
    )


def _labels(groups: Sequence[Audits]) -> list[tuple[str, str | None]]:
    """Return the label of each entry and of its federation, with the transcript where labels would repeat."""
    firsts = [next(iter(group.items())) for group in groups]
    transcripts: dict[str, set[str]] = {}
    for _, audit in firsts:
        if audit.federation:
            transcripts.setdefault(_label(audit, audit.federation), set()).add(audit.federation.transcript)
    labels: list[tuple[str, str | None]] = []
    for name, audit in firsts:
        federation = audit.federation
        if federation is None:
            labels.append((f"{name}, {audit.target.model}, no federation", None))
            continue
        label = _label(audit, federation)
        if len(transcripts[label]) > 1:
            label += f", {federation.transcript[:6]}"
        labels.append((f"{label}: {party_words.ATTACKERS[federation.attacker]}", label))
    return labels


def _label(audit: AuditContent, federation: Federation) -> str:
    label = f"{audit.target.model}, {party_words.ENVIRONMENTS[federation.environment]}"
    return f"{label}, CKKS" if federation.secure == "ckks" else label


def _audit(name: str, audit: AuditContent, entry: Entry) -> JoinedAudit:
    return JoinedAudit(
        name=name,
        entry=entry.name,
        members=audit.target.members,
        nonmembers=audit.target.nonmembers,
        synthetic=audit.target.synthetic,
        verdict=audit.verdict.label,
        sentence=audit.verdict.sentence,
        smallest_detectable_auc=audit.verdict.smallest_detectable_auc,
        title=audit.provenance.name,
        note=audit.provenance.note,
        date=audit.provenance.date,
    )


def _entry(group: Audits, name: str, label: str | None) -> Entry:
    first = next(iter(group.values()))
    about = first.federation
    parts = _once(_own_people(group))
    held = [part.federation for part in parts.values() if part.federation]
    return Entry(
        name=name,
        federation=label,
        model=first.target.model,
        environment=about.environment if about else None,
        attacker=about.attacker if about else "outsider",
        secure=about.secure if about else "none",
        visible_to_server=about.visible_to_server if about else False,
        transcript=about.transcript if about else None,
        rounds=about.rounds if about else None,
        audits=tuple(group),
        learners=_known_first([f.learners for f in held], "age_mean"),
        findings=_findings(parts),
        not_run=tuple(
            NotRunBy(audit=site, attack=row.attack, reason=row.reason)
            for site, part in parts.items()
            for row in part.not_run
        ),
        pairs=_pairs(parts),
        victims=_known_first([f.victims for f in held], "auc"),
        by_round=joining.rows(
            (f.by_round for f in held), lambda row: (row.round, row.attack), ("auc", "accuracy")
        ),
        coverage=joining.rows((f.coverage for f in held), lambda row: (row.attack, row.coverage), ("auc",)),
        sources=_mean_sources([f.sources for f in held if f.sources]),
        left_out=joining.rows(
            (f.left_out for f in held), lambda row: (row.round, words.natural(row.learner)), ()
        ),
        together=_together(parts),
    )


def _together(parts: Audits) -> tuple[Victim, ...]:
    """Return each audit's check of all its victims together, under names that differ."""
    found = {
        name: audit.federation.together
        for name, audit in parts.items()
        if audit.federation and audit.federation.together
    }
    if len(parts) == 1:
        return tuple(found.values())
    return tuple(
        victim.model_copy(update={"name": f"{party_words.EVERYONE} of {name}"})
        for name, victim in found.items()
    )


def _once(group: Audits) -> Audits:
    """Return the audits of a group without those that repeat another, and refuse those that overlap."""
    kept: dict[str, AuditContent] = {}
    for name, audit in group.items():
        found = (audit.findings, audit.federation)
        if not any(found == (other.findings, other.federation) for other in kept.values()):
            kept[name] = audit
    victims = {
        name: {p.victim for p in party_words.judged(audit.federation.pairs)}
        for name, audit in kept.items()
        if audit.federation
    }
    for one, other in combinations(victims, 2):
        both = sorted(victims[one] & victims[other], key=words.natural)
        if both:
            raise MisalignedError(
                f"the audits {one} and {other} are of the same transcript and attacker, and both judge "
                f"people of {words.listed(both)}, with results that differ: give one of the two, or let each "
                "site audit its own people only"
            )
    return kept


def _own_people(group: Audits) -> Audits:
    """Rename the victim "all" of audits of sums to the site: there it means the site's own people."""
    if len(group) == 1:
        return group
    named = {}
    for name, audit in group.items():
        federation = audit.federation
        if federation and len(federation.learners) == 1:
            own = federation.learners[0].name
            pairs, victims = (
                tuple(
                    row.model_copy(update={key: own}) if getattr(row, key) == party_words.ALL else row
                    for row in rows
                )
                for key, rows in (("victim", federation.pairs), ("name", federation.victims))
            )
            federation = federation.model_copy(update={"pairs": pairs, "victims": victims})
        named[name] = audit.model_copy(update={"federation": federation})
    return named


def _known_first(parts: Sequence[Sequence[Named]], value: str) -> tuple[Named, ...]:
    """Return one row per name, from the site that knows ``value`` if any does."""
    together = sorted((row for part in parts for row in part), key=lambda row: getattr(row, value) is None)
    return joining.rows([together], lambda row: words.natural(row.name), ())


def _pairs(parts: Audits) -> tuple[Pair, ...]:
    """Return all pairs; of a pair that several sites list, the one that could be judged."""
    together = [pair for part in parts.values() if part.federation for pair in part.federation.pairs]
    pairs = joining.rows(
        [sorted(together, key=lambda pair: pair.auc is None)],
        lambda p: (p.attack, words.natural(p.attacker), words.natural(p.victim)),
        (),
    )
    return tuple(joining.correct(pairs)) if len(parts) > 1 else pairs


def _findings(parts: Audits) -> tuple[JoinedFinding, ...]:
    """Return one finding per attack: as one audit ranks them, or by the lower ends of their means."""
    ranked = [(audit, finding) for audit in parts.values() for finding in ranking.ranked(audit)]
    rows = []
    for attack in dict.fromkeys(finding.attack for _, finding in ranked):
        mine = [(audit, finding) for audit, finding in ranked if finding.attack == attack]
        rows.append(
            JoinedFinding(
                attack=attack,
                sites=len(mine),
                auc=joining.mean_over_sites([ranking.judged_auc(*one) for one in mine]),
                accuracy=joining.mean_over_sites([finding.accuracy for _, finding in mine]),
            )
        )
    return tuple(rows if len(parts) == 1 else sorted(rows, key=lambda row: (-row.auc.low, row.attack)))


def _mean_sources(parts: Sequence[SourceInference]) -> SourceInference | None:
    if not parts:
        return None
    blind = [part.blind for part in parts if part.blind]
    return parts[0].model_copy(
        update={
            "accuracy": joining.mean_over_sites([part.accuracy for part in parts]),
            "blind": joining.mean_over_sites(blind) if len(blind) == len(parts) else None,
        }
    )


def _secure(entries: Sequence[Entry]) -> tuple[Comparison, ...]:
    """Return what to compare: one model and environment, seen in the clear and under secure aggregation."""
    grouped: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.federation:
            grouped.setdefault((entry.model, entry.environment or ""), []).append(entry)
    comparisons = []
    for (model, _), group in grouped.items():
        hidden = [e for e in group if e.secure == "ckks" or e.attacker == "aggregate"]
        plain = [e for e in group if e.attacker in ("server", "active-server") and e.visible_to_server]
        if hidden and plain:
            names = tuple(e.name for e in (*plain, *hidden))
            comparisons.append(Comparison(model=model, environment=group[0].environment, entries=names))
    return tuple(comparisons)


def _sites(entries: Sequence[Entry]) -> tuple[Site, ...]:
    """Return, for each learner of each federation, the strongest pair of each attacker against it."""
    federations: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.federation:
            federations.setdefault(entry.federation, []).append(entry)
    return tuple(
        Site(
            name=learner.name,
            federation=federation,
            members=learner.members,
            against=tuple(_against(view, learner.name) for view in views if view.pairs),
        )
        for federation, views in federations.items()
        for learner in _known_first([view.learners for view in views], "age_mean")
    )


def _against(entry: Entry, site: str) -> Against:
    """Return what one attacker can do to one site; the victim of an attack on sums may be any site."""
    mine = [pair for pair in entry.pairs if pair.victim in (site, party_words.ALL)]
    judged = party_words.judged(mine)
    return Against(
        entry=entry.name,
        pair=party_words.strongest(mine),
        pairs=len(judged),
        shown=sum(map(party_words.shown, judged)),
        victim=next((v for v in entry.victims if v.name in (site, party_words.ALL)), None),
    )
