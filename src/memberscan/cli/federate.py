"""``memberscan federate``: train in a federation simulated on this machine, and keep its transcript."""

from __future__ import annotations

from typing import Annotated

import typer

from memberscan.cli.options import CohortDir, Json, RunDir, Seed, answer


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(federate)


def federate(
    cohort: CohortDir,
    run: RunDir,
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean or mlp.")],
    environment: Annotated[
        str, typer.Option(help="uniform-iid, uniform-noniid, skewed-iid or skewed-noniid.")
    ] = "uniform-iid",
    learners: Annotated[int, typer.Option(help="How many learners share the cohort.")] = 8,
    by: Annotated[
        str | None, typer.Option(help="Covariate whose values are the learners, such as site.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the subjects kept out: the non-members.")] = 0.2,
    rounds: Annotated[int, typer.Option(help="Rounds of training and averaging.")] = 25,
    local_epochs: Annotated[int, typer.Option(help="Epochs of each learner in a round.")] = 4,
    learning_rate: Annotated[float | None, typer.Option(help="By default the model's own.")] = None,
    batch_size: Annotated[int, typer.Option(help="Scans a step.")] = 8,
    optimizer: Annotated[str, typer.Option(help="adam or sgd.")] = "adam",
    width: Annotated[
        int | None, typer.Option(help="Width of the first layer; by default the model's own.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Share of features dropped in training.")] = None,
    min_learners: Annotated[int, typer.Option(help="A round with fewer ends the federation.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds that a round waits, with --engine ray.")] = 3600.0,
    secure: Annotated[str, typer.Option(help="none, or ckks: the server sees ciphertexts only.")] = "none",
    engine: Annotated[str, typer.Option(help="local (this process) or ray.")] = "local",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train a model in a federation simulated on this machine, and keep every round of it.

    Example: `memberscan federate cohort run --model cnn3d --environment uniform-iid --learners 8 --rounds 25`
    """
    from memberscan.federation.federate import federate as run_federation
    from memberscan.federation.settings import Settings
    from memberscan.runs import Role
    from memberscan.training import TrainingConfig

    options = {name: value for name, value in (("width", width), ("dropout", dropout)) if value is not None}
    training = TrainingConfig(
        epochs=local_epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        optimizer=optimizer,
        device=device,
        seed=seed,
    )
    settings = Settings(
        model, options, training, rounds=rounds, min_learners=min_learners, timeout=timeout, secure=secure
    )
    made = run_federation(
        cohort,
        run,
        settings=settings,
        environment=environment,
        learners=learners,
        held_out=held_out,
        by=by,
        engine=engine,
    )
    transcript = made.transcript
    left_out = {f"{name} in round {r.number}" for r in transcript.rounds for name in r.left_out}
    facts = {
        "run": str(made.path),
        "model": made.spec.name,
        "learners": len(transcript.learners),
        "rounds": len(transcript.rounds),
        "members": len(made.roles.subjects(Role.MEMBER)),
        "nonmembers": len(made.roles.subjects(Role.NONMEMBER)),
        "left_out": ", ".join(sorted(left_out)) or "nobody",
        "weights": made.weights_fingerprint,
    }
    answer(facts, json)
