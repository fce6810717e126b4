"""``memberscan federate``: train a federation that is simulated on this machine, and keep its transcript."""

from __future__ import annotations

from typing import Annotated

import typer

from memberscan.cli.options import (
    By,
    Classes,
    CohortDir,
    DrawSeed,
    Environment,
    Given,
    HeldOut,
    Json,
    Learners,
    RunDir,
    TargetColumn,
    Unit,
    answer,
    of_federations,
    say,
    stated_settings,
    with_target,
)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(federate)


@of_federations()
def federate(
    cohort: CohortDir,
    run: RunDir,
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean, mlp or package.module:factory.")],
    environment: Environment = "uniform-iid",
    learners: Learners = 8,
    by: By = None,
    held_out: HeldOut = 0.2,
    engine: Annotated[str, typer.Option(help="local (this process) or ray.")] = "local",
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    *,
    settings: Given,
    training: Given,
    options: Given,
    seed: DrawSeed = None,
    json: Json = False,
) -> None:
    """Train a federation that is simulated on this machine, and keep the models of every round.

    Example: `memberscan federate cohort run --model cnn3d --environment uniform-iid --learners 8 --rounds 25`
    """
    from memberscan.federation.simulated_run import federate as run_federation
    from memberscan.federation.sparsity_by_round import sparsity_by_round
    from memberscan.runs import Role

    stated = stated_settings(model, seed or 0, settings, training, options)
    made = run_federation(
        with_target(cohort, target, unit, classes),
        run,
        settings=stated,
        environment=environment,
        learners=learners,
        held_out=held_out,
        by=by,
        engine=engine,
        seed=seed,
    )
    transcript = made.transcript
    left_out = {f"{name} in round {r.number}" for r in transcript.rounds for name in r.left_out}
    facts: dict[str, object] = {
        "run": str(made.path),
        "model": made.spec.name,
        "learners": len(transcript.learners),
        "rounds": len(transcript.rounds),
        "members": len(made.roles.subjects(Role.MEMBER)),
        "nonmembers": len(made.roles.subjects(Role.NONMEMBER)),
        "left_out": ", ".join(sorted(left_out)) or "nobody",
        "weights": made.weights_fingerprint,
    }
    if stated.secure == "ckks":
        from memberscan.federation.ckks_cost import encryption_cost

        facts |= encryption_cost(made)
    sparsity = sparsity_by_round(made)
    answer(facts | ({"sparsity": sparsity} if sparsity and json else {}), json)
    if sparsity and not json:
        say("zeros among the weights of the global model:")
        say(f"{'round':>6}{'planned':>10}{'reached':>10}")
        for row in sparsity:
            say(f"{row['round']:>6}{row['planned']:>10.2%}{row['reached']:>10.2%}")
