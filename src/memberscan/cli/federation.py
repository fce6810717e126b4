"""``memberscan federation``: what the parties of a deployed federation prepare before they start Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memberscan.cli.options import (
    CohortDir,
    Given,
    Json,
    NoSeed,
    Seed,
    answer,
    of_federations,
    stated_settings,
)
from memberscan.errors import BadInputError
from memberscan.federation.run_config import SITES_OWN

app = typer.Typer(
    help="Prepare a federation of machines: the server's app, each site's roles, the learners' keys.",
    no_args_is_help=True,
)


@app.command()
@of_federations(omit=SITES_OWN)
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Empty or new folder for the Flower app.")],
    run: Annotated[Path, typer.Option(help="Directory of the run that the server writes, on its machine.")],
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean or mlp.")],
    learners: Annotated[int, typer.Option(help="How many sites to wait for.")],
    public: Annotated[
        Path | None, typer.Option(help="public.ckks, on the server's machine; with --secure ckks.")
    ] = None,
    *,
    settings: Given,
    training: Given,
    options: Given,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write the app folder that the server gives to `flwr run`.

    Each site chooses the device that it trains on, by `device` in its node's configuration.

    Example: `memberscan federation init app --run /data/run --model cnn3d --learners 3 --rounds 25`
    """
    from memberscan.federation import deploy

    stated = stated_settings(model, seed, settings, training, options)
    if (stated.secure == "ckks") != (public is not None):
        raise BadInputError(
            "--secure ckks and --public go together; 'memberscan federation keys' makes the public key"
        )
    deploy.init(directory, stated, run=run, learners=learners, public=public)
    answer(
        {"app": str(directory), "run": str(run.absolute()), "learners": learners, "rounds": stated.rounds},
        json,
    )


@app.command()
def site(
    cohort: CohortDir,
    roles: Annotated[Path, typer.Argument(metavar="ROLES", help="TSV to write, of subject, role, learner.")],
    learner: Annotated[str, typer.Option(help="The site's name in the federation.")],
    held_out: Annotated[float, typer.Option(help="Share of the subjects to keep out of training.")] = 0.2,
    seed: Annotated[
        int | None,
        typer.Option(help="Draws the members; secret by default. Whoever guesses it can repeat the draw."),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the subjects that a site holds out of training, and write its roles.

    Example: `memberscan federation site cohort roles.tsv --learner site-a --held-out 0.2`
    """
    from memberscan.cohort import Cohort
    from memberscan.federation import deploy
    from memberscan.runs import Role

    drawn = deploy.site_roles(roles, Cohort.open(cohort), learner, held_out, seed)
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
