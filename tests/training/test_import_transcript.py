from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from memberscan.auditing import AuditResult, audit
from memberscan.cohort import Cohort
from memberscan.errors import (
    BadInputError,
    DataLeakageError,
    MemberscanError,
    ModelError,
    OutputConflictError,
    RolesError,
    TranscriptError,
)
from memberscan.received import load_json
from memberscan.runs import Role, Roles, Run, Transcript
from memberscan.runs.transcript import SEEN_BY_LEARNERS
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import import_run

from .conftest import site


def files_in(path: Path) -> dict[str, bytes]:
    """Return all files but the random salt, without the digest that was made with it."""
    found = (p for p in sorted(path.rglob("*")) if p.is_file() and p.name != "roles.salt")
    return {str(p.relative_to(path)): re.sub(rb'"roles": "[0-9a-f]{32}"', b"", p.read_bytes()) for p in found}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_a_foreign_folder_becomes_the_same_transcript(take: Callable[..., Run], federated: Run) -> None:
    run = take()
    ours, theirs = run.transcript, federated.transcript
    assert (ours.learners, ours.secure, len(ours.rounds)) == (theirs.learners, "none", 2)
    for number in range(3):
        assert same(ours.global_model(number), theirs.global_model(number))
    for number in (1, 2):
        assert all(
            same(ours.learner_model(number, n), theirs.learner_model(number, n)) for n in ours.learners
        )
        for name, its in ours.rounds[number - 1].took_part.items():
            assert its.samples == theirs.rounds[number - 1].took_part[name].samples
            assert its.steps is its.loss is None
    assert run.weights_fingerprint == federated.weights_fingerprint
    assert run.federation == {"environment": None, "rounds": 2, "local_epochs": None, "secure": "none"}
    assert not run.randomised
    assert load_json(ours.path / "0001" / "round.json")["took_part"]["learner-1"]["loss"] is None


def test_arrays_without_names_and_in_double_precision_are_audited_alike(
    take: Callable[..., Run], folder: Path, federated: Run, tmp_path: Path
) -> None:
    for path in folder.rglob("*.safetensors"):
        order = federated.load().state_dict()
        state = load_file(path)
        np.savez(path.with_suffix(".npz"), *[state[key].double().numpy() for key in order])
        path.unlink()
    run = take()
    threat = ThreatModel(attacker=Attacker.SERVER)
    audits = [audit(r.path, tmp_path / str(n), threat=threat) for n, r in enumerate((federated, run))]
    columns = ["attack", "auc_value", "auc_low", "accuracy_value"]
    pd.testing.assert_frame_equal(audits[0].findings[columns], audits[1].findings[columns])


def test_a_transcript_of_ours_is_copied_and_brings_its_options(
    cohort: Cohort, federated: Run, tmp_path: Path
) -> None:
    given = {"cohort": cohort, "model": "mlp", "roles": federated.roles}
    run = import_run(tmp_path / "in", transcript=federated.transcript.path, **given)
    assert files_in(run.transcript.path) == files_in(federated.transcript.path)
    assert run.spec == federated.spec
    assert run.federation == {"environment": None, "rounds": 2, "local_epochs": 1, "secure": "none"}
    with pytest.raises(ModelError, match="do not fit"):
        import_run(tmp_path / "wide", transcript=federated.transcript.path, options={"width": 8}, **given)


def test_the_same_import_again_does_nothing_and_another_is_refused(
    take: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    run = take()
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    assert take() == run
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before
    shutil.rmtree(folder / "round_2")
    with pytest.raises(OutputConflictError, match="transcript"):
        take()


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_an_interrupted_import_ends_in_the_same_bytes(
    take: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: int
) -> None:
    real, left = Transcript.record, calls

    def interrupted(*arguments: Any, **options: Any) -> Transcript:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Transcript, "record", interrupted)
        take()
    with pytest.raises(BadInputError, match="not finished"):
        Run.open(tmp_path / "in")
    part = files_in(take().path)
    shutil.rmtree(tmp_path / "in")
    assert files_in(take().path) == part


def test_other_weights_are_the_final_model(take: Callable[..., Run], federated: Run, tmp_path: Path) -> None:
    first = federated.transcript.global_model(1)
    save_file(first, tmp_path / "published.safetensors")
    assert same(
        load_file(take(weights=tmp_path / "published.safetensors").path / "weights.safetensors"), first
    )


def finding(result: AuditResult, attack: str) -> dict[str, Any]:
    return next(row for row in result.content["findings"] if row["attack"] == attack)


def edit(path: Path, **changes: torch.Tensor) -> None:
    save_file({**load_file(path), **{k.replace("__", "."): v for k, v in changes.items()}}, path)


