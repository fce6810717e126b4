"""Audits as plain dicts, made from binormal curves, so that each number could have been found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from memberscan.report import consortium

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


LEARNERS = [f"learner-{n}" for n in range(1, 9)]


def holm(values: list[float]) -> list[float]:
    """The naive twin of Holm's correction: reject one after the other, from the smallest p-value."""
    adjusted, floor = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        floor = max(floor, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = floor
    return adjusted


def pairs(
    attack: str, attackers: list[str], victims: dict[str, int], value: float, rng: np.random.Generator
) -> list[Audit]:
    rows = []
    for attacker in attackers:
        for victim, members in victims.items():
            if attacker == victim:
                continue
            row = {"attack": attack, "attacker": attacker, "victim": victim, "members": members}
            row |= {"nonmembers": 40, "p_holm": None}
            if members < 10:
                nothing = dict.fromkeys(("auc", "accuracy", "p_value"))
                rows.append(row | nothing | {"reason": "fewer than 10 scored on one side"})
                continue
            spread = 0.29 * (1 / members + 1 / 40) ** 0.5
            here = float(np.clip(rng.normal(value, spread), 0.3, 0.99))
            p = max(1e-4, float(norm.sf((here - 0.5) / spread)))
            auc = {**estimate(here, spread), "level": 0.95}
            accuracy = {**estimate(0.5 + (here - 0.5) * 0.75, spread), "level": 0.95}
            rows.append(row | {"auc": auc, "accuracy": accuracy, "p_value": p, "reason": None})
    judged = [row for row in rows if row["p_value"] is not None]
    for row, p in zip(judged, holm([row["p_value"] for row in judged]), strict=True):
        row["p_holm"] = p
    return rows


def federated(
    aucs: dict[str, float], attacker: str, sizes: list[int], seed: int = 1, rounds: int = 25
) -> Audit:
    rng = np.random.default_rng(seed)
    audit = build(aucs, sum(sizes), 0.3, {})
    names = [f"learner-{n}" for n in range(1, len(sizes) + 1)]
    victims = dict(zip(names, sizes, strict=True))
    attackers = names if attacker == "learner" else [attacker]
    ages = rng.normal(62, 3, len(sizes))
    audit["federation"] = {
        "attacker": attacker,
        "environment": "uniform-iid",
        "secure": "none",
        "visible_to_server": True,
        "rounds": rounds,
        "local_epochs": 4,
        "transcript": f"{seed:032x}",
        "known_nonmembers": 40,
        "learners": [
            {"name": name, "members": size, "age_mean": float(age), "age_sd": 6.1}
            for (name, size), age in zip(victims.items(), ages, strict=True)
        ],
        "pairs": [row for attack in aucs for row in pairs(attack, attackers, victims, aucs[attack], rng)],
        "victims": [
            {"name": name, "auc": 0.52, "p_value": 0.4, "tripped": False, "gates": False, "worst": None}
            for name in victims
        ],
        "by_round": [
            {
                "round": t,
                "attack": attack,
                "auc": estimate(0.5 + (value - 0.5) * (t / rounds) ** 2 + float(rng.normal(0, 0.004)), 0.02),
                "accuracy": estimate(0.5 + 0.75 * (value - 0.5) * (t / rounds) ** 2, 0.018),
            }
            for t in range(rounds + 1)
            for attack, value in aucs.items()
        ],
        "coverage": [],
        "sources": None,
        "left_out": [],
    }
    access = {"outsider": "weights", "server": "updates", "active-server": "updates"}.get(attacker, "rounds")
    audit["threat"] |= {"attacker": attacker, "access": access, "repeats": 1}
    audit["target"] |= {"nonmembers": 80, "synthetic": True}
    audit["verdict"]["sentence"] = "What this model keeps gives its people away to a party of the federation."
    return audit


def learner() -> Audit:
    aucs = {"prediction+label": 0.68, "error:rounds": 0.64, "error": 0.6}
    audit = federated(aucs, "learner", [*[48] * 7, 7])
    audit["verdict"]["sentence"] = (
        "A learner can tell the people of other learners from people whom nobody trained on, with an AUC of "
        "0.68, at least 0.61 with 99% confidence."
    )
    return audit


def server() -> Audit:
    aucs = {"ntk-least-squares": 0.86, "gradient-cosine": 0.72, "error:rounds": 0.66}
    audit = federated(aucs, "server", [120, 88, 65, 48, 36, 26, 20, 15], seed=2)
    federation = audit["federation"]
    federation["environment"] = "skewed-noniid"
    federation["victims"][0] |= {
        "auc": 0.83,
        "p_value": 0.001,
        "tripped": True,
        "gates": True,
        "worst": "age",
    }
    federation["victims"][3] |= {
        "auc": 0.71,
        "p_value": 0.004,
        "tripped": True,
        "gates": True,
        "worst": "age",
    }
    federation["coverage"] = [
        {"attack": "ntk-least-squares", "coverage": share, "auc": estimate(0.5 + 0.36 * share**0.5, 0.03)}
        for share in (0.25, 0.5, 0.75, 1.0)
    ]
    federation["sources"] = {
        "accuracy": estimate(0.41, 0.03),
        "chance": 0.125,
        "blind": estimate(0.38, 0.03),
        "blind_name": "image",
    }
    federation["left_out"] = [
        {"round": 3, "learner": "learner-2", "reason": "sent NaN"},
        {"round": 11, "learner": "learner-8", "reason": "did not answer within 600 s"},
    ]
    return audit


def encrypted() -> Audit:
    audit = federated({"error": 0.5}, "server", [48] * 8, seed=3)
    reason = "the learners encrypt what they send (CKKS); the server sees ciphertexts only"
    audit["not_run"] = [{"attack": name, "reason": reason} for name in ("error:rounds", "gradient-cosine")]
    audit["findings"] = []
    audit["federation"] |= {"pairs": [], "by_round": [], "secure": "ckks", "visible_to_server": False}
    audit["checks"]["null"] = {
        "method": "permutation",
        "permutations": None,
        "p_values": {},
        "mean_auc": None,
    }
    audit["exposure"]["attack"] = None
    audit["verdict"] |= {
        "label": "inconclusive",
        "sentence": "The server of this federation sees ciphertexts only, so no attack could be run.",
    }
    return audit


def summed() -> Audit:
    audit = federated({"error:rounds": 0.61, "error": 0.57}, "aggregate", [384], seed=3)
    federation = audit["federation"]
    for row in (*federation["pairs"], *federation["victims"]):
        row["victim" if "victim" in row else "name"] = "all"
    names = LEARNERS
    federation["learners"] = [{"name": n, "members": 48, "age_mean": None, "age_sd": None} for n in names]
    federation |= {"secure": "ckks", "visible_to_server": False}
    return audit


def outside() -> Audit:
    audit = federated({"error": 0.58, "prediction+label": 0.61}, "outsider", [48] * 8)
    audit["federation"] |= {"pairs": [], "by_round": [], "victims": []}
    return audit


def site(number: int, sites: int = 4) -> Audit:
    """What one site of a deployed federation finds with its own people only."""
    audit = federated(
        {"gradient-cosine": 0.75, "error:rounds": 0.66}, "server", [40] * sites, seed=10 + number
    )
    federation, name = audit["federation"], f"learner-{number}"
    federation |= {"environment": None, "transcript": "d" * 32}
    for key, named in (("learners", "name"), ("victims", "name"), ("pairs", "victim")):
        federation[key] = [row for row in federation[key] if row[named] == name]
    return audit


EXAMPLES: dict[str, Callable[[], Audit]] = {
    f.__name__: f
    for f in (
        *(leaks, no_leak_shown, inconclusive, confounded, tiny),
        *(learner, server, encrypted, summed, outside),
    )
}


@pytest.fixture(scope="session")
def examples() -> dict[str, Audit]:
    """One audit for each kind of answer; not to be changed."""
    return {name: make() for name, make in EXAMPLES.items()}


@pytest.fixture(scope="session")
def merging(examples: dict[str, Audit]) -> dict[str, Audit]:
    """Audits to merge: several attackers, with and without encryption, and four sites; not to be changed."""
    plain = federated({"gradient-cosine": 0.74, "error:rounds": 0.66}, "server", [48] * 8, seed=1)
    views = {
        name: examples[name] for name in ("learner", "server", "encrypted", "summed", "outside", "leaks")
    }
    return {**views, "plain": plain, **{f"site-{n}": site(n) for n in range(1, 5)}}


@pytest.fixture(scope="session")
def merged(merging: dict[str, Audit]) -> Audit:
    """The content of their consortium.json; not to be changed."""
    return consortium(merging)


@pytest.fixture(params=list(EXAMPLES))
def audit(request: pytest.FixtureRequest, examples: dict[str, Audit]) -> Audit:
    """Each example in turn, the test's own copy."""
    return copy.deepcopy(examples[request.param])


@pytest.fixture
def leaking(examples: dict[str, Audit]) -> Audit:
    """The audit of a model that leaks, the test's own copy."""
    return copy.deepcopy(examples["leaks"])
