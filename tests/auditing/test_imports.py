"""Nobody pays for what is not used: an audit of predictions loads no torch, ``import memberscan`` nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import memberscan

from .conftest import MakePredictions

HEAVY = ("torch", "nilearn", "nibabel", "sklearn", "matplotlib.pyplot", "flwr", "ray")


def loaded_after(code: str, *heavy: str) -> str:
    code += f"\nimport sys; print('loaded:', *[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("loaded:")[2].strip()


def test_import_memberscan_loads_nothing_heavy():
    assert loaded_after("import memberscan", *HEAVY, "pandas", "numpy", "scipy", "matplotlib") == ""


def test_the_public_names_are_there_and_nothing_else():
    assert dir(memberscan) == sorted(memberscan.__all__)
    assert all(getattr(memberscan, name) is not None for name in memberscan.__all__)
    assert not hasattr(memberscan, "safe")
    assert len(memberscan.__all__) <= 24


def test_an_audit_of_predictions_does_not_load_torch(predictions: MakePredictions, tmp_path: Path):
    code = (
        "import memberscan\n"
        f"result = memberscan.audit({str(predictions())!r}, {str(tmp_path / 'audit')!r})\n"
        "result._repr_html_()"
    )
    assert loaded_after(code, *HEAVY) == ""


def test_the_command_does_not_load_torch_for_predictions(predictions: MakePredictions, tmp_path: Path):
    arguments = ["memberscan", "audit", str(predictions()), str(tmp_path / "audit")]
    code = (
        f"import sys; sys.argv = {arguments!r}\n"
        "from memberscan.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_after(code, *HEAVY) == ""


def test_help_loads_next_to_nothing():
    code = (
        "import sys; sys.argv = ['memberscan', '--help']\nfrom memberscan.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_after(code, *HEAVY, "pandas", "scipy", "matplotlib") == ""
