"""Send one message from the server to several learners, and collect their answers."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from memberscan.errors import FederationError, MemberscanError
from memberscan.federation.records import FACTS, MOST_WORDS, Reason
from memberscan.federation.settings import Settings

_LOG = logging.getLogger("memberscan.federation")
# Flower's error if Ray lost the process in which a learner ran, or has not restarted it yet.
_WORKER_DIED = re.compile(r"<class 'ray\.exceptions\.\w*(?:Actor|Worker|Node|OutOfMemory)\w*'>")
_PAUSES = (2.0, 10.0, 30.0)
"""Seconds to wait before each retry; a worker takes a few seconds to restart, on a busy machine many."""


@dataclass(frozen=True)
class Learner:
    """What the server knows about a learner; the number of scans is the learner's own claim.

    ``target`` says what its network predicts, as JSON; empty for age.
    """

    name: str
    node: int
    samples: int
    shape: tuple[int, ...]
    moments: RecordDict
    target: str = ""


@dataclass(frozen=True)
class Messenger:
    """Sends messages; returns the answers by learner, and why others did not answer."""

    grid: Grid
    settings: Settings

    def ask(
        self, kind: str, learners: Sequence[Learner], content: Mapping[str, object], **facts: str | float
    ) -> tuple[dict[str, RecordDict], dict[str, Reason]]:
        """Send the same content to learners, and wait for all of them."""
        name_of = {learner.node: learner.name for learner in learners}
        replies, failures = self.exchange(kind, list(name_of), content, facts)
        left_out = {name: failures[node] for node, name in name_of.items() if node in failures}
        # In the order of the learners, not of arrival, because the last bits of sums depend on the order.
        return {name: replies[node] for node, name in name_of.items() if node in replies}, left_out

    def ask_one(
        self,
        kind: str,
        learners: Sequence[Learner],
        content: Mapping[str, object],
        check: Callable[[RecordDict], None],
        **facts: str | float,
    ) -> dict[str, RecordDict]:
        """Send content to one learner after another, until an answer passes a check.

        Raises
        ------
        FederationError
            If no answer passes.
        """
        failures: dict[str, Reason] = {}
        for learner in learners:
            replies, missing = self.ask(kind, [learner], content, **facts)
            failures |= missing
            try:
                if replies:
                    check(replies[learner.name])
                    return replies
            except MemberscanError as error:
                failures[learner.name] = Reason.ours(error)
        reasons = "; ".join(f"{name} {reason.words}" for name, reason in failures.items())
        raise FederationError(
            f"no learner answered a request that needs the learners' key ({kind}: {reasons}); every finished "
            "round is kept: fix the learners and run the same command again"
        )

    def exchange(
        self, kind: str, nodes: Sequence[int], content: Mapping[str, object], facts: Mapping[str, str | float]
    ) -> tuple[dict[int, RecordDict], dict[int, Reason]]:
        """Send a message to nodes; return, by node, what they answered, and why others did not.

        A learner whose worker died is asked again, alone: on Ray, learners share workers, and one that kills
        its worker may fail others.
        """
        stated = ConfigRecord({"settings": self.settings.to_json(), **facts})
        records: dict[str, Any] = {FACTS: stated, **content}
        group = str(facts.get("round", 0))
        replies, refusals = self._send(kind, nodes, records, group)
        for node in [node for node in nodes if _WORKER_DIED.match(refusals.get(node, ""))]:
            for pause in _PAUSES:
                _LOG.warning("the worker of node %d died; asking it again in %g seconds", node, pause)
                time.sleep(pause)
                again, refused = self._send(kind, [node], records, group)
                replies, refusals = replies | again, refusals | refused
                if node in replies or not _WORKER_DIED.match(refused.get(node, "")):
                    break
        silent = Reason.ours(f"did not answer within {self.settings.timeout:g} s")
        failures = {
            node: Reason.theirs(refusals[node]) if node in refusals else silent
            for node in nodes
            if node not in replies
        }
        return replies, failures

    def _send(
        self, kind: str, nodes: Sequence[int], records: dict[str, Any], group: str
    ) -> tuple[dict[int, RecordDict], dict[int, str]]:
        messages = [Message(RecordDict(records), node, kind, group_id=group) for node in nodes]
        replies: dict[int, RecordDict] = {}
        refusals: dict[int, str] = {}
        for reply in self.grid.send_and_receive(messages, timeout=self.settings.timeout):
            node = reply.metadata.src_node_id
            if reply.has_error():
                refusals[node] = (reply.error.reason or "")[:MOST_WORDS]
            else:
                replies[node] = reply.content
        return replies, refusals
