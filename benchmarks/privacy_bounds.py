"""Compares bounds of epsilon with jax_privacy's on identical scores: ``python -m benchmarks.privacy_bounds``.

The tool is installed in an environment of its own, which is deleted afterwards unless ``--environment`` says
where to keep it. ``--golden FILE`` writes the scores and the tool's bounds for the tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

from memberscan.evidence.epsilon_bounds import epsilon_clopper_pearson, epsilon_gaussian
from memberscan.evidence.one_run import epsilon_one_run, epsilon_one_run_fdp
from memberscan.evidence.one_run_rejection import p_values

PEER, ITS_DEPENDENCIES = "jax_privacy==2.0.0", ("dp_accounting==0.6.0", "numpy", "scipy")
HERE = Path(__file__).with_name("peer_bounds.py")
TOLERANCE = 1e-5
"""The tool searches epsilon to 1e-6."""


def draw_scores() -> list[dict]:
    """Draw canaries of several separations and numbers, the last without any leak."""
    rng = np.random.default_rng(0)
    cases = []
    for shift, inside, outside, delta in [
        (3, 60, 55, 1e-5),
        (2, 150, 150, 1e-3),
        (6, 40, 50, 1e-5),
        (0, 8, 8, 1e-5),
    ]:
        sides = {
            "inside": (rng.normal(size=inside) + shift).round(3).tolist(),
            "outside": rng.normal(size=outside).round(3).tolist(),
        }
        # Half a step of rounding away from any score, so that it does not matter on which side ties are.
        threshold = shift / 2 + 0.9995
        cases.append(sides | {"threshold": threshold, "delta": delta, "significance": 0.05})
    return cases


def draw_counts() -> list[dict]:
    """Return numbers of guesses with few and many right ones."""
    made = [(100, 100, 90), (200, 50, 50), (1000, 300, 200), (40, 10, 0)]
    names = ("canaries", "guesses", "correct")
    return [
        dict(zip(names, counts, strict=True)) | {"epsilon": epsilon, "delta": delta}
        for counts in made
        for epsilon in (0.0, 1.0, 4.0)
        for delta in (0.0, 1e-5, 1e-2)
    ]


def own_bounds(case: dict, thresholds: list[float]) -> dict[str, float]:
    """Return memberscan's bounds under the names of the tool's, corrected over the same thresholds."""
    sides = case["inside"], case["outside"]
    options = {"delta": case["delta"], "level": 1 - case["significance"]}
    # The tool calls scores from the threshold upwards "in", memberscan those above it.
    theirs = [t - 0.0005 for t in thresholds]
    guessed = {"guesses": [int((np.concatenate(sides) > case["threshold"]).sum())], "sides": "in"}
    return {
        "Clopper-Pearson, one threshold": epsilon_clopper_pearson(
            *sides, thresholds=[case["threshold"]], **options
        ).value,
        "Clopper-Pearson, its thresholds": epsilon_clopper_pearson(
            *sides, thresholds=theirs, **options
        ).value,
        "Gaussian, its thresholds": epsilon_gaussian(*sides, thresholds=theirs, **options).value,
        "one run": epsilon_one_run(*sides, **guessed, **options).value,
        "one run, f-DP, Gaussian": epsilon_one_run_fdp(*sides, **guessed, **options).value,
    }


def ask(environment: Path, scores: list[dict], counts: list[dict]) -> dict:
    """Install the tool, unless it is there, and let it answer."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *ITS_DEPENDENCIES], check=True)
        subprocess.run([*install, "--no-deps", PEER], check=True)
    done = subprocess.run(
        [str(python), str(HERE)],
        input=json.dumps({"scores": scores, "counts": counts}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(scores: list[dict], counts: list[dict], theirs: dict) -> float:
    """Print both sides' bounds, and return the largest difference where there is a leak."""
    worst = 0.0
    print(f"{'bound':32s} {'in':>4s} {'out':>4s} {'jax_privacy':>12s} {'memberscan':>12s}")
    for case, answer in zip(scores, theirs["scores"], strict=True):
        sizes = f"{len(case['inside']):4d} {len(case['outside']):4d}"
        ours = own_bounds(case, answer["thresholds"])
        for name, value in answer["bounds"].items():
            print(f"{name:32s} {sizes} {value:12.6f} {ours[name]:12.6f}")
            if case is not scores[-1]:
                worst = max(worst, abs(value - ours[name]))
    for asked, value in zip(counts, theirs["counts"], strict=True):
        rest = asked["canaries"], asked["guesses"], asked["correct"], asked["delta"]
        worst = max(worst, abs(value - float(p_values(np.array([asked["epsilon"]]), *rest)[0])))
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.privacy_bounds", description=__doc__)
    parser.add_argument("--environment", type=Path, help="where the tool is, or is to be kept")
    parser.add_argument("--golden", type=Path, help="a file for the scores and the tool's bounds")
    options = parser.parse_args()
    scores, counts = draw_scores(), draw_counts()
    with tempfile.TemporaryDirectory(prefix="memberscan-bounds-") as folder:
        theirs = ask(options.environment or Path(folder, "environment"), scores, counts)
    worst = compare(scores, counts, theirs)
    print(f"largest difference, the case without a leak (last) excepted: {worst:.1e}")
    if options.golden:
        content = {
            "scores": [case | answer for case, answer in zip(scores, theirs["scores"], strict=True)],
            "counts": [case | {"p": p} for case, p in zip(counts, theirs["counts"], strict=True)],
        }
        options.golden.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
