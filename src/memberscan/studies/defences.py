"""The leaderboard of defences: error against leakage of every defence, on regional measures and on images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.files import write_table, write_text
from memberscan.frontier import frontier
from memberscan.report import words
from memberscan.training import TrainingConfig

if TYPE_CHECKING:
    from memberscan.frontier.content import FrontierContent, FrontierPoint, TruePositiveRate
    from memberscan.report.content.parts import Estimate

MEASURES = Path("morphometry") / "openneuro.csv"
"""Within the user's data: cortical measures of seven datasets, one row per scan."""
IMAGES = "ixi"
"""Within the user's data: a BIDS dataset."""
RATE = 0.05
"""The false-positive rate of the table: the networks on images have too few non-members for 0.01."""
_PRIVATE = ("dp-sgd:epsilon=100", "dp-sgd:epsilon=10000", "adaptive-dp:epsilon=10000")
_OTHERS = (
    "unique-gradient:keep=0.5",
    "label-noise:spread=15",
    "mixup:alpha=1",
    "loss-floor:floor=3",
    "prune:sparsity=0.8",
    "quantize:bits=4",
    "round:step=5",
    "answer-noise:scale=3",
)
_ALSO = ("dropout", "distillation", "teachers:noise=0", "teachers:epsilon=100")
_THICKNESS = "feature_center=2.5,feature_spread=0.3"
"""Public constants of cortical thickness, in millimetres: dp-sgd must not read them from the people."""


@dataclass(frozen=True)
class Board:
    """One leaderboard: a model on a cohort, and the points that are compared.

    Parameters
    ----------
    name
        Its title.
    model
        Name of the model.
    points
        As ``memberscan frontier --defences`` takes them; early stopping is always included.
    spacing
        Voxel size of the images, in mm; None for the table of measures.
    config
        How undefended models are trained.
    validation
        Share of the members held out: to choose an epoch, or to train students on.
    references, seeds
        Number of reference models of each point and seed, and of seeds.
    """

    name: str
    model: str
    points: tuple[str, ...]
    spacing: float | None = None
    config: TrainingConfig = field(default_factory=TrainingConfig)
    validation: float = 0.1
    references: int = 2
    seeds: int = 1

    @property
    def folder(self) -> str:
        """Its name as a directory."""
        return self.name.lower().replace(",", "").replace(" ", "-")

    def cohort(self, data: Path, path: Path) -> Cohort:
        """Build or open the cohort."""
        if self.spacing is not None:
            return Cohort.from_bids(data / IMAGES, path, spacing=self.spacing, recentre=True)
        columns = pd.read_csv(data / MEASURES, nrows=0).columns
        return Cohort.from_table(
            data / MEASURES,
            path,
            subject="uid",
            age="age",
            covariates=["sex", "site"],
            features=[name for name in columns if name.endswith("_thickness")],
        )


# A perceptron is trained faster on a processor than on a card.
SHORT = (
    Board(
        "Perceptron, cortical thickness",
        "mlp",
        (*(f"{text},{_THICKNESS}" for text in ("dp-sgd:epsilon=8", *_PRIVATE)), *_OTHERS, *_ALSO),
        config=TrainingConfig(device="cpu"),
        validation=0.3,
        references=4,
        seeds=3,
    ),
)
LONG = (
    *SHORT,
    Board("3D-CNN, 4 mm", "cnn3d", (*_PRIVATE, *_OTHERS), 4.0, TrainingConfig(epochs=30)),
    Board("2D-slice-mean, 4 mm", "slice-mean", (*_PRIVATE, *_OTHERS), 4.0, TrainingConfig(epochs=30)),
)


