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
from memberscan.errors import BadInputError
from memberscan.evidence.operating import tpr_interval
from memberscan.evidence.over_seeds import OverSeeds
from memberscan.evidence.pairs import pooled_influences
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.files import OWNER_ONLY, read_table, write_json, write_table
from memberscan.frontier.curve import RATES, Measured
from memberscan.frontier.people import SeedsOfPeople, people_for, rows_of, strongest_elsewhere
from memberscan.frontier.points import Point
from memberscan.frontier.tasks import RUN
from memberscan.received import load_json
from memberscan.runs import Run
from memberscan.target_variable import TargetVariable
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

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
        See :func:`memberscan.federation.simulated_run.federate`.
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


def simulated(secure: str) -> None:
    """Refuse encrypted federations, in which the server sees no learner's model.

    Raises
    ------
    BadInputError
        If ``secure`` is not "none".
    """
    if secure != "none":
        raise BadInputError(
            "the server of an encrypted federation sees no learner's model, and learners see what they see "
            "without encryption; use secure none"
        )


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
        signals = made / f"signals-{party}"
        work = attack_run(
            run.path,
            signals,
            threat=ThreatModel(attacker=party),
            attacks=attacks,
            model=shared.code,
            device=how.training.device,
            seed=task.number,
        )
        write_table(made / _people(party), _people_table(work), mode=OWNER_ONLY)
        # Written last: it says that this party is finished.
        write_json(made / _facts(party), _found(work), mode=OWNER_ONLY)
        # What attacks read can be computed again, and is by far the largest part.
        shutil.rmtree(signals, ignore_errors=True)


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
        "attacks": {
            each.attack: {"auc": pooled_influences(each)[0], "rates": [_rate(each, fpr) for fpr in RATES]}
            for each in work.scores
        },
    }


def _rate(attack: Scores, fpr: float) -> list[float] | None:
    """Return the true-positive rate with its interval, as means over pairs; None where it is not resolved."""
    pairs = attack.of_rows(attack.attempted).split()
    if min(len(outside) for _, outside in pairs) < people_for(fpr):
        return None
    means: list[float] = np.mean([tpr_interval(*sides, fpr) for sides in pairs], axis=0).tolist()
    return means


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
    found
        AUC of the chosen attack of each seed.
    influence
        What each person adds to it; 0 for people who are not compared.
    rates
        True-positive rate of the chosen attack of each seed with its interval, in the order of ``RATES``;
        None where it is not resolved.
    """

    found: Float[np.ndarray, " seeds"]
    influence: Float[np.ndarray, "seeds people"]
    rates: Sequence[Sequence[Sequence[float] | None]]

    @classmethod
    def of(
        cls, facts: Sequence[Mapping[str, Any]], tables: Sequence[pd.DataFrame], subjects: Sequence[str]
    ) -> SeedsOfFederations:
        """Return what the files of all seeds say of these subjects."""
        names = [name for name in facts[0]["attacks"] if all(name in each["attacks"] for each in facts)]
        aucs = {name: np.array([each["attacks"][name]["auc"] for each in facts]) for name in names}
        chosen = strongest_elsewhere(aucs) if len(facts) > 1 else (str(facts[0]["strongest"]),)
        rows = rows_of(tables, subjects)
        member = rows("member")
        return cls(
            error=rows("error"),
            label=rows("label"),
            member=member == 1,
            counted=~np.isnan(member),
            chosen=chosen,
            found=np.array([aucs[name][k] for k, name in enumerate(chosen)]),
            influence=np.nan_to_num(np.stack([rows(name)[k] for k, name in enumerate(chosen)])),
            rates=[facts[k]["attacks"][name]["rates"] for k, name in enumerate(chosen)],
        )

    def auc(self, among: Bool[np.ndarray, "seeds people"] | None = None) -> OverSeeds:
        """See :class:`.SeedsOfPeople`; there are no references, and so nobody is known to be more exposed."""
        del among
        counts = int((self.member & self.counted).sum()), int((~self.member & self.counted).sum())
        return OverSeeds(self.found, self.influence, counts)

    def rate(self, fpr: float, among: Bool[np.ndarray, "seeds people"]) -> tuple[float, float, float] | None:
        """See :class:`.SeedsOfPeople`."""
        del among
        found = [rates[RATES.index(fpr)] for rates in self.rates]
        if any(rate is None for rate in found):
            return None
        value, low, high = np.mean(found, axis=0).tolist()  # type: ignore[arg-type]
        return value, low, high