def poison(path: Path) -> None:
    state = load_file(path)
    key = next(k for k, v in state.items() if v.ndim)
    state[key].view(-1)[0] = float("nan")
    save_file(state, path)


def widen(path: Path) -> None:
    save_file({k: torch.cat([v, v]) if v.ndim else v for k, v in load_file(path).items()}, path)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda p: shutil.rmtree(p / "round_1"), TranscriptError, "lacks round 1"),
        (lambda p: halve(p / "round_1/learner-2.safetensors"), TranscriptError, "learner-2.*truncated"),
        (lambda p: halve(p / "round_0/server.safetensors"), TranscriptError, "round_0/server.*truncated"),
        (
            lambda p: widen(p / "round_2/learner-3.safetensors"),
            TranscriptError,
            r"round_2/learner-3\.safetensors is another model than in round 0: \S+ has shape",
        ),
        (lambda p: widen(p / "round_0/server.safetensors"), ModelError, "round_0.*do not fit the model"),
        (
            lambda p: edit(p / "round_2/server.safetensors", extra=torch.ones(1)),
            TranscriptError,
            "round_2/server.safetensors has an extra parameter, extra",
        ),
        (lambda p: poison(p / "round_1/learner-1.safetensors"), TranscriptError, "learner-1.*NaN"),
        (lambda p: poison(p / "round_0/server.safetensors"), TranscriptError, "round_0/server.*NaN"),
        (
            lambda p: (p / "round_2/learner-1.safetensors").rename(p / "round_2/stranger.safetensors"),
            TranscriptError,
            "'stranger', which is not a learner in the roles; the roles name learner-1, learner-2, learner-3",
        ),
        (lambda p: shutil.rmtree(p), TranscriptError, "is not a folder"),
    ],
)
def test_a_bad_folder_is_refused_before_anything_is_written(
    take: Callable[..., Run],
    folder: Path,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    error: type[Exception],
    message: str,
) -> None:
    spoil(folder)
    with pytest.raises(error, match=message):
        take()
    assert not (tmp_path / "in").exists()


def test_a_lacking_parameter_is_named(take: Callable[..., Run], folder: Path) -> None:
    path = folder / "round_2/learner-2.safetensors"
    state = load_file(path)
    gone = sorted(state)[-1]
    save_file({k: v for k, v in state.items() if k != gone}, path)
    with pytest.raises(TranscriptError, match=f"learner-2.safetensors lacks {gone}"):
        take()


@pytest.mark.parametrize("spoil", [lambda p: halve(p), lambda p: p.unlink(), poison])
@pytest.mark.parametrize("file", ["0001/learner-2.safetensors", "0002/global.safetensors"])
def test_a_transcript_of_ours_that_was_changed_is_refused(
    cohort: Cohort, federated: Run, tmp_path: Path, spoil: Callable[[Path], object], file: str
) -> None:
    shutil.copytree(federated.transcript.path, tmp_path / "rounds")
    spoil(tmp_path / "rounds" / file)
    with pytest.raises(TranscriptError, match=file):
        import_run(
            tmp_path / "in", cohort=cohort, model="mlp", roles=federated.roles, transcript=tmp_path / "rounds"
        )
    assert not (tmp_path / "in").exists()


def rewritten(roles: Roles, change: Callable[[pd.DataFrame], pd.DataFrame], path: Path) -> Path:
    roles.write(path)
    change(pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)).to_csv(path, sep="\t", index=False)
    return path


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.drop(columns="learner"), RolesError, "no column learner"),
        (
            lambda t: pd.concat([t, t[t["learner"] == "learner-1"].head(1).assign(learner="learner-2")]),
            DataLeakageError,
            "held by both learner-1 and learner-2",
        ),
        (
            lambda t: t.assign(learner=t["learner"].replace("learner-1", "n/a")),
            RolesError,
            "no learner for 20 members",
        ),
        (
            lambda t: t.assign(learner=t["learner"].where(t["learner"] == "n/a", "site-1")),
            TranscriptError,
            "roles name site-1.*its learners are learner-1, learner-2, learner-3",
        ),
    ],
)
@pytest.mark.parametrize("ours", [True, False])
def test_roles_that_do_not_fit_are_refused(
    take: Callable[..., Run],
    federated: Run,
    folder: Path,
    tmp_path: Path,
    ours: bool,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    error: type[Exception],
    message: str,
) -> None:
    roles = rewritten(federated.roles, change, tmp_path / "roles.tsv")
    with pytest.raises(error, match=message):
        take(roles=roles, transcript=federated.transcript.path if ours else folder)
    assert not (tmp_path / "in").exists()


