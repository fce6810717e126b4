"""No raw answer reaches an outsider's attack where a defence changes answers, whichever attack is tried."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan import ThreatModel
from memberscan.attacks import REGISTRY
from memberscan.attacks.availability import obstacle
from memberscan.auditing import AuditResult, audit
from memberscan.auditing.making_references import train_references
from memberscan.cohort import Cohort
from memberscan.defences import allow_own, own
from memberscan.defences.answers import Answers
from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError, OutputConflictError, UntrustedCodeError
from memberscan.report import check, render_html
from memberscan.runs import Run
from memberscan.signals import PREDICTION, by_provider, see
from memberscan.signals.head_outputs import HEAD_OUTPUTS
from memberscan.signals.signal import BehindService
from memberscan.targets import Target, open_target
from memberscan.threat import Access
from memberscan.training import TrainingConfig, train

pytestmark = pytest.mark.usefixtures("only_words", "here")

CONSTANT = "round:step=1000"
ONCE = ThreatModel(repeats=1)


def images(cohort: Cohort, folder: Path, defence: str | None, seed: int = 0) -> Target:
    """Return a model of images with an uncertainty, and references that predict copies too."""
    config = TrainingConfig(epochs=2, device="cpu", defence=defence, seed=seed)
    options = {"width": 4, "head": "gaussian"}
    run = train(cohort, folder / "run", model="cnn3d", options=options, config=config, seed=1)
    train_references(run.path, folder / "references", count=2, workers=1)
    return open_target(run.path, ONCE, references=folder / "references")


def read_by_attacks(target: Target, folder: Path) -> dict[BehindService, dict[str, np.ndarray]]:
    """Return all that any registered attack reads, by name and by what a service does with it."""
    attacks = [attack for attack in REGISTRY.values() if obstacle(attack, target) is None]
    signals = list(dict.fromkeys(signal for attack in attacks for signal in attack.reads))
    view, found = see(target, signals, folder), defaultdict[BehindService, dict[str, np.ndarray]](dict)
    for provider, those in by_provider(signals).items():
        for signal in those:
            found[provider.behind_service(signal)][str(signal)] = np.asarray(view[signal])
    return found


def test_behind_a_constant_answer_no_attack_reads_anything_of_the_model(
    volumes: Cohort, tmp_path: Path
) -> None:
    plain = read_by_attacks(images(volumes, tmp_path / "plain", None), tmp_path / "a")
    found = read_by_attacks(images(volumes, tmp_path / "constant", CONSTANT, seed=1), tmp_path / "b")
    assert str(HEAD_OUTPUTS) in plain["hidden"] and not found["hidden"]
    assert {"prediction", "augmented-predictions", "reference-predictions", "reference-copies"} <= set(
        found["changed"]
    )
    assert set(plain["changed"]) == set(found["changed"])
    for name, values in found["changed"].items():
        assert np.ptp(plain["changed"][name]) > 0, name
        assert values.shape == plain["changed"][name].shape and np.unique(values).tolist() == [0], name
    # What is shown unchanged does not depend on the model: the two have other weights.
    assert found["unchanged"] and set(found["unchanged"]) == set(plain["unchanged"])
    for name, values in found["unchanged"].items():
        np.testing.assert_array_equal(values, plain["unchanged"][name], name)


def test_uncertainty_is_hidden_from_readers_of_answers_only(volumes: Cohort, tmp_path: Path) -> None:
    target = images(volumes, tmp_path, "round:step=1")
    reason = obstacle(REGISTRY["head-loss:zero-knowledge"], target)
    assert reason == "needs more than predictions (head), and a service (round:step=1.0) gives only these"
    inside = dataclasses.replace(target, threat=ThreatModel(Access.WEIGHTS))
    assert obstacle(REGISTRY["head-loss:zero-knowledge"], inside) is None
    assert (see(target, [], tmp_path / "a")[PREDICTION] % 1 == 0).all()
    raw = see(inside, [], tmp_path / "b")[PREDICTION]
    assert (raw % 1 != 0).any()
    np.testing.assert_array_equal(np.rint(raw), see(target, [], tmp_path / "a")[PREDICTION])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return 160 people with 60 measures of noise, which a network can only remember."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(160, 60)), columns=[f"m{k}" for k in range(60)])
    table.assign(id=range(160), age=rng.uniform(30, 70, 160)).to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(folder / "t.csv", folder / "c", subject="id", age="age")


def trained(people: Cohort, path: Path, defence: str | None, **changes: Any) -> Run:
    config = TrainingConfig(epochs=40, device="cpu", defence=defence, **changes)
    return train(people, path, model="mlp", config=config, seed=1)


def scores(result: AuditResult) -> pd.DataFrame:
    return result.scores.reset_index(drop=True)


def test_behind_a_constant_answer_scores_do_not_depend_on_the_model(people: Cohort, tmp_path: Path) -> None:
    one, other = (trained(people, tmp_path / str(k), CONSTANT, seed=k) for k in (1, 2))
    assert one.weights_fingerprint != other.weights_fingerprint
    train_references(one.path, tmp_path / "references", count=4, workers=1)
    found = [audit(run.path, threat=ONCE, references=tmp_path / "references") for run in (one, other)]
    pd.testing.assert_frame_equal(*map(scores, found))
    for each in found[0].content["findings"]:
        # No model is behind the score, so a difference of the two sides is that of their ages.
        assert each["auc"]["low"] <= 0.5 <= each["auc"]["high"], each["attack"]
    assert found[0].content["verdict"]["label"] != "leaks"
    attacks = ("error", "error:zero-knowledge")
    plain = audit(trained(people, tmp_path / "plain", None, seed=1).path, threat=ONCE, attacks=attacks)
    assert plain.content["verdict"]["label"] == "leaks"


def test_errors_that_match_those_of_others_show_nothing_and_weights_show_all(
    people: Cohort, tmp_path: Path
) -> None:
    config = TrainingConfig(epochs=40, device="cpu", defence="match-errors")
    options: dict[str, Any] = {"model": "mlp", "config": config, "seed": 1, "validation": 0.3}
    run = train(people, tmp_path / "run", **options)
    threats = ONCE, dataclasses.replace(ONCE, access=Access.WEIGHTS)
    names = ("error:zero-knowledge", "answer-jump")
    found = [audit(run.path, threat=each, attacks=names) for each in threats]
    outputs, weights = ({one["attack"]: one["auc"] for one in each.content["findings"]} for each in found)
    assert outputs["error:zero-knowledge"]["low"] < 0.5 and weights["error:zero-knowledge"]["low"] > 0.6
    # The adapted attack sees which answers the service changes. Without a service none jumps.
    assert outputs["answer-jump"]["low"] > 0.9 and "answer-jump" not in weights
    errors = [each.content["target"] for each in found]
    # Members get answers as bad as others do, whose answers stay as they are.
    assert errors[0]["mae_members"] > errors[1]["mae_members"]
    assert errors[0]["mae_nonmembers"] == errors[1]["mae_nonmembers"]
    train_references(run.path, tmp_path / "references", count=2, workers=1)
    behind = audit(run.path, threat=ONCE, references=tmp_path / "references", attacks=("lira:signed",))
    assert behind.content["target"]["answers"].startswith("Answers to scans that the model was trained on")


def test_the_page_says_what_changed_and_whom_it_does_not_hinder(people: Cohort, tmp_path: Path) -> None:
    run = trained(people, tmp_path / "run", "round:step=1")
    plain = trained(people, tmp_path / "plain", None)
    threats = {"outputs": ONCE, "weights": dataclasses.replace(ONCE, access=Access.WEIGHTS)}
    found = {name: audit(run.path, threat=t, attacks=("error",)) for name, t in threats.items()}
    without = audit(plain.path, threat=ONCE, attacks=("error",))
    pages = {name: " ".join(render_html(each.content).split()) for name, each in found.items()}
    for name, each in found.items():
        check(each.content)
        assert each.content["target"]["answers"] == "Every answer is rounded to a multiple of 1."
        assert "Every answer is rounded to a multiple of 1." in pages[name]
        assert "It guarantees nothing" in pages[name]
    assert "answers" not in without.content["target"] and "What changes in answers" not in render_html(
        without.content
    )
    assert "Attacks used the changed answers" in pages["outputs"]
    assert "used answers that nothing changed" in pages["weights"]
    # With the weights everything is as without the defence.
    pd.testing.assert_frame_equal(scores(found["weights"]), scores(without))
    assert found["weights"].content["findings"] == without.content["findings"]
    assert not scores(found["outputs"]).equals(scores(without))


def test_a_damaged_statement_is_refused(people: Cohort, tmp_path: Path) -> None:
    run = trained(people, tmp_path / "run", "round:step=1")
    path = run.path / "run.json"
    path.write_text(path.read_text().replace("round:step=1.0", "round:step=0"))
    with pytest.raises(BadInputError, match="'round' cannot be made: step is '0'"):
        audit(run.path, threat=ONCE, attacks=("error",))


def test_audits_of_models_that_differ_in_their_answers_alone_are_not_mixed_up(
    people: Cohort, tmp_path: Path
) -> None:
    texts = (None, "round:step=1", "answer-noise:scale=1")
    plain, rounded, noisy = (trained(people, tmp_path / str(k), text) for k, text in enumerate(texts))
    assert len({run.weights_fingerprint for run in (plain, rounded, noisy)}) == 1
    audit(rounded.path, tmp_path / "audit", threat=ONCE, attacks=("error",))
    for run in (plain, noisy):
        with pytest.raises(OutputConflictError):
            audit(run.path, tmp_path / "audit", threat=ONCE, attacks=("error",))


class Fixed(Defence):
    """A defence of a user's own: it answers 50 to everybody."""

    def answered(self, answers: Answers) -> np.ndarray:
        return np.full_like(answers.values, 50)


@pytest.mark.parametrize("beside", ["", "round:step=1+"])
def test_answers_that_a_class_of_ones_own_changes_are_not_attacked_as_if_it_did_not(
    people: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    text = f"{beside}{__name__}:Fixed"
    monkeypatch.setattr(own, "_allowed", set())
    allow_own(text)
    run = trained(people, tmp_path / "run", text)
    monkeypatch.setattr(own, "_allowed", set())
    with pytest.raises(UntrustedCodeError, match=r"Fixed, whose code would run.*--access weights"):
        audit(run.path, threat=ONCE, attacks=("error",))
    inside = audit(run.path, threat=dataclasses.replace(ONCE, access=Access.WEIGHTS), attacks=("error",))
    assert f"changed by {run.defence}" in inside.content["target"]["answers"]
    allow_own(text)
    found = audit(run.path, threat=ONCE, attacks=("error",))
    assert found.content["target"]["answers"].endswith("Every answer is changed.")
    assert found.content["verdict"]["label"] != "leaks"
