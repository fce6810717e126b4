"""Audits of the parties of federations, in which attacks grow stronger from round to round."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from .audits import Audit, build, estimate

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
        "simulated": attacker == "active-server",
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
