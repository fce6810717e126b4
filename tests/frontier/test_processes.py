"""The frontier in processes of its own, from the command line, with a defence of the user's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from memberscan.cli import main
from memberscan.cohort import Cohort
from memberscan.frontier import making
from memberscan.frontier.points import read_points

LAB = '''
from memberscan.configuration import configuration
from memberscan.defences.defence import Defence


@configuration
class Half(Defence):
    """Halves every gradient."""

    def gradients(self, step):
        loss = super().gradients(step)
        for p in step.model.parameters():
            p.grad /= 2
        return loss
'''


def test_a_class_of_the_users_own_is_a_point_in_every_process(
    sixty: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab_of_points.py").write_text(LAB)
    (tmp_path / "points.tsv").write_text("name\tdefence\nhalf\tlab_of_points:Half\n")
    # Without the undefended model, whose training adds nothing to this test.
    monkeypatch.setattr(making, "read_points", lambda *asked: read_points(*asked)[1:])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = (
        f"frontier {sixty.path} out --model mlp --defences points.tsv --references 2 --seeds 1 --epochs 2 "
        "--workers 1 --attacks stacking error:zero-knowledge --device cpu --seed 1 --json"
    )
    monkeypatch.setattr(sys, "argv", ["memberscan", *words.split()])
    with pytest.raises(SystemExit) as end:
        main()
    out = capsys.readouterr().out
    assert not end.value.code, out
    found = json.loads(out)
    assert [(p["name"], p["family"], p["failed"]) for p in found["points"]] == [
        ("half", "lab_of_points:Half", None),
    ]
    assert (tmp_path / "out" / "index.html").is_file()
    assert list((tmp_path / "out" / "points").glob("*/seed-1/audit/audit.html"))
