"""The server's side of a federation: it asks, checks, averages and records, round after round."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from memberscan.errors import FederationError, MemberscanError, ModelError
from memberscan.federation.aggregate import Aggregator, Encrypted, Plain, moments_form
from memberscan.federation.client import regressor, steps_of
from memberscan.federation.greeting import (
    Greeting,
    greet,
    implausible_moments,
    malformed_ciphertexts,
    too_few,
)
from memberscan.federation.post import Learner, Post
from memberscan.federation.records import Reason, fact, whole
from memberscan.federation.settings import Settings
from memberscan.files import disk_guard, locked
from memberscan.progress import progress
from memberscan.runs.transcript import MANIFEST, Participation, Transcript

_LOG = logging.getLogger("memberscan.federation")


def conduct(
    grid: Grid,
    settings: Settings,
    path: Path,
    *,
    expected: int,
    public: bytes | None = None,
    lasting_nodes: bool = True,
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
    lasting_nodes
        Whether a learner is the same node at every start. Then its name belongs to that node.

    Raises
    ------
    FederationError
        If too few learners come, or too few are left in a round; what is finished is kept.
    OutputConflictError
        If the transcript is of a federation with other settings.
    BusyError
        If another process conducts a federation there.
    """
    bound = Transcript.open(path).nodes if (path / MANIFEST).exists() and lasting_nodes else {}
    post = Post(grid, settings)
    met = greet(post, expected, bound, functools.partial(_invalid_moments, settings, public))
    # Only now, so that nothing is left behind if nobody came.
    with disk_guard(path):
        path.mkdir(parents=True, exist_ok=True)
    with locked(path):
        return _conduct(post, met, path, public, lasting_nodes=lasting_nodes)


def _conduct(
    post: Post, met: Greeting, path: Path, public: bytes | None, *, lasting_nodes: bool
) -> Transcript:
    """Conduct a federation of the learners that answered, in a directory that this process has locked."""
    settings = post.settings
    transcript = Transcript.begin(
        path,
        learners=met.names,
        secure=settings.secure,
        settings=settings.to_dict(),
        nodes=met.nodes if lasting_nodes else {},
    )
    gone = Reason.ours("is not connected")
    absent = {name: gone for name in transcript.learners if name not in met.names} | met.absent
    initial = regressor(settings, met.learners[0].shape)
    if settings.secure == "none":
        aggregator: Aggregator = Plain(initial, transcript)
    else:
        aggregator = Encrypted(initial, transcript, _required(public))
    if not transcript.begun:
        aggregator.begin(post, met.learners)
    done = len(Transcript.open(path).rounds)
    with progress("federating", settings.rounds, done=done) as advance:
        for number in range(done + 1, settings.rounds + 1):
            _round(post, aggregator, met.learners, dict(absent), number)
            advance(1)
    return Transcript.open(path)


def _invalid_moments(
    settings: Settings, public: bytes | None, learners: Sequence[Learner]
) -> dict[int, Reason]:
    """Return which nodes state moments that cannot be averaged, and why; all have inputs of one shape."""
    shape = learners[0].shape
    form = moments_form(regressor(settings, shape), shape)
    if settings.secure == "none":
        return implausible_moments(learners, form)
    return malformed_ciphertexts(learners, sum(moment.numel() for moment in form.values()), _required(public))


def _required(public: bytes | None) -> bytes:
    if public is None:
        raise FederationError(
            "the server needs the learners' public key to add ciphertexts with; give it one"
        )
    return public


def _participation(content: RecordDict, learner: Learner, settings: Settings) -> Participation:
    """Read what a learner reports of its training; :class:`ModelError` if it is impossible."""
    samples, steps, loss = whole(content, "samples"), whole(content, "steps"), fact(content, "loss")
    if isinstance(loss, (str, bool)) or not (math.isfinite(loss) and loss >= 0):
        raise ModelError(
            f"reports {samples} samples and a loss of {str(loss)[:20]!s}, which cannot be averaged"
        )
    if samples != learner.samples or steps != (expected := steps_of(settings, samples)):
        asked = f"; it held {learner.samples} when it introduced itself"
        if samples == learner.samples:
            asked = f", and {expected} steps were asked of it"
        raise ModelError(f"reports {samples} samples and {steps} steps{asked}")
    return Participation(samples, steps, float(loss))


def _round(
    post: Post,
    aggregator: Aggregator,
    learners: Sequence[Learner],
    left_out: dict[str, Reason],
    number: int,
) -> None:
    """Carry out one round; a learner that does not answer, or sends an invalid model, is left out by name."""
    replies, failed = post.ask("train", learners, aggregator.message(), round=number)
    took_part: dict[str, Participation] = {}
    for learner in learners:
        if learner.name not in replies:
            continue
        content = replies[learner.name]
        try:
            participation = _participation(content, learner, post.settings)
            aggregator.check(learner.name, content)
            took_part[learner.name] = participation
        except MemberscanError as error:
            failed[learner.name] = Reason.ours(error)
    failed |= aggregator.oversized(list(took_part))
    for name, reason in failed.items():
        _LOG.warning("%s is left out of round %d: %s", name, number, reason.words)
        took_part.pop(name, None)
    left_out |= failed
    if len(took_part) < post.settings.min_learners:
        raise FederationError(
            too_few(f"in round {number}", len(took_part), left_out, post.settings.min_learners)
        )
    present = [learner for learner in learners if learner.name in took_part]
    recorded = {name: reason.recorded for name, reason in left_out.items()}
    aggregator.combine(post, present, replies, number, took_part, recorded)
