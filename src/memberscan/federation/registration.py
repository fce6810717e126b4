"""The server's first contact with its learners: it asks who they are, and checks what they state.

A learner whose statements are rejected is left out by name, and the others continue.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from flwr.app import RecordDict
from torch import Tensor

from memberscan.errors import FederationError, MemberscanError, ModelError, NonFiniteError
from memberscan.federation.messaging import Learner, Messenger
from memberscan.federation.records import Reason, fact, read_ciphertexts, read_model, whole_number
from memberscan.federation.site import MOST_SCANS
from memberscan.received import parse_json
from memberscan.runs.names import RULE, can_name_a_learner
from memberscan.runs.roles import natural_order
from memberscan.shown import plain

_LOG = logging.getLogger("memberscan.federation")
_POLL_SECONDS = 1.0
_OLDEST = 150.0
"""Years; an upper limit of human age, so no mean of ages can be larger."""
_FARTHEST = 1000.0
"""A learner's features may be at most this many times as large as all others'; a mix of units exceeds it."""


@dataclass(frozen=True)
class Registration:
    """Which learners take part, and why the others do not.

    Parameters
    ----------
    learners
        Learners whose inputs and moments fit together, in natural order.
    absent
        Why others do not take part, by name; by node if the name is unknown or belongs to another node.
    names
        All learners that stated an acceptable name, in natural order.
    nodes
        The node of each of these names.
    """

    learners: list[Learner]
    absent: dict[str, Reason]
    names: tuple[str, ...]
    nodes: dict[str, str]


def register(
    messenger: Messenger,
    expected: int,
    bound: Mapping[str, str],
    check: Callable[[Sequence[Learner]], dict[int, Reason]],
    fewest_people: int = 1,
) -> Registration:
    """Wait for the learners, ask who they are, and check their answers.

    Parameters
    ----------
    messenger
        Sends them messages.
    expected
        Number of learners to wait for.
    bound
        The node that each name belongs to, from an earlier start of this federation.
    check
        Returns which nodes, all with inputs of one shape, state moments that cannot be averaged, and why.
    fewest_people
        Fewest people that a learner must train on.

    Raises
    ------
    FederationError
        If fewer learners are left than a round needs.
    """
    nodes = _wait(messenger, expected)
    replies, failures = messenger.exchange("query.introduce", nodes, {}, {})
    said = []
    for node in nodes:
        try:
            if node in replies:
                said.append(_introduction(node, replies[node], nodes, fewest_people))
        except MemberscanError as error:
            failures[node] = Reason.ours(error)
    learners, doubted, twice = _owners(said, bound)
    absent = twice | {f"node-{node}": reason for node, reason in (failures | doubted).items()}
    if not learners:
        reasons = sorted({reason.words for reason in absent.values()})
        raise FederationError(f"no learner can take part: {'; '.join(reasons)}")
    fitting, absent_by_shape = _of_one_shape(learners)
    fitting, absent_by_target = _of_one_target(fitting)
    odd = check(fitting)
    absent |= absent_by_shape | absent_by_target | {f"node-{node}": reason for node, reason in odd.items()}
    left = {learner.name: learner for learner in fitting if learner.node not in odd}
    known = {learner.name: str(learner.node) for learner in learners if learner.node not in odd}
    if len(left) < messenger.settings.min_learners:
        raise FederationError(
            too_few("before the first round", len(left), absent, messenger.settings.min_learners)
        )
    for name, reason in absent.items():
        _LOG.warning("%s takes no part: %s", name, reason.words)
    return Registration([left[name] for name in natural_order(left)], absent, natural_order(known), known)


def too_few(when: str, left: int, left_out: Mapping[str, Reason], needed: int) -> str:
    """Return the message that says that too few learners are left, and why the others are not there."""
    reasons = "; ".join(f"{name} {reason.words}" for name, reason in left_out.items())
    return (
        f"{when} only {left} learners are left, fewer than --min-learners {needed} "
        f"({reasons}); every finished round is kept: fix the learners and run the same command again"
    )


def _wait(messenger: Messenger, expected: int) -> list[int]:
    """Wait for the expected nodes; after the timeout, continue with the connected ones if they are enough."""
    settings = messenger.settings
    end = time.monotonic() + settings.timeout
    while len(nodes := sorted(messenger.grid.get_node_ids())) < expected and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    if len(nodes) < settings.min_learners:
        raise FederationError(
            f"{len(nodes)} of {expected} learners connected within {settings.timeout:g} s, and at least "
            f"{settings.min_learners} are needed; check that their nodes are running, and run it again"
        )
    return nodes


def _introduction(node: int, content: RecordDict, nodes: Sequence[int], fewest_people: int) -> Learner:
    """Read a learner's introduction; :class:`ModelError` if a part is missing or impossible."""
    name = fact(content, "learner")
    samples, shape = whole_number(content, "samples"), _shape(fact(content, "shape"))
    if samples < 1:
        raise ModelError("holds no scan to train on")
    if samples > MOST_SCANS:
        raise ModelError(f"says that it holds {samples:,} scans, and nobody has more than {MOST_SCANS:,}")
    people = whole_number(content, "people")
    if not 1 <= people <= samples:
        raise ModelError(f"says that its {samples:,} scans are of {people:,} people")
    if people < fewest_people:
        raise ModelError(
            f"trains on {people} people, and at least {fewest_people} are needed: sums over fewer are nearly "
            "their values"
        )
    # The record names learners without a name 'node-N', so no learner may use the name of another node.
    others = {f"node-{other}" for other in nodes if other != node}
    if not isinstance(name, str) or not can_name_a_learner(name) or name in others:
        raise ModelError(f"its name {str(name)[:100]!r} cannot name a file of the record: {RULE}")
    protection = content.config_records["facts"].get("protection", "nothing about protection")
    _LOG.info("node %d: %s", node, plain(str(protection))[:200])
    target = str(content.config_records["facts"].get("target", ""))[:10_000]
    return Learner(name, node, samples, shape, content, target)


