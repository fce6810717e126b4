"""``memberscan doctor``: for people and for programs, quick, and also where packages are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from memberscan import __version__, doctor
from memberscan.doctor.cuda import Card, Cuda
from memberscan.doctor.packages import Extra, Package

from .conftest import Command

WITHOUT_PACKAGES = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numpy", "pandas", "scipy", "torch"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["memberscan", "doctor", "--json"]
from memberscan.cli import main
main()
"""


def test_it_says_what_is_there(command: Command, tmp_path: Path):
    done = command("doctor", "--out", tmp_path)
    assert done.code == 0, done.err
    for part in (f"memberscan {__version__}", "torch", "--defence dp-sgd", "CUDA", "no problem found"):
        assert part in " ".join(done.out.split())
    assert list(tmp_path.iterdir()) == []


def test_programs_get_the_same_as_json(command: Command, tmp_path: Path):
    found = json.loads(command("doctor", "--out", tmp_path, "--json").out)
    assert found["memberscan"] == __version__ and found["problems"] == []
    assert {extra["name"]: extra["installed"] for extra in found["extras"]}["federated"]
    assert found["places"][0]["path"] == str(tmp_path)


def test_what_an_extra_lacks_is_named(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    real = doctor.examine(tmp_path)
    absent = Package("opacus", ">=1.6", None, fits=False)
    extras = (Extra("dp", "privacy", (absent,), installed=False), Extra("he", "sums", (), installed=False))
    monkeypatch.setattr(doctor, "examine", lambda _: replace(real, extras=extras))
    out = command("doctor").out
    assert "no: opacus>=1.6" in out and "not known: install memberscan again" in out


def test_what_would_fail_ends_with_2(command: Command, tmp_path: Path):
    done = command("doctor", "--out", tmp_path / "nowhere")
    assert done.code == 2 and "problems: 1" in done.out
    assert f"memberscan: {tmp_path / 'nowhere'} (results) cannot be written" in done.err


def test_cards_and_limits_are_in_words(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    real = doctor.examine(tmp_path)
    other = replace(
        real,
        cuda=Cuda((Card("A100", 80 << 30),), ""),
        memory=replace(real.memory, limit_bytes=4 << 30, available_bytes=None),
    )
    monkeypatch.setattr(doctor, "examine", lambda _: other)
    done = command("doctor")
    assert "A100 (80.0 GiB)" in done.out and "unknown free of" in done.out
    assert "at most 4.0 GiB in this container" in done.out


def test_it_works_where_what_computes_cannot_be_imported(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGES], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problems"] == []
