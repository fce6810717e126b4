"""One task of a frontier of federations: one point with one seed, attacked as each party."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan.auditing.failures import attempt
from memberscan.auditing.stages import Work, attack_run
from memberscan.cohort import Cohort
from memberscan.defences import allow_own
from memberscan.errors import FederationError
from memberscan.evidence.alignment import aligned
from memberscan.evidence.operating import mean_rate
from memberscan.evidence.over_seeds import OverSeeds
from memberscan.evidence.pairs import pooled_influences
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.files import OWNER_ONLY, read_table, write_json, write_table
from memberscan.frontier.curve import Measured
from memberscan.frontier.people import RATES, Leak, SeedsOfPeople, in_all, rows_of, strongest_elsewhere
from memberscan.frontier.points import Point
from memberscan.frontier.tasks import RUN
from memberscan.received import load_json
from memberscan.runs import Run
from memberscan.target_variable import TargetVariable
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.evidence.scores import Scores


@dataclass(frozen=True)
class Federated:
    """What all tasks of a frontier of federations have in common.

    Parameters
    ----------
    cohort, target
        Directory of the cohort, and what the models predict.
    settings
        How the undefended federations train; points change them.
    environment, learners, held_out, by
        See :func:`memberscan.federate`.
    attacks
        Of each party.
    """

    cohort: Path
    target: TargetVariable
    settings: Settings
    environment: str
    learners: int
    held_out: float
    by: str | None
    attacks: Mapping[Attacker, tuple[str, ...]]

    @property
    def code(self) -> str | None:
        """The factory of the user's own network; None for a built-in model."""
        return self.settings.model if ":" in self.settings.model else None


@dataclass(frozen=True)
class FederatedTask:
    """One point with one seed.

    Parameters
    ----------
    point
        The recipe.
    number
        Of the seed, from 1: it decides initial weights, order of scans and the draws of the audits.
    roles_seed
        Decides who is held out and who is at which learner: the same for all points.
    directory
        For the run and what the parties found.
    shared
        What all tasks have in common.
    """

    point: Point
    number: int
    roles_seed: int
    directory: Path
    shared: Federated


def carry_out_task(task: FederatedTask) -> tuple[str | None, float]:
    """Carry out one task; return why it failed, or None, and the seconds that it took."""
    return attempt(lambda: _carry_out(task), task.directory, task.shared.cohort)


def _carry_out(task: FederatedTask) -> None:
    """Federate, and attack as each party: each goes on where it was interrupted."""
    # Only tasks of the user's own call reach this process, so the user named these classes.
    allow_own(task.point.defence)
    shared, made = task.shared, task.directory
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    how = task.point.federated(shared.settings)
    for party, attacks in shared.attacks.items():
        if (made / _facts(party)).is_file():
            continue
        run = federate(
            Cohort.open(shared.cohort).with_target(shared.target),
            made / RUN,
            settings=replace(how, training=replace(how.training, seed=task.number)),
            environment=shared.environment,
            learners=shared.learners,
            held_out=shared.held_out,
            by=shared.by,
            seed=task.roles_seed,
        )
        _require_everybody(run)
        signals = made / f"signals-{party}"
        try:
            work = attack_run(
                run.path,
                signals,
                threat=ThreatModel(attacker=party),
                attacks=attacks,
                model=shared.code,
                device=how.training.device,
                seed=task.number,
            )
        finally:
            # What attacks read can be computed again, and is by far the largest part.
            shutil.rmtree(signals, ignore_errors=True)
        write_table(made / _people(party), _people_table(work), mode=OWNER_ONLY)
        # Written last: it says that this party is finished.
        write_json(made / _facts(party), _found(work), mode=OWNER_ONLY)


def _require_everybody(run: Run) -> None:
    """Refuse a federation that went on without some learners: other points had all of them."""
    learners = run.roles.learners
    if gone := {name for each in run.transcript.rounds for name in each.left_out}:
        raise FederationError(
            f"{len(gone)} of {len(learners)} learners failed or sent an update that was refused in some round"
        )


