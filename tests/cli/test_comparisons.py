"""Two audits are compared from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Command


def test_compare_prints_an_answer_and_writes_a_page_if_asked(
    command: Command, predictions: Path, tmp_path: Path
) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        done = command(
            "audit", predictions, tmp_path / name, "--seed", seed, "--pseudonyms", "--attacks", "error"
        )
        assert done.code == 0, done.err
    done = command("compare", tmp_path / "one", tmp_path / "two")
    assert (done.code, done.err) == (0, "")
    assert "No difference between “one” and “two” is shown" in done.out and "Paired:" in done.out
    made = command("compare", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "out")
    assert made.out.strip().endswith(f"page: {tmp_path / 'out' / 'comparison.html'}")
    found = json.loads(command("compare", tmp_path / "one", tmp_path / "two", "--json").out)
    assert found == json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
