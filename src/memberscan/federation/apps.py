"""The apps of a deployed federation, which Flower loads by name on the server and on every site."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, RolesError
from memberscan.federation.ckks import read_key
from memberscan.federation.client import client_app as make_client_app
from memberscan.federation.run_config import given, settings_of
from memberscan.federation.server import coordinate
from memberscan.federation.site import FEWEST_PEOPLE, LEAST_FEWEST, Site
from memberscan.runs import Roles
from memberscan.runs.transcript import ROUNDS

server_app = ServerApp()

NODE_CONFIG = (
    "cohort",
    "learner",
    "roles",
    "secret",
    "keep",
    "people",
    "device",
    "settings",
    "target",
    "unit",
    "classes",
)
"""Keys of a site's own configuration, which sets all of the site's protection."""

# Flower shows only its own logger's messages, so its handlers are also used for memberscan's logger.
_LOG = logging.getLogger("memberscan.federation")
_LOG.setLevel(logging.INFO)
for _handler in logging.getLogger("flwr").handlers:
    _LOG.addHandler(_handler)


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Coordinate the federation that the run's configuration describes."""
    config = context.run_config
    path = Path(str(given(config, "run")))
    public = read_key(Path(str(config["public"]))) if config.get("public") else None
    coordinate(
        grid,
        settings_of(config),
        path / ROUNDS,
        expected=int(given(config, "learners")),
        public=public,
        fewest_people=LEAST_FEWEST,
    )


def locate(context: Context) -> Site:
    """Return the site that the node's own configuration describes: its people, its name, its protection.

    Raises
    ------
    BadInputError
        If a key of the configuration is missing, unknown, or out of range. Unknown keys are errors because a
        site with a misspelt key would otherwise lack the protection that it wanted.
    RolesError
        If the roles name no member of the site.
    """
    config = context.node_config
    if unknown := sorted(config.keys() - set(NODE_CONFIG)):
        raise BadInputError(
            f"the node's configuration has {unknown[0]!r}, which is unknown; it can have "
            f"{', '.join(NODE_CONFIG)}"
        )
    cohort = _of_target(Cohort.open(str(given(config, "cohort"))), config)
    learner, path = str(given(config, "learner")), Path(str(given(config, "roles")))
    roles = Roles.read(path).restrict(cohort.subjects, absent=cohort.excluded["subject_id"].tolist())
    members = roles.members_of(learner)
    if not members:
        raise RolesError(
            f"{path} names no member of the learner {learner!r}; correct the roles, or 'learner' in the "
            "node's configuration"
        )
    scans = cohort.scans.index[cohort.scans["subject_id"].isin(members)]
    secret, keep = config.get("secret"), config.get("keep")
    return Site(
        learner,
        cohort,
        tuple(scans),
        read_key(Path(str(secret))) if secret else None,
        Path(str(keep)) if keep else None,
        fewest=_fewest(config.get("people", FEWEST_PEOPLE)),
        device=str(config.get("device", "auto")),
        agreed=str(config["settings"]) if "settings" in config else None,
    )


def _of_target(cohort: Cohort, config: Mapping[str, object]) -> Cohort:
    """Return the cohort with the target of the configuration; without one, it is the age."""
    if "target" not in config:
        return cohort
    unit, classes = config.get("unit"), str(config.get("classes", ""))
    named = tuple(name.strip() for name in classes.split(",") if name.strip())
    return cohort.with_target(str(config["target"]), unit=None if unit is None else str(unit), classes=named)


def _fewest(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < LEAST_FEWEST:
        raise BadInputError(
            f"people is {value!r} in the node's configuration; it is the number of people that the site "
            f"insists on, at least {LEAST_FEWEST}"
        )
    return value


client_app = make_client_app(locate)
