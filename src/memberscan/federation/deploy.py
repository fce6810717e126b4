"""What the parties of a deployed federation prepare: the app that Flower runs, and each site's own roles."""

from __future__ import annotations

import dataclasses
import json
import shlex
from importlib.metadata import version
from pathlib import Path

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, OutputConflictError, RolesError
from memberscan.federation.run_config import run_config
from memberscan.federation.settings import Settings
from memberscan.files import disk_guard, write_text
from memberscan.models import MODELS
from memberscan.runs import Role, Roles
from memberscan.runs.names import RULE, can_name_a_learner

APP = "memberscan.federation.apps"

_PYPROJECT = """\
# What Flower runs, and how; 'flwr run --run-config' changes one of the settings below for one run.
[project]
name = "memberscan-federation"
version = "{version}"
description = "Federated training of a neuroimaging model, with a transcript that can be audited"
license = "Apache-2.0"
dependencies = ["memberscan[federated]=={version}"]

[tool.flwr.app]
publisher = "memberscan"

[tool.flwr.app.components]
serverapp = "{app}:server_app"
clientapp = "{app}:client_app"

[tool.flwr.app.config]
{config}
"""

_README = """\
# A federation of {learners} learners

Flower takes this folder to the parties; the code is memberscan's own, installed at each of them. The whole
way, with certificates and keys, is in memberscan's documentation: "Run a deployed federation".

The server, once all SuperNodes are registered and online:

    flwr run {name} consortium --stream

Each site, with its own cohort, roles and key:

    flower-supernode --superlink SERVER:443 --root-certificates ca.crt \\
        --auth-supernode-private-key site-a.key \\
        --node-config 'cohort="/data/cohort" learner="site-a" roles="/data/roles.tsv" settings="{digest}"'

With `settings`, a site accepts exactly the settings in this folder. Ask the server for them and read them
before you state their digest.

The transcript is written on the server, to {run}/rounds.
"""


def init(
    directory: Path, settings: Settings, *, run: Path, learners: int, public: Path | None = None
) -> list[Path]:
    """Write the folder that ``flwr run`` is given: what to run, with which settings, and a README.

    Parameters
    ----------
    directory
        The folder; created if it does not exist.
    settings
        The settings of the federation.
    run
        Directory of the run that the server is to write, on the server's machine.
    learners
        Number of learners to wait for before the first round.
    public
        The learners' public key, on the server's machine; needed if ``settings.secure`` is "ckks".

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    BadInputError
        If the model is not a built-in one, a setting exceeds what a site accepts, fewer learners are
        expected than a round needs, or the defence needs a seed that is kept.
    OutputConflictError
        If the folder is not empty: it may be the app of a running federation.
    """
    if settings.model not in MODELS:
        raise BadInputError(f"model {settings.model!r} cannot be federated; choose {', '.join(MODELS)}")
    if learners < settings.min_learners:
        raise BadInputError(
            f"learners is {learners}, but a round needs {settings.min_learners}; wait for more learners"
        )
    settings.require_deployable()
    # Check them in the form that the server sends, to refuse settings now that every site would refuse.
    settings = Settings.from_json(dataclasses.replace(settings, everyone_keeps=True).to_json())
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise OutputConflictError(f"{directory} is not an empty folder; choose another, or empty it first")
    config = run_config(settings, run=run, learners=learners, public=public)
    # JSON's strings, numbers and truth values are TOML's too.
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in config.items())
    texts = {
        "pyproject.toml": _PYPROJECT.format(version=version("memberscan"), app=APP, config=lines),
        "README.md": _README.format(
            learners=learners, name=shlex.quote(directory.name), run=config["run"], digest=settings.digest
        ),
    }
    with disk_guard(directory):
        directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(directory / name, text)
    return [directory / name for name in texts]


def draw_site_roles(cohort: Cohort, learner: str, held_out: float, seed: int | None = None) -> Roles:
    """Draw the subjects that a site holds out of training; all others are its members.

    The draw also depends on the learner's name, so that sites with the same seed draw differently.

    Parameters
    ----------
    cohort
        The site's own subjects.
    learner
        Its name in the federation.
    held_out
        Share of its subjects kept out of training: the non-members with whom the audit compares members.
    seed
        Root seed; by default a secret one, because anyone with the seed can repeat the draw of members.

    Raises
    ------
    RolesError
        If the name is not allowed for a learner.
    BadInputError
        If ``held_out`` is not between 0 and 1.
    """
    if not can_name_a_learner(learner):
        raise RolesError(f"{learner!r} cannot name a learner: {RULE}")
    if not 0 < held_out < 1:
        raise BadInputError(f"held_out is {held_out}; it is a share between 0 and 1")
    rng = seeds.generator(seeds.secret() if seed is None else seed, "held-out", learner)
    roles = Roles.draw(cohort.subjects, members=1 - held_out, validation=0, rng=rng)
    return Roles(roles.of, dict.fromkeys(roles.subjects(Role.MEMBER), learner))


def site_roles(path: Path, cohort: Cohort, learner: str, held_out: float, seed: int | None = None) -> Roles:
    """Draw a site's roles and write them; without a seed, existing roles of the same people are kept.

    Parameters and errors as of :func:`draw_site_roles` and :func:`write_site_roles`.
    """
    roles = draw_site_roles(cohort, learner, held_out, seed)
    try:
        write_site_roles(path, roles)
    except OutputConflictError:
        kept = Roles.read(path)
        members = kept.members_of(learner)
        same = set(kept.of) == set(roles.of) and len(members) == len(roles.learner) == len(kept.learner)
        if seed is None and same:
            return kept
        raise
    return roles


def write_site_roles(path: Path, roles: Roles) -> None:
    """Write a site's roles; never overwrite other roles, because they record who was in a training set.

    Raises
    ------
    OutputConflictError
        If the file exists with other content.
    """
    with disk_guard(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Not checked beforehand: two processes could then overwrite each other's draw.
        roles.write(path, new=True)
    except FileExistsError:
        if Roles.read(path).fingerprint == roles.fingerprint:
            return
        raise OutputConflictError(
            f"{path} holds other roles; choose another file, or delete it first"
        ) from None
