"""Studies behind the documentation: each builds what it needs and returns the table that is quoted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd


def _overfitting(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.overfitting import overfitting

    del run
    return overfitting(out, seed=seed, processes=threads.available())


def _verdict(out: Path, *, seed: int, run: Path | None, long: bool = False) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.verdict_rates import LONG, SHORT, verdict_rates

    del out, run
    return verdict_rates(LONG if long else SHORT, seed=seed, processes=threads.available())


def _gap(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan.studies.verdict_rates import gap_identity

    del out, seed, run
    return gap_identity()


def _chance(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan.studies.chance import chance

    return chance(out, seed=seed, run=run)


def _federated(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.federated import federated

    del run
    return federated(out, seed=seed, processes=threads.available())


def _parties(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.parties import parties

    del run
    return parties(out, seed=seed, processes=threads.available())


def _coverage(out: Path, *, seed: int, run: Path | None, long: bool = False) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.coverage import LONG, SHORT, coverage

    del out, run
    return coverage(LONG if long else SHORT, seed=seed, processes=threads.available())


def _retraining(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan.studies.retraining import retraining

    del out, run
    return retraining(seed=seed)


def _hidden(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan.studies.hidden_difference import hidden_differences

    del out, seed, run
    return hidden_differences()


def _references(
    out: Path, *, seed: int, run: Path | None, data: Path | None = None, long: bool = False
) -> pd.DataFrame:
    from memberscan.studies.references import references

    del run
    return references(out, data=data, seed=seed, long=long)


def _exposure(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan.studies.exposure import exposure

    del out, run
    return exposure(seed=seed)


def _reference_calibration(out: Path, *, seed: int, run: Path | None, long: bool = False) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.reference_calibration import LONG, SHORT, reference_calibration

    del out, run
    return reference_calibration(LONG if long else SHORT, seed=seed, processes=threads.available())


def _queries(out: Path, *, seed: int, run: Path | None, data: Path | None = None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.queries import queries

    del run
    return queries(out, data=data, seed=seed, processes=threads.available())


def _checkpoints(out: Path, *, seed: int, run: Path | None, data: Path | None = None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.checkpoints import checkpoints

    del run
    return checkpoints(out, data=data, seed=seed, processes=threads.available())


def _another_visit(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.another_visit import another_visit

    del run
    return another_visit(out, seed=seed, processes=threads.available())


def _heads(out: Path, *, seed: int, run: Path | None, data: Path | None = None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.heads import heads

    del run
    return heads(out, data=data, seed=seed, processes=threads.available())


def _encoder(out: Path, *, seed: int, run: Path | None, data: Path | None = None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.encoder import encoder

    del run
    return encoder(out, data=data, seed=seed, processes=threads.available())


def _defences(
    out: Path, *, seed: int, run: Path | None, data: Path | None = None, long: bool = False
) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.defences import defences

    del run
    return defences(out, data=data, seed=seed, processes=threads.available(), long=long)


def _federated_defences(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.federated_defences import federated_defences

    del run
    return federated_defences(out, seed=seed, processes=threads.available())


def _canaries(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.canaries import canaries

    del run
    return canaries(out, seed=seed, processes=threads.available())


def _canary_updates(out: Path, *, seed: int, run: Path | None) -> pd.DataFrame:
    from memberscan import threads
    from memberscan.studies.canary_updates import canary_updates

    del run
    return canary_updates(out, seed=seed, processes=threads.available())


STUDIES: dict[str, Callable[..., pd.DataFrame]] = {
    "overfitting": _overfitting,
    "verdict": _verdict,
    "gap": _gap,
    "chance": _chance,
    "federated": _federated,
    "parties": _parties,
    "coverage": _coverage,
    "retraining": _retraining,
    "hidden-difference": _hidden,
    "references": _references,
    "exposure": _exposure,
    "reference-calibration": _reference_calibration,
    "queries": _queries,
    "checkpoints": _checkpoints,
    "another-visit": _another_visit,
    "heads": _heads,
    "encoder": _encoder,
    "defences": _defences,
    "federated-defences": _federated_defences,
    "canaries": _canaries,
    "canary-updates": _canary_updates,
}
