"""A server that asks for what protects a site, for code, files or a machine without end: the site refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from memberscan.cohort import Cohort
from memberscan.defences.defence import Defence
from memberscan.federation import ckks, client, records
from memberscan.federation.client import client_app
from memberscan.federation.flower_private import task_identity
from memberscan.federation.local_grid import RUN_ID, SERVER, LocalGrid
from memberscan.federation.site import Site

from .consortium import App, Consortium, settings


def server_asks(site_app: App, content: RecordDict, kind: str) -> Message:
    """Return a site's answer to a server that writes its messages by hand."""

    grid = LocalGrid(site_app, 1, 0)  # type: ignore[arg-type]
    with task_identity(RUN_ID, SERVER):
        (reply,) = grid.send_and_receive([Message(content, 2, kind, group_id="1")])
    return reply


def stated(**changes: Any) -> ConfigRecord:
    """Return facts with settings of which some parts are replaced, also below ``training``."""
    values = json.loads(settings().to_json())
    values["training"] |= changes.pop("training", {})
    rest = {k: changes.pop(k) for k in ("round", "samples") if k in changes}
    return ConfigRecord({"settings": json.dumps(values | changes), **({"round": 1} | rest)})


DEMANDS: dict[str, tuple[dict[str, Any], str]] = {
    "code": ({"model": "os:abort"}, "ModelError"),
    "code with a path": ({"model": "theirs.payload:make"}, "ModelError"),
    "a module": ({"model": "os"}, "ModelError"),
    "no model": ({"model": None}, "BadInputError"),
    "width 10**9": ({"options": {"width": 10**9}}, "ModelError"),
    "width 10**30": ({"options": {"width": 10**30}}, "BadInputError"),
    "width of text": ({"options": {"width": "5"}}, "BadInputError"),
    "a list of options": ({"options": [5]}, "BadInputError"),
    "other options": ({"options": {"depth": 5}}, "BadInputError"),
    "10**9 epochs": ({"training": {"epochs": 10**9}}, "BadInputError"),
    "epochs as a float": ({"training": {"epochs": 2.0}}, "BadInputError"),
    "epochs as truth": ({"training": {"epochs": True}}, "BadInputError"),
    "no epochs": ({"training": {"epochs": 0}}, "BadInputError"),
    "a huge batch": ({"training": {"batch_size": 10**9}}, "BadInputError"),
    "an infinite rate": ({"training": {"learning_rate": float("inf")}}, "BadInputError"),
    "a negative decay": ({"training": {"weight_decay": -1.0}}, "BadInputError"),
    "threads": ({"training": {"threads": 64}}, "BadInputError"),
    "an unknown setting": ({"path": "/etc/passwd"}, "BadInputError"),
    "a negative seed": ({"training": {"seed": -1}}, "BadInputError"),
    "rounds without end": ({"rounds": 10**12}, "BadInputError"),
    "another protection": ({"secure": "rot13"}, "BadInputError"),
    "training as text": ({"rounds": "many"}, "BadInputError"),
    "round 0": ({"round": 0}, "ModelError"),
    "a round beyond the last": ({"round": 4}, "ModelError"),
    "a round of 10**18": ({"round": 10**18}, "ModelError"),
    "a round as a path": ({"round": "../../x"}, "ModelError"),
    "a round that is none": ({"round": float("inf")}, "ModelError"),
}


