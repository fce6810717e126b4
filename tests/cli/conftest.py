"""Runs commands as a shell would, in this process: arguments in, exit code and both streams out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from memberscan.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs ``memberscan`` with these arguments."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["memberscan", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        captured = capfd.readouterr()
        return Done(int(end.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def refused(command: Command) -> Callable[..., None]:
    """Return a function that fails unless a command ends with a code, and a message on standard error."""

    def check(*arguments: object, code: int, says: str) -> None:
        done = command(*arguments)
        assert done.code == code, done
        assert done.out == "" or "--json" in arguments
        assert "Traceback" not in done.err
        message = " ".join(done.err.split())
        assert says in message, message

    return check


def people(count: int = 60, *, ratio: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Return predictions of people whose ids have spaces, slashes and letters beyond ASCII."""
    rng = np.random.default_rng(seed)
    member = np.arange(count) % 2 == 0
    age = rng.uniform(45, 80, count).round(2)
    error = rng.normal(size=count) * np.where(member, 3, 3 * ratio)
    return pd.DataFrame(
        {
            "subject_id": [f"Søren {n}/ü" for n in range(count)],
            "age": age,
            "prediction": (age + error).round(4),
            "member": member.astype(int),
        }
    )


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A predictions file."""
    people().to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    return tmp_path / "p.tsv"


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """A derivative of two people, in two versions each."""
    root = tmp_path / "bids"
    rows = ["participant_id\tage"]
    for n in (1, 2):
        folder = root / f"sub-{n}" / "anat"
        folder.mkdir(parents=True)
        data = np.zeros((20, 22, 18), dtype=np.float32)
        data[4:16, 4:18, 4:14] = np.random.default_rng(n).uniform(50, 100, (12, 14, 10))
        image = nib.Nifti1Image(data, np.diag([10.0, 10, 10, 1]))
        for entities in ("space-T1w_desc-brain", "space-T1w_desc-head"):
            nib.save(image, folder / f"sub-{n}_{entities}_T1w.nii.gz")
        rows.append(f"sub-{n}\t{60 + n}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root
