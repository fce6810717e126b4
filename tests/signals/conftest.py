"""Small federations that never trained, and the places that parties take in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.runs import Run
from memberscan.targets.party import Party
from memberscan.threat import Attacker, ThreatModel

from ..recorded import record, write_vectors

Federate = Callable[..., Run]


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A table of six measures of twelve people, two scans each."""
    return write_vectors(tmp_path_factory.mktemp("vectors"))


@pytest.fixture
def federation(tmp_path: Path) -> Federate:
    """Return a function that records rounds of a model whose learners step at random."""

    def write(cohort: Cohort, model: str, *, rounds: int = 3, seed: int = 0) -> Run:
        path = tmp_path / f"{model.replace(':', '-')} {seed} {rounds}"
        return record(path, cohort, model, rounds=rounds, seed=seed)

    return write


def party_of(
    run: Run, cohort: Cohort, scan_ids: list[str], rounds: tuple[int, ...], attacker: str = "learner"
) -> Party:
    """Take a party's place before some scans; nobody's side matters here."""
    scans = cohort.scans.loc[scan_ids, ["subject_id", "age"]].rename(columns={"age": "label"})
    transcript = run.transcript
    return Party(
        scans=scans,
        is_member=pd.Series(False, index=scans["subject_id"].unique()),
        covariates=pd.DataFrame(index=scans.index),
        ignored=(),
        threat=ThreatModel(attacker=Attacker(attacker)),
        seed=0,
        run=run,
        cohort=cohort,
        model=run.model_with(transcript.global_model(len(transcript.rounds))),
        transcript=transcript,
        rounds=rounds,
    )
