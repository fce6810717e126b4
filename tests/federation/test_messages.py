"""Any message in the place of ours: the server leaves its sender out, the site refuses, and neither fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memberscan.errors import FederationError
from memberscan.federation.records import CIPHERTEXTS, FACTS, MODEL

from .consortium import App, Consortium, as_server, asked
from .consortium import settings as ours

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

scalars = (
    st.integers(-(1 << 63), (1 << 63) - 1)
    | st.sampled_from([0, -1, 1, 12, 10**15])
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.booleans()
)
values = scalars | st.lists(st.integers(-9, 9), max_size=3) | st.lists(st.text(max_size=3), max_size=3)
arrays = st.builds(
    Array,
    st.sampled_from(["float32", "float64", "int64", "object", "float8", "x"]),
    st.tuples() | st.tuples(st.integers(-1, 1 << 40)) | st.just((5, 7)),
    st.sampled_from(["numpy.ndarray", "pickle", ""]),
    st.binary(max_size=300) | st.just(b"\x93NUMPY\x01\x00" + bytes(64)),
)
STATED_BY_LEARNERS = ("learner", "samples", "people", "shape", "protection", "steps", "loss", "digest")
FACTS_OF_OURS = (*STATED_BY_LEARNERS, "round", "settings")


def change(content: RecordDict, data: st.DataObject) -> None:
    """Change one to three parts of a message."""
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(["fact", "fact", "fact", "array", "array", "record", "none"]))
        if kind == "fact" and FACTS in content.config_records:
            content[FACTS][data.draw(st.sampled_from(FACTS_OF_OURS) | st.text(max_size=9))] = data.draw(
                values
            )
        elif kind == "array" and MODEL in content.array_records:
            names = sorted(content[MODEL]) or ["x"]
            model = {
                **content[MODEL],
                data.draw(st.sampled_from(names) | st.text(max_size=9)): data.draw(arrays),
            }
            content[MODEL] = ArrayRecord(model)
        elif kind == "record":
            name = data.draw(st.sampled_from([FACTS, MODEL, CIPHERTEXTS, "more"]))
            content[name] = data.draw(
                st.sampled_from([ConfigRecord(), ArrayRecord(), ConfigRecord({CIPHERTEXTS: [b""]})])
            )
        elif content:
            del content[data.draw(st.sampled_from(sorted(content)))]


# Each example is a federation.
@settings(FUZZ, max_examples=20)
@given(st.data(), st.sampled_from(["query.introduce", "train"]))
def test_any_answer_costs_its_learner_the_round_at_most(
    three: Consortium, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    def around(app: App) -> App:
        def changed(message: Message, context: Context) -> Message:
            reply = app(message, context)
            if asked(message)[0] == kind and context.node_config["partition-id"] == 1:
                change(reply.content, data)
            return reply

        return changed

    path = tmp_path_factory.mktemp("fuzz") / "rounds"
    transcript = three.federate(path, ours(rounds=1), around=around)
    (round_,) = transcript.rounds
    assert {"learner-1", "learner-3"} <= round_.took_part.keys()
    model = transcript.global_model(1)
    assert all(np.isfinite(tensor.numpy()).all() for tensor in model.values())
    assert max(float(tensor.abs().max()) for tensor in model.values()) < 1e6


@FUZZ
@given(st.data(), st.sampled_from(["query.introduce", "query.start", "query.keep", "train"]))
def test_any_question_is_answered_or_refused(
    three: Consortium, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    asked_for: dict[str, Any] = {FACTS: ConfigRecord({"settings": ours(rounds=1).to_json(), "round": 1})}
    content = RecordDict(asked_for)
    change(content, data)
    context = Context(1, 2, {"partition-id": 0, "num-partitions": 3}, RecordDict(), {})
    with as_server():
        message = Message(content, 2, kind, group_id="1")
    reply = three.app(folder / "rounds")(message, context)
    assert reply.has_error() or reply.content is not None
    assert not list(folder.rglob("*.py"))
    assert {p.name for p in folder.rglob("*") if p.is_file()} <= {"0001.safetensors"}


def test_settings_of_any_form_are_refused_by_every_site(three: Consortium, tmp_path: Path) -> None:
    for text in ("", "[]", "{" * 5000, '{"model": "os:abort"}', "null", "9" * 400, '{"model": ["mlp"]}'):
        with as_server():
            message = Message(RecordDict({FACTS: ConfigRecord({"settings": text})}), 2, "query.introduce")
        context = Context(1, 2, {"partition-id": 0, "num-partitions": 3}, RecordDict(), {})
        assert three.app(tmp_path)(message, context).has_error()
    with pytest.raises(FederationError, match="no learner can take part"):
        three.federate(
            tmp_path / "rounds", around=lambda app: lambda message, context: spoilt(app, message, context)
        )


def spoilt(app: App, message: Message, context: Context) -> Message:
    message.content[FACTS]["settings"] = "{}"
    return app(message, context)
