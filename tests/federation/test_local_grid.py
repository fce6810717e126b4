from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from torch import nn

from memberscan import seeds
from memberscan.federation.local_grid import LocalGrid
from memberscan.runs import Role
from memberscan.training import TrainingConfig

from .consortium import App, Consortium, as_server, asked, contents, settings


def bare_loop(three: Consortium, rounds: int, epochs: int, root: int, rate: float) -> dict[str, torch.Tensor]:
    """Federated averaging of a perceptron, without Flower and without memberscan's loop."""
    cohort = three.cohort
    data = {}
    for name in three.roles.learners:
        scans = cohort.scans.index[cohort.scans["subject_id"].isin(three.roles.members_of(name))].tolist()
        ages = cohort.scans.loc[scans, "age"].to_numpy(np.float32)
        data[name] = torch.from_numpy(cohort.read(scans)), torch.from_numpy(ages)
    ages = torch.cat([y for _, y in data.values()])
    measures = torch.cat([x for x, _ in data.values()])
    constant = measures.std(dim=0) == 0
    centre, spread = measures.mean(dim=0), torch.where(constant, 1.0, measures.std(dim=0))
    with torch.random.fork_rng():
        torch.manual_seed(seeds.integer(root, "weights"))
        network = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 1))
    nn.init.zeros_(network[4].bias)
    weights = {k: v.clone() for k, v in network.state_dict().items()}
    for number in range(rounds):
        trained = {}
        for name, (x, y) in data.items():
            network.load_state_dict(weights)
            optimizer = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=1e-4)
            for epoch in range(number * epochs, (number + 1) * epochs):
                draws = seeds.generator(seeds.integer(root, "learner", name), "order", epoch)
                for batch in torch.from_numpy(draws.permutation(len(y))).split(8):
                    output = network((x[batch] - centre) / spread).flatten()
                    loss = ((output - (y[batch] - ages.mean()) / ages.std()) ** 2).mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            trained[name] = {k: v.clone() for k, v in network.state_dict().items()}
        weights = {
            k: sum(len(data[name][1]) / len(ages) * its[k].double() for name, its in trained.items()).float()
            for k in weights
        }
    names = dict(
        zip(
            weights,
            [f"{n}.{k}" for n in ("hidden.0", "hidden.2", "output") for k in ("weight", "bias")],
            strict=True,
        )
    )
    scale = {
        "age_mean": ages.mean(),
        "age_spread": ages.std(),
        "feature_mean": centre,
        "feature_spread": spread,
    }
    return {names[k]: v for k, v in weights.items()} | scale


def test_it_is_a_bare_loop_of_federated_averaging(three: Consortium, tmp_path: Path) -> None:
    transcript = three.federate(tmp_path / "rounds")
    expected = bare_loop(three, 3, 2, 3, 0.01)
    found = transcript.global_model(3)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-4, atol=1e-5)
    start = transcript.global_model(0)
    assert all(not torch.equal(found[k], start[k]) for k in found if k.startswith(("hidden", "output")))


