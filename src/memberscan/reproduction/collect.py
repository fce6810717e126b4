"""From what the audits found to the content of reproduction.json, rounded for publication."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

import numpy as np

from memberscan.cohort import Cohort
from memberscan.evidence.over_draws import FRACTION, OverDraws
from memberscan.evidence.rounding import YEARS, rounded
from memberscan.federation.environments import ENVIRONMENTS
from memberscan.report.content.parts import Estimate
from memberscan.reproduction import paper
from memberscan.reproduction.claims import claims_of
from memberscan.reproduction.content import (
    REPRODUCTION_SCHEMA,
    CentralRow,
    Curve,
    Failed,
    Length,
    ReproductionContent,
    RoundAccuracy,
    Setting,
)
from memberscan.reproduction.found import Central, Content, Found, central_of, federated_of
from memberscan.reproduction.rules import outward
from memberscan.reproduction.tasks import Cell, Shared


def collect(
    audits: Mapping[Cell, Sequence[Content]],
    failed: Mapping[tuple[Cell, int], str],
    cohort: Cohort,
    shared: Shared,
    draws: tuple[int, int],
) -> ReproductionContent:
    """Return the content of reproduction.json.

    Parameters
    ----------
    audits
        The content of audit.json of all draws, for each cell of which no draw failed.
    failed
        Why tasks failed, by cell and draw.
    cohort
        The cohort.
    shared
        What all tasks have in common.
    draws
        How many there are in one place, and of each federation.
    """
    found = found_of(audits, failed, shared)
    some = next(iter(found.central.values()), None)
    members, others = (some.members, some.nonmembers) if some else (0, 0)
    return ReproductionContent(
        schema=REPRODUCTION_SCHEMA,
        memberscan=version("memberscan"),
        paper=paper.NAME,
        cohort=cohort.fingerprint,
        synthetic=cohort.synthetic,
        people=len(cohort.subjects),
        members=members,
        nonmembers=others,
        validation=len(cohort.subjects) - members - others if some else 0,
        draws=draws[0],
        federated_draws=draws[1],
        learners=shared.learners,
        length=shared.length,
        settings=tuple(settings_of(cohort, shared, draws)),
        central=tuple(_central(found)),
        lengths=tuple(_lengths(found)),
        curves=tuple(_curves(found)),
        claims=claims_of(found),
        failed=tuple(Failed(what=in_words(*task), reason=reason) for task, reason in failed.items()),
    )


def found_of(
    audits: Mapping[Cell, Sequence[Content]], failed: Mapping[tuple[Cell, int], str], shared: Shared
) -> Found:
    """Return what was found, by what it is about."""
    central = {
        cell.model: central_of(each, shared.epochs)
        for cell, each in audits.items()
        if cell == Cell(cell.model)
    }
    lengths: dict[str, list[Central]] = {
        model: [
            central_of(each, cell.epochs)
            for cell, each in audits.items()
            if cell.model == model and cell.epochs is not None
        ]
        for model in paper.MODELS
    }
    for model, one in central.items():
        # With the last epoch kept, the model of the table is the one of full length, too.
        if shared.keep == "last":
            lengths[model].append(one)
    return Found(
        central=central,
        lengths={model: sorted(each, key=lambda one: one.epochs) for model, each in lengths.items()},
        federated={
            (cell.model, cell.environment): federated_of(each)
            for cell, each in audits.items()
            if cell.environment is not None
        },
        failed={cell: reason for (cell, _), reason in reversed(list(failed.items()))},
        weaker=shared.weaker,
    )


def in_words(cell: Cell, draw: int) -> str:
    """Return what a task is about."""
    where = f"federated, {cell.environment}" if cell.environment else "in one place"
    epochs = f", {cell.epochs} epochs" if cell.epochs is not None else ""
    return f"{cell.model}, {where}{epochs}, draw {draw}"


def settings_of(cohort: Cohort, shared: Shared, draws: tuple[int, int]) -> Iterator[Setting]:
    """Yield the paper's settings beside those here."""
    config, options = shared.config, shared.options
    every = {
        "people": (f"{paper.PEOPLE:,}", f"{len(cohort.subjects):,}"),
        "grid": _both(_grid(paper.GRID), _grid(cohort.shape)),
        "width of the first block": _both(str(paper.WIDTH), str(options.get("width", paper.WIDTH))),
        "dropout": _both(f"{paper.DROPOUT:g}", f"{options.get('dropout', paper.DROPOUT):g}"),
        "epochs in one place": _both(str(paper.EPOCHS), str(shared.epochs)),
        "epoch that is kept": _both("best by validation", _KEPT[shared.keep]),
        "learning rate": _both(f"{paper.LEARNING_RATE:g}", _rate(config.learning_rate)),
        "weight decay": _both(f"{paper.WEIGHT_DECAY:g}", f"{config.weight_decay:g}"),
        "batch size": _both(str(paper.BATCH_SIZE), str(config.batch_size)),
        "optimizer": _both("adam", config.optimizer),
        "attacks that are averaged": _both(str(paper.DRAWS), f"5 on each of {draws[0]} models"),
        "learners": _both(str(paper.LEARNERS), str(shared.learners)),
        "people held out of a federation": _both(f"{paper.HELD_OUT:.0%}", f"{shared.held_out:.0%}"),
        "local epochs of a round": _both(str(paper.LOCAL_EPOCHS), str(paper.LOCAL_EPOCHS)),
        "rounds": _both(_rounds(1.0, shared), _rounds(shared.length, shared)),
        "environments": _both(", ".join(paper.ENVIRONMENTS), ", ".join(ENVIRONMENTS)),
    }
    for name, (theirs, ours) in every.items():
        yield Setting(name=name, paper=theirs, here=ours, same=theirs == ours)


