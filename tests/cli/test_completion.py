"""Shell completion: the script that a command prints works in bash, and is quick."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = {
    "memberscan coh": {"cohort"},
    "memberscan cohort ph": {"phantom"},
    "memberscan audit run --threads 2 --attacker a": {"aggregate", "active-server"},
    "memberscan audit run --qui": {"--quiet"},
}


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``memberscan`` is this package's command."""
    command = tmp_path / "memberscan"
    command.write_text(f"#!{sys.executable}\nfrom memberscan.cli import main\n\nmain()\n")
    command.chmod(0o755)
    paths = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    return {"HOME": str(tmp_path), "LANG": "C.UTF-8", **paths}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_the_printed_script_completes_in_bash(shell: dict[str, str]):
    lines = ["set -e", 'eval "$(memberscan --show-completion)"', "complete -p memberscan"]
    for words in TRIALS:
        lines += [f"COMP_WORDS=({words})", "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))"]
        lines += ["_memberscan_completion memberscan", "echo ${COMPREPLY[*]}"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], env=shell, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    # Files are completed where a command offers nothing.
    registered, *found = done.stdout.splitlines()
    assert registered == "complete -o default -F _memberscan_completion memberscan"
    assert [set(line.split()) for line in found] == list(TRIALS.values())


def test_the_command_line_loads_nothing_that_computes(shell: dict[str, str]):
    heavy = "('torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'nibabel', 'matplotlib', 'flwr')"
    check = f"import sys, memberscan.cli; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], env=shell, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
