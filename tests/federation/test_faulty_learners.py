"""Learners that lie about themselves, about their training or their name: the others go on without them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Context, Message

from memberscan.errors import FederationError
from memberscan.federation import ckks
from memberscan.federation.averaging import outsized, weights_of
from memberscan.runs.transcript import Transcript

from .consortium import App, Consortium, answering, asked, contents, settings

Change = Callable[[Message], None]


def state(**changes: Any) -> Change:
    """Return what changes the facts of an answer."""

    def changed(reply: Message) -> None:
        reply.content["facts"].update(changes)

    return changed


def send(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Change:
    """Return what changes the model, or the moments, of an answer."""

    def changed(reply: Message) -> None:
        model = {name: array.numpy().copy() for name, array in reply.content["model"].items()}
        reply.content["model"] = ArrayRecord({name: Array(value) for name, value in change(model).items()})

    return changed


def raw(data: bytes, shape: tuple[int, ...] = (5, 7)) -> Change:
    def changed(reply: Message) -> None:
        reply.content["model"]["hidden.0.weight"] = Array("float32", shape, "numpy.ndarray", data)

    return changed


def fill(value: float) -> Change:
    return send(
        lambda m: {k: v if "spread" in k or "mean" in k else np.full_like(v, value) for k, v in m.items()}
    )


def lies(*changes: tuple[str, Change]) -> Callable[[App], App]:
    """Return a second learner that changes all its answers of some kinds."""

    def around(app: App) -> App:
        def lying(message: Message, context: Context) -> Message:
            reply = app(message, context)
            if context.node_config["partition-id"] == 1:
                for kind, change in changes:
                    if asked(message)[0] == kind:
                        change(reply)
            return reply

        return lying

    return around


INTRODUCTIONS = {
    "10**15 scans": (state(samples=10**15), "says that it holds 1,000,000,000,000,000 scans"),
    "half a scan": (state(samples=7.5), "no whole number"),
    "all scans": (state(samples=True), "no whole number"),
    "scans as text": (state(samples="9"), "no whole number"),
    "nobody": (state(people=0), "says that its 9 scans are of 0 people"),
    "more people than scans": (state(people=10), "says that its 9 scans are of 10 people"),
    "people as text": (state(people="9"), "no whole number for people"),
    "a path": (state(learner="../x"), "cannot name a file"),
    "no name": (state(learner=""), "cannot name a file"),
    "a file of ours": (state(learner="global"), "cannot name a file"),
    "a long name": (state(learner="x" * 101), "cannot name a file"),
    "another node": (state(learner="node-4"), "cannot name a file"),
    "an escape": (state(learner="a\x1b]52;c;YQ==\x07"), "cannot name a file"),
    "a number": (state(learner=7), "cannot name a file"),
    "a huge shape": (state(shape="[1000000000000, 1000000000000]"), "no valid shape"),
    "a deep shape": (state(shape="[" * 100_000), "no valid shape"),
    "negative sizes": (state(shape="[-7]"), "no valid shape"),
    "no list": (state(shape='{"0": 7}'), "no valid shape"),
    "no scan": (state(samples=0), "holds no scan"),
    "negative scans": (state(samples=-9), "holds no scan"),
    "a name that looks like another": (state(learner="l\u0435arner-1"), "cannot name a file"),
    "a name of full width": (state(learner="\uff41"), "cannot name a file"),
    "a name with a line break": (state(learner="a\n"), "cannot name a file"),
    "a shape of fractions": (state(shape="[7.0]"), "no valid shape"),
    "a shape of truth values": (state(shape="[true]"), "no valid shape"),
    "an empty shape": (state(shape="[]"), "no valid shape"),
    "ages that are no numbers": (send(lambda m: {**m, "age": np.array(np.nan)}), "not finite"),
    "empty moments": (send(lambda m: {**m, "feature": np.zeros(0)}), r"shape \(0,\)"),
    "moments in whole numbers": (send(lambda m: {**m, "age": np.array(50)}), "int64"),
    "moments of truth values": (send(lambda m: {**m, "age": np.array(True)}), "bool"),
    "the smallest ages": (send(lambda m: {**m, "age_square": np.array(5e-324)}), "impossible mean"),
    "moments of other things": (send(lambda m: {k: m[k] for k in ("age", "age_square")}), "other names"),
    "moments of another shape": (send(lambda m: {**m, "feature": np.zeros(6)}), r"shape \(6,\)"),
    "infinite ages": (send(lambda m: {**m, "age": np.array(np.inf)}), "not finite"),
    "the ages of stars": (
        send(lambda m: {**m, "age": np.array(1e9), "age_square": np.array(1e18)}),
        "impossible ages",
    ),
    "impossible ages": (send(lambda m: {**m, "age_square": np.array(1.0)}), "impossible mean"),
    "huge features": (
        send(lambda m: {**m, "feature_square": m["feature_square"] * 1e12}),
        "1000 times as large",
    ),
    "infinite features": (
        send(lambda m: {**m, "feature_square": np.full(7, 1e300)}),
        "impossible mean",
    ),
}


Model = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def without_its_scans(three: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return what the others train in one round where the second learner says that it holds nothing."""
    path, nothing = tmp_path_factory.mktemp("honest") / "run", ("query.introduce", state(samples=0))
    return three.federate(path, settings(rounds=1), around=lies(nothing)).global_model(1)