@pytest.mark.parametrize("demand", DEMANDS)
def test_a_site_refuses_what_no_server_may_ask(
    three: Consortium, tmp_path: Path, demand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.import_module", forbidden)
    changes, error = DEMANDS[demand]
    reply = server_asks(three.app(tmp_path), RecordDict({"facts": stated(**changes)}), "train")
    assert reply.has_error()
    assert str(reply.error.reason).startswith(error), reply.error.reason
    assert not list(tmp_path.iterdir())


def forbidden(name: str, *rest: object) -> None:
    raise AssertionError(f"{name} was imported")


def site(three: Consortium, **changes: Any) -> Site:
    """Return the third learner's site, with seven people."""
    people = three.roles.members_of("learner-3")
    scans = three.cohort.scans.index[three.cohort.scans["subject_id"].isin(people)]
    return Site("learner-3", three.cohort, tuple(scans), **changes)


def refusal(its: Site, content: RecordDict, kind: str = "train", *, confide: bool = True) -> str:
    """Return the words in which a site refuses a message."""
    reply = server_asks(client_app(lambda context: its, confide=confide), content, kind)
    assert reply.has_error(), reply.content
    return str(reply.error.reason)


@pytest.mark.parametrize("kind", ["query.introduce", "query.start", "train", "query.keep"])
def test_a_site_with_a_key_sends_nothing_in_the_clear(three: Consortium, tmp_path: Path, kind: str) -> None:
    secret, _ = ckks.make_keys()
    its = site(three, secret=secret, keep=tmp_path / "keep")
    said = refusal(its, RecordDict({"facts": stated(secure="none")}), kind)
    assert said.startswith("RefusedError\n") and "this site has a key" in said
    assert not (tmp_path / "keep").exists()


@pytest.mark.parametrize("kind", ["query.introduce", "query.start", "train", "query.keep"])
def test_a_site_of_few_people_does_not_even_introduce_itself(three: Consortium, kind: str) -> None:
    said = refusal(site(three, fewest=8), RecordDict({"facts": stated()}), kind)
    assert "would train on 7 people, fewer than the 8" in said
    content = RecordDict({"facts": stated()})
    assert not server_asks(
        client_app(lambda context: site(three, fewest=7)), content, "query.introduce"
    ).has_error()


def test_two_scans_of_a_person_are_one_person(volumes: Cohort) -> None:
    people = volumes.scans.groupby("subject_id").size()
    twice = people.index[people > 1][:4]
    scans = volumes.scans.index[volumes.scans["subject_id"].isin(twice)]
    content = RecordDict({"facts": stated(model="cnn3d", options={"width": 2})})
    said = refusal(Site("a", volumes, tuple(scans), fewest=len(scans)), content, "query.introduce")
    assert f"would train on 4 people, fewer than the {len(scans)}" in said


def test_a_site_takes_the_settings_that_it_agreed_to_and_no_others(three: Consortium) -> None:
    its = site(three, agreed=settings().digest)
    ours = RecordDict({"facts": ConfigRecord({"settings": settings().to_json()})})
    assert not server_asks(client_app(lambda context: its), ours, "query.introduce").has_error()
    for changes in (
        {"training": {"epochs": 3}},
        {"model": "cnn3d"},
        {"options": {"width": 6}},
        {"rounds": 4},
    ):
        assert "this site agreed to" in refusal(
            its, RecordDict({"facts": stated(**changes)}), "query.introduce"
        )


def test_a_site_says_what_protects_it(three: Consortium, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    content = RecordDict({"facts": stated()})
    reply = server_asks(client_app(lambda context: site(three, fewest=7)), content, "query.introduce")
    words = str(reply.content["facts"]["protection"])
    assert "in the clear, so that the server can read them; at least 7 people; any settings within" in words
    assert words in caplog.text
    secret, _ = ckks.make_keys()
    content = RecordDict({"facts": stated(secure="ckks")})
    reply = server_asks(client_app(lambda context: site(three, secret=secret)), content, "query.introduce")
    assert "sends its models and moments encrypted (CKKS)" in str(reply.content["facts"]["protection"])
    assert set(reply.content) == {"facts", "ciphertexts"}


def test_a_server_chooses_neither_device_nor_threads(
    three: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[str] = []
    monkeypatch.setattr(client, "resolve_device", lambda name: asked_for.append(name) or torch.device("cpu"))
    threads = torch.get_num_threads()
    model = records.model_record(client.regressor(settings(), three.cohort.shape).state_dict())
    content = RecordDict({"facts": stated(training={"device": "cuda:7"}), "model": model})
    assert not server_asks(
        client_app(lambda context: site(three, device="cpu")), content, "train"
    ).has_error()
    assert asked_for == ["cpu"]
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("number", [-1, 4, 10**18, "../../x", "1", True, 1.0])
def test_a_server_chooses_no_file_to_write(three: Consortium, tmp_path: Path, number: Any) -> None:
    secret, _ = ckks.make_keys()
    state = client.regressor(settings(), three.cohort.shape).state_dict()
    content = RecordDict(
        {
            "facts": stated(secure="ckks", round=number),
            "ciphertexts": records.ciphertext_record(
                ckks.weighted_sum([ckks.encrypt(state, secret)], [1.0], secret)
            ),
        }
    )
    assert refusal(site(three, secret=secret, keep=tmp_path / "a" / "keep"), content, "query.keep")
    assert not list(tmp_path.iterdir())


def test_what_a_site_keeps_is_its_owners(three: Consortium, tmp_path: Path) -> None:
    keys = ckks.make_keys()
    three.federate(tmp_path, settings(rounds=1, secure="ckks"), keys=keys)
    kept = list((tmp_path / "seen-by-learners").iterdir())
    assert [p.name for p in sorted(kept)] == ["0000.safetensors", "0001.safetensors"]
    assert {p.stat().st_mode & 0o777 for p in kept} == {0o600}


def test_a_site_does_not_show_its_key(three: Consortium) -> None:
    secret, _ = ckks.make_keys()
    its = site(three, secret=secret)
    for text in (repr(its), str(its), f"{its}"):
        assert repr(secret[100:120])[2:-1] not in text and "secret" not in text


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"hidden.0.weight": np.zeros((5, 7), np.float32)},
        {f"w{k}": np.zeros(1, np.float32) for k in range(5000)},
    ],
)
def test_a_site_refuses_a_model_of_another_form(three: Consortium, model: dict[str, np.ndarray]) -> None:
    content = RecordDict(
        {"facts": stated(), "model": ArrayRecord({name: Array(value) for name, value in model.items()})}
    )
    assert "other names" in refusal(site(three), content)


