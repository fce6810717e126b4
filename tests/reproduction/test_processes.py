"""The reproduction from the command line, in processes of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from memberscan.cli import main
from memberscan.cohort import Cohort
from memberscan.reproduction import making
from memberscan.reproduction.tasks import Cell


@pytest.mark.parametrize("as_json", [True, False])
def test_tasks_are_carried_out_by_several_workers(
    few: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,
) -> None:
    # One task is enough to see that it reaches another process; without it, that nothing is called found.
    monkeypatch.setattr(making, "cells_of", lambda _: [Cell("cnn3d", None, 1)] if as_json else [])
    words = (
        f"reproduce midl2021 {few.path} {tmp_path / 'out'} --quick --draws 1 --held-out 0.45 --learners 2 "
        f"--width 4 --workers 2 --device cpu --validation 0 --seed 1 {'--json' if as_json else ''}"
    )
    monkeypatch.setattr(sys, "argv", ["memberscan", *words.split()])
    with pytest.raises(SystemExit) as end:
        main()
    out = capsys.readouterr().out
    assert not end.value.code, out
    assert (tmp_path / "out" / "index.html").is_file()
    if as_json:
        found = json.loads(out)
        assert (found["draws"], found["length"]) == (1, 0.2)
        # What the command leaves out is as in the paper.
        same = {each["name"] for each in found["settings"] if each["same"]}
        assert {"learning rate", "dropout", "weight decay", "batch size", "optimizer"} <= same
        assert [(each["model"], each["epochs"]) for each in found["lengths"]] == [("cnn3d", 1)]
        assert list((tmp_path / "out" / "tasks" / "cnn3d-1").glob("draw-1/audit/audit.html"))
    else:
        assert "black-box succeeds" in out and "cannot be judged" in out
        assert out.strip().endswith(f"page: {tmp_path / 'out' / 'index.html'}")
