"""What the audits know that documentation asks for, sentence by sentence, each with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from memberscan.dossier.content import Alternative, AttackerRow, ControlRow, CoverageRow, Fact, Files, Measure
from memberscan.dossier.sources import Audited
from memberscan.report import words

Tell = Callable[[Audited], Iterator[tuple[str, tuple[str, ...]]]]


def told(audits: Sequence[Audited], *tells: Tell) -> list[Fact]:
    """Return what these functions say of every audit, each sentence once."""
    found: dict[str, Fact] = {}
    for tell in tells:
        for audit in audits:
            for text, keys in tell(audit):
                found.setdefault(text, Fact(text=text, source=audit.at(*keys)))
    return list(found.values())


def model(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell what the model is and what it predicts."""
    target = audit.content.target
    size = "" if target.parameters is None else f", {words.count(target.parameters)} parameters"
    yield f"Model {target.model}{size}.", ("target.parameters", "target.model")
    variable = target.variable
    kind = f"one of {words.listed(variable.classes)}" if variable.classes else f"a number in {variable.unit}"
    yield f"It predicts {variable.name}: {kind}.", ("target.variable", "target.model")


def people(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell how many people were trained on and compared."""
    target = audit.content.target
    yield (
        f"{words.people(target.members, 'person', 'people')} were trained on; "
        f"{words.people(target.nonmembers, 'person', 'people')} were outside; "
        f"{words.people(target.scans, 'scan')} of all of them.",
        ("target.members",),
    )
    if target.synthetic:
        yield "The scans are a synthetic phantom, and no real people.", ("target.synthetic",)
    if target.taught_on:
        yield (
            f"{words.people(target.taught_on, 'person', 'people')} held out were used to train a student.",
            ("target.taught_on",),
        )


def draw(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell how members were chosen."""
    if audit.content.target.randomised:
        yield "memberscan drew the members at random.", ("target.randomised",)
    else:
        yield "The members were not drawn at random by memberscan.", ("target.randomised",)


def ratio(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell how many parameters the model has for each person that it was trained on."""
    target = audit.content.target
    if target.parameters and target.members:
        each = target.parameters / target.members
        said = f"{each:,.0f}" if each >= 10 else f"{each:.2g}"
        yield f"{said} parameters for each person trained on.", ("target.parameters",)


def errors(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell how the model errs on people it was trained on, and on others."""
    target = audit.content.target
    inside, outside = (
        words.error_of_model(value, target.variable) for value in (target.mae_members, target.mae_nonmembers)
    )
    yield (
        f"Mean absolute error {inside} on people trained on, {outside} on others.",
        ("target.mae_nonmembers",),
    )


def groups(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell by which groups of people attacks were compared."""
    by = dict.fromkeys(group.by for group in audit.content.exposure.groups)
    if by:
        yield f"Attacks were compared by {words.listed(list(by))}.", ("exposure.groups",)


def threat(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell which attacker was assumed."""
    assumed = audit.content.threat
    had = f", with {words.people(assumed.references, 'reference model')}" if assumed.references else ""
    if assumed.checkpoints:
        had += f", with {words.people(assumed.checkpoints, 'checkpoint')} of the training"
    yield (
        f"Attacker: {assumed.attacker}, who sees {assumed.access}{had}; it knows {_known(audit)}.",
        ("threat",),
    )


def _known(audit: Audited) -> str:
    members, nonmembers = audit.content.threat.known
    if members is None:
        return f"its own people and {words.people(nonmembers, 'non-member')}"
    if not (members or nonmembers):
        return "nobody’s membership"
    return f"{words.people(members, 'member')} and {words.people(nonmembers, 'non-member')}"


def tests(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell which attacks were run, by which version, and when."""
    content = audit.content
    when = "" if content.provenance.date is None else f" on {content.provenance.date}"
    ran = f"{words.people(len(content.findings), 'attack')}{when}"
    yield (
        f"memberscan {content.provenance.memberscan} ran {ran}; {len(content.not_run)} could not be run.",
        ("findings",),
    )


def results(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell the verdict."""
    verdict = audit.content.verdict
    yield f"{words.LABELS[verdict.label]}: {verdict.sentence}", ("verdict",)


def exposed(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell how exposed single people are, and how many members can be named, from reference models."""
    found = audit.content.person_exposure
    if found is None:
        return
    if found.most_exposed.auc is not None:
        yield (
            f"The most exposed people have an AUC of {words.fraction(found.most_exposed.auc.value)}, the "
            f"mean of {found.most_exposed.people}.",
            ("person_exposure.most_exposed",),
        )
    if found.listed.share is not None:
        yield (
            f"{words.percent(found.listed.share)} of the people are exposed, with at most "
            f"{words.percent(found.listed.rate)} of these expected to be there by luck.",
            ("person_exposure.listed",),
        )
    for share in found.named.shares if found.named else ():
        if share.share is not None and found.named is not None:
            yield (
                f"{found.named.attack} names {words.percent(share.share)} of the members if "
                f"{words.percent(share.prior)} of the people asked about are members, with at most "
                f"{words.percent(found.named.rate)} of the names expected to be wrong.",
                ("person_exposure.named",),
            )


def reproduce(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell what identifies the data and the weights."""
    provenance = audit.content.provenance
    if provenance.cohort is not None:
        yield f"Cohort {provenance.cohort}.", ("provenance.cohort",)
    if provenance.weights is not None:
        yield f"Weights {provenance.weights}.", ("provenance.weights",)


def versions(audit: Audited) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tell the versions of libraries."""
    found = audit.content.provenance.versions
    if found:
        listed = [f"{name} {version}" for name, version in sorted(found.items())]
        yield f"Libraries: {words.listed(listed)}.", ("provenance.versions",)


def of_measures(measures: Iterable[Measure], *stages: str) -> list[Fact]:
    """Return the measures of some stages as facts."""
    return [
        Fact(
            text=f"{each.what}. {each.statement or 'No guarantee.'} Enforced by: {each.enforced_by}.",
            source=each.source,
        )
        for each in measures
        if each.stage in stages
    ]


def of_files(files: Files | None) -> list[Fact]:
    """Return what the inspection of the files says."""
    if files is None:
        return []
    first = Fact(text=f"Files read: {files.read}; {files.verdict}.", source=files.source)
    return [
        first,
        *(
            Fact(text=f"{each.grade}: {each.kind} ({each.file}).", source=each.source)
            for each in files.findings
        ),
    ]


def of_coverage(rows: Iterable[CoverageRow]) -> list[Fact]:
    """Return which classes of attack were run."""
    return [
        Fact(text=f"{row.name}: {row.execution}. {row.result}", source=row.sources[0])
        for row in rows
        if row.sources and row.execution == "run"
    ]


def of_attackers(rows: Iterable[AttackerRow]) -> list[Fact]:
    """Return which attackers were audited."""
    return [
        Fact(
            text=f"{row.name}: {words.LABELS[row.outcome] if row.outcome else row.state}.",
            source=row.audits[0],
        )
        for row in rows
        if row.audits
    ]


def of_controls(rows: Iterable[ControlRow]) -> list[Fact]:
    """Return the controls that were run."""
    return [
        Fact(text=f"{row.name}: {row.state}. {row.result}", source=row.source)
        for row in rows
        if row.source is not None
    ]


def of_alternatives(rows: Iterable[Alternative]) -> list[Fact]:
    """Return the recipes on the frontier."""
    return [
        Fact(
            text=f"{each.name}: error {each.error.value:.4g} {each.unit}".rstrip()
            + f", AUC {words.fraction(each.auc.value)}.",
            source=each.source,
        )
        for each in rows
    ]
