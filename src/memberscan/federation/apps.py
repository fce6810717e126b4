"""The apps of a deployed federation, which Flower loads by name on the server and on every site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, RolesError
from memberscan.federation.client import Site
from memberscan.federation.client import client_app as make_client_app
from memberscan.federation.server import conduct
from memberscan.federation.settings import Settings
from memberscan.runs import Roles
from memberscan.runs.transcript import ROUNDS
from memberscan.training import TrainingConfig

server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Conduct the federation that the run's configuration describes."""
    config = context.run_config
    path = Path(str(_given(config, "run")))
    public = Path(str(config["public"])).read_bytes() if config.get("public") else None
    conduct(
        grid,
        settings_of(config),
        path / ROUNDS,
        expected=int(_given(config, "learners")),
        public=public,
    )


def settings_of(config: Mapping[str, bool | float | int | str]) -> Settings:
    """Return the settings that a Flower run configuration gives; zero and "" stand for a default."""
    options = {name: config[name] for name in ("width", "dropout") if config.get(name)}
    training = TrainingConfig(
        epochs=int(config.get("local-epochs", 4)),
        learning_rate=float(config.get("learning-rate", 0)) or None,
        batch_size=int(config.get("batch-size", 8)),
        optimizer=str(config.get("optimizer", "adam")),
        seed=int(config.get("seed", 0)),
    )
    return Settings(
        model=str(_given(config, "model")),
        options=options,
        training=training,
        rounds=int(config.get("rounds", 25)),
        min_learners=int(config.get("min-learners", 2)),
        timeout=float(config.get("timeout", 3600)),
        secure=str(config.get("secure", "none")),
        everyone_keeps=True,
    )


def locate(context: Context) -> Site:
    """Return what the node's own configuration says of this site: its cohort, name and roles."""
    config = context.node_config
    cohort = Cohort.open(str(_given(config, "cohort")))
    learner, path = str(_given(config, "learner")), Path(str(_given(config, "roles")))
    roles = Roles.read(path).restrict(cohort.subjects, absent=cohort.excluded["subject_id"].tolist())
    members = roles.members_of(learner)
    if not members:
        raise RolesError(f"{path} names no member of the learner {learner!r}")
    scans = cohort.scans.index[cohort.scans["subject_id"].isin(members)]
    secret, keep = config.get("secret"), config.get("keep")
    return Site(
        learner,
        cohort,
        tuple(scans),
        Path(str(secret)).read_bytes() if secret else None,
        Path(str(keep)) if keep else None,
    )


def _given(config: Mapping[str, bool | float | int | str], name: str) -> bool | float | int | str:
    if not config.get(name):
        raise BadInputError(
            f"the configuration has no {name!r}; give it to flwr run, or in the node's config"
        )
    return config[name]


client_app = make_client_app(locate)