def test_a_deployed_site_tells_the_server_the_type_of_an_error_and_no_more(
    three: Consortium, caplog: pytest.LogCaptureFixture
) -> None:
    said = refusal(site(three, fewest=8), RecordDict({"facts": stated()}), confide=False)
    assert said == "RefusedError; the log of its SuperNode says more"
    assert "would train on 7 people" in caplog.text


def sent(model: dict[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(value) for name, value in model.items()})


OTHERS: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "NaN": lambda m: {**m, "output.bias": np.full(1, np.nan, np.float32)},
    "whole numbers": lambda m: {k: v.astype(np.int32) for k, v in m.items()},
    "double precision": lambda m: {k: v.astype(float) for k, v in m.items()},
    "truth values": lambda m: {k: v.astype(bool) for k, v in m.items()},
    "other shapes": lambda m: {k: v.reshape(-1, 1, 1) for k, v in m.items()},
    "empty arrays": lambda m: {k: v[:0] if v.ndim else v for k, v in m.items()},
    "a wider network": lambda m: {k: np.concatenate([v, v]) if v.ndim else v for k, v in m.items()},
    "one layer less": lambda m: {k: v for k, v in m.items() if k != "output.bias"},
    "one layer more": lambda m: {**m, "output.more": np.zeros(1, np.float32)},
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_site_does_not_train_another_model(three: Consortium, other: str) -> None:
    ours = {k: v.numpy() for k, v in client.regressor(settings(), three.cohort.shape).state_dict().items()}
    content = RecordDict({"facts": stated(), "model": sent(OTHERS[other](ours))})
    assert re.match("ModelError|NonFiniteError", refusal(site(three), content))
    assert not server_asks(
        client_app(lambda context: site(three)), RecordDict({"facts": stated(), "model": sent(ours)}), "train"
    ).has_error()


@pytest.mark.parametrize("kind", ["query.introduce", "query.start", "train", "query.keep"])
def test_settings_that_change_on_the_way_are_refused_at_every_step(
    three: Consortium, tmp_path: Path, kind: str
) -> None:
    its = site(three, agreed=settings().digest, keep=tmp_path / "keep")
    for changes in ({"training": {"epochs": 9}}, {"training": {"seed": 4}}, {"options": {"width": 6}}):
        assert "this site agreed to" in refusal(its, RecordDict({"facts": stated(**changes)}), kind)
    assert not (tmp_path / "keep").exists()


@pytest.mark.parametrize("kind", ["query.introduce", "train"])
def test_whoever_asks_twice_learns_nothing_new(three: Consortium, kind: str) -> None:
    model = records.model_record(client.regressor(settings(), three.cohort.shape).state_dict())
    answers = [
        server_asks(
            client_app(lambda context: site(three)), RecordDict({"facts": stated(), "model": model}), kind
        )
        for _ in range(2)
    ]
    first, second = ({k: v.data for k, v in a.content["model"].items()} for a in answers)
    assert first == second
    assert dict(answers[0].content["facts"]) == dict(answers[1].content["facts"])


@pytest.mark.parametrize("samples", [0, -1, 10**18, True, 7.0, "7"])
def test_a_site_scales_no_model_by_an_impossible_number_of_scans(three: Consortium, samples: Any) -> None:
    secret, _ = ckks.make_keys()
    network = client.regressor(settings(), three.cohort.shape)
    moments = client.moments_of(network, three.cohort, site(three).members, Defence())
    encrypted = ckks.encrypt({k: v.float() for k, v in moments.items()}, secret)
    content = RecordDict(
        {
            "facts": stated(secure="ckks", samples=samples),
            "model": records.model_record(network.state_dict()),
            "ciphertexts": records.ciphertext_record(ckks.weighted_sum([encrypted], [1.0], secret)),
        }
    )
    assert "for samples" in refusal(site(three, secret=secret), content, "query.start")


@pytest.mark.parametrize(
    "text", ["[" * 10_000, "{", "null", "[]", "1e999", "NaN", "1" * 10_000, "{}", " " * 10**6]
)
@pytest.mark.parametrize("kind", ["query.introduce", "query.start", "train", "query.keep"])
def test_a_site_refuses_settings_that_are_none(
    three: Consortium, tmp_path: Path, text: str, kind: str
) -> None:
    content = RecordDict({"facts": ConfigRecord({"settings": text, "round": 1})})
    reply = server_asks(three.app(tmp_path), content, kind)
    assert str(reply.error.reason).split("\n")[0] in ("BadInputError", "TooLargeError")
