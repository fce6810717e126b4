"""``memberscan federation``: what the parties of a deployed federation prepare before they start Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memberscan.cli.options import CohortDir, Json, NoSeed, Seed, answer
from memberscan.errors import BadInputError

app = typer.Typer(
    help="Prepare a federation of machines: the server's app, each site's roles, the learners' keys.",
    no_args_is_help=True,
)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Empty or new folder for the Flower app.")],
    run: Annotated[Path, typer.Option(help="Directory of the run that the server writes, on its machine.")],
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean or mlp.")],
    learners: Annotated[int, typer.Option(help="How many sites to wait for.")],
    rounds: Annotated[int, typer.Option(help="Rounds of training and averaging.")] = 25,
    local_epochs: Annotated[int, typer.Option(help="Epochs of each site in a round.")] = 4,
    learning_rate: Annotated[float | None, typer.Option(help="By default the model's own.")] = None,
    batch_size: Annotated[int, typer.Option(help="Scans a step.")] = 8,
    optimizer: Annotated[str, typer.Option(help="adam or sgd.")] = "adam",
    width: Annotated[
        int | None, typer.Option(help="Width of the first layer; by default the model's own.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Share of features dropped in training.")] = None,
    min_learners: Annotated[int, typer.Option(help="A round with fewer ends the federation.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds that the server waits for a round.")] = 3600.0,
    secure: Annotated[str, typer.Option(help="none, or ckks: the server sees ciphertexts only.")] = "none",
    public: Annotated[
        Path | None, typer.Option(help="public.ckks, on the server's machine; with --secure ckks.")
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write the app folder that the server gives to `flwr run`.

    Example: `memberscan federation init app --run /data/run --model cnn3d --learners 3 --rounds 25`
    """
    from memberscan.federation import deploy
    from memberscan.federation.settings import Settings
    from memberscan.training import TrainingConfig

    if (secure == "ckks") != (public is not None):
        raise BadInputError(
            "--secure ckks and --public go together; 'memberscan federation keys' makes the public key"
        )
    options = {name: value for name, value in (("width", width), ("dropout", dropout)) if value is not None}
    training = TrainingConfig(
        epochs=local_epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        optimizer=optimizer,
        seed=seed,
    )
    settings = Settings(
        model, options, training, rounds=rounds, min_learners=min_learners, timeout=timeout, secure=secure
    )
    deploy.init(directory, settings, run=run, learners=learners, public=public)
    answer({"app": str(directory), "run": str(run.absolute()), "learners": learners, "rounds": rounds}, json)


@app.command()
def site(
    cohort: CohortDir,
    roles: Annotated[Path, typer.Argument(metavar="ROLES", help="TSV to write, of subject, role, learner.")],
    learner: Annotated[str, typer.Option(help="The site's name in the federation.")],
    held_out: Annotated[float, typer.Option(help="Share of the subjects to keep out of training.")] = 0.2,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Draw whom a site holds out of the federation, and write its roles.

    Example: `memberscan federation site cohort roles.tsv --learner site-a --held-out 0.2`
    """
    from memberscan.cohort import Cohort
    from memberscan.federation import deploy
    from memberscan.runs import Role

    drawn = deploy.draw_site_roles(Cohort.open(cohort), learner, held_out, seed)
    deploy.write_site_roles(roles, drawn)
    counts = {
        "members": len(drawn.subjects(Role.MEMBER)),
        "held_out": len(drawn.subjects(Role.NONMEMBER)),
    }
    answer({"roles": str(roles), "learner": learner, **counts}, json)


@app.command()
def keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the two key files.")],
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Make a key pair for `--secure ckks`: the secret key is for the sites, the public one for the server.

    Example: `memberscan federation keys keys`
    """
    del seed
    from memberscan.federation import ckks

    secret, public = ckks.write_keys(directory)
    answer({"secret": str(secret), "public": str(public)}, json)
