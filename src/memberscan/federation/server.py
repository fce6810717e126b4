"""The server's side of a federation: it asks, checks, averages and records, round after round."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from memberscan.errors import FederationError, MemberscanError
from memberscan.federation.aggregate import Aggregator, Encrypted, Plain
from memberscan.federation.client import regressor
from memberscan.federation.records import FACTS, fact
from memberscan.federation.settings import Settings
from memberscan.progress import progress
from memberscan.runs.roles import natural_order
from memberscan.runs.transcript import GLOBAL, Participation, Transcript

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Learner:
    """What the server knows of a learner."""

    name: str
    node: int
    samples: int
    shape: tuple[int, ...]
    moments: RecordDict


def conduct(
    grid: Grid, settings: Settings, path: Path, *, expected: int, public: bytes | None = None
) -> Transcript:
    """Conduct a federation to its last round, going on from what its transcript holds.

    Parameters
    ----------
    grid
        Flower's way to the learners.
    settings
        What to do.
    path
        The transcript's directory.
    expected
        How many learners to wait for before the first round.
    public
        The key that ciphertexts are added with; it cannot decrypt.

    Raises
    ------
    FederationError
        If too few learners come, or too few are left in a round; what is finished is kept.
    """
    learners, absent = _greet(grid, settings, expected)
    names = natural_order([*(learner.name for learner in learners), *absent])
    transcript = Transcript.begin(path, learners=names, secure=settings.secure, settings=settings.to_dict())
    initial = regressor(settings, learners[0].shape)
    if settings.secure == "none":
        aggregator: Aggregator = Plain(initial, transcript)
    else:
        aggregator = Encrypted(initial, transcript, _required(public))
    post = Post(grid, settings)
    if not transcript.begun:
        aggregator.begin(post, learners)
    done = len(Transcript.open(path).rounds)
    with progress("federating", settings.rounds, done=done) as advance:
        for number in range(done + 1, settings.rounds + 1):
            _round(post, aggregator, learners, dict(absent), number)
            advance(1)
    return Transcript.open(path)


@dataclass(frozen=True)
class Post:
    """Letters to learners, and what came back: contents by learner, and reasons why others did not answer."""

    grid: Grid
    settings: Settings

    def ask(
        self, kind: str, learners: Sequence[Learner], content: Mapping[str, object], **facts: str | float
    ) -> tuple[dict[str, RecordDict], dict[str, str]]:
        """Send the same content to learners; see :class:`Post`."""
        name_of = {learner.node: learner.name for learner in learners}
        replies, failures = _exchange(self.grid, self.settings, kind, list(name_of), content, facts)
        missing = f"did not answer within {self.settings.timeout:g} s"
        left_out = {
            name: failures.get(node, missing) for node, name in name_of.items() if node not in replies
        }
        # In the order of the learners, whoever was first: sums depend on it in their last bits.
        return {name: replies[node] for node, name in name_of.items() if node in replies}, left_out


def _exchange(
    grid: Grid,
    settings: Settings,
    kind: str,
    nodes: Sequence[int],
    content: Mapping[str, object],
    facts: Mapping[str, str | float],
) -> tuple[dict[int, RecordDict], dict[int, str]]:
    """Send a message to nodes; return the contents of the answers, and the reasons of refusals, by node."""
    stated = ConfigRecord({"settings": settings.to_json(), **facts})
    group = str(facts.get("round", 0))
    messages = [
        Message(RecordDict({FACTS: stated, **content}), node, kind, group_id=group)  # type: ignore[dict-item]
        for node in nodes
    ]
    replies, failures = {}, {}
    for reply in grid.send_and_receive(messages, timeout=settings.timeout):
        node = reply.metadata.src_node_id
        if reply.has_error():
            failures[node] = _last_line(reply.error.reason)
        else:
            replies[node] = reply.content
    return replies, failures


def _last_line(reason: str | None) -> str:
    lines = (reason or "").strip().splitlines()
    return lines[-1].strip() if lines else "failed without saying why"


def _greet(grid: Grid, settings: Settings, expected: int) -> tuple[list[Learner], dict[str, str]]:
    """Wait for the learners and ask who they are; return those that fit together, and why others do not."""
    nodes = _wait(grid, expected, settings)
    replies, failures = _exchange(grid, settings, "query.hello", nodes, {}, {})
    learners = [_learner(node, content) for node, content in replies.items()]
    names = [learner.name for learner in learners]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FederationError(f"two nodes call themselves {twice[0]!r}; give every learner a name of its own")
    if bad := sorted(name for name in names if not _NAME.fullmatch(name) or name == GLOBAL):
        raise FederationError(
            f"the learner's name {bad[0]!r} cannot name a file; use letters, digits, '.', '_' and '-', "
            f"and not {GLOBAL!r}"
        )
    if not learners:
        why = "; ".join(sorted(set(failures.values()))) or f"none answered within {settings.timeout:g} s"
        raise FederationError(f"no learner can take part: {why}")
    shapes = [learner.shape for learner in learners]
    common = max(set(shapes), key=lambda shape: (shapes.count(shape), shape))
    absent = {
        learner.name: f"its inputs have shape {learner.shape}, and most have {common}"
        for learner in learners
        if learner.shape != common
    }
    absent |= {f"node-{node}": reason for node, reason in failures.items()}
    fitting = {learner.name: learner for learner in learners if learner.shape == common}
    if len(fitting) < settings.min_learners:
        raise FederationError(_too_few("before the first round", len(fitting), absent, settings))
    return [fitting[name] for name in natural_order(fitting)], absent


def _wait(grid: Grid, expected: int, settings: Settings) -> list[int]:
    """Wait until enough nodes are there, or until time is up and the fewest allowed are."""
    end = time.monotonic() + settings.timeout
    while len(nodes := sorted(grid.get_node_ids())) < expected and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    if len(nodes) < settings.min_learners:
        raise FederationError(
            f"{len(nodes)} of {expected} learners connected within {settings.timeout:g} s, and at least "
            f"{settings.min_learners} are needed; check that their nodes are running, and run it again"
        )
    return nodes


def _learner(node: int, content: RecordDict) -> Learner:
    shape = tuple(json.loads(str(fact(content, "shape"))))
    return Learner(str(fact(content, "learner")), node, int(fact(content, "samples")), shape, content)


def _round(
    post: Post,
    aggregator: Aggregator,
    learners: Sequence[Learner],
    left_out: dict[str, str],
    number: int,
) -> None:
    """Carry out one round: who does not answer, or sends what does not fit, is left out of it and named."""
    replies, silent = post.ask("train", learners, aggregator.message(), round=number)
    left_out |= silent
    fitting: dict[str, RecordDict] = {}
    took_part: dict[str, Participation] = {}
    for name, content in replies.items():
        try:
            took_part[name] = Participation(
                int(fact(content, "samples")), int(fact(content, "steps")), float(fact(content, "loss"))
            )
            aggregator.check(content)
            fitting[name] = content
        except MemberscanError as error:
            left_out[name] = str(error)
            took_part.pop(name, None)
    if len(fitting) < post.settings.min_learners:
        raise FederationError(_too_few(f"in round {number}", len(fitting), left_out, post.settings))
    present = [learner for learner in learners if learner.name in fitting]
    aggregator.combine(post, present, fitting, number, took_part, left_out)


def _too_few(when: str, left: int, left_out: Mapping[str, str], settings: Settings) -> str:
    reasons = "; ".join(f"{name} {reason}" for name, reason in left_out.items())
    return (
        f"{when} only {left} learners are left, fewer than --min-learners {settings.min_learners} "
        f"({reasons}); every finished round is kept: mend the learners and run the same command again"
    )


def _required(public: bytes | None) -> bytes:
    if public is None:
        raise FederationError(
            "the server needs the learners' public key to add ciphertexts with; give it one"
        )
    return public
