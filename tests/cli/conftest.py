"""Runs commands as a shell would, in this process: arguments in, exit code and both streams out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    """Return a function that fails unless a command ends with a code and a message on standard error alone."""

    def check(*arguments: object, code: int, says: str) -> None:
        done = command(*arguments)
        assert done.code == code, done
        assert done.out == ""
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
