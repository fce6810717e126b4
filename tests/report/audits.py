"""Audits as plain dicts, made from binormal curves, so that each number could have been found."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

Audit = dict[str, Any]

TITLES = {
    "error": ("the size of the prediction error", "outputs", False),
    "prediction+label": ("the prediction and the true age", "outputs", True),
    "gradient-norm-sum": ("the summed gradient norm, nothing learnt", "weights", False),
    "activation": ("the input of the output layer", "weights", True),
    "gradient-magnitude": ("one gradient norm a layer", "weights", True),
    "gradient:conv1": ("the gradient of the first convolution", "weights", True),
    "gradient:conv6": ("the gradient of the last convolution", "weights", True),
    "gradient:output": ("the gradient of the output layer", "weights", True),
    "prediction+label+gradient:conv6+gradient:output": (
        "predictions and two gradients together",
        "weights",
        True,
    ),
    "error:rounds": ("the error after every round", "rounds", False),
    "gradient-cosine": ("how far an update points along a gradient", "updates", False),
    "ntk-least-squares": ("the share of a person in an update", "updates", False),
}
CENTRAL = list(TITLES)[:9]


def estimate(value: float, spread: float) -> dict[str, float]:
    low, high = (float(np.clip(value + sign * 1.96 * spread, 0, 1)) for sign in (-1, 1))
    return {"value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}


def auc(value: float, n: int, attacks: int) -> dict[str, Any]:
    spread = 0.52 / n**0.5 * (4 * value * (1 - value)) ** 0.5
    bound = value - norm.isf(0.01 / attacks) * spread
    return {
        **estimate(value, spread),
        "simultaneous": {"level": 0.99, "low": round(max(0.0, float(bound)), 6)},
    }


def rate(fpr: float, shift: float, n: int) -> dict[str, Any]:
    if n < 3 / fpr:
        reason = f"needs {3 / fpr:.0f} non-members, {n} were scored"
        ppv = [{"prior": prior, "value": None, "low": None, "high": None} for prior in (0.5, 0.1, 0.01)]
        return {"fpr": fpr, "value": None, "low": None, "high": None, "reason": reason, "ppv": ppv}
    tpr = float(norm.sf(norm.isf(fpr) - shift))
    found = estimate(tpr, (tpr * (1 - tpr) / n) ** 0.5 * 1.3)
    ppv = [
        {"prior": q, **{part: round(q * r / (q * r + (1 - q) * fpr), 6) for part, r in found.items()}}
        for q in (0.5, 0.1, 0.01)
    ]
    return {"fpr": fpr, **found, "reason": None, "ppv": ppv}


def finding(name: str, value: float, n: int, attacks: int, rng: np.random.Generator) -> dict[str, Any]:
    title, access, fitted = TITLES[name]
    scored = n // 2 if fitted else n
    shift = float(np.sqrt(2) * norm.ppf(value))
    scores = np.concatenate([rng.normal(shift, 1, scored), rng.normal(0, 1, scored)])
    member = np.repeat([1, 0], scored)[np.argsort(-scores)]
    best = float(norm.cdf(shift / 2))
    return {
        "attack": name,
        "title": title,
        "access": access,
        "fitted": fitted,
        "auc": auc(value, scored, attacks),
        "accuracy": estimate(best, 0.45 / scored**0.5),
        "tpr": [rate(fpr, shift, scored) for fpr in (0.1, 0.01, 0.001)],
        "p_value": round(float(max(0.001, min(1, attacks * norm.sf((value - 0.5) * 2 * scored**0.5)))), 6),
        "scored": {"members": scored, "nonmembers": scored},
        "roc": {
            "fpr": [0.0, *np.cumsum(1 - member).astype(float) / scored],
            "tpr": [0.0, *np.cumsum(member).astype(float) / scored],
        },
        "within_strata": None,
    }


def quantiles(n: int, centre: float, spread: float) -> dict[str, Any] | None:
    values = {f"q{q}": round(float(centre + norm.ppf(q / 100) * spread), 4) for q in (10, 25, 50, 75, 90)}
    return {"n": n, **values} if n >= 5 else None


def build(aucs: dict[str, float], n: int, h: float, groups: dict[tuple[str, str], float | None]) -> Audit:
    rng = np.random.default_rng(20210505)
    findings = [finding(name, value, n, len(aucs), rng) for name, value in aucs.items()]
    top = max(findings, key=lambda f: f["auc"]["value"])
    gap = 2 / np.pi * np.arctan(1 + h)
    bands = [
        {
            "low": low,
            "high": low + 10,
            "members": quantiles(size, drift * 0.4, 4.9 / (1 + h)),
            "nonmembers": quantiles(size, drift, 4.9),
        }
        for low, drift, size in ((45, -2.6, n // 5), (55, -0.9, n // 3), (65, 0.8, n // 3), (75, 3.1, n // 8))
    ]
    exposed = [
        {
            "by": by,
            "group": group,
            "members": n // 4,
            "nonmembers": n // 4,
            "auc": None if value is None else estimate(value, 0.52 / (n / 4) ** 0.5),
            "accuracy": None
            if value is None
            else estimate(0.5 + (value - 0.5) * 0.75, 0.45 / (n / 4) ** 0.5),
            "reason": "fewer than 10 on one side" if value is None else None,
        }
        for (by, group), value in groups.items()
    ]
    return {
        "schema": "memberscan.audit/1",
        "target": {
            "kind": "run",
            "model": "cnn3d",
            "parameters": 2948801,
            "members": n,
            "nonmembers": n,
            "scans": 2 * n,
            "mae_members": round(3.9 / (1 + h), 4),
            "mae_nonmembers": 3.9,
            "rmse_members": round(4.9 / (1 + h), 4),
            "rmse_nonmembers": 4.9,
            "synthetic": False,
            "randomised": True,
        },
        "threat": {
            "access": "weights",
            "leaked": 0.5,
            "repeats": 5,
            "attacker": "outsider",
            "rounds": None,
            "known_per_side": n // 2,
        },
        "federation": None,
        "findings": findings,
        "gains": [],
        "not_run": [],
        "checks": {
            "gap": {
                "h": {"value": h, "low": h - 0.12, "high": h + 0.13},
                "auc": estimate(float(gap), 0.02),
                "accuracy": estimate(0.5 + (float(gap) - 0.5) * 0.75, 0.015),
            },
            "null": {
                "method": "permutation",
                "permutations": 999,
                "p_values": {f["attack"]: f["p_value"] for f in findings},
                "mean_auc": {f["attack"]: round(float(rng.normal(0.5, 0.002)), 6) for f in findings},
            },
            "blind": {
                "auc": 0.513,
                "p_value": 0.37,
                "tripped": False,
                "gates": False,
                "covariates": [
                    {"name": "age", "auc": 0.508, "p_value": 0.44},
                    {"name": "sex", "auc": 0.497, "p_value": 0.58},
                    {"name": "site", "auc": 0.521, "p_value": 0.29},
                    {"name": "image statistics", "auc": 0.515, "p_value": 0.36},
                ],
                "worst": "site",
                "ignored": [],
                "matched": None,
            },
        },
        "exposure": {"attack": top["attack"], "groups": exposed},
        "residuals": {"bands": bands},
        "verdict": {"label": "leaks", "sentence": "", "smallest_detectable_auc": 0.57},
        "provenance": {
            "memberscan": "0.1.0",
            "versions": {"torch": "2.13.0", "numpy": "2.4.6", "scikit-learn": "1.9.0"},
            "seed": 0,
            "threads": 2,
            "cohort": "3f6c0d1c9a5be8470d2f1a66b7c3e915",
            "roles": "b01d7f52c6e94a83910c5e2d7fa86b34",
            "weights": "92ae41f0c3d7586b1e0fa9c4d2b7e861",
            "predictions": None,
            "source": "runs/cnn3d",
        },
    }


GROUPS: dict[tuple[str, str], float | None] = {
    ("age", "45-55"): 0.74,
    ("age", "55-65"): 0.66,
    ("age", "65-75"): 0.63,
    ("age", "75-85"): 0.81,
    ("sex", "F"): 0.69,
    ("sex", "M"): 0.68,
}


def leaks() -> Audit:
    values = (0.641, 0.652, 0.622, 0.668, 0.659, 0.571, 0.702, 0.664, 0.718)
    audit = build(dict(zip(CENTRAL, values, strict=True)), 400, 0.52, GROUPS)
    audit["gains"] = [
        {
            "attack": "prediction+label+gradient:conv6+gradient:output",
            "over": "prediction+label",
            "difference": {"value": 0.066, "low": 0.021, "high": 0.111},
        }
    ]
    audit["verdict"]["sentence"] = (
        "This model gives away who was in its training set: an attacker who holds its weights tells members "
        "from non-members with an AUC of 0.72, at least 0.62 with 99% confidence."
    )
    return audit


def no_leak_shown() -> Audit:
    groups = dict.fromkeys(GROUPS, 0.505)
    audit = build({"error": 0.507, "prediction+label": 0.512}, 5000, 0.02, groups)
    audit["target"] |= {
        "kind": "predictions",
        "model": "predictions.tsv",
        "parameters": None,
        "randomised": False,
    }
    audit["threat"]["access"] = "outputs"
    audit["checks"]["null"] = {
        "method": "closed form",
        "permutations": None,
        "p_values": {"error": 0.21, "prediction+label": 0.34},
        "mean_auc": None,
    }
    audit["checks"]["blind"]["ignored"] = ["postcode", "referring physician"]
    audit["provenance"] |= {"weights": None, "threads": None, "source": "predictions.tsv"}
    audit["verdict"] |= {
        "label": "no leak shown",
        "smallest_detectable_auc": 0.531,
        "sentence": "No attack that sees this model’s predictions was shown to tell members from "
        "non-members; a leak with an AUC of 0.53 or more would most likely have been seen.",
    }
    return audit


def inconclusive() -> Audit:
    values = (0.553, 0.541, 0.548, 0.561, 0.532, 0.487, 0.570, 0.544, 0.566)
    groups = {**dict.fromkeys(GROUPS, 0.56), ("age", "75-85"): None}
    audit = build(dict(zip(CENTRAL, values, strict=True)), 60, 0.18, groups)
    audit["target"] |= {"synthetic": True, "model": "slice-mean", "parameters": 998625, "scans": 180}
    audit["residuals"]["bands"][-1]["members"] = None
    audit["verdict"] |= {
        "label": "inconclusive",
        "smallest_detectable_auc": 0.78,
        "sentence": "No attack was shown to succeed, but with 60 members and 60 non-members only a leak with "
        "an AUC of 0.78 or more would most likely have been seen: audit again with more people.",
    }
    return audit


def confounded() -> Audit:
    values = (0.702, 0.731, 0.688, 0.744, 0.693, 0.655, 0.739, 0.708, 0.747)
    audit = build(dict(zip(CENTRAL, values, strict=True)), 200, 0.4, GROUPS)
    audit["target"]["randomised"] = False
    for f in audit["findings"]:
        value = 0.5 + (f["auc"]["value"] - 0.5) * 0.15
        f["within_strata"] = {"auc": auc(value, 100, len(values))}
    audit["checks"]["blind"] |= {
        "auc": 0.76,
        "p_value": 0.001,
        "tripped": True,
        "gates": True,
        "matched": {"members": 71, "nonmembers": 71},
    }
    audit["checks"]["blind"]["covariates"][2] |= {"auc": 0.75, "p_value": 0.001}
    audit["not_run"] = [
        {"attack": "gradient:conv1", "reason": "the model names no landmark conv1"},
        {"attack": "activation", "reason": "its needs (weights) are not met by the assumed access (outputs)"},
    ]
    audit["verdict"] |= {
        "label": "confounded",
        "smallest_detectable_auc": 0.64,
        "sentence": "Members and non-members differ without the model, most of all by site, and among people "
        "who are alike no attack succeeds: the audit cannot tell a leak from this difference.",
    }
    return audit


def tiny() -> Audit:
    audit = build({"error": 0.54, "prediction+label": 0.47}, 12, 0.1, {})
    audit["exposure"]["attack"] = None
    audit["residuals"]["bands"] = [{"low": 45, "high": 85, "members": None, "nonmembers": None}]
    for f in audit["findings"]:
        f["tpr"] = [rate(fpr, 0.0, 5) for fpr in (0.1, 0.01, 0.001)]
        f["p_value"] = None
    audit["checks"]["null"] |= {"p_values": {}, "mean_auc": None}
    audit["checks"]["blind"] |= {"auc": None, "p_value": None, "covariates": [], "worst": None}
    audit["provenance"] |= {"cohort": None, "roles": None, "weights": None, "threads": None}
    audit["verdict"] |= {
        "label": "inconclusive",
        "smallest_detectable_auc": 0.97,
        "sentence": "With 12 members and 12 non-members nothing can be concluded.",
    }
    return audit
