"""Record the transcript of a federation that a user's own Flower server app runs, with any of its strategies.

Flower's strategies keep no model of a round. Without the models that the learners sent, nobody can say what
the server, or a learner, could have found out about whose data they hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from memberscan.errors import OutputConflictError
from memberscan.runs.names import unusable_name
from memberscan.runs.roles import natural_order
from memberscan.runs.transcript import MANIFEST, Participation, Transcript

if TYPE_CHECKING:
    from torch import Tensor

SITE, SITE_NAME = "site", "name"
"""The record of a reply, and its key, in which a learner says what it is called."""
_PARTITION = "partition-id"

S = TypeVar("S", bound=Strategy)


def recorded(
    strategy: S, path: Path | str, *, weighted_by: str = "num-examples", parameters: Iterable[str] = ()
) -> S:
    """Let a Flower strategy (Message API) write a transcript of each round that it coordinates.

    The strategy works as before. Round 0 is the model that it first sends; round t has the model that each
    learner sent in round t, and the one that the strategy made of them.

    A learner is called what it says: its replies may have ``"site": ConfigRecord({"name": "site-a"})``. Else
    it is called after a metric "partition-id" (0 is learner-1), or else after its node, such as node-123.
    Names are needed for roles, which say who is in whose training set.

    Parameters
    ----------
    strategy
        The strategy, which is changed and returned.
    path
        The directory of the transcript; ``memberscan import --transcript`` reads it.
    weighted_by
        The metric in which learners state their numbers of scans; 0 is recorded where it is missing.
    parameters
        Names of the network's parameters in the order of the arrays, ``model.state_dict().keys()``, for an
        app that sends arrays without names (``ArrayRecord(list_of_arrays)``).

    Returns
    -------
    Strategy
        The same strategy.

    Raises
    ------
    OutputConflictError
        If there is a transcript at ``path`` already.
    """
    recorder = _Recorder(Path(path), weighted_by, tuple(parameters))
    configure, aggregate = strategy.configure_train, strategy.aggregate_train

    def configure_train(
        server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        recorder.sent(arrays)
        return configure(server_round, arrays, config, grid)

    def aggregate_train(
        server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        answers = list(replies)
        # Before they are averaged, since Flower may empty the replies while it does so.
        received = recorder.received(answers)
        arrays, metrics = aggregate(server_round, answers)
        recorder.record(arrays, *received)
        return arrays, metrics

    # On the instance and not by a class around it: a strategy's own start() calls its own methods.
    strategy.configure_train = configure_train  # type: ignore[method-assign]
    strategy.aggregate_train = aggregate_train  # type: ignore[method-assign]
    return strategy


class _Recorder:
    """Writes one transcript, round by round."""

    def __init__(self, path: Path, weighted_by: str, parameters: tuple[str, ...]) -> None:
        if (path / MANIFEST).exists():
            raise OutputConflictError(
                f"{path} holds a transcript already; give another directory, or delete it"
            )
        self._path = path
        self._weighted_by = weighted_by
        self._parameters = parameters
        self._names: dict[int, str] = {}
        self._last: dict[str, Tensor] = {}
        self._transcript: Transcript | None = None

    def sent(self, arrays: ArrayRecord) -> None:
        """Keep the model that is sent to the learners; the first one is round 0."""
        self._last = self._state(arrays)
        if self._transcript is None:
            begun = Transcript.begin(self._path, learners=(), secure="none", settings={})
            self._transcript = begun.record(0, self._last)

    def received(
        self, replies: Iterable[Message]
    ) -> tuple[dict[str, dict[str, Tensor]], dict[str, Participation], dict[str, str]]:
        """Return the learners' models, what they reported, and why a learner has no model, by name."""
        models: dict[str, dict[str, Tensor]] = {}
        took_part: dict[str, Participation] = {}
        left_out: dict[str, str] = {}
        for reply in replies:
            name = self._name(reply)
            if reply.has_error():
                left_out[name] = " ".join(f"failed ({reply.error.reason})".split())[:200]
                continue
            if len(reply.content.array_records) != 1:
                left_out[name] = f"sent {len(reply.content.array_records)} records of arrays instead of one"
                continue
            (arrays,) = reply.content.array_records.values()
            models[name] = self._state(arrays)
            took_part[name] = Participation(self._samples(reply.content))
        return models, took_part, left_out

    def record(
        self,
        arrays: ArrayRecord | None,
        models: dict[str, dict[str, Tensor]],
        took_part: dict[str, Participation],
        left_out: dict[str, str],
    ) -> None:
        """Write a round; where the strategy made no model of the replies, the last one stays."""
        assert self._transcript is not None
        if arrays is not None:
            self._last = self._state(arrays)
        learners = natural_order({*self._transcript.learners, *models, *left_out})
        if learners != self._transcript.learners:
            self._transcript = Transcript.begin(self._path, learners=learners, secure="none", settings={})
        absent = {name: "was not asked" for name in learners if name not in models and name not in left_out}
        # Replies come in any order.
        self._transcript = self._transcript.record(
            len(self._transcript.rounds) + 1,
            self._last,
            {name: models[name] for name in learners if name in models},
            {name: took_part[name] for name in learners if name in took_part},
            left_out | absent,
        )

    def _state(self, arrays: ArrayRecord) -> dict[str, Tensor]:
        state = arrays.to_torch_state_dict()
        if not self._parameters:
            return dict(state)
        return dict(zip(self._parameters, state.values(), strict=True))

    def _name(self, reply: Message) -> str:
        """Return what a learner is called: as it says, or else as it was called before.

        The first node that says a name has it; another one that says the same is called after its node.
        """
        node = reply.metadata.src_node_id
        if node not in self._names and not reply.has_error():
            said = _said(reply.content)
            if unusable_name([*self._names.values(), said]) is None:
                self._names[node] = said
        return self._names.get(node, f"node-{node}")

    def _samples(self, content: RecordDict) -> int:
        for metrics in content.metric_records.values():
            value = metrics.get(self._weighted_by)
            if isinstance(value, (int, float)) and value > 0:
                return int(value)
        return 0


def _said(content: RecordDict) -> str:
    """Return the name that a learner gives itself; "" if it gives none."""
    if SITE in content.config_records:
        return str(content.config_records[SITE].get(SITE_NAME, ""))
    for metrics in content.metric_records.values():
        place = metrics.get(_PARTITION)
        if isinstance(place, (int, float)):
            return f"learner-{int(place) + 1}"
    return ""