def _shape(stated: object) -> tuple[int, ...]:
    try:
        sizes = parse_json(str(stated)[:200], "its shape")
    except MemberscanError:
        sizes = None
    if (
        not isinstance(sizes, list)
        or not 1 <= len(sizes) <= 3
        or not all(type(size) is int and 1 <= size <= 10_000_000 for size in sizes)
    ):
        raise ModelError("states no valid shape of its inputs, which is a JSON list of one to three sizes")
    return tuple(sizes)


def _owners(
    said: Sequence[Learner], bound: Mapping[str, str]
) -> tuple[list[Learner], dict[int, Reason], dict[str, Reason]]:
    """Return the learners that own their names, the nodes that use another's, and names that two nodes use.

    A name belongs to the node that first took part under it. Case makes no difference, because
    some file systems ignore it.
    """
    owner = {name.lower(): node for name, node in bound.items()}
    learners, doubted, twice = [], {}, {}
    for learner in said:
        key = learner.name.lower()
        rivals = [other for other in said if other.name.lower() == key and other is not learner]
        if key in owner and owner[key] != str(learner.node):
            doubted[learner.node] = Reason.ours(
                f"calls itself {learner.name!r}, a name that belongs to node {owner[key]}; if the site has a "
                "new key, delete the name from 'nodes' in transcript.json"
            )
        elif key not in owner and rivals:
            places = ", ".join(str(node) for node in sorted(other.node for other in (learner, *rivals)))
            twice[learner.name] = Reason.ours(
                f"two nodes call themselves {learner.name!r} ({places}), and it is not known whose the name "
                "is; give every learner a name of its own"
            )
        else:
            learners.append(learner)
    return learners, doubted, twice


def _of_one_shape(learners: Sequence[Learner]) -> tuple[list[Learner], dict[str, Reason]]:
    """Return the learners with inputs of the shape that most have, and why the others cannot take part."""
    shapes = [learner.shape for learner in learners]
    common = max(set(shapes), key=lambda shape: (shapes.count(shape), shape))
    odd = {
        learner.name: Reason.ours(f"its inputs have shape {learner.shape}, and most have {common}")
        for learner in learners
        if learner.shape != common
    }
    return [learner for learner in learners if learner.shape == common], odd


def _of_one_target(learners: Sequence[Learner]) -> tuple[list[Learner], dict[str, Reason]]:
    """Return the learners that predict what most of them do, and why the others cannot take part."""
    targets = [learner.target for learner in learners]
    common = max(set(targets), key=lambda target: (targets.count(target), target))
    odd = {
        learner.name: Reason.ours("it predicts another target, in another unit or with other classes")
        for learner in learners
        if learner.target != common
    }
    return [learner for learner in learners if learner.target == common], odd


def implausible_moments(learners: Sequence[Learner], form: Mapping[str, Tensor]) -> dict[int, Reason]:
    """Return which nodes state moments that no group of people can have, and why.

    Parameters
    ----------
    learners
        With moments in the clear.
    form
        Moments of the model that is trained; only names, shapes and types matter.
    """
    odd: dict[int, Reason] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for learner in learners:
        try:
            stated = read_model(learner.moments, form)
            _possible(stated, ages=not learner.target)
            moments[learner.node] = stated
        except NonFiniteError:
            odd[learner.node] = Reason.ours(f"states moments that are not finite (of {learner.name})")
        except ModelError as error:
            odd[learner.node] = Reason.ours(f"{error} (in the moments of {learner.name})")
    while len(moments) > 1 and (node := _farthest(moments)) is not None:
        odd[node] = Reason.ours(f"states features more than {_FARTHEST:g} times as large as anybody else's")
        del moments[node]
    return odd


def malformed_ciphertexts(learners: Sequence[Learner], values: int, public: bytes) -> dict[int, Reason]:
    """Return which nodes' encrypted moments are damaged, or have the wrong number of ciphertexts."""
    from memberscan.federation.ckks import check_update

    odd = {}
    for learner in learners:
        try:
            check_update(read_ciphertexts(learner.moments), values, public)
        except MemberscanError as error:
            odd[learner.node] = Reason.ours(f"{error} (in the moments of {learner.name})")
    return odd


def _possible(moments: Mapping[str, Tensor], *, ages: bool) -> None:
    """Raise :class:`ModelError` if no labels and features have these means and means of squares."""
    for name in ("age", "feature"):
        if name in moments:
            mean, square = moments[name], moments[f"{name}_square"]
            called = name if ages or name != "age" else "label"
            # The mean of squares is at least the square of the mean; if all values are equal, both are equal
            # up to rounding.
            if not (square >= mean**2 * (1 - 1e-6)).all() or not (square < 1e36).all():
                raise ModelError(f"states an impossible mean and mean square of its {called}s")
    if ages and moments["age_square"] > _OLDEST**2:
        raise ModelError("states impossible ages")


def _farthest(moments: Mapping[int, Mapping[str, Tensor]]) -> int | None:
    """Return the node whose features are implausibly larger than all others', or None."""
    if "feature_square" not in next(iter(moments.values())):
        return None
    sizes = torch.stack([stated["feature_square"].sqrt() for stated in moments.values()])
    largest, second = sizes.topk(2, dim=0).values
    # If all others have only zeros, there is nothing to compare with.
    ratio = torch.where(second > 0, largest / second, 0.0)
    worst = int(ratio.argmax())
    return list(moments)[int(sizes[:, worst].argmax())] if ratio[worst] > _FARTHEST else None
