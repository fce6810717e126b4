"""Transcripts whose models are not what they are said to be: refused, or a learner left out by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from memberscan import ThreatModel, audit
from memberscan.cohort import Cohort
from memberscan.errors import TranscriptError
from memberscan.models import MLP
from memberscan.received import load_json
from memberscan.runs import Role, Roles, Run, Transcript
from memberscan.runs.transcript import Participation
from memberscan.threat import Attacker
from memberscan.training import import_run

LEARNERS = ("a", "b", "c")
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("eighty")
    people = pd.DataFrame(rng.normal(size=(80, 5)), columns=[f"m {n}" for n in range(5)])
    people["id"], people["age"] = [f"p{n}" for n in range(80)], rng.uniform(45, 80, 80).round(1)
    people.to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(folder / "t.csv", folder / "cohort", subject="id", age="age", covariates=[])


@pytest.fixture(scope="module")
def roles(cohort: Cohort) -> Roles:
    place = {s: n % 4 for n, s in enumerate(cohort.subjects)}
    of = {s: Role.NONMEMBER if n == 3 else Role.MEMBER for s, n in place.items()}
    return Roles(of, {s: LEARNERS[n] for s, n in place.items() if n < 3})


@pytest.fixture
def states() -> list[dict[str, State]]:
    """Three rounds of learners that drift from the global model, whose mean is the next one."""
    torch.manual_seed(0)
    network = MLP((5,), width=4)
    network.age_mean.fill_(62.0)
    network.age_spread.fill_(10.0)
    found = [{"global": {k: v.clone() for k, v in network.state_dict().items()}}]
    weights = [name for name, _ in network.named_parameters()]
    for _ in range(3):
        start = found[-1]["global"]
        models = {
            name: {k: v + 0.02 * torch.randn(v.shape) if k in weights else v for k, v in start.items()}
            for name in LEARNERS
        }
        mean = {k: torch.stack([m[k] for m in models.values()]).mean(0) for k in start}
        found.append({**models, "global": mean})
    return found


@pytest.fixture
def take(cohort: Cohort, roles: Roles, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that imports rounds, kept by somebody else's conventions or by ours."""

    def run(states: list[dict[str, State]], *, ours: bool = False) -> Run:
        path = tmp_path / "kept"
        if ours:
            keep(states, path)
        for number, models in enumerate([] if ours else states):
            (path / str(number)).mkdir(parents=True)
            for name, state in models.items():
                save_file(
                    {k: v.clone() for k, v in state.items()}, path / str(number) / f"{name}.safetensors"
                )
        return import_run(
            tmp_path / "in", cohort=cohort, model="mlp", options={"width": 4}, roles=roles, transcript=path
        )

    return run


def keep(states: list[dict[str, State]], path: Path) -> None:
    record = Transcript.begin(path, learners=LEARNERS, secure="none", settings={})
    for number, models in enumerate(states):
        learners = {name: models[name] for name in LEARNERS if name in models}
        took_part = {name: Participation(20, 5, 30.0) for name in learners}
        record = record.record(number, models["global"], learners, took_part)


def server(run: Run) -> dict[str, Any]:
    return dict(audit(run.path, threat=ThreatModel(attacker=Attacker.SERVER)).content)


@pytest.mark.parametrize("ours", [False, True])
def test_models_that_make_sense_are_taken_as_they_are(
    take: Callable[..., Run], states: list[dict[str, State]], ours: bool
) -> None:
    run = take(states, ours=ours)
    assert all(not its.left_out and set(its.took_part) == set(LEARNERS) for its in run.transcript.rounds)
    assert torch.equal(run.transcript.learner_model(2, "b")["output.bias"], states[2]["b"]["output.bias"])
    assert torch.equal(
        load_file(run.path / "weights.safetensors")["output.bias"], states[3]["global"]["output.bias"]
    )


def huge(state: State) -> State:
    """Return finite weights that predict NaN."""
    return {k: v.sign() * 3e38 if v.ndim == 2 else v for k, v in state.items()}


def absurd(state: State) -> State:
    return {**state, "output.bias": state["output.bias"] + 90}


