"""The engines that carry messages between the parties of a simulated federation: this process, or Ray."""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from memberscan import threads
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, MissingExtraError
from memberscan.federation.client import client_app, regressor
from memberscan.federation.flower_private import task_identity
from memberscan.federation.local_grid import RUN_ID, SERVER, LocalGrid
from memberscan.federation.server import coordinate
from memberscan.federation.settings import Settings
from memberscan.federation.site import Site
from memberscan.models import MODELS
from memberscan.models.inputs import as_inputs, resolve_device
from memberscan.models.target_head import require_fits
from memberscan.models.trial import require_predicts
from memberscan.runs import Roles
from memberscan.runs.transcript import SEEN_BY_LEARNERS

ENGINES = ("local", "ray")


def check(cohort: Cohort, roles: Roles, settings: Settings, engine: str) -> None:
    """Refuse a federation that cannot begin, before anything is written.

    Raises
    ------
    BadInputError
        If the engine or the device is unknown, the model does not fit the cohort, or there are too few
        learners.
    MissingExtraError
        If the engine or the encryption needs a package that is not installed.
    """
    if engine not in ENGINES:
        raise BadInputError(f"engine {engine!r} is unknown; choose {' or '.join(ENGINES)}")
    resolve_device(settings.training.device)
    network = regressor(settings, cohort.shape, settings.model)
    require_fits(network.head, cohort.target)
    if settings.model not in MODELS:
        require_predicts(network.eval(), as_inputs(cohort, cohort.scans.index[:2].tolist()), settings.model)
    # Learners read the settings from a message and may refuse them; check now that they will not.
    Settings.from_json(settings.to_json())
    if engine == "ray":
        _require("ray", "the engine 'ray' needs Ray", "simulation")
    if settings.secure == "ckks":
        _require("tenseal", "encryption (secure 'ckks') needs TenSEAL", "he")
    if len(roles.learners) < settings.min_learners:
        raise BadInputError(
            f"{len(roles.learners)} learners hold members, fewer than min_learners {settings.min_learners}"
        )


def simulate(
    cohort: Cohort,
    roles: Roles,
    settings: Settings,
    transcript: Path,
    *,
    engine: str = "local",
    keys: tuple[bytes, bytes] | None = None,
    defence_seed: int | None = None,
    code: str | None = None,
) -> None:
    """Run a federation of the learners that ``roles`` names, on this machine.

    Parameters
    ----------
    cohort
        All learners' scans; each learner only gets its own.
    roles
        Which learner holds which subjects.
    settings
        The settings of the federation.
    transcript
        Directory of the transcript.
    engine
        "local" or "ray".
    keys
        The learners' secret key and the server's public key, if updates are encrypted.
    defence_seed
        Seed of the random numbers of the defence, at the learners and at the server; by default a new secret
        seed in each round.
    code
        The factory of the network, if the user named one: the settings may come from a transcript of others.
    """
    secret, public = keys or (None, None)
    members = {name: _scans_of(cohort, roles, name) for name in roles.learners}
    opened, keep = _opening(cohort, engine), transcript / SEEN_BY_LEARNERS

    def locate(context: Context) -> Site:
        name = list(members)[int(context.node_config["partition-id"])]
        return Site(
            name,
            opened(),
            members[name],
            secret,
            keep,
            device=settings.training.device,
            code=code,
            defence_seed=defence_seed,
        )

    app, nodes = client_app(locate, confide=True), len(members)
    if engine == "local":
        grid = LocalGrid(app, nodes, settings.training.seed)
        with task_identity(RUN_ID, SERVER):
            coordinate(
                grid,
                settings,
                transcript,
                expected=nodes,
                public=public,
                code=code,
                defence_seed=defence_seed,
            )
    else:
        _on_ray(app, nodes, settings, transcript, public, code, defence_seed)


def _opening(cohort: Cohort, engine: str) -> Callable[[], Cohort]:
    """Return a function that opens the cohort again, from its path and target alone."""
    path, target = cohort.path, cohort.target

    def opened() -> Cohort:
        return Cohort.open(path).with_target(target)

    # Learners in this process share it: to open it for each message takes as long as a small training does.
    return functools.cache(opened) if engine == "local" else opened


def _require(module: str, what: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(f"{what}, which is not installed: pip install 'memberscan[{extra}]'")


def _scans_of(cohort: Cohort, roles: Roles, learner: str) -> tuple[str, ...]:
    return tuple(cohort.scans.index[cohort.scans["subject_id"].isin(roles.members_of(learner))])


def _on_ray(
    app: ClientApp,
    nodes: int,
    settings: Settings,
    transcript: Path,
    public: bytes | None,
    code: str | None,
    defence_seed: int | None,
) -> None:
    from flwr.simulation import run_simulation

    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001
        # Ray's simulation draws the ids of nodes anew at each start.
        coordinate(
            grid,
            settings,
            transcript,
            expected=nodes,
            public=public,
            lasting_nodes=False,
            code=code,
            defence_seed=defence_seed,
        )

    # Flower logs every message; what a user needs to know comes as errors and in the transcript.
    logging.getLogger("flwr").setLevel(logging.ERROR)
    with threads.one_for_each_process():
        run_simulation(
            server,
            app,
            nodes,
            backend_config={
                "init_args": {
                    "include_dashboard": False,
                    "log_to_driver": False,
                    "logging_level": "error",
                    "num_cpus": threads.available(),
                },
                # Options of the workers, too: without restarts, a worker that died would fail every learner.
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0, "max_restarts": -1},
            },
        )