def test_the_global_model_is_the_average_of_those_of_the_learners(three: Consortium, tmp_path: Path) -> None:
    transcript = three.federate(tmp_path / "rounds")
    for its in transcript.rounds:
        models = {name: transcript.learner_model(its.number, name) for name in its.took_part}
        total = sum(facts.samples for facts in its.took_part.values())
        for key, value in transcript.global_model(its.number).items():
            mean = sum(models[n][key].double() * facts.samples / total for n, facts in its.took_part.items())
            torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-7)
        for facts in its.took_part.values():
            assert facts.steps == 2 * -(-facts.samples // 8)
            assert facts.loss is not None
            assert facts.loss > 0


def test_repetition_gives_the_same_bytes(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    three.federate(tmp_path / "rounds")
    assert contents(tmp_path / "rounds") == undisturbed
    three.federate(tmp_path / "other", settings(training=TrainingConfig(epochs=2, seed=4)))
    assert contents(tmp_path / "other") != undisturbed


def test_the_callers_random_state_is_left_as_it_was(three: Consortium, tmp_path: Path) -> None:
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    three.federate(tmp_path / "rounds", settings(rounds=1))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


def test_a_learner_draws_the_same_in_a_federation_that_was_resumed(three: Consortium, tmp_path: Path) -> None:
    drawn: dict[str, list[tuple[str, int, float]]] = {"whole": [], "part": []}

    def noting(to: str, stop: int) -> App:
        def around(app: App) -> App:
            def noted(message: Message, context: Context) -> Message:
                drawn[to].append((*asked(message), random.random()))
                if asked(message) == ("train", stop):
                    raise KeyboardInterrupt
                return app(message, context)

            return noted

        return around

    three.federate(tmp_path / "whole", around=noting("whole", 0))
    try:
        three.federate(tmp_path / "part", around=noting("part", 2))
    except KeyboardInterrupt:
        three.federate(tmp_path / "part", around=noting("part", 0))
    assert set(drawn["part"]) == set(drawn["whole"])
    assert len({number for *_, number in drawn["whole"]}) == 12


def exchange(app: App, content: RecordDict, nodes: int = 1) -> list[Message]:
    grid = LocalGrid(app, nodes, 0)  # type: ignore[arg-type]
    with as_server():
        messages = [Message(content, node, "train", group_id="1") for node in grid.get_node_ids()]
        return list(grid.send_and_receive(messages))


def test_parties_share_no_memory() -> None:
    kept: list[RecordDict] = []

    def spoiling(message: Message, context: Context) -> Message:
        message.content["facts"]["told"] = "changed"
        message.content["model"]["w"].data = b"spoilt"
        answer = RecordDict({"facts": ConfigRecord({"own": "mine"})})
        kept.append(answer)
        return Message(answer, reply_to=message)

    content = RecordDict({"facts": ConfigRecord({"told": "me"}), "model": ArrayRecord([np.zeros(3)])})
    content["model"]["w"] = content["model"].pop("0")
    replies = exchange(spoiling, content, nodes=2)
    assert content["facts"]["told"] == "me"
    assert content["model"]["w"].numpy().tolist() == [0, 0, 0]
    replies[0].content["facts"]["own"] = "theirs"
    assert [answer["facts"]["own"] for answer in kept] == ["mine", "mine"]


def test_a_node_keeps_its_own_state_between_messages() -> None:
    app = ClientApp()

    @app.train()
    def count(message: Message, context: Context) -> Message:
        seen = context.state.config_records.setdefault("seen", ConfigRecord({"times": 0}))
        seen["times"] = int(str(seen["times"])) + 1
        return Message(RecordDict({"facts": ConfigRecord({**seen})}), reply_to=message)

    grid = LocalGrid(app, 2, 0)
    with as_server():
        for times in (1, 2):
            for node in grid.get_node_ids():
                (reply,) = grid.send_and_receive([Message(RecordDict(), node, "train")])
                assert reply.metadata.src_node_id == node
                assert reply.content["facts"]["times"] == times


def test_an_app_that_fails_is_an_answer_with_its_reason_on_one_line() -> None:
    def failing(message: Message, context: Context) -> Message:
        raise ValueError("the disk\nis upside down")

    (reply,) = exchange(failing, RecordDict())
    assert reply.has_error()
    assert reply.error.reason == "failed (ValueError: the disk is upside down)"


def test_nothing_is_left_running_and_nothing_calls_home(three: Consortium, tmp_path: Path) -> None:
    def sockets() -> int:
        links = [p.readlink() for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]
        return sum(str(link).startswith("socket:") for link in links)

    threads, open_sockets = set(threading.enumerate()), sockets()
    three.federate(tmp_path / "rounds", settings(rounds=1))
    assert set(threading.enumerate()) <= threads
    assert sockets() <= open_sockets
    for variable, value in (
        ("FLWR_TELEMETRY_ENABLED", "0"),
        ("FLWR_DISABLE_UPDATE_CHECK", "1"),
        ("RAY_USAGE_STATS_ENABLED", "0"),
    ):
        assert os.environ[variable] == value


def test_a_transcript_begins_with_the_scale_of_all_members(three: Consortium, tmp_path: Path) -> None:
    start = three.federate(tmp_path / "rounds", settings(rounds=1)).global_model(0)
    members = three.roles.subjects(Role.MEMBER)
    ages = three.cohort.scans.set_index("subject_id").loc[members, "age"]
    assert float(start["age_mean"]) == np.float32(ages.mean())
    np.testing.assert_allclose(float(start["age_spread"]), ages.std(), rtol=1e-5)