@pytest.mark.parametrize("lie", INTRODUCTIONS)
def test_who_lies_about_itself_is_left_out_and_the_others_go_on(
    three: Consortium, without_its_scans: Model, tmp_path: Path, lie: str
) -> None:
    change, reason = INTRODUCTIONS[lie]
    transcript = three.federate(
        tmp_path / "run", settings(rounds=1), around=lies(("query.introduce", change))
    )
    (its,) = transcript.rounds
    assert list(its.took_part) == ["learner-1", "learner-3"]
    assert list(its.left_out) == ["node-3"]
    assert re.search(reason, its.left_out["node-3"]), its.left_out
    assert its.left_out["node-3"].isprintable()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    for name, values in without_its_scans.items():
        assert torch.equal(transcript.global_model(1)[name], values)


HUGE = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,), }".ljust(128)
ROUNDS = {
    "more samples than before": (state(samples=10**15), "held 9 when it introduced itself"),
    "fewer": (state(samples=8), "held 9 when it introduced itself"),
    "many steps": (state(steps=10**9), "but the server asked for 4 steps"),
    "no samples": (state(samples=0), "held 9 when it introduced itself"),
    "samples as truth": (state(samples=True), "no whole number"),
    "steps as a fraction": (state(steps=4.0), "no whole number"),
    "a loss of truth": (state(loss=True), "a loss of True"),
    "a loss that is no number": (state(loss=float("nan")), "a loss of nan"),
    "a negative loss": (state(loss=-1.0), "a loss of -1.0"),
    "a loss in words": (state(loss="small"), "a loss of small"),
    "3e38": (fill(3e38), "update of length"),
    "a million": (fill(1e6), "update of length"),
    "other ages": (send(lambda m: {**m, "age_mean": np.full_like(m["age_mean"], 9)}), "changed age_mean"),
    "no numbers": (fill(np.nan), "NaN or infinite"),
    "layers in each other's place": (
        send(lambda m: {**m, "hidden.0.weight": m["output.weight"], "output.weight": m["hidden.0.weight"]}),
        "sent another model",
    ),
    "empty arrays": (send(lambda m: {k: v[:0] if v.ndim else v for k, v in m.items()}), r"shape \(0,"),
    "whole numbers": (send(lambda m: {**m, "output.bias": np.zeros(1, np.int32)}), "int32"),
    "truth values": (send(lambda m: {**m, "output.bias": np.zeros(1, bool)}), "bool"),
    "texts": (send(lambda m: {**m, "output.bias": np.array(["a"])}), "no readable state dict"),
    "complex numbers": (send(lambda m: {**m, "output.bias": np.zeros(1, complex)}), "no readable state dict"),
    "thousands of entries": (
        send(lambda m: {**m, **{f"w{k}": np.zeros(1, np.float32) for k in range(5000)}}),
        "other names",
    ),
    "a huge array": (
        send(lambda m: {**m, "output.bias": np.zeros(10**6, np.float32)}),
        "has 4,000,128 bytes",
    ),
    "a declared one": (raw(HUGE), "no readable state dict"),
}


