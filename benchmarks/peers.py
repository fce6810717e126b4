"""Compares attacks with those of other auditing tools on identical signals: ``python -m benchmarks.peers``.

The tools are installed in an environment of their own, which is deleted afterwards unless ``--environment``
says where to keep it. ``--golden FILE`` writes the signals and the tools' scores for the tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from memberscan.attacks.references.confidence import rmia
from memberscan.attacks.references.lira import gaussian_ratio, log_square
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.with_references import Compared

PEERS = ("opake-auditing==0.16.1", "packaging", "scikit-learn", "pandas", "scipy")
PEERS_WITHOUT_THEIR_DEPENDENCIES = (
    "privacyguard-platform==0.0.2",
    "tensorflow-empirical-privacy==0.1.0",
    "immutabledict",
)
SCANS, REFERENCES, SEED = 60, 8, 0
TOLERANCE = 1e-9
A = 0.3
HERE = Path(__file__).with_name("peer_scores.py")


def draw_signals() -> dict[str, np.ndarray]:
    """Draw residuals of a model and its references, with both sides of every scan equally often."""
    rng = np.random.default_rng(SEED)
    one = rng.integers(0, 2, (REFERENCES // 2, SCANS)).astype(bool)
    inside = np.stack([one, ~one], axis=1).reshape(REFERENCES, SCANS)
    own = 6 * rng.normal(size=SCANS)
    references = (own + 3 * rng.normal(size=inside.shape)) * np.where(inside, 0.6, 1.0)
    member = np.arange(SCANS) % 2 == 0
    residual = (own + 3 * rng.normal(size=SCANS)) * np.where(member, 0.6, 1.0)
    # Years with three decimals, so that a file of them is short and exact.
    return {
        "residual": residual.round(3),
        "references": references.round(3),
        "inside": inside,
        "age": rng.uniform(45, 80, SCANS).round(3),
        "member": member,
    }


def own_scores(signals: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return memberscan's scores, by the names under which other tools give theirs."""
    compared = Compared(*(signals[name] for name in ("residual", "references", "inside", "age")))
    trials = Trials.of_target(compared)
    squares = log_square(trials)
    ratio = rmia(trials, a=A)[0]
    out = ~signals["member"]
    return {
        "loss, opake": -(signals["residual"] ** 2),
        "LiRA, variance by scan, TensorFlow": gaussian_ratio(squares, floor=0)[0],
        "LiRA, one variance, TensorFlow": gaussian_ratio(squares, fixed_variance=True, floor=0)[0],
        # RMIA's own score: the share of non-members whose ratio is smaller.
        "RMIA offline, PrivacyGuard": np.mean(ratio[:, None] > ratio[out], axis=1),
    }


def for_peers(signals: dict[str, np.ndarray]) -> dict[str, list[object]]:
    """Return what the other tools are given: the same statistics of the same residuals."""
    compared = Compared(*(signals[name] for name in ("residual", "references", "inside", "age")))
    trials = Trials.of_target(compared)
    squares, centred = log_square(trials), trials.centred
    confidence: Callable[[np.ndarray], np.ndarray] = lambda r: np.exp(-(r**2) / 2)  # noqa: E731
    given = {
        "residual": signals["residual"],
        "inside": signals["inside"],
        "member": signals["member"],
        "log_square": squares.residual[0],
        "log_square_references": squares.references,
        "confidence": confidence(centred.residual[0]),
        "confidence_references": confidence(centred.references),
    }
    return {name: values.tolist() for name, values in given.items()} | {"a": [A]}


def peer_scores(environment: Path, signals: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Install the tools, unless they are there, and let them score the signals."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *PEERS], check=True)
        subprocess.run([*install, "--no-deps", *PEERS_WITHOUT_THEIR_DEPENDENCIES], check=True)
    done = subprocess.run(
        [str(python), str(HERE)],
        input=json.dumps(for_peers(signals)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: np.array(scores) for name, scores in found.items()}


def write_golden(path: Path, signals: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Write signals and scores, in full precision."""
    content = {
        "signals": {name: values.tolist() for name, values in signals.items()},
        "scores": {name: values.tolist() for name, values in theirs.items()},
    }
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--environment", type=Path, help="where the tools are, or are to be kept")
    parser.add_argument("--golden", type=Path, help="a file for the signals and the tools' scores")
    options = parser.parse_args()
    signals = draw_signals()
    with tempfile.TemporaryDirectory(prefix="memberscan-peers-") as folder:
        theirs = peer_scores(options.environment or Path(folder, "environment"), signals)
    ours = own_scores(signals)
    worst = 0.0
    print(f"{'score, tool':40s}  largest difference over {SCANS} scans")
    for name, scores in theirs.items():
        difference = float(np.abs(ours[name] - scores).max())
        worst = max(worst, difference)
        print(f"{name:40s}  {difference:.1e}")
    if options.golden:
        write_golden(options.golden, signals, theirs)
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
