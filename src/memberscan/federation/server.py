"""The server's side of a federation: it asks, checks, averages and records, round after round."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from memberscan.errors import FederationError, MemberscanError, ModelError
from memberscan.federation.aggregate import Aggregator, Encrypted, Plain, check_moments
from memberscan.federation.client import regressor
from memberscan.federation.records import FACTS, fact
from memberscan.federation.settings import Settings
from memberscan.progress import progress
from memberscan.runs.roles import natural_order
from memberscan.runs.transcript import RESERVED, Participation, Transcript, can_name_a_learner

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
    OutputConflictError
        If the transcript is of a federation with other settings.
    """
    learners, absent, names = _greet(grid, settings, expected)
    transcript = Transcript.begin(path, learners=names, secure=settings.secure, settings=settings.to_dict())
    absent = {name: "is not connected" for name in transcript.learners if name not in names} | absent
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
        """Send the same content to learners, and wait for all of them."""
        name_of = {learner.node: learner.name for learner in learners}
        replies, failures = _exchange(self.grid, self.settings, kind, list(name_of), content, facts)
        missing = f"did not answer within {self.settings.timeout:g} s"
        left_out = {
            name: failures.get(node, missing) for node, name in name_of.items() if node not in replies
        }
        # In the order of the learners, whoever was first: sums depend on it in their last bits.
        return {name: replies[node] for node, name in name_of.items() if node in replies}, left_out

    def ask_one(
        self, kind: str, learners: Sequence[Learner], content: Mapping[str, object], **facts: str | float
    ) -> dict[str, RecordDict]:
        """Send content to one learner after the other, until one of them answers.

        Raises
        ------
        FederationError
            If none does.
        """
        failures: dict[str, str] = {}
        for learner in learners:
            replies, missing = self.ask(kind, [learner], content, **facts)
            if replies:
                return replies
            failures |= missing
        reasons = "; ".join(f"{name} {reason}" for name, reason in failures.items())
        raise FederationError(
            f"no learner could do what the server cannot without a key ({kind}: {reasons}); every finished "
            "round is kept: mend the learners and run the same command again"
        )


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


def _greet(
    grid: Grid, settings: Settings, expected: int
) -> tuple[list[Learner], dict[str, str], tuple[str, ...]]:
    """Wait for the learners and ask who they are.

    Returns those that fit together, why others do not, and the names of all that said theirs.
    """
    nodes = _wait(grid, expected, settings)
    replies, failures = _exchange(grid, settings, "query.hello", nodes, {}, {})
    learners = []
    for node in nodes:
        try:
            if node in replies:
                learners.append(_learner(node, replies[node], settings))
            else:
                failures.setdefault(node, f"did not answer within {settings.timeout:g} s")
        except MemberscanError as error:
            failures[node] = str(error)
    names = [learner.name for learner in learners]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FederationError(f"two nodes call themselves {twice[0]!r}; give every learner a name of its own")
    if bad := sorted(name for name in names if not can_name_a_learner(name)):
        raise FederationError(
            f"the learner's name {bad[0]!r} cannot name a file; use letters, digits, '.', '_' and '-', "
            f"and none of {', '.join(RESERVED)}"
        )
    if not learners:
        raise FederationError(f"no learner can take part: {'; '.join(sorted(set(failures.values())))}")
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
    return [fitting[name] for name in natural_order(fitting)], absent, natural_order(names)


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


def _learner(node: int, content: RecordDict, settings: Settings) -> Learner:
    """Read how a learner introduces itself; :class:`ModelError` if it does so in another way."""
    name = str(fact(content, "learner"))
    try:
        samples, shape = int(fact(content, "samples")), tuple(json.loads(str(fact(content, "shape"))))
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"introduces itself in no readable way ({error})") from error
    if samples < 1:
        raise ModelError("holds no scan to train on")
    check_moments(content, settings)
    return Learner(name, node, samples, shape, content)


def _participation(content: RecordDict) -> Participation:
    """Read what a learner reports of its training; :class:`ModelError` if that cannot be."""
    try:
        samples, steps = int(fact(content, "samples")), int(fact(content, "steps"))
        loss = float(fact(content, "loss"))
    except (ValueError, OverflowError) as error:
        raise ModelError(f"reports its training in no readable way ({error})") from error
    if samples < 1 or not math.isfinite(loss):
        raise ModelError(f"reports {samples} samples and a loss of {loss}, which cannot be averaged")
    return Participation(samples, steps, loss)


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
            its = _participation(content)
            aggregator.check(content)
            fitting[name], took_part[name] = content, its
        except MemberscanError as error:
            left_out[name] = str(error)
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
