"""The engine in this process: Flower's apps, with no server and no Ray between them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from memberscan import seeds
from memberscan.federation.flower_private import CLIENT_FAILED, Run, task_identity

RUN_ID, SERVER = 1, 1


class LocalGrid(Grid):
    """A grid whose nodes are calls of the client app, one after the other.

    Messages are copied, as by a network, so that the parties share no objects. Python's ``random`` is seeded
    for each call from the kind of request, the learner and the round, so that an interrupted federation draws
    the same numbers when it resumes. There is no timeout: the server waits for each learner.

    Parameters
    ----------
    app
        The learners' app.
    nodes
        How many learners.
    seed
        Root seed.
    """

    def __init__(self, app: ClientApp, nodes: int, seed: int) -> None:
        self._app = app
        self._seed = seed
        self._contexts = {
            # Node 1 is the server.
            place + 2: Context(
                run_id=RUN_ID,
                node_id=place + 2,
                node_config={"partition-id": place, "num-partitions": nodes},
                state=RecordDict(),
                run_config={},
            )
            for place in range(nodes)
        }
        self._replies: dict[str, Message] = {}
        self._sent = 0

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Run:
        """Not implemented: a federation in one process does not need it."""
        raise NotImplementedError("a federation in one process has no Flower run")

    def get_node_ids(self) -> Iterable[int]:
        """Return the learners' nodes."""
        return list(self._contexts)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message of the server."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Have messages answered, and return the ids with which to pull the answers."""
        names = []
        for message in messages:
            self._sent += 1
            self._replies[str(self._sent)] = self._answer(copy.deepcopy(message))
            names.append(str(self._sent))
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return answers; each can be pulled once."""
        return [self._replies.pop(name) for name in message_ids]

    def send_and_receive(
        self,
        messages: Iterable[Message],
        *,
        timeout: float | None = None,  # noqa: ARG002
    ) -> Iterable[Message]:
        """Yield the answer of one learner after the other."""
        for message in messages:
            yield from self.pull_messages(self.push_messages([message]))

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        state = random.getstate()
        asked = message.metadata.message_type, message.metadata.group_id
        random.seed(seeds.integer(self._seed, "node", node, *asked))
        try:
            with task_identity(RUN_ID, node):
                return copy.deepcopy(self._app(message, self._contexts[node]))
        except Exception as error:  # a learner that fails must not end the others
            reason = " ".join(f"failed ({type(error).__name__}: {error})".split())
            return Message(Error(CLIENT_FAILED, reason), reply_to=message)
        finally:
            random.setstate(state)