def _people(party: Attacker) -> str:
    return f"people-{party}.tsv"


def _facts(party: Attacker) -> str:
    return f"found-{party}.json"


def _people_table(work: Work) -> pd.DataFrame:
    """Return one row per person: membership, errors, and what it adds to the AUC of each attack."""
    people = work.outcome.people
    about = {
        "subject": work.people,
        "error": people.mean_absolute,
        "label": people.label,
        "member": people.member.astype(int),
    }
    return pd.DataFrame(about | {each.attack: pooled_influences(each)[1] for each in work.scores})


def _found(work: Work) -> dict[str, Any]:
    """Return what single people do not have: the verdict, and AUC and rates of each attack."""
    return {
        "verdict": work.outcome.verdict.label,
        "strongest": work.outcome.verdict.basis.attack,
        "attacks": {each.attack: _means_over_pairs(each) for each in work.scores},
    }


def _means_over_pairs(attack: Scores) -> dict[str, Any]:
    (pairs,) = aligned([attack])
    rates = [mean_rate(pairs.split(), fpr) for fpr in RATES]
    return {"auc": pooled_influences(attack)[0], "rates": rates}


def read_point(
    point: Point, directories: Sequence[Path], subjects: Sequence[str], party: Attacker
) -> Measured:
    """Return what a party found at a point, from finished tasks, one directory for each seed."""
    facts = [load_json(path / _facts(party)) for path in directories]
    tables = [
        read_table(path / _people(party), dtype={"subject": str}).set_index("subject") for path in directories
    ]
    return Measured(
        point,
        seeds=SeedsOfFederations.of(facts, tables, subjects),
        verdicts=tuple(str(each["verdict"]) for each in facts),
        guarantee=Run.open(directories[0] / RUN).guarantee,
    )


@dataclass(frozen=True, eq=False)
class SeedsOfFederations(SeedsOfPeople):
    """Of federations, as one party attacked them: means over pairs of an attacker and a victim.

    Parameters
    ----------
    leak
        What the chosen attacks find.
    """

    leak: Leak

    @classmethod
    def of(
        cls, facts: Sequence[Mapping[str, Any]], tables: Sequence[pd.DataFrame], subjects: Sequence[str]
    ) -> SeedsOfFederations:
        """Return what the files of all seeds say of these subjects."""
        names = in_all([list(each["attacks"]) for each in facts])
        aucs = {name: np.array([each["attacks"][name]["auc"] for each in facts]) for name in names}
        chosen = strongest_elsewhere(aucs) if len(facts) > 1 else (str(facts[0]["strongest"]),)
        rows = rows_of(tables, subjects)
        member = rows("member")
        influence = np.stack([rows(name)[k] for k, name in enumerate(chosen)])
        # Known people and those of small learners are on a side, but in no pair.
        compared = ~np.isnan(influence)
        auc = OverSeeds(
            np.array([aucs[name][k] for k, name in enumerate(chosen)]),
            np.nan_to_num(influence),
            (int((compared & (member == 1)).sum()), int((compared & (member == 0)).sum())),
        )
        of_seeds = [each["attacks"][name]["rates"] for each, name in zip(facts, chosen, strict=True)]
        return cls(
            error=rows("error"),
            label=rows("label"),
            member=member == 1,
            counted=~np.isnan(member),
            chosen=chosen,
            leak=Leak(auc, tuple(_mean(found) for found in zip(*of_seeds, strict=True))),
        )

    def everybody(self) -> Leak:
        """See :class:`.SeedsOfPeople`."""
        return self.leak

    def most_exposed(self, smallest: int) -> Leak | str:  # noqa: ARG002
        """See :class:`.SeedsOfPeople`."""
        return "no references are trained for federations, which would show who is exposed"


def _mean(found: Sequence[Sequence[float] | None]) -> tuple[float, float, float] | None:
    """Return the means over seeds of a rate and of the ends of its interval; None if a seed has none."""
    resolved = [each for each in found if each is not None]
    if len(resolved) < len(found):
        return None
    value, low, high = np.mean(resolved, axis=0).tolist()
    return value, low, high
