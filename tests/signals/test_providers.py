"""Every provider: the signals that it gives, to whom, and what it says to those who do not see them."""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

from memberscan import signals as package
from memberscan.attacks import REGISTRY
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.signals import PREDICTION, PROVIDERS, Signal, by_provider, made_of, see
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.layer_gradients import GRADIENT_NORMS, gradient
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS, UPDATES
from memberscan.signals.of_final_model import OfFinalModel
from memberscan.signals.passes import final_model
from memberscan.signals.round_predictions import ROUND_PREDICTIONS
from memberscan.signals.signal import Provider
from memberscan.targets import PredictionsTable
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import OF_OUTSIDERS, Access, Attacker, ThreatModel

from .conftest import Federate, party_of

THREATS = [ThreatModel(access) for access in OF_OUTSIDERS]
THREATS += [ThreatModel(attacker=a) for a in Attacker if a is not Attacker.OUTSIDER]


def declared() -> list[Signal]:
    """Return every signal that a module of the package declares."""
    modules = [f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__)]
    found = [vars(__import__(name, fromlist=["x"])).values() for name in modules]
    return list(dict.fromkeys(v for values in found for v in values if isinstance(v, Signal)))


def test_every_signal_that_is_declared_has_one_provider_and_a_name_of_its_own() -> None:
    every = [*declared(), gradient("conv1")]
    assert len({str(signal) for signal in every}) == len(every)
    for signal in every:
        assert [signal.kind in provider.kinds for provider in PROVIDERS].count(True) == 1
    assert {signal.kind for signal in every} == {kind for p in PROVIDERS for kind in p.kinds}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.kinds[0])
def test_a_provider_is_a_frozen_value_that_is_seen_from_some_place(provider: Provider) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        provider.kinds = ()  # type: ignore[misc]
    assert not inspect.isabstract(type(provider))
    seeing = [threat for threat in THREATS if provider.seen_by(threat)]
    assert seeing and {threat.attacker for threat in seeing} == provider.attackers
    for threat in THREATS:
        if provider.seen_by(threat):
            assert provider.needed_access(threat) in threat.sees
        else:
            reason = provider.out_of_sight(threat)
            assert reason[0].islower() and not reason.endswith(".")


def test_signals_are_asked_of_their_providers_once_each_in_their_order() -> None:
    asked = by_provider([LOCAL_PREDICTIONS, PREDICTION, gradient("b"), PREDICTION, gradient("a")])
    assert [list(map(str, signals)) for signals in asked.values()] == [
        ["local-predictions"],
        ["prediction"],
        ["gradient:b", "gradient:a"],
    ]
    assert next(iter(asked)) is UPDATES


def test_all_signals_of_the_final_model_are_taken_in_one_pass(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    real = final_model.observe
    monkeypatch.setattr(final_model, "observe", lambda *a: passes.append(a) or real(*a))
    target = TrainedModel.open(run.path, ThreatModel(Access.WEIGHTS))
    wanted = [gradient("output"), ACTIVATION, GRADIENT_NORMS]
    view = see(target, wanted, tmp_path / "a")
    assert len(passes) == 1
    assert set(view.values) == {PREDICTION, *wanted}
    assert view.scans.equals(target.scans[["subject_id", "label"]])
    # The order in which attacks are named decides nothing.
    see(target, wanted[::-1], tmp_path / "a")
    assert {p.name for p in (tmp_path / "a").glob("*.npy")} == {
        "prediction.npy",
        "activation.npy",
        "gradient-norms.npy",
        "gradient%3Aoutput.npy",
    }


def test_a_directory_of_signals_is_its_owner_s_only(run, tmp_path: Path) -> None:
    see(TrainedModel.open(run.path, ThreatModel()), [], tmp_path / "signals")
    assert (tmp_path / "signals").stat().st_mode & 0o077 == 0


def test_a_table_of_predictions_is_seen_as_it_is(tmp_path: Path) -> None:
    lines = [f"s{n}\t{50 + n}\t{52.5 + n}\t{n % 2}" for n in range(6)]
    (tmp_path / "p.tsv").write_text("\n".join(["subject_id\tage\tprediction\tmember", *lines]))
    view = see(PredictionsTable.read(tmp_path / "p.tsv", ThreatModel()), [PREDICTION], tmp_path / "signals")
    np.testing.assert_array_equal(view[PREDICTION], 52.5 + np.arange(6))
    assert not (tmp_path / "signals").exists()


def test_a_learner_sees_the_rounds_and_a_server_the_learners(
    vectors: Cohort, federation: Federate, tmp_path: Path
) -> None:
    run, ids = federation(vectors, "mlp"), vectors.scans.index.tolist()
    learner = see(party_of(run, vectors, ids, (1, 3)), [ROUND_PREDICTIONS], tmp_path / "learner")
    assert (learner.learners, learner.rounds) == ((), (1, 3))
    assert learner[ROUND_PREDICTIONS].shape == (24, 2)
    server = see(party_of(run, vectors, ids, (1, 3), "server"), [LOCAL_PREDICTIONS], tmp_path / "server")
    assert (server.learners, server.rounds) == (run.transcript.learners, (1, 3))
    total = see(party_of(run, vectors, ids, (1, 3), "aggregate"), [LOCAL_PREDICTIONS], tmp_path / "total")
    assert (total.learners, total.rounds) == (("all",), (1, 3))
    for view in (learner, server, total):
        np.testing.assert_array_equal(view[PREDICTION], learner[PREDICTION])
    np.testing.assert_allclose(total[LOCAL_PREDICTIONS][:, :, 0].T, learner[ROUND_PREDICTIONS], rtol=1e-6)


def test_every_attack_reads_signals_that_some_place_shows_all_of() -> None:
    for attack in REGISTRY.values():
        providers = by_provider(attack.reads)
        assert providers
        assert any(all(p.seen_by(threat) for p in providers) for threat in THREATS), attack.name


def test_signals_of_the_final_model_go_together() -> None:
    final = [p for p in PROVIDERS if isinstance(p, OfFinalModel)]
    assert {PREDICTION.kind, ACTIVATION.kind, GRADIENT_NORMS.kind} < {k for p in final for k in p.kinds}


def test_a_signal_without_a_provider_is_named():
    with pytest.raises(BadInputError, match="no provider gives the signal heartbeat"):
        by_provider([Signal("heartbeat", ("scan",))])


def test_what_a_provider_reads_beside_the_target_is_part_of_the_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    assert made_of(None, [PREDICTION, ROUND_PREDICTIONS]) == {}  # type: ignore[arg-type]
    monkeypatch.setattr(type(UPDATES), "fingerprint", lambda self, target: "of a file")
    assert made_of(None, [PREDICTION, LOCAL_PREDICTIONS]) == {"took-part": "of a file"}  # type: ignore[arg-type]