def test_who_predicts_another_target_is_left_out(three: Consortium, tmp_path: Path) -> None:
    other = state(target='{"name": "mmse", "unit": "points", "classes": []}')
    transcript = three.federate(tmp_path / "run", settings(rounds=1), around=lies(("query.introduce", other)))
    (its,) = transcript.rounds
    assert list(its.took_part) == ["learner-1", "learner-3"]
    assert its.left_out == {"learner-2": "it predicts another target, in another unit or with other classes"}


@pytest.fixture(scope="module")
def without_its_update(three: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return what all train in three rounds where the second learner gives no answer in the second one."""
    return three.federate(tmp_path_factory.mktemp("absent") / "run", around=answering(drop)).global_model(3)


@pytest.mark.parametrize("lie", ROUNDS)
def test_who_lies_in_a_round_is_left_out_by_name_and_the_round_is_that_of_the_others(
    three: Consortium, without_its_update: Model, tmp_path: Path, lie: str
) -> None:
    change, reason = ROUNDS[lie]
    transcript = three.federate(tmp_path / "run", around=answering(change))
    first, second, third = transcript.rounds
    assert not first.left_out and not third.left_out
    assert list(second.left_out) == ["learner-2"]
    assert re.search(reason, second.left_out["learner-2"]), second.left_out
    for name, values in without_its_update.items():
        assert torch.equal(transcript.global_model(3)[name], values)


def drop(reply: Message) -> None:
    raise ConnectionError("/home/somebody/hiv-study is not mounted")


def test_no_words_of_a_learners_machine_are_recorded(
    three: Consortium, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    three.federate(tmp_path, around=answering(drop))
    assert not any(b"hiv" in data for data in contents(tmp_path).values())
    assert "hiv-study is not mounted" in caplog.text


@pytest.mark.parametrize(
    "other", [lambda v: np.array(v, order="F"), lambda v: v.astype(v.dtype.newbyteorder(">"))]
)
def test_arrays_in_another_order_are_the_same_model(
    three: Consortium,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    other: Callable[[np.ndarray], np.ndarray],
) -> None:
    three.federate(tmp_path, around=answering(send(lambda m: {k: other(v) for k, v in m.items()})))
    assert contents(tmp_path) == undisturbed


def test_when_the_guilty_one_was_needed_the_same_command_goes_on_once_it_is_mended(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    its = settings(min_learners=3)
    with pytest.raises(FederationError, match=r"in round 2 only 2 .*learner-2 sent an update of length"):
        three.federate(tmp_path, its, around=answering(fill(3e38)))
    assert len(Transcript.open(tmp_path).rounds) == 1
    three.federate(tmp_path, its)
    models = {k: v for k, v in contents(tmp_path).items() if k != "transcript.json"}
    assert models == {k: v for k, v in undisturbed.items() if k != "transcript.json"}


def test_an_answer_of_an_earlier_round_is_one_learners_model_and_no_more(
    three: Consortium, tmp_path: Path
) -> None:
    kept: list[ArrayRecord] = []

    def replayed(reply: Message) -> None:
        kept.append(reply.content["model"])
        reply.content["model"] = kept[0]

    transcript = three.federate(tmp_path / "run", around=lies(("train", replayed)))
    assert len(kept) == 3
    first = transcript.learner_model(1, "learner-2")
    assert all(
        torch.equal(first[name], value) for name, value in transcript.learner_model(3, "learner-2").items()
    )
    models = [transcript.global_model(number) for number in (1, 2, 3)]
    assert all(not torch.equal(models[0][k], models[2][k]) for k in ("hidden.0.weight", "output.weight"))


@pytest.mark.parametrize("tiny", [1e-45, -1e-39, 5e-324])
def test_the_smallest_numbers_are_numbers(three: Consortium, tmp_path: Path, tiny: float) -> None:
    transcript = three.federate(tmp_path / "run", around=answering(fill(tiny)))
    assert all(torch.isfinite(tensor).all() for tensor in transcript.global_model(3).values())


def test_a_claim_of_many_scans_does_not_make_a_learner_the_global_model(
    three: Consortium, tmp_path: Path
) -> None:
    million = state(samples=10**6)
    steps = 2 * 10**6 // 8

    def trained(reply: Message) -> None:
        state(samples=10**6, steps=steps)(reply)

    its = settings(rounds=1)
    transcript = three.federate(tmp_path, its, around=lies(("query.introduce", million), ("train", trained)))
    models = {name: transcript.learner_model(1, name) for name in transcript.learners}
    # Twelve and seven scans of the others, and four times as many of the one that says a million.
    weights = {"learner-1": 12 / 95, "learner-2": 76 / 95, "learner-3": 7 / 95}
    for key, value in transcript.global_model(1).items():
        mean = sum(models[name][key].double() * weight for name, weight in weights.items())
        torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("samples", "weights"),
    [
        ([12, 9, 7], [12, 9, 7]),
        ([80, 20], [80, 20]),
        ([81, 20], [80, 20]),
        ([10**15, 1, 1], [8, 1, 1]),
        ([5], [5]),
        ([1, 1, 8], [1, 1, 8]),
    ],
)
def test_nobody_weighs_more_than_four_times_all_others(samples: list[int], weights: list[int]) -> None:
    assert weights_of(samples) == weights


@pytest.mark.parametrize(
    ("sizes", "odd"),
    [
        ({"a": 1.0, "b": 9.9, "c": 1.0}, []),
        ({"a": 1.0, "b": 1e30, "c": 1.0}, ["b"]),
        ({"a": 1.0, "b": 1e30, "c": 1.0, "d": 1e8, "e": 2.0}, ["b", "d"]),
        ({"a": 0.0, "b": 19.0}, []),
        ({"a": 0.0, "b": 21.0}, ["b"]),
        ({"a": 1e9}, []),
        ({"a": 1e30, "b": 1e30, "c": 1e29}, []),
    ],
)
def test_updates_out_of_proportion_are_those_of_the_few(sizes: dict[str, float], odd: list[str]) -> None:
    assert list(outsized(sizes, 2.0)) == odd


def test_a_learner_that_encrypts_nothing_does_not_end_it(three: Consortium, tmp_path: Path) -> None:
    def spoil(reply: Message) -> None:
        reply.content["ciphertexts"]["ciphertexts"] = [b"junk"]

    def forget(reply: Message) -> None:
        reply.content["facts"]["digest"] = "../x"

    keys, its = ckks.make_keys(), settings(rounds=1, secure="ckks")
    first = answering(spoil, kind="query.start", number=0, place=0)
    greeting = lies(("query.introduce", spoil))
    keeping = answering(forget, kind="query.keep", number=0, place=0)
    transcript = three.federate(tmp_path, its, around=lambda app: keeping(greeting(first(app))), keys=keys)
    assert list(transcript.rounds[0].took_part) == ["learner-1", "learner-3"]
    assert "damaged" in transcript.rounds[0].left_out["node-3"]
    transcript.global_model(1)