@pytest.mark.parametrize("ours", [False, True])
def test_learners_whose_models_make_no_sense_are_left_out_by_name(
    take: Callable[..., Run], states: list[dict[str, State]], ours: bool
) -> None:
    states[1]["a"] = huge(states[1]["a"])
    states[2]["b"] = states[1]["global"]
    states[3]["c"] = absurd(states[3]["c"])
    run = take(states, ours=ours)
    reasons = [dict(its.left_out) for its in run.transcript.rounds]
    assert [list(row) for row in reasons] == [["a"], ["b"], ["c"]]
    assert reasons[0]["a"] == "its model predicts NaN or infinite numbers"
    assert reasons[1]["b"] == "its model is the global model of round 1: it did not train"
    assert "off on average" in reasons[2]["c"]
    for number, name in ((1, "a"), (2, "b"), (3, "c")):
        folder = run.transcript.path / f"{number:04d}"
        assert not (folder / f"{name}.safetensors").exists()
        stated = load_json(folder / "round.json")
        assert name not in stated["took_part"] and name not in stated["digests"]
    content = server(run)
    assert [(r["round"], r["learner"]) for r in content["federation"]["left_out"]] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    assert all(pair["auc"] for pair in content["federation"]["pairs"])


def test_a_learner_that_never_trained_is_in_no_pair(
    take: Callable[..., Run], states: list[dict[str, State]]
) -> None:
    for number in (1, 2, 3):
        states[number]["b"] = states[number - 1]["global"]
    content = server(take(states))
    pairs = [p for p in content["federation"]["pairs"] if p["victim"] == "b"]
    assert pairs and all(p["auc"] is None and "took part in none of the rounds" in p["reason"] for p in pairs)


def subtract(states: list[dict[str, State]], names: tuple[str, ...]) -> list[dict[str, State]]:
    return [
        {
            n: {k: v - states[t - 1]["global"][k] for k, v in s.items()} if t and n in names else s
            for n, s in m.items()
        }
        for t, m in enumerate(states)
    ]


def renumber(states: list[dict[str, State]]) -> list[dict[str, State]]:
    return [{**m, "global": states[max(t - 1, 0)]["global"]} for t, m in enumerate(states)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: subtract(s, ("global",)), "1/global.safetensors holds differences"),
        (lambda s: renumber(s), "round numbers are one too high"),
        (lambda s: renumber(s)[:2], "all later ones are the initial model"),
        (lambda s: [*s[:2], {**s[2], "global": huge(s[2]["global"])}], "2/global.* predicts NaN"),
        (lambda s: [*s[:2], {**s[2], "global": absurd(s[2]["global"])}], "2/global.* off on average"),
    ],
)
def test_what_is_certain_to_be_wrong_is_refused_before_anything_is_written(
    take: Callable[..., Run],
    states: list[dict[str, State]],
    tmp_path: Path,
    spoil: Callable[[list[dict[str, State]]], list[dict[str, State]]],
    words: str,
) -> None:
    with pytest.raises(TranscriptError, match=words):
        take(spoil(states))
    assert not (tmp_path / "in").exists()


def test_differences_of_all_learners_are_added_to_the_model_before(
    take: Callable[..., Run], states: list[dict[str, State]], caplog: pytest.LogCaptureFixture
) -> None:
    run = take(subtract(states, LEARNERS))
    assert "hold differences" in caplog.text
    assert not any(entry.left_out for entry in run.transcript.rounds)
    for number in (1, 2, 3):
        for name in LEARNERS:
            for key, value in run.transcript.learner_model(number, name).items():
                torch.testing.assert_close(value, states[number][name][key], rtol=1e-5, atol=1e-6)


def test_differences_in_a_transcript_of_memberscan_are_refused(
    take: Callable[..., Run], states: list[dict[str, State]], tmp_path: Path
) -> None:
    with pytest.raises(TranscriptError, match=r"model of a in round 1 .* holds differences.*all learners"):
        take(subtract(states, LEARNERS), ours=True)
    assert not (tmp_path / "in").exists()


def test_differences_of_one_learner_leave_it_out(
    take: Callable[..., Run], states: list[dict[str, State]]
) -> None:
    run = take(subtract(states, ("c",)))
    assert all("holds differences" in its.left_out["c"] for its in run.transcript.rounds)


def test_counters_and_prefixes_of_other_frameworks_are_no_other_model(
    take: Callable[..., Run], states: list[dict[str, State]]
) -> None:
    spelt = [
        {n: {f"module.{k}": v.reshape(1) if not v.ndim else v for k, v in s.items()} for n, s in m.items()}
        for m in states
    ]
    run = take(spelt)
    assert run.transcript.global_model(1).keys() == states[0]["global"].keys()
    assert run.transcript.global_model(1)["age_mean"].shape == ()
