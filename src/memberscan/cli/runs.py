"""``memberscan models``, ``train`` and ``import``: target models and the runs that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memberscan.cli.options import (
    Classes,
    CohortDir,
    DrawSeed,
    Given,
    Json,
    NoSeed,
    RunDir,
    TargetColumn,
    Unit,
    answer,
    console,
    declared,
    with_target,
)
from memberscan.errors import BadInputError
from memberscan.models.model_options import ModelOptions
from memberscan.training.config import TrainingConfig

if TYPE_CHECKING:
    from memberscan.runs import Run


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(models)
    app.command()(train)
    app.command("import")(import_)


def models(
    grid: Annotated[str, typer.Option(help="Voxels along each axis of a volume.")] = "91x109x91",
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """List the target models: parameters, landmarks, memory.

    Example: `memberscan models --grid 46x55x46`
    """
    del seed
    from rich.table import Table

    from memberscan.models.footprint import describe

    rows: list[dict[str, Any]] = [dict(row) for row in describe(_grid(grid))]
    if json:
        answer({"grid": grid, "models": rows}, as_json=True)
        return
    table = Table("model", "input", "parameters", "landmarks (parameters)", "weights", "activations a scan")
    for row in rows:
        if "reason" in row:
            table.add_row(str(row["model"]), str(row["reason"]))
            continue
        landmarks = ", ".join(f"{name} ({its['parameters']:,})" for name, its in row["landmarks"].items())
        shape = "x".join(map(str, row["input"]))
        sizes = [f"{row[key] / 2**20:.1f} MiB" for key in ("weights_bytes", "activation_bytes_per_scan")]
        table.add_row(row["model"], shape, f"{row['parameters']:,}", landmarks, *sizes)
    console().print(table)


@declared("training", TrainingConfig)
@declared("options", ModelOptions, omit=("class_count",))
def train(
    cohort: CohortDir,
    run: RunDir,
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean, mlp or package.module:factory.")],
    members: Annotated[str, typer.Option(help="Share of the subjects to train on, or a roles file.")] = "0.5",
    validation: Annotated[
        float, typer.Option(help="Share of the members held out to choose the epoch, or to train a student.")
    ] = 0.0,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    *,
    training: Given,
    options: Given,
    canaries: Annotated[
        int,
        typer.Option(
            help="Made-up people, each put in by a coin, with which audit reads the guarantee back; 200, say."
        ),
    ] = 0,
    checkpoints: Annotated[
        int, typer.Option(help="Models to keep before the end, for audit --checkpoints; 5, say.")
    ] = 0,
    seed: DrawSeed = None,
    json: Json = False,
) -> None:
    """Train a target model on some subjects and keep the others as non-members.

    Example: `memberscan train cohort run --model cnn3d --members 0.5 --epochs 60`
    """
    from memberscan.defences import allow_own
    from memberscan.training import train as train_run

    allow_own(training.get("defence"))
    config = TrainingConfig(**training, seed=seed or 0)
    made = train_run(
        with_target(cohort, target, unit, classes),
        run,
        model=model,
        members=_members(members),
        validation=validation,
        options=options,
        config=config,
        seed=seed,
        canaries=canaries,
        checkpoints=checkpoints,
    )
    _print(made, json)


@declared("options", ModelOptions, omit=("head", "class_count"))
def import_(
    run: RunDir,
    cohort: Annotated[Path, typer.Option(help="Cohort with its members and non-members.")],
    roles: Annotated[
        Path, typer.Option(help="TSV of subject, role and, for a federation, learner: who was in training.")
    ],
    model: Annotated[
        str,
        typer.Option(
            help="package.module:factory that returns the network, onnx, a MONAI bundle, or a built-in model."
        ),
    ] = "",
    predictor: Annotated[
        str,
        typer.Option(
            help="In place of a model: package.module:function from inputs to predictions, in numpy."
        ),
    ] = "",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="safetensors, a torch file of a state dict, or ONNX; default: the last global model."
        ),
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(help="For a federation: folder with one sub-folder of state dicts per round."),
    ] = None,
    output: Annotated[
        str, typer.Option(help="Part of its output that is the prediction, if it returns several: 0, or age.")
    ] = "",
    head: Annotated[
        str,
        typer.Option(
            help="What it returns, if not one prediction: gaussian:second=sd, "
            "quantiles:levels=0.05/0.5/0.95 or bins:first=42,width=1."
        ),
    ] = "",
    inputs: Annotated[
        str, typer.Option(help="What forward() takes, in order, if not the image alone: image,sex.")
    ] = "image",
    codes: Annotated[
        list[str] | None,
        typer.Option(help="Numbers that it gets for a covariate of text: sex:F=0,M=1; may be repeated."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Your own predictions of these scans, to compare: scan_id, prediction."),
    ] = None,
    training_error: Annotated[
        float | None, typer.Option(help="Its mean absolute error on its training set, as you know it.")
    ] = None,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    *,
    options: Given,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Import a model, or a federation, that was trained elsewhere.

    Example: `memberscan import run --cohort cohort --model lab.nets:age --weights age.pt --roles roles.tsv`
    """
    del seed
    from memberscan.models.network_inputs import parse_codes
    from memberscan.training import import_run

    made = import_run(
        run,
        cohort=with_target(cohort, target, unit, classes),
        model=model,
        predictor=predictor,
        roles=roles,
        weights=weights,
        transcript=transcript,
        options=options,
        output=output,
        inputs=[name.strip() for name in inputs.split(",")],
        codes=parse_codes(codes or []),
        predictions=predictions,
        training_error=training_error,
        head=head,
    )
    _print(made, json, landmarks=_landmarks(made))


def _landmarks(run: Run) -> dict[str, str]:
    """Return the named layers of an imported network, by which attacks on weights find them."""
    from memberscan.models.landmarks import guessed, landmarks_of

    network = run.load()
    named = ", ".join(f"{name} {path}" for name, path in landmarks_of(network).items()) or "none found"
    return {"landmarks (guessed)" if guessed(network) else "landmarks": named}


def _grid(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise BadInputError(f"--grid {text!r} is not of the form 91x109x91")
    i, j, k = map(int, parts)
    return i, j, k


def _members(text: str) -> float | Path:
    try:
        return float(text)
    except ValueError:
        return Path(text)


def _print(run: Run, as_json: bool, landmarks: Mapping[str, str] | None = None) -> None:
    from memberscan.runs import Role

    facts = {
        "run": str(run.path),
        "model": run.spec.name,
        "members": len(run.roles.subjects(Role.MEMBER)),
        "nonmembers": len(run.roles.subjects(Role.NONMEMBER)),
        "validation": len(run.roles.subjects(Role.VALIDATION)),
        "weights": run.weights_fingerprint,
    }
    facts |= landmarks or {}
    if (planted := run.canaries) is not None:
        facts["canaries"] = len(planted)
    if run.reproduced is not None:
        facts["reproduced"] = (
            f"{run.reproduced.scans} predictions, largest difference {run.reproduced.largest:.2g} "
            + (run.target.unit or "in the probability of the own class")
        )
    if run.federation is not None:
        transcript = run.transcript
        facts |= {"learners": len(transcript.learners), "rounds": run.federation["rounds"]}
        left_out = [
            f"{name} in round {entry.number}: {reason}"
            for entry in transcript.rounds
            for name, reason in entry.left_out.items()
        ]
        facts |= {"left_out": "; ".join(left_out)} if left_out else {}
    answer(facts, as_json)
