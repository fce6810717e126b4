"""A consortium in miniature, whose learners and network can be made to misbehave."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from memberscan.cohort import Cohort
from memberscan.federation.client import client_app
from memberscan.federation.environments import draw_roles
from memberscan.federation.flower_private import task_identity
from memberscan.federation.local_grid import RUN_ID, SERVER, LocalGrid
from memberscan.federation.server import coordinate
from memberscan.federation.settings import Settings
from memberscan.federation.site import Site
from memberscan.runs import Roles
from memberscan.runs.transcript import SEEN_BY_LEARNERS, Transcript
from memberscan.training import TrainingConfig

App = Callable[[Message, Context], Message]
MLP = {"width": 5}


def settings(**changes: Any) -> Settings:
    """Return the settings of a federation that takes a moment."""
    training = TrainingConfig(epochs=2, device="cpu", learning_rate=0.01, seed=3)
    return Settings(**{"model": "mlp", "options": MLP, "training": training, "rounds": 3, **changes})


def contents(path: Path) -> dict[str, bytes]:
    """Return all files but those that hold times or a random salt, and without the digest made with it."""
    files = (p for p in path.rglob("*") if p.is_file() and p.name not in ("timings.jsonl", "roles.salt"))
    return {str(p.relative_to(path)): re.sub(rb'"roles": "[0-9a-f]{32}"', b"", p.read_bytes()) for p in files}


def asked(message: Message) -> tuple[str, int]:
    """Return what a message asks for, and in which round."""
    return message.metadata.message_type, int(message.content.config_records["facts"].get("round", 0))


@dataclass(frozen=True)
class Consortium:
    """Learners of skewed sizes, on one cohort."""

    cohort: Cohort
    roles: Roles

    def app(
        self, path: Path, names: Iterable[str] = (), keys: tuple[bytes, bytes] | None = None
    ) -> ClientApp:
        """Return the learners' app; ``names`` are what they call themselves, if not by their names."""
        own = self.roles.learners
        called = list(names) or own

        def locate(context: Context) -> Site:
            place = int(context.node_config["partition-id"])
            members = self.cohort.scans["subject_id"].isin(self.roles.members_of(own[place]))
            secret = None if keys is None else keys[0]
            return Site(
                called[place],
                self.cohort,
                tuple(self.cohort.scans.index[members]),
                secret,
                path / SEEN_BY_LEARNERS,
            )

        return client_app(locate, confide=True)

    def federate(
        self,
        path: Path,
        its: Settings | None = None,
        *,
        around: Callable[[App], App] = lambda app: app,
        grid: type[LocalGrid] = LocalGrid,
        names: Iterable[str] = (),
        keys: tuple[bytes, bytes] | None = None,
        nodes: int = 0,
        fewest_people: int = 1,
    ) -> Transcript:
        """Coordinate a federation whose app is wrapped by ``around``."""
        its = its or settings()
        nodes = nodes or len(self.roles.learners)
        app = around(self.app(path, names, keys))
        post = grid(app, nodes, its.training.seed)  # type: ignore[arg-type]
        public = None if keys is None else keys[1]
        with task_identity(RUN_ID, SERVER):
            return coordinate(post, its, path, expected=nodes, public=public, fewest_people=fewest_people)


def consortium(cohort: Cohort, learners: int = 3) -> Consortium:
    """Return a consortium on a cohort."""
    return Consortium(cohort, draw_roles(cohort, "skewed-iid", learners, 0.3, np.random.default_rng(5)))


def answering(
    change: Callable[[Message], Message | None], *, kind: str = "train", number: int = 2, place: int = 1
) -> Callable[[App], App]:
    """Return what changes one learner's answer to one question."""

    def around(app: App) -> App:
        def changed(message: Message, context: Context) -> Message:
            reply = app(message, context)
            if asked(message) == (kind, number) and context.node_config["partition-id"] == place:
                return change(reply) or reply
            return reply

        return changed

    return around


class Killed(BaseException):
    """Not an Exception: a learner that fails would be left out instead."""


def stop(reply: Message) -> None:
    """End the federation at an answer, as a signal does."""
    raise Killed


@contextlib.contextmanager
def as_server() -> Iterator[None]:
    """Let messages be made as the server of a federation in this process."""
    with task_identity(RUN_ID, SERVER):
        yield
