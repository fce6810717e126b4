"""``train --canaries`` on images, and an audit of them."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Command


def test_canaries_of_images_are_planted_and_read_back(command: Command, tmp_path: Path) -> None:
    cohort, run, out = (tmp_path / name for name in ("cohort", "run", "audit"))
    assert command("cohort", "phantom", cohort, "--subjects", 40, "--spacing", 12).code == 0
    options = ("--model", "cnn3d", "--width", 4, "--epochs", 2, "--members", 0.25, "--device", "cpu")
    fit = ("train", cohort, run, *options, "--canaries", 20, "--seed", 3, "--json")
    made = json.loads(command(*fit).out)
    # Fifteen of thirty others give canaries; five more are mixed of two of them.
    assert (made["members"], made["nonmembers"], made["canaries"]) == (10, 15, 20)
    look = ("audit", run, out, "--access", "weights", "--repeats", 1, "--attacks", "error:zero-knowledge")
    done = command(*look, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["canaries"]
    assert found["inside"] + found["outside"] == 20
    assert [each["scores"] for each in found["bounds"]] == ["outputs"] * 2 + ["weights"] * 2
    before = (out / "audit.json").read_bytes()
    assert command(*look).code == 0 and (out / "audit.json").read_bytes() == before


def test_a_number_that_makes_no_sense_is_refused(command: Command, tmp_path: Path) -> None:
    command("cohort", "phantom", tmp_path / "cohort", "--subjects", 20, "--spacing", 12)
    done = command("train", tmp_path / "cohort", tmp_path / "run", "--model", "cnn3d", "--canaries", 3)
    assert done.code != 0 and "canaries is 3" in done.err and "Traceback" not in done.err
