from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from flwr.app import Context, Error, Message

from memberscan.cohort import Cohort
from memberscan.errors import FederationError
from memberscan.federation import engines, messaging
from memberscan.federation.client import client_app
from memberscan.federation.local_grid import LocalGrid
from memberscan.federation.site import Site
from memberscan.runs.transcript import Transcript

from .consortium import App, Consortium, asked, contents, settings


def descendants() -> set[int]:
    """Return the processes below this one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    found, before = {os.getpid()}, set()
    while found != before:
        before = set(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


DIED = (
    "<class 'ray.exceptions.ActorDiedError'>:<'The actor died unexpectedly:\n class_name: ClientAppActor\n'>"
)


class Mortal(LocalGrid):
    """An engine whose worker dies while the second learner trains, as often as is said."""

    deaths, number = 1, 2

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        for message in messages:
            if asked(message) == ("train", self.number) and message.metadata.dst_node_id == 3 and self.deaths:
                self.deaths -= 1
                yield Message(Error(0, DIED), reply_to=message)
            else:
                yield from super().send_and_receive([message], timeout=timeout)


def mortal_app(locate: Callable[[Context], Site], *, confide: bool) -> App:
    """Return the learners' app; the second learner's process ends whenever it trains in the first round."""
    inner = client_app(locate, confide=confide)

    def dying(message: Message, context: Context) -> Message:
        if asked(message) == ("train", 1) and context.node_config["partition-id"] == 1:
            os._exit(1)
        return inner(message, context)

    return dying


# One test, since Ray takes most of a minute to start and stop.
@pytest.mark.deployment
def test_on_ray_a_worker_that_dies_costs_its_learner_the_round_and_nobody_else(
    three: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray, pickling = pytest.importorskip("ray"), pytest.importorskip("ray.cloudpickle")
    # Workers cannot import tests.
    for module in (__name__, Consortium.__module__):
        pickling.register_pickle_by_value(sys.modules[module])
    threads, processes = set(threading.enumerate()), descendants()
    its = settings(rounds=2)
    with monkeypatch.context() as patch:
        patch.setattr(messaging, "_PAUSES", (12.0,))
        patch.setattr(engines, "client_app", mortal_app)
        engines.simulate(three.cohort, three.roles, its, tmp_path / "ray", engine="ray")
    assert not ray.is_initialized()
    end = time.monotonic() + 20
    while (left := descendants() - processes) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left
    assert not [thread for thread in set(threading.enumerate()) - threads if not thread.daemon]
    monkeypatch.setattr(messaging, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(engines, "LocalGrid", Mortal)
    monkeypatch.setattr(Mortal, "deaths", 9)
    monkeypatch.setattr(Mortal, "number", 1)
    engines.simulate(three.cohort, three.roles, its, tmp_path / "local")
    found, expected = (Transcript.open(tmp_path / name) for name in ("ray", "local"))
    assert found.learners == expected.learners
    for number in range(3):
        for name, values in expected.global_model(number).items():
            torch.testing.assert_close(found.global_model(number)[name], values, rtol=1e-5, atol=1e-6)
    for its_round, other in zip(found.rounds, expected.rounds, strict=True):
        assert list(its_round.took_part) == list(other.took_part)
        assert list(its_round.left_out) == list(other.left_out)
    first, second = found.rounds
    assert re.fullmatch(r"failed \(Actor\w+Error\)", first.left_out["learner-2"])
    assert list(second.took_part) == ["learner-1", "learner-2", "learner-3"]


def test_keys_reach_the_parties(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="has no key"):
        engines.simulate(three.cohort, three.roles, settings(rounds=1, secure="ckks"), tmp_path / "rounds")


@pytest.mark.parametrize(("deaths", "left_out"), [(1, {}), (9, {"learner-2": "failed (ActorDiedError)"})])
def test_who_was_lost_with_a_worker_is_asked_again(
    three: Consortium,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deaths: int,
    left_out: dict[str, str],
) -> None:
    monkeypatch.setattr(messaging, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(Mortal, "deaths", deaths)
    transcript = three.federate(tmp_path, grid=Mortal)
    assert dict(transcript.rounds[1].left_out) == left_out
    assert left_out or contents(tmp_path) == undisturbed


def test_in_one_process_learners_share_a_cohort_and_its_target(
    volumes: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real, paths = volumes.with_target("sex"), Cohort.open, []
    monkeypatch.setattr(Cohort, "open", lambda path: [paths.append(path), real(path)][1])
    here, elsewhere = (engines._opening(seen, engine) for engine in ("local", "ray"))
    assert here() is here() and paths == [volumes.path]
    assert elsewhere() is not elsewhere() and len(paths) == 3
    assert here().target == elsewhere().target == seen.target
