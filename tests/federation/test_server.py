from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from memberscan.errors import BusyError, FederationError, OutputConflictError
from memberscan.federation.local_grid import LocalGrid
from memberscan.federation.settings import Settings
from memberscan.output_directory import locked
from memberscan.runs.transcript import Transcript

from .consortium import App, Consortium, Killed, answering, asked, consortium, contents, settings, stop


def arrays(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Message], None]:
    """Return what changes the model of an answer."""

    def changed(reply: Message) -> None:
        model = {name: array.numpy().copy() for name, array in reply.content["model"].items()}
        reply.content["model"] = ArrayRecord({name: Array(value) for name, value in change(model).items()})

    return changed


def facts(**changes: str | float) -> Callable[[Message], None]:
    def changed(reply: Message) -> None:
        reply.content["facts"].update(changes)

    return changed


def bytes_of(data: bytes, stype: str = "numpy.ndarray") -> Callable[[Message], None]:
    def changed(reply: Message) -> None:
        reply.content["model"]["output.bias"] = Array("float32", (1,), stype, data)

    return changed


def without(record: str) -> Callable[[Message], None]:
    def changed(reply: Message) -> None:
        del reply.content[record]

    return changed


def fill(value: float) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda model: {**model, "output.bias": np.full(1, value, np.float32)}


