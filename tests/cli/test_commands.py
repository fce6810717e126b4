"""Every command: help with an example, seed and JSON, the right stream, and nothing done twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from memberscan.cli import app
from memberscan.cli.root import several_values
from memberscan.cohort import Cohort
from memberscan.runs import Run
from memberscan.studies import STUDIES, demo

from .conftest import Command, people


def commands() -> list[tuple[str, ...]]:
    top = typer.main.get_command(app)
    found = []
    for name, one in top.commands.items():  # type: ignore[attr-defined]
        inner = getattr(one, "commands", None)
        found += [(name, sub) for sub in inner] if inner else [(name,)]
    return found


def snapshot(directory: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in sorted(directory.rglob("*"))}


def test_all_commands_are_there():
    assert set(commands()) == {
        ("demo",), ("cohort", "bids"), ("cohort", "table"), ("cohort", "from"), ("cohort", "phantom"),
        ("models",), ("train",), ("import",), ("audit",), ("report",), ("study",), ("federate",),
        ("frontier",), ("federated-frontier",), ("reproduce",), ("inspect",), ("dossier",), ("verify",),
        ("doctor",), ("compare",),
        ("federation", "init"), ("federation", "site"), ("federation", "keys"),
        ("references", "train"), ("references", "plan"), ("references", "collect"),
    }  # fmt: skip


@pytest.mark.parametrize("name", commands(), ids=" ".join)
def test_help_has_an_example_a_seed_and_json(name: tuple[str, ...], command: Command):
    done = command(*name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Example: memberscan {' '.join(name)}" in done.out
    assert "--seed" in done.out and "--json" in done.out


def test_no_arguments_shows_help(command: Command):
    done = command()
    assert "audit" in done.out + done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments", [("frobnicate",), ("audit", "--frob"), ("audit",), ("audit", "a", "b", "c")]
)
def test_wrong_usage_is_2_on_standard_error(arguments: tuple[str, ...], command: Command):
    done = command(*arguments)
    assert done.code == 2 and done.out == "" and "Usage" in done.err


def test_audit_prints_a_table_and_the_report(command: Command, predictions: Path, tmp_path: Path):
    done = command("audit", predictions, tmp_path / "audit")
    assert (done.code, done.err) == (0, "")
    assert "error:zero-knowledge" in done.out
    assert done.out.strip().endswith(f"report: {tmp_path / 'audit' / 'audit.html'}")


def test_audit_twice_changes_nothing_and_says_the_same(command: Command, predictions: Path, tmp_path: Path):
    first = command("audit", predictions, tmp_path / "audit", "--pseudonyms")
    before = snapshot(tmp_path)
    assert command("audit", predictions, tmp_path / "audit", "--pseudonyms") == first
    assert snapshot(tmp_path) == before


def test_audit_on_an_output_of_another_configuration_is_refused(
    command: Command, predictions: Path, tmp_path: Path
):
    command("audit", predictions, tmp_path / "audit", "--attacks", "error")
    done = command("audit", predictions, tmp_path / "audit", "--attacks", "error", "--leaked", "0.3")
    assert done.code == 3 and done.out == ""
    assert "leaked" in done.err and "choose another output directory" in done.err


def test_json_is_all_there_is_on_standard_output(command: Command, predictions: Path, tmp_path: Path):
    done = command("audit", predictions, tmp_path / "audit", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == json.loads((tmp_path / "audit" / "audit.json").read_text())
    shown = command("report", tmp_path / "audit", "--json")
    assert shown.out == done.out


def test_report_renders_again(command: Command, predictions: Path, tmp_path: Path):
    command("audit", predictions, tmp_path / "audit")
    page = tmp_path / "audit" / "audit.html"
    before = page.read_bytes()
    page.unlink()
    done = command("report", tmp_path / "audit")
    assert done.code == 0 and page.read_bytes() == before


@pytest.mark.parametrize(
    "given",
    [
        ["--attacks", "error", "prediction+label"],
        ["--attacks", "error", "--attacks", "prediction+label"],
        ["--attacks", "error", "prediction+label", "--seed", "0"],
    ],
)
def test_attacks_take_several_values(given: list[str], command: Command, predictions: Path, tmp_path: Path):
    done = command("audit", predictions, tmp_path / "audit", *given, "--json")
    assert [f["attack"] for f in json.loads(done.out)["findings"]] == ["error", "prediction+label"]


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        ([], []),
        (["audit", "a", "b"], ["audit", "a", "b"]),
        (["--attacks"], ["--attacks"]),
        (["--attacks", "x"], ["--attacks", "x"]),
        (["--attacks", "x", "y", "--seed", "1"], ["--attacks", "x", "--attacks", "y", "--seed", "1"]),
        (["--attacks", "x", "--json", "y"], ["--attacks", "x", "--json", "y"]),
        (["--attacks", "x", "--attacks", "y", "z"], ["--attacks", "x", "--attacks", "y", "--attacks", "z"]),
    ],
)
def test_several_values(given: list[str], expanded: list[str]):
    assert several_values(given, "--attacks") == expanded


def test_ids_with_spaces_unicode_and_slashes_are_kept(command: Command, predictions: Path, tmp_path: Path):
    done = command("audit", predictions, tmp_path / "a b/ü", "--pseudonyms")
    assert done.code == 0
    key = (tmp_path / "a b/ü" / "pseudonyms.tsv").read_text()
    assert "Søren 3/ü\t" in key


def test_models_lists_the_target_models(command: Command):
    rows = {row["model"]: row for row in json.loads(command("models", "--json").out)["models"]}
    assert rows["cnn3d"]["parameters"] == 2_948_801
    assert rows["slice-mean"]["parameters"] == 998_625
    done = command("models", "--grid", "8x9x7")
    assert done.code == 0 and "2,948,801" not in done.out
    tiny = command("models", "--grid", "1x1x1")
    assert tiny.code == 0 and "cnn3d" in tiny.out


def test_cohort_phantom_train_and_audit_end_to_end(command: Command, tmp_path: Path):
    cohort, run = tmp_path / "cohort", tmp_path / "run"
    build = ("cohort", "phantom", cohort, "--subjects", 24, "--spacing", 12, "--json")
    facts = json.loads(command(*build).out)
    assert facts["subjects"] == 24
    fit = ("train", cohort, run, "--model", "cnn3d", "--epochs", 2, "--width", 4, "--device", "cpu", "--json")
    made = json.loads(command(*fit).out)
    assert (made["members"], made["nonmembers"]) == (12, 12)
    look = (
        "audit",
        run,
        tmp_path / "audit",
        "--access",
        "weights",
        "--repeats",
        1,
        "--attacks",
        "gradient:conv1",
    )
    done = command(*look, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["target"]["synthetic"]
    before = snapshot(tmp_path)
    for again in (build, fit, look):
        assert command(*again).code == 0
    assert snapshot(tmp_path) == before
    assert command("train", cohort, run, "--model", "cnn3d", "--epochs", 3, "--width", 4).code == 3


def test_cohort_bids_takes_entities_together_or_apart(command: Command, bids: Path, tmp_path: Path):
    for given in (["--select", "desc=brain,space=T1w"], ["--select", "desc=brain", "--select", "space=T1w"]):
        done = command("cohort", "bids", bids, tmp_path / "cohort", "--spacing", 10, *given, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["scans"] == 2


def test_cohort_bids_moves_registered_images_if_asked(command: Command, bids: Path, tmp_path: Path):
    words = ("cohort", "bids", bids, tmp_path / "cohort", "--select", "desc=brain")
    clash = command(*words, "--as-is", "--keep-position")
    assert clash.code == 2 and "--as-is moves no image" in clash.err
    assert command(*words, "--spacing", 10, "--recentre").code == 0


def test_cohort_table(command: Command, tmp_path: Path):
    table = people(30).drop(columns="member").assign(site="a", volume=np.linspace(9, 11, 30))
    table.to_csv(tmp_path / "t.csv", index=False)
    build = (
        "cohort",
        "table",
        tmp_path / "t.csv",
        tmp_path / "cohort",
        "--subject",
        "subject_id",
        "--age",
        "age",
    )
    done = command(*build, "--covariates", "site, prediction", "--json")
    facts = json.loads(done.out)
    assert facts["shape"] == [1] and facts["covariates"] == ["site", "prediction"]


def test_an_imported_run_is_audited(command: Command, volumes: Cohort, run: Run, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab_nets.py").write_text(
        "from memberscan.models import CNN3D\n\n\ndef age():\n    return CNN3D((9, 10, 11), width=4)\n"
    )
    take = ("import", tmp_path / "mine", "--cohort", volumes.path, "--model", "lab_nets:age")
    take += ("--weights", run.path / "weights.safetensors", "--roles", run.path / "roles.tsv")
    assert json.loads(command(*take, "--json").out)["members"] == 13
    audited = ("audit", tmp_path / "mine", tmp_path / "audit", "--attacks", "error", "--json")
    # The run's own word is not enough to run code, and nothing is written before it is asked for.
    done = command(*audited)
    assert done.code == 3
    assert "--model lab_nets:age" in done.err
    assert not (tmp_path / "audit").exists()
    assert "you named" in command(*audited, "--model", "lab_nets:other").err
    done = command(*audited, "--model", "lab_nets:age")
    assert not json.loads(done.out)["target"]["randomised"]


def test_a_covariate_beside_the_image_is_imported(
    command: Command, volumes: Cohort, run: Run, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab_sex.py").write_text(
        "def predict(sex, image):\n    return 60 + image.mean((1, 2, 3, 4)) + sex[:, 0]\n"
    )
    take = ("import", tmp_path / "mine", "--cohort", volumes.path, "--predictor", "lab_sex:predict")
    take += ("--roles", run.path / "roles.tsv", "--inputs", "sex, image", "--json")
    done = command(*take)
    assert done.code == 2 and "--codes sex:F=0,M=1" in done.err
    assert json.loads(command(*take, "--codes", "sex:F=0,M=1").out)["members"] == 13


def test_demo_prints_all_findings_and_reports(command: Command, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(demo, "SUBJECTS", 70)
    monkeypatch.setattr(demo, "ROUNDS", 1)
    monkeypatch.setattr(demo, "SPACING", 12.0)
    monkeypatch.setattr(demo, "WIDTH", 4)
    monkeypatch.setattr(demo, "EPOCHS", {"cnn3d": 1, "slice-mean": 1})
    done = command("demo", "--out", tmp_path / "demo")
    assert done.code == 0, done.err
    for name in ("cnn3d", "slice-mean", "federated"):
        assert f"report: {tmp_path / 'demo' / f'audit-{name}' / 'audit.html'}" in done.out
    again = command("demo", "--out", tmp_path / "demo", "--json")
    assert set(json.loads(again.out)) == {"cnn3d", "slice-mean", "federated"}


def test_studies_print_json_even_where_a_number_is_missing(command: Command, tmp_path: Path, monkeypatch):
    from memberscan import threads
    from memberscan.studies import verdict_rates

    # Processes take long to start.
    monkeypatch.setattr(threads, "available", lambda: 1)
    monkeypatch.setattr(verdict_rates, "NO_LEAK", {"exchangeable": verdict_rates.nothing})
    monkeypatch.setattr(verdict_rates, "CONFOUNDED_LEAKS", ())
    monkeypatch.setattr(verdict_rates, "POWER", (0.65,))
    monkeypatch.setattr(verdict_rates, "SHORT", 1)
    monkeypatch.setattr(verdict_rates.verdict_rates, "__defaults__", (1, 0, (20,), 1))
    rows = json.loads(command("study", "verdict", "--out", tmp_path, "--json").out)["rows"]
    assert any(row["false_leaks_low"] is None for row in rows)
    table = command("study", "gap", "--out", tmp_path)
    assert table.code == 0 and "expected_auc" in table.out


def test_an_unknown_study_lists_the_known_ones(refused, tmp_path: Path):
    refused("study", "all", code=2, says=f"choose one of {', '.join(STUDIES)}")
