"""All figures of a reproduction in one long table, for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from memberscan.report.content.parts import Estimate
from memberscan.reproduction import paper
from memberscan.reproduction.content import ReproductionContent

COLUMNS = (
    "part", "model", "environment", "attack", "epochs", "round", "measure", "value", "low", "high", "paper",
    "name", "claim", "rule", "outcome", "reason",
)  # fmt: skip


def table_of(content: ReproductionContent) -> pd.DataFrame:
    """Return one row per figure: the centralized table, trainings by length, federations by round, claims.

    Numbers are those of reproduction.json. Empty cells do not apply to a figure, or were not measured.
    """
    rows = [*_central(content), *_lengths(content), *_federated(content), *_claims(content)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"epochs": "Int64", "round": "Int64"})


def _ends(found: Estimate | None) -> dict[str, float | None]:
    return {end: getattr(found, end) if found else None for end in ("value", "low", "high")}


def _central(content: ReproductionContent) -> Iterator[dict[str, Any]]:
    for row in content.central:
        for measure, found in (("accuracy", row.accuracy), ("auc", row.auc)):
            yield {
                "part": "central",
                "model": row.model,
                "attack": row.attack,
                "measure": measure,
                **_ends(found),
            }


def _lengths(content: ReproductionContent) -> Iterator[dict[str, Any]]:
    for one in content.lengths:
        about = {"part": "length", "model": one.model, "epochs": one.epochs}
        yield {**about, "measure": "error on members", "value": one.error_members}
        yield {**about, "measure": "error on non-members", "value": one.error_nonmembers}
        yield {**about, "attack": paper.BLACK_BOX, "measure": "accuracy", **_ends(one.accuracy)}


def _federated(content: ReproductionContent) -> Iterator[dict[str, Any]]:
    for curve in content.curves:
        about = {"part": "federated", "model": curve.model, "environment": curve.environment}
        if curve.failed:
            yield {**about, "reason": curve.failed}
            continue
        for entry in curve.rounds:
            black = {"attack": paper.BLACK_BOX, "round": entry.round, "measure": "accuracy"}
            yield {**about, **black, **_ends(entry.accuracy)}
        if curve.white_box:
            white = {"attack": paper.WHITE_BOX, "round": curve.rounds[-1].round if curve.rounds else None}
            yield {**about, **white, "measure": "accuracy", **_ends(curve.white_box)}
        yield {**about, "measure": "learners told without the model", "value": curve.told_blind}


def _claims(content: ReproductionContent) -> Iterator[dict[str, Any]]:
    for claim in content.claims:
        yield {
            "part": "claim",
            **{name: getattr(claim, name) for name in COLUMNS if hasattr(claim, name)},
            **_ends(claim.found),
        }