ZIP = b"PK\x03\x04 not a zip"
HUGE = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(
    128
)
TROUBLES = {
    "nan": (arrays(fill(np.nan)), r"sent NaN or infinite values in output\.bias"),
    "infinite": (arrays(fill(-np.inf)), "sent NaN or infinite values"),
    "shape": (arrays(lambda m: {**m, "output.bias": np.zeros(2, np.float32)}), r"shape \(2,\), not .*\(1,\)"),
    "type": (arrays(lambda m: {**m, "output.bias": np.zeros(1)}), "output.bias is torch.float64"),
    "text": (arrays(lambda m: {**m, "output.bias": np.array(["a"])}), "no readable state dict"),
    "names": (arrays(lambda m: {f"module.{k}": v for k, v in m.items()}), "parameters have other names"),
    "fewer": (arrays(lambda m: dict(list(m.items())[:-1])), "parameters have other names"),
    "empty": (arrays(lambda m: {}), "parameters have other names"),
    "absent": (without("model"), "no readable state dict"),
    "junk": (bytes_of(b"junk"), "no readable state dict"),
    "nothing": (bytes_of(b""), "no readable state dict"),
    "zip": (bytes_of(ZIP), "no readable state dict"),
    "huge": (bytes_of(HUGE), "no readable state dict"),
    "other serializer": (bytes_of(b"x", "pickle"), "no readable state dict"),
    "no facts": (without("facts"), "does not state 'samples'"),
    "no samples": (facts(samples=0), "reports 0 samples"),
    "fewer than none": (facts(samples=-5), "reports -5 samples"),
    "unreadable samples": (facts(samples="many"), "no whole number"),
    "infinite samples": (facts(samples=float("inf")), "no whole number"),
    "diverged": (facts(loss=float("nan")), "a loss of nan"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_learner_that_sends_what_does_not_fit_is_left_out_of_that_round(
    three: Consortium, tmp_path: Path, trouble: str
) -> None:
    change, reason = TROUBLES[trouble]
    transcript = three.federate(tmp_path, around=answering(change))
    assert_left_out(transcript, reason)


def assert_left_out(transcript: Transcript, reason: str) -> None:
    """Check that the second learner alone was left out of the second round alone, and the others went on."""
    first, second, third = transcript.rounds
    assert not first.left_out
    assert not third.left_out
    assert list(second.left_out) == ["learner-2"]
    assert re.search(reason, second.left_out["learner-2"]), second.left_out
    assert list(second.took_part) == ["learner-1", "learner-3"]
    assert sorted(second.digests) == ["global", "learner-1", "learner-3"]
    assert not (transcript.path / "0002" / "learner-2.safetensors").exists()
    assert (transcript.path / "0003" / "learner-2.safetensors").exists()
    models = {name: transcript.learner_model(2, name) for name in second.took_part}
    count = {name: its.samples for name, its in second.took_part.items()}
    for key, value in transcript.global_model(2).items():
        mean = sum(models[n][key].double() * count[n] for n in models) / sum(count.values())
        torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-7)


def test_a_learner_that_fails_is_left_out_of_that_round(three: Consortium, tmp_path: Path) -> None:
    def drop_out(reply: Message) -> None:
        raise ConnectionError("the line went dead")

    transcript = three.federate(tmp_path, around=answering(drop_out))
    assert_left_out(transcript, r"^failed \(ConnectionError\)$")


class Lossy(LocalGrid):
    """A network that loses the second learner's answers in the second round."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        for message in messages:
            answers = super().send_and_receive([message], timeout=timeout)
            if asked(message) != ("train", 2) or message.metadata.dst_node_id != 3:
                yield from answers


def test_a_learner_that_does_not_answer_is_left_out_of_that_round(three: Consortium, tmp_path: Path) -> None:
    transcript = three.federate(tmp_path, settings(timeout=77.0), grid=Lossy)
    assert_left_out(transcript, "did not answer within 77 s")


class Backwards(LocalGrid):
    """A network on which the last learner is always the first to answer."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        yield from reversed(list(super().send_and_receive(messages, timeout=timeout)))


def test_the_order_of_answers_changes_no_byte(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    three.federate(tmp_path / "rounds", grid=Backwards)
    assert contents(tmp_path / "rounds") == undisturbed


def test_with_too_few_left_it_ends_and_goes_on_once_they_are_mended(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    broken = answering(arrays(fill(np.nan)))
    its = settings(min_learners=3)
    with pytest.raises(FederationError, match=r"in round 2 only 2 learners .* 3 \(learner-2 sent NaN"):
        three.federate(tmp_path, its, around=broken)
    kept = contents(tmp_path)
    assert len(Transcript.open(tmp_path).rounds) == 1
    three.federate(tmp_path, its)
    after = contents(tmp_path)
    assert kept.items() <= after.items()
    after.pop("transcript.json")
    assert after == {k: v for k, v in undisturbed.items() if k != "transcript.json"}


def naming(**changes: str | int) -> Callable[[App], App]:
    """Return what changes how the second learner introduces itself."""

    def change(reply: Message) -> None:
        reply.content["facts"].update(changes)

    return answering(change, kind="query.introduce", number=0)


def test_a_learner_of_another_shape_takes_no_part_and_is_named(three: Consortium, tmp_path: Path) -> None:
    transcript = three.federate(tmp_path, around=naming(shape="[9, 10, 11]"))
    assert transcript.learners == ("learner-1", "learner-2", "learner-3")
    for its in transcript.rounds:
        assert "inputs have shape (9, 10, 11), and most have (7,)" in its.left_out["learner-2"]
        assert list(its.took_part) == ["learner-1", "learner-3"]
    ages = three.cohort.scans.set_index("subject_id")["age"]
    rest = [*three.roles.members_of("learner-1"), *three.roles.members_of("learner-3")]
    assert float(transcript.global_model(0)["age_mean"]) == np.float32(ages[rest].mean())


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        (naming(samples=0), "holds no scan to train on"),
        (naming(samples="some"), "no whole number"),
        (naming(shape="nonsense"), "no valid shape"),
        (naming(shape="7"), "no valid shape"),
        (answering(without("facts"), kind="query.introduce", number=0), "does not state 'learner'"),
        (answering(without("model"), kind="query.introduce", number=0), "no readable state dict"),
        (
            answering(
                arrays(lambda m: {k: np.full_like(v, np.nan) for k, v in m.items()}),
                kind="query.introduce",
                number=0,
            ),
            "not finite",
        ),
    ],
)
def test_a_learner_that_introduces_itself_badly_is_named_by_its_node(
    three: Consortium, tmp_path: Path, around: Callable[[App], App], reason: str
) -> None:
    transcript = three.federate(tmp_path, settings(rounds=1), around=around)
    assert reason in transcript.rounds[0].left_out["node-3"]
    assert transcript.learners == ("learner-1", "learner-3")


class Deaf(LocalGrid):
    """A network on which nobody answers."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        return []


def test_when_nobody_answers_it_says_so_and_writes_nothing(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="no learner can take part: did not answer within 3600 s"):
        three.federate(tmp_path / "rounds", grid=Deaf)
    assert not (tmp_path / "rounds").exists()


def test_when_all_refuse_their_reason_is_shown_once(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="take part: model 'cnn3d' works on volumes, but") as caught:
        three.federate(tmp_path / "rounds", Settings("cnn3d", rounds=1))
    assert str(caught.value).count("works on volumes") == 1


def test_too_few_nodes_end_it_before_it_begins(three: Consortium, tmp_path: Path) -> None:
    its = settings(min_learners=4, timeout=0.01)
    with pytest.raises(FederationError, match=r"3 of 3 learners connected within 0\.01 s, and at least 4"):
        three.federate(tmp_path / "rounds", its)
    assert not (tmp_path / "rounds").exists()


def test_fewer_than_expected_begin_when_time_is_up(three: Consortium, tmp_path: Path) -> None:
    class Small(LocalGrid):
        def get_node_ids(self) -> Iterable[int]:
            return [2, 3]

    transcript = three.federate(tmp_path, settings(timeout=0.01), grid=Small)
    assert transcript.learners == ("learner-1", "learner-2")


def test_other_settings_do_not_continue_a_transcript(three: Consortium, tmp_path: Path) -> None:
    three.federate(tmp_path, settings(rounds=2))
    kept = contents(tmp_path)
    for others, said in (({"rounds": 1}, "rounds was 2 and is now 1"), ({"min_learners": 1}, "min learners")):
        with pytest.raises(OutputConflictError, match=said):
            three.federate(tmp_path, settings(**others))
    assert contents(tmp_path) == kept


def test_a_finished_federation_goes_on_to_more_rounds(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    three.federate(tmp_path, settings(rounds=1))
    assert len(three.federate(tmp_path).rounds) == settings().rounds
    assert contents(tmp_path) == undisturbed


def test_two_servers_do_not_write_one_transcript(three: Consortium, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(BusyError, match="wait until it ends"):
        three.federate(tmp_path)
    assert three.federate(tmp_path, settings(rounds=1)).rounds


def test_who_is_gone_after_an_interruption_is_named_and_who_is_new_joins(
    three: Consortium, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        three.federate(tmp_path, around=answering(stop))
    transcript = three.federate(tmp_path, names=["learner-1", "site-b", "learner-3"])
    assert transcript.learners == ("learner-1", "learner-2", "learner-3", "site-b")
    first, *later = transcript.rounds
    assert list(first.took_part) == ["learner-1", "learner-2", "learner-3"]
    for its in later:
        assert its.left_out == {"learner-2": "is not connected"}
        assert list(its.took_part) == ["learner-1", "learner-3", "site-b"]


def test_volumes_and_names_with_gaps_work_too(volumes, tmp_path: Path) -> None:
    its = consortium(volumes, learners=2)
    transcript = its.federate(tmp_path, settings(model="cnn3d", options={"width": 2}, rounds=1))
    scans = its.cohort.scans.groupby("subject_id").size()
    for name, took in transcript.rounds[0].took_part.items():
        assert took.samples == scans[its.roles.members_of(name)].sum()
    content = json.loads((tmp_path / "0001" / "round.json").read_text())
    assert list(content) == ["number", "took_part", "left_out", "digests"]


def test_learners_are_told_the_settings_and_nothing_of_each_other(three: Consortium, tmp_path: Path) -> None:
    told: list[RecordDict] = []

    def around(app: App) -> App:
        def noted(message: Message, context: Context) -> Message:
            told.append(message.content)
            return app(message, context)

        return noted

    three.federate(tmp_path, settings(rounds=2), around=around)
    for content in told:
        assert set(content) <= {"facts", "model"}
        assert isinstance(content["facts"], ConfigRecord)
        assert set(content["facts"]) <= {"settings", "round"}
        assert not any(subject in json.dumps(dict(content["facts"])) for subject in three.cohort.subjects)


def test_a_learner_of_too_few_people_is_left_out_by_the_server_too(three: Consortium, tmp_path: Path) -> None:
    sizes = {name: len(three.roles.members_of(name)) for name in three.roles.learners}
    assert sizes == {"learner-1": 12, "learner-2": 9, "learner-3": 7}
    (its,) = three.federate(tmp_path / "run", settings(rounds=1), fewest_people=8).rounds
    assert list(its.took_part) == ["learner-1", "learner-2"]
    (reason,) = its.left_out.values()
    assert reason == "trains on 7 people, and at least 8 are needed: sums over fewer are nearly their values"
    with pytest.raises(FederationError, match="trains on 9 people, and at least 10"):
        three.federate(tmp_path / "none", settings(rounds=1), fewest_people=10)
    assert not (tmp_path / "none").exists()
