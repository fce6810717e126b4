"""The server's side of a federation: it asks, checks, averages and records, round after round."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from memberscan.defences import defence_from
from memberscan.errors import FederationError, MemberscanError, ModelError
from memberscan.federation.aggregators import Aggregator, Encrypted, Plain, moments_form
from memberscan.federation.client import regressor, steps_of
from memberscan.federation.messaging import Learner, Messenger
from memberscan.federation.records import Reason, fact, whole_number
from memberscan.federation.registration import (
    Registration,
    implausible_moments,
    malformed_ciphertexts,
    register,
    too_few,
)
from memberscan.federation.settings import Settings
from memberscan.files import disk_guard
from memberscan.output_directory import locked
from memberscan.progress import progress
from memberscan.runs.transcript import MANIFEST, Participation, Transcript

_LOG = logging.getLogger("memberscan.federation")


def coordinate(
    grid: Grid,
    settings: Settings,
    path: Path,
    *,
    expected: int,
    public: bytes | None = None,
    lasting_nodes: bool = True,
    fewest_people: int = 1,
    code: str | None = None,
    defence_seed: int | None = None,
) -> Transcript:
    """Coordinate a federation to its last round, continuing from its transcript.

    Parameters
    ----------
    grid
        Flower's connection to the learners.
    settings
        The settings of the federation.
    path
        The transcript's directory.
    expected
        Number of learners to wait for before the first round.
    public
        The key for adding ciphertexts; it cannot decrypt.
    lasting_nodes
        Whether a learner is the same node at every start. Its name then belongs to that node.
    fewest_people
        A learner that trains on fewer people is left out, because the moments of its ages, and its models,
        would reveal single people. In a simulation on one machine this does not matter.
    code
        The factory of the network, if the user of this machine named one.
    defence_seed
        Seed of the random numbers of the defence's part at the server; None where no seed is kept.

    Raises
    ------
    BadInputError
        If the defence needs a seed and there is none.
    FederationError
        If too few learners connect, or too few are left in a round; finished rounds are kept.
    OutputConflictError
        If the transcript belongs to a federation with other settings.
    BusyError
        If another process coordinates a federation in this directory.
    """
    if defence_seed is None:
        settings.require_deployable()
    bound = Transcript.open(path).nodes if (path / MANIFEST).exists() and lasting_nodes else {}
    messenger = Messenger(grid, settings)
    registered = register(
        messenger, expected, bound, functools.partial(_invalid_moments, settings, public, code), fewest_people
    )
    # Only now, so that no files are written if no learner connected.
    with disk_guard(path):
        path.mkdir(parents=True, exist_ok=True)
    with locked(path):
        return _coordinate(
            messenger, registered, path, public, code, defence_seed, lasting_nodes=lasting_nodes
        )


def _coordinate(
    messenger: Messenger,
    registered: Registration,
    path: Path,
    public: bytes | None,
    code: str | None,
    defence_seed: int | None,
    *,
    lasting_nodes: bool,
) -> Transcript:
    """Coordinate a federation of the learners that answered, in a directory that this process has locked."""
    settings = messenger.settings
    transcript = Transcript.begin(
        path,
        learners=registered.names,
        secure=settings.secure,
        settings=asdict(settings),
        nodes=registered.nodes if lasting_nodes else {},
        grows=defence_from(settings.training.defence).extendable(),
    )
    gone = Reason.ours("is not connected")
    absent = {name: gone for name in transcript.learners if name not in registered.names} | registered.absent
    initial = regressor(settings, registered.learners[0].shape, code)
    if settings.secure == "none":
        aggregator: Aggregator = Plain(initial, transcript, defence_seed)
    else:
        aggregator = Encrypted(initial, transcript, _required(public))
    if not transcript.begun:
        aggregator.begin(messenger, registered.learners)
    done = len(Transcript.open(path).rounds)
    with progress("federating", settings.rounds, done=done) as advance:
        for number in range(done + 1, settings.rounds + 1):
            _round(messenger, aggregator, registered.learners, dict(absent), number)
            advance(1)
    return Transcript.open(path)


def _invalid_moments(
    settings: Settings, public: bytes | None, code: str | None, learners: Sequence[Learner]
) -> dict[int, Reason]:
    """Return which nodes state moments that cannot be averaged, and why; all have inputs of one shape."""
    shape = learners[0].shape
    form = moments_form(regressor(settings, shape, code), shape)
    if settings.secure == "none":
        return implausible_moments(learners, form)
    return malformed_ciphertexts(learners, sum(moment.numel() for moment in form.values()), _required(public))


def _required(public: bytes | None) -> bytes:
    if public is None:
        raise FederationError(
            "the server needs the learners' public key to add ciphertexts with; give it one"
        )
    return public


def _participation(
    content: RecordDict, learner: Learner, settings: Settings, least_loss: float
) -> Participation:
    """Read what a learner reports about its training; :class:`ModelError` if it is impossible."""
    samples, steps, loss = (
        whole_number(content, "samples"),
        whole_number(content, "steps"),
        fact(content, "loss"),
    )
    if isinstance(loss, (str, bool)) or not (math.isfinite(loss) and loss >= least_loss):
        raise ModelError(
            f"reports {samples} samples and a loss of {str(loss)[:20]!s}, which cannot be averaged"
        )
    if samples != learner.samples or steps != (expected := steps_of(settings, samples)):
        asked = f"; it held {learner.samples} when it introduced itself"
        if samples == learner.samples:
            asked = f", but the server asked for {expected} steps"
        raise ModelError(f"reports {samples} samples and {steps} steps{asked}")
    return Participation(samples, steps, float(loss))


def _round(
    messenger: Messenger,
    aggregator: Aggregator,
    learners: Sequence[Learner],
    left_out: dict[str, Reason],
    number: int,
) -> None:
    """Run one round; a learner that does not answer, or sends an invalid model, is left out by name."""
    replies, failed = messenger.ask("train", learners, aggregator.message(), round=number)
    took_part: dict[str, Participation] = {}
    for learner in learners:
        if learner.name not in replies:
            continue
        content = replies[learner.name]
        try:
            participation = _participation(
                content, learner, messenger.settings, aggregator.initial.head.least_loss
            )
            aggregator.check(learner.name, content)
            took_part[learner.name] = participation
        except MemberscanError as error:
            failed[learner.name] = Reason.ours(error)
    failed |= aggregator.outsized(list(took_part))
    for name, reason in failed.items():
        _LOG.warning("%s is left out of round %d: %s", name, number, reason.words)
        took_part.pop(name, None)
    left_out |= failed
    if len(took_part) < messenger.settings.min_learners:
        raise FederationError(
            too_few(f"in round {number}", len(took_part), left_out, messenger.settings.min_learners)
        )
    present = [learner for learner in learners if learner.name in took_part]
    recorded = {name: reason.recorded for name, reason in left_out.items()}
    aggregator.combine(messenger, present, replies, number, took_part, recorded)