def defences(
    out: Path, *, data: Path | None, seed: int = 0, processes: int = 1, long: bool = False
) -> pd.DataFrame:
    """Draw the frontier of defences on each board, and rank the points.

    Parameters
    ----------
    out
        Directory for cohorts, frontiers, ``defences.tsv`` and ``leaderboard.md``; a killed study goes on.
    data
        A folder with ``morphometry/openneuro.csv`` and, for networks on images, the BIDS dataset ``ixi``.
    seed
        Root seed of the draws of members, and of the defences' random numbers.
    processes
        How many points are trained at a time.
    long
        Whether networks on images at 4 mm are trained too, for many hours on a processor.

    Returns
    -------
    DataFrame
        One row per board and point: those on the frontier first, then the others, by error, and those that
        failed last. Error is the mean absolute error on non-members in years, AUC and true-positive rate are
        of the strongest attack, each with its 95% interval; see :class:`.FrontierPoint`.

    Raises
    ------
    BadInputError
        If the data are not there.
    """
    if data is None or not (data / MEASURES).is_file():
        raise BadInputError(f"the study of defences needs {MEASURES}: give the folder that has it as --data")
    if long and not (data / IMAGES).is_dir():
        raise BadInputError(f"the study of defences needs {IMAGES} for --long: {data} does not have it")
    tables = []
    for board in LONG if long else SHORT:
        found = drawn(board, out, data, seed=seed, processes=processes)
        tables.append(ranked(found).assign(board=board.name))
    table = pd.concat(tables, ignore_index=True)
    table = table[["board", *(name for name in table.columns if name != "board")]]
    write_table(out / "defences.tsv", table)
    write_text(out / "leaderboard.md", "\n".join(_markdown(table)))
    return table


def drawn(board: Board, out: Path, data: Path, *, seed: int, processes: int) -> FrontierContent:
    """Return the frontier of one board, made before or now."""
    source = f"cohort-{board.spacing:g}mm" if board.spacing else "cohort-measures"
    return frontier(
        board.cohort(data, out / source),
        out / board.folder,
        model=board.model,
        defences=board.points,
        references=board.references,
        seeds=board.seeds,
        config=board.config,
        validation=board.validation,
        seed=seed,
        workers=processes,
    )


def ranked(content: FrontierContent) -> pd.DataFrame:
    """Return the points of a frontier as a table for people; failed ones come last, with the reason."""
    order = sorted(content.points, key=lambda p: (not p.on_frontier, p.error.value if p.error else 1e9))
    return pd.DataFrame([_row(point, content) for point in order])


def _row(point: FrontierPoint, content: FrontierContent) -> dict[str, str]:
    row = {"point": _short(point.name), "frontier": "yes" if point.on_frontier else ""}
    if point.error is None or point.everybody is None:
        return (
            row
            | dict.fromkeys(("error", "AUC", f"TPR@{RATE:.0%}", "exposed AUC"), "")
            | {"dominated by": f"failed: {point.failed}"}
        )
    years = [
        words.amount(v, content.variable) for v in (point.error.value, point.error.low, point.error.high)
    ]
    rate = next((r for r in point.everybody.rates if r.fpr == RATE), None)
    exposed = point.most_exposed
    return row | {
        "error": f"{years[0]} ({years[1]} to {years[2]})",
        "AUC": _written(point.everybody.auc),
        f"TPR@{RATE:.0%}": _written(rate),
        "exposed AUC": _written(exposed.auc if exposed else None),
        "dominated by": "; ".join(f"{_short(d.point)}{' (certain)' * d.certain}" for d in point.dominated_by),
    }


def _short(point: str) -> str:
    """Return the name of a point without the constants that all of a kind have."""
    return point.removesuffix(f",{_THICKNESS}")


def _written(found: Estimate | TruePositiveRate | None) -> str:
    """Return an estimate with its interval; nothing where it was not measured."""
    if found is None or found.value is None or found.low is None or found.high is None:
        return ""
    low, high = (words.fraction(end) for end in (found.low, found.high))
    return f"{words.fraction(found.value)} ({low} to {high})"


def _markdown(table: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of the page's tables."""
    for board, rows in table.groupby("board", sort=False):
        columns = [name for name in rows.columns if name != "board"]
        yield from (f"**{board}**", "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns))
        yield from (f"| {' | '.join(map(str, row))} |" for row in rows[columns].itertuples(index=False))
        yield ""
