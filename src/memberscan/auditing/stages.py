"""The audit: from a run or a file of predictions to a result. It only runs the stages in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memberscan.attacks import Attack, attacks_on, named
from memberscan.attacks.attempt import attempt, observe, one_thread
from memberscan.attacks.identity import identity
from memberscan.auditing import canary_results, facts, federation_results, selection
from memberscan.auditing.computing import computing
from memberscan.auditing.heading import Heading
from memberscan.auditing.reference_results import compare_with_references
from memberscan.auditing.result import DONE, AuditResult
from memberscan.auditing.scratch import scratch
from memberscan.auditing.tables import SALT, matched_table, scores_table
from memberscan.auditing.weighing import check_covariates, weigh
from memberscan.cohort.target_column import asked_target
from memberscan.errors import BadInputError, TooFewSubjectsError
from memberscan.evidence.blind import Blind
from memberscan.evidence.pairs import placements
from memberscan.evidence.scores import Scores
from memberscan.files import fingerprint
from memberscan.limits import FEWEST_PER_SIDE
from memberscan.output_directory import claim
from memberscan.report.disclosure import require_cell
from memberscan.report.outcome import SMALLEST_CELL, Outcome
from memberscan.report.publication import publish
from memberscan.salts import get_or_create, keyed
from memberscan.signals import PREDICTION, made_of, see
from memberscan.targets import PredictionsFrom, Target, open_target
from memberscan.targets.plausible import require_plausible
from memberscan.threat import ThreatModel


def audit(
    source: Path | str,
    directory: Path | str | None = None,
    *,
    threat: ThreatModel | None = None,
    attacks: Sequence[str | Attack] = (),
    cohort: Path | str | None = None,
    model: str | None = None,
    pseudonyms: bool = False,
    smallest_cell: int = SMALLEST_CELL,
    device: str = "auto",
    seed: int = 0,
    predictions_from: PredictionsFrom | None = None,
    references: Path | str | None = None,
    checkpoints: Path | str | None = None,
    target: str | None = None,
    unit: str | None = None,
    classes: Sequence[str] = (),
    name: str | None = None,
    note: str | None = None,
) -> AuditResult:
    """Audit a model: can its members be told from its non-members?

    Parameters
    ----------
    source
        A run directory, or a TSV or CSV of predictions (columns subject_id, age, prediction, member; or of
        another target, see below, with p_CLASS of each class in place of prediction).
    directory
        Where the result is kept; an unfinished audit there is resumed, a finished one returned as it is, or
        under the new name and note where these differ.
        Without one nothing is kept until :meth:`AuditResult.save`, and there are no pseudonyms.
    threat
        Who attacks, and what it has; by default an outsider with the outputs, and half of the smaller side
        known.
    attacks
        Names of attacks, or your own attacks; by default all that this attacker could try.
    cohort
        The run's cohort, where it was moved.
    model
        ``package.module:factory`` of a run whose network is not from memberscan. It must be the one that
        the run names; the code runs only because it is named here.
    pseudonyms
        Whether ``scores.tsv`` names subjects, by salted pseudonyms whose key is kept beside it.
    smallest_cell
        Fewest people on each side of a group that is reported, at least 5: smaller ones are joined
        or hidden.
    device
        What a run's model is computed on: auto, cpu or cuda. A finished audit is returned whatever it says.
    seed
        Root seed of every draw; not negative.
    predictions_from
        How the predictions of a file were made: ``"one-pass"`` if by the final model in evaluation mode, in
        one pass over the unaugmented scans of both sides; by default ``"unknown"``, which the verdict names.
    references
        Directory of reference models that the attacker trained: see :func:`memberscan.train_references`.
    checkpoints
        Folder of models that were kept in training, where the attacker has them beside the weights; files are
        taken in the order of the numbers in their names.
    target, unit, classes
        What the model of a predictions file predicts, if not age: its column, and the unit of a number or,
        if they are not all in the column, the names of classes. A run records it.
    name, note
        Shown at the head of the report: at most 100 and 1,000 characters. Name no people there.

    Raises
    ------
    MemberscanError
        One of its kinds, saying what to do: see :mod:`memberscan.errors`.
    """
    heading = Heading.of(name, note)
    threat, source = threat or ThreatModel(), Path(source)
    given = _named(attacks)
    _require_sense(given, seed, pseudonyms=pseudonyms, kept=directory is not None)
    audited = open_target(
        source,
        threat,
        cohort=Path(cohort) if cohort else None,
        model=model,
        seed=seed,
        predictions_from=predictions_from,
        references=None if references is None else Path(references),
        checkpoints=None if checkpoints is None else Path(checkpoints),
        asked=asked_target(target, unit, classes),
    )
    chosen = given or attacks_on(audited)
    require_cell(smallest_cell)
    _require_both_sides(audited, smallest_cell)
    origin = source.resolve().name
    directory = None if directory is None else Path(directory)
    run = getattr(audited, "run", None)
    request = {
        "command": "audit",
        "memberscan": version("memberscan"),
        **audited.provenance(),
        # Weights do not say what the outputs mean.
        **({} if run is None else run.spec.reading),
        **({} if audited.variable.is_age else {"target": asdict(audited.variable)}),
        **canary_results.in_request(audited),
        **({} if run is None else facts.stated_of_training(run)),
        "predictions_from": audited.predictions_from,
        "references": None if audited.references is None else audited.references.fingerprint,
        **({} if audited.checkpoints is None else {"checkpoints": audited.checkpoints.fingerprint}),
        "threat": asdict(threat),
        "attacks": [attack.name for attack in chosen],
        "attack_code": {attack.name: fingerprint(identity(attack)) for attack in chosen},
        "signals": made_of(audited, [signal for attack in chosen for signal in attack.reads]),
        "pseudonyms": pseudonyms,
        "smallest_cell": smallest_cell,
        "seed": seed,
        **asdict(heading),
    }
    with _place_of(directory, request) as (place, finished):
        if finished:
            return _finished(place, heading)
        if directory is not None:
            heading = heading.since(directory)
        work = _work(audited, chosen, place, origin, heading, smallest_cell, device)
        if directory is not None and (digest := request["predictions"]):
            outcome = facts.with_digest(work.outcome, keyed(get_or_create(directory / SALT), digest))
            work = replace(work, outcome=outcome)
        result = _result(audited, work, directory if pseudonyms else None)
        if directory is not None:
            result.save(directory)
    return result


@contextlib.contextmanager
def _place_of(directory: Path | None, request: dict[str, Any]) -> Iterator[tuple[Path, bool]]:
    """Yield where an audit is carried out, and whether it is already finished there."""
    if directory is None:
        with scratch() as temporary:
            yield temporary, False
    else:
        with claim(directory, request, done=DONE) as finished:
            yield directory, finished


def _finished(directory: Path, heading: Heading) -> AuditResult:
    """Return a finished audit; write its head and its page again if it has another name or note."""
    result = AuditResult.load(directory)
    # A finished directory may be read-only, so nothing is written without need.
    if heading.replaces(result.content["provenance"]):
        result = result.renamed(heading.name, heading.note)
        result.write(directory)
        result.render(directory)
    return result


def measure(
    source: Path,
    directory: Path,
    *,
    threat: ThreatModel,
    attacks: Sequence[str] = (),
    seed: int = 0,
    checkpoints: Path | None = None,
) -> Outcome:
    """Return the unrounded outcome of an audit of a run, for studies of synthetic people.

    Only signals are written. Results about real people are published by :func:`audit`.
    """
    work = attack_run(source, directory, threat=threat, attacks=attacks, seed=seed, checkpoints=checkpoints)
    return work.outcome


def attack_run(
    source: Path,
    directory: Path,
    *,
    threat: ThreatModel,
    attacks: Sequence[str] = (),
    model: str | None = None,
    device: str = "auto",
    seed: int = 0,
    checkpoints: Path | None = None,
) -> Work:
    """Return an audit of a run as it is before publication, with the data about single people behind it.

    Only signals are written. Parameters as of :func:`audit`.
    """
    target = open_target(source, threat, seed=seed, model=model, checkpoints=checkpoints)
    _require_both_sides(target, SMALLEST_CELL)
    directory.mkdir(parents=True, exist_ok=True)
    chosen = _named(attacks) or attacks_on(target)
    return _work(target, chosen, directory, source.name, Heading(), SMALLEST_CELL, device)


@dataclass(frozen=True, eq=False)
class Work:
    """The result of the stages: the outcome, and the data about single people behind it.

    Parameters
    ----------
    outcome
        What is published, not yet rounded.
    people
        Ids of the people, in the order of all data.
    scores
        Of each attack, with one row for each draw or pair.
    check
        Of the covariates.
    """

    outcome: Outcome
    people: tuple[str, ...]
    scores: Sequence[Scores]
    check: Blind


def _work(
    target: Target,
    chosen: Sequence[Attack],
    directory: Path,
    origin: str,
    heading: Heading,
    smallest_cell: int,
    device: str = "auto",
) -> Work:
    """Carry out the stages in their order."""
    also = federation_results.also_reads(target)
    with computing(target, device):
        # 1. Which attacks can be run, by this attacker, on this target.
        selected = selection.available(chosen, target)
        # 2. What the attacker sees of every scan.
        wanted = [signal for attack in selected.attacks.values() for signal in attack.reads]
        view = see(target, [*wanted, *also], directory / "signals")
        canaries = canary_results.read_back(target)
    # Residuals in another unit would give a false answer, whatever the attack.
    unproven = target.own_images is not None and target.own_images.reproduced is None
    # A service only stands before models that memberscan trained, and may make any answer coarse.
    if target.service is None:
        require_plausible(target.variable, view.label, view[PREDICTION], images_unproven=unproven)
    # 3. What is known of people without the model, and whether that tells members from non-members.
    people = facts.summarise_people(target, view)
    checks = check_covariates(target, people.covariates)
    with one_thread():
        # 4. The features of each attack, and its scores of people that the attacker does not know.
        features = {name: observe(attack, view) for name, attack in selected.attacks.items()}
        scores = [
            attempt(attack, features[name], target, view.learners)
            for name, attack in selected.attacks.items()
        ]
        selected = selection.that_saw_something(selected, scores, target)
        # 5. How certain the results are.
        seen = [found for found in scores if found is not None]
        found = weigh(target, selected, features, seen, checks, people.facts)
        federation = federation_results.collect(target, view, selected.attacks, features, found)
        references = compare_with_references(target, view, seen, people.facts)
    outcome = facts.outcome(
        target,
        selected,
        people,
        found,
        federation,
        references,
        canaries,
        origin=origin,
        heading=heading,
        smallest_cell=smallest_cell,
    )
    return Work(outcome, target.people.ids, found.scores, found.check)


def _result(target: Target, work: Work, pseudonyms: Path | None) -> AuditResult:
    exposure = work.outcome.person_exposure
    by_person = [placements(attack) if attack.pairs else attack for attack in work.scores]
    scores = scores_table(work.people, target.member, by_person, pseudonyms, exposure)
    matched = matched_table(target, work.outcome.verdict, work.check)
    return AuditResult(publish(work.outcome).dump(), scores, matched)


def _named(attacks: Sequence[str | Attack]) -> list[Attack]:
    return [a if isinstance(a, Attack) else named(a) for a in attacks]


def _require_sense(attacks: Sequence[Attack], seed: int, *, pseudonyms: bool, kept: bool) -> None:
    names = [a.name for a in attacks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInputError(f"attack {twice[0]!r} is given twice; name each attack once")
    if seed < 0:
        raise BadInputError(f"seed is {seed}; give a whole number from 0")
    if pseudonyms and not kept:
        raise BadInputError("pseudonyms need a directory to keep their key in; give one")


def _require_both_sides(target: Target, smallest_cell: int) -> None:
    members, fewest = int(target.member.sum()), max(FEWEST_PER_SIDE, smallest_cell)
    others = len(target.member) - members
    if min(members, others) < fewest:
        raise TooFewSubjectsError(
            f"there are {members} members and {others} non-members with scans; "
            f"an audit needs at least {fewest} of each"
        )