def test_a_learner_that_is_never_there_is_named_in_every_round(
    take: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        (folder / f"round_{number}" / "learner-2.safetensors").unlink()
    (folder / "round_1" / "learner-3.safetensors").unlink()
    run = take()
    assert [sorted(r.left_out) for r in run.transcript.rounds] == [["learner-2", "learner-3"], ["learner-2"]]
    result = audit(run.path, tmp_path / "audit", threat=ThreatModel(attacker=Attacker.SERVER))
    left_out = result.content["federation"]["left_out"]
    assert len(left_out) == 3 and all("no model of it" in row["reason"] for row in left_out)
    pairs = result.content["federation"]["pairs"]
    never = [p for p in pairs if p["victim"] == "learner-2"]
    assert never and all(p["auc"] is p["p_value"] is p["p_holm"] is None for p in never)
    assert all("learner-2 took part in none of the rounds" in p["reason"] for p in never)
    for attack in result.findings["attack"]:
        others = [p["auc"]["value"] for p in pairs if p["attack"] == attack and p["auc"]]
        # Each is rounded to what its error bears.
        assert finding(result, attack)["auc"]["value"] == pytest.approx(np.mean(others), abs=0.06)
    reasons = {row["attack"]: row["reason"] for row in result.content["not_run"]}
    assert (
        "needs at least 2 other learners" in reasons["fedmia:error"]
        and "sees at most 1" in reasons["fedmia:error"]
    )


@pytest.mark.parametrize("ours", [True, False])
def test_a_site_audits_its_own_people(
    take: Callable[..., Run], federated: Run, folder: Path, tmp_path: Path, ours: bool
) -> None:
    run = take(roles=site(federated, "learner-2"), transcript=federated.transcript.path if ours else folder)
    assert run.transcript.learners == ("learner-1", "learner-2", "learner-3")
    assert run.roles.learners == ("learner-2",)
    for attacker in (Attacker.SERVER, Attacker.AGGREGATE):
        result = audit(run.path, tmp_path / str(attacker), threat=ThreatModel(attacker=attacker))
        victims = {pair["victim"] for pair in result.content["federation"]["pairs"]}
        assert victims == ({"learner-2"} if attacker is Attacker.SERVER else {"all"})
    learner = audit(run.path, tmp_path / "learner", threat=ThreatModel(attacker=Attacker.LEARNER))
    assert len(learner.findings) and all("zero-knowledge" in name for name in learner.findings["attack"])
    assert {p["attacker"] for p in learner.content["federation"]["pairs"]} == {"learner-1", "learner-3"}
    reasons = {row["attack"]: row["reason"] for row in learner.content["not_run"]}
    assert "only the victim's are here" in reasons["prediction+label"]


def test_people_of_an_encrypted_federation_are_audited_where_its_models_are_kept(
    cohort: Cohort, encrypted: Run, tmp_path: Path
) -> None:
    run = import_run(
        tmp_path / "in",
        cohort=cohort,
        model="mlp",
        roles=encrypted.roles,
        transcript=encrypted.transcript.path,
    )
    assert run.federation == {"environment": None, "rounds": 1, "local_epochs": 1, "secure": "ckks"}
    assert same(run.transcript.global_model(1), encrypted.transcript.global_model(1))
    assert not list(run.path.rglob("ciphertext*"))
    learner = audit(run.path, tmp_path / "learner", threat=ThreatModel(attacker=Attacker.LEARNER))
    assert len(learner.findings)
    server = audit(run.path, tmp_path / "server", threat=ThreatModel(attacker=Attacker.SERVER))
    assert server.findings.empty and server.verdict == "inconclusive"


def test_an_encrypted_transcript_of_the_server_says_where_its_models_are(
    cohort: Cohort, encrypted: Run, tmp_path: Path
) -> None:
    shutil.copytree(encrypted.transcript.path, tmp_path / "rounds")
    kept = tmp_path / "rounds" / SEEN_BY_LEARNERS
    (kept / "0001.safetensors").unlink()
    given = {"cohort": cohort, "model": "mlp", "roles": encrypted.roles, "transcript": tmp_path / "rounds"}
    with pytest.raises(TranscriptError, match=r"0001\.safetensors does not exist"):
        import_run(tmp_path / "in", **given)
    shutil.rmtree(kept)
    with pytest.raises(TranscriptError, match="'keep' in its configuration"):
        import_run(tmp_path / "in", **given)
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"transcript": None}, BadInputError, "--weights.*--transcript"),
        ({"model": "torch.nn:Identity"}, ModelError, "called without arguments.*width"),
        ({"options": {}}, ModelError, "do not fit the model"),
        ({"roles": Roles({"nobody": Role.MEMBER})}, RolesError, "nobody"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    take: Callable[..., Run],
    tmp_path: Path,
    changes: dict[str, Any],
    error: type[MemberscanError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        take(**changes)
    assert not (tmp_path / "in").exists()