_KEPT = {"best": "best by validation", "last": "last"}


def _both(theirs: str, ours: str) -> tuple[str, str]:
    return theirs, ours


def _rate(rate: float | None) -> str:
    return "the models’ own" if rate is None else f"{rate:g}"


def _grid(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _rounds(length: float, shared: Shared) -> str:
    counts = [paper.ROUNDS[m] if length == 1.0 else shared.rounds(m) for m in paper.MODELS]
    return " and ".join(map(str, counts))


def _estimate(found: OverDraws) -> Estimate:
    return Estimate(**outward(found.interval(within=FRACTION)).to_dict())


def _central(found: Found) -> Iterator[CentralRow]:
    for model, one in found.central.items():
        for attack, each in one.attacked.items():
            yield CentralRow(
                model=model,
                attack=attack,
                access="outputs" if each.access == "outputs" else "weights",
                accuracy=_estimate(each.accuracy),
                auc=_estimate(each.auc),
            )


def _lengths(found: Found) -> Iterator[Length]:
    for model, lengths in found.lengths.items():
        for one in lengths:
            yield Length(
                model=model,
                epochs=one.epochs,
                error_members=rounded(float(np.mean(one.error_members)), YEARS),
                error_nonmembers=rounded(float(np.mean(one.error_nonmembers)), YEARS),
                accuracy=_estimate(one.attacked[paper.BLACK_BOX].accuracy),
            )


def _curves(found: Found) -> Iterator[Curve]:
    for model in paper.MODELS:
        for environment in ENVIRONMENTS:
            one = found.federated.get((model, environment))
            rounds = one.rounds if one else {}
            yield Curve(
                model=model,
                environment=environment,
                failed=None if one else found.failed.get(Cell(model, environment), "not measured"),
                rounds=tuple(RoundAccuracy(round=n, accuracy=_estimate(rounds[n])) for n in rounds),
                white_box=_estimate(one.white_box) if one and one.white_box else None,
                told_blind=one.told_blind if one else 0,
            )
