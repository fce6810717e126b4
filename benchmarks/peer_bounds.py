"""Bounds of epsilon by jax_privacy, in its own environment: scores come as JSON, and bounds go so."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

# Its auditing module alone: the package as a whole needs jax.
package = importlib.util.find_spec("jax_privacy")
location = Path(package.submodule_search_locations[0], "auditing.py")
spec = importlib.util.spec_from_file_location("jax_privacy_auditing", location)
auditing = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = auditing
spec.loader.exec_module(auditing)


def bounds(given: dict) -> dict:
    """Return the tool's bounds of one pair of sides, and the thresholds over which it corrects them."""
    significance, delta = given["significance"], given["delta"]
    auditor = auditing.CanaryScoreAuditor(given["inside"], given["outside"])
    fixed = auditing.Explicit(given["threshold"])
    # Its last threshold is infinite, above all scores; JSON has no such number.
    thresholds = [min(float(t), 1e6) for t in auditor._thresholds]
    found = {
        "Clopper-Pearson, one threshold": auditor.epsilon_clopper_pearson(
            significance, delta, one_sided=False, threshold_strategy=fixed
        ),
        "Clopper-Pearson, its thresholds": auditor.epsilon_clopper_pearson(
            significance, delta, one_sided=False
        ),
        "Gaussian, its thresholds": auditor.epsilon_from_gdp(significance, delta),
        "one run": auditor.epsilon_one_run(significance, delta, threshold_strategy=fixed),
        "one run, f-DP, Gaussian": auditor.epsilon_one_run_fdp(significance, delta, threshold_strategy=fixed),
    }
    return {"thresholds": thresholds, "bounds": {name: float(value) for name, value in found.items()}}


def p_value(given: dict) -> float:
    """Return the tool's p-value of one run."""
    counts = given["canaries"], given["guesses"], given["correct"]
    return float(auditing._one_run_p_value(*counts, given["epsilon"], given["delta"]))


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answers = {
        "scores": [bounds(given) for given in asked["scores"]],
        "counts": [p_value(given) for given in asked["counts"]],
    }
    print(json.dumps(answers))
