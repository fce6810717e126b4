"""An attacker who has the model, all scans and the list of subjects, and reads what an audit published.

It takes contents and texts of any version, so that a change which gives people away again is seen.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.files import fingerprint
from memberscan.runs import Role, Roles

EXACT = 1e-6
SHARES = {"q10": 0.1, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9}


def numbers(tree: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a JSON value with the keys that lead to it."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from numbers(item, f"{path}.{key}")
    elif isinstance(tree, list):
        for item in tree:
            yield from numbers(item, f"{path}[]")
    elif isinstance(tree, (int, float)) and not isinstance(tree, bool):
        yield path, tree


def by_quantiles(content: dict[str, Any], residual: pd.Series, age: pd.Series) -> set[str]:
    """Name whoever alone explains a quantile of members' residuals, or does with a neighbour in rank."""
    named: set[str] = set()
    for band in content["residuals"]["bands"]:
        side = band["members"]
        if side is None:
            continue
        low = -np.inf if band["low"] is None else band["low"]
        high = np.inf if band["high"] is None else band["high"]
        # A band may or may not hold the people at its upper edge.
        people = residual[(age >= low) & (age <= high)]
        for name, share in SHARES.items():
            place = share * (side["n"] - 1)
            if side.get(name) is not None:
                named |= _alone(people, side[name], place - int(place))
    return named


def _alone(people: pd.Series, value: float, between: float) -> set[str]:
    r = people.to_numpy()
    if between < 1e-9:
        fits = [(name,) for name, x in people.items() if abs(x - value) < EXACT]
    else:
        lower, upper = np.nonzero(np.abs(r[:, None] * (1 - between) + r[None] * between - value) < EXACT)
        fits = [(people.index[i], people.index[j]) for i, j in zip(lower, upper, strict=True) if r[i] <= r[j]]
    return {str(name) for name in fits[0]} if len(fits) == 1 else set()


def by_curve(content: dict[str, Any], score: pd.Series, attack: str) -> set[str]:
    """Name whoever stands where a curve rises and does not go right, given everybody's scores in order."""
    (finding,) = (f for f in content["findings"] if f["attack"] == attack)
    order = score.sort_values(ascending=False).index.tolist()
    scored = finding["scored"]
    named: set[str] = set()
    curve = [(0.0, 0.0), *zip(finding["roc"]["fpr"], finding["roc"]["tpr"], strict=True)]
    for (f0, t0), (f1, t1) in itertools.pairwise(curve):
        (x0, y0), (x1, y1) = (
            (f * scored["nonmembers"], t * scored["members"]) for f, t in ((f0, t0), (f1, t1))
        )
        whole = all(abs(v - round(v)) < EXACT for v in (x0, y0, x1, y1))
        if whole and round(x1) == round(x0) and y1 > y0:
            named |= set(order[round(x0 + y0) : round(x1 + y1)])
        elif whole and round(x1) == round(x0) + 1 and y1 > y0:
            # Thresholds lie on non-members: the last of the stretch is one, all others are members.
            named |= set(order[round(x0 + y0) + 1 : round(x1 + y1)])
    return named


def cells(content: dict[str, Any]) -> list[int]:
    """Return how many people each side of each group has, and each learner, as far as that is said."""
    counts = [g[side] for g in content["exposure"]["groups"] for side in ("members", "nonmembers")]
    counts += [b[s]["n"] for b in content["residuals"]["bands"] for s in ("members", "nonmembers") if b[s]]
    federation = content["federation"] or {"pairs": [], "learners": []}
    counts += [p[side] for p in federation["pairs"] for side in ("members", "nonmembers")]
    counts += [learner["members"] for learner in federation["learners"]]
    return [count for count in counts if count is not None]


def by_digests(texts: Sequence[str], roles: Roles, unknown: str) -> Role | None:
    """Return the role of the one person whom the attacker does not know, if a digest confirms it."""
    for role in (Role.MEMBER, Role.NONMEMBER):
        guess = Roles({**roles.of, unknown: role}, roles.learner)
        if any(fingerprint_of in text for text in texts for fingerprint_of in _digests(guess)):
            return role
    return None


def _digests(roles: Roles) -> list[str]:
    members = sorted(roles.subjects(Role.MEMBER))
    return [
        roles.fingerprint,
        fingerprint(members),
        fingerprint(roles.of),
        fingerprint(sorted(roles.of.items())),
    ]


def by_replay(texts: Sequence[str], subjects: Sequence[str], members: float) -> list[Roles]:
    """Return the roles that every seed at hand draws: small ones, and whole numbers that were published."""
    found = {int(n) for text in texts for n in re.findall(r"(?<![\w.-])\d{1,40}(?![\w.])", text)}
    return [
        Roles.draw(subjects, members=members, validation=0, rng=seeds.generator(seed, "roles"))
        for seed in sorted(found | set(range(20)))
    ]


def by_difference(larger: dict[str, Any], smaller: dict[str, Any]) -> float:
    """Return the absolute residual of the one member whom only the first of two audits holds."""
    n, fewer = larger["target"], smaller["target"]
    return float(n["mae_members"] * n["members"] - fewer["mae_members"] * fewer["members"])


def text(content: dict[str, Any]) -> str:
    return json.dumps(content)


def by_search(
    content: dict[str, Any], residual: pd.Series, age: pd.Series, attack: str, *, steps: int
) -> pd.Series:
    """Return how often each person is a member in memberships that explain all numbers about errors at once.

    A Metropolis walk that exchanges a member and a non-member of a band at a time. It knows the rounding.
    """
    rng = np.random.default_rng(0)
    r, bands = residual.to_numpy(), content["residuals"]["bands"]
    place = np.searchsorted([b["high"] for b in bands[:-1]], age.to_numpy(), side="right")
    member = np.zeros(len(r), dtype=bool)
    for k, band in enumerate(bands):
        member[rng.choice(np.flatnonzero(place == k), band["members"]["n"], replace=False)] = True
    (finding,) = (f for f in content["findings"] if f["attack"] == attack)
    distance, seen = _distance(content, finding, r, place, member), np.zeros(len(r))
    for step in range(steps):
        inside = np.flatnonzero(place == rng.integers(len(bands)))
        pair = [rng.choice(inside[member[inside]]), rng.choice(inside[~member[inside]])]
        member[pair] ^= True
        other = _distance(content, finding, r, place, member)
        if rng.random() < np.exp(min(0.0, 20 * (distance - other))):
            distance = other
        else:
            member[pair] ^= True
        seen += member if step >= steps // 2 else 0
    assert distance < 0.5, "no membership was found that explains the numbers: walk for longer"
    return pd.Series(seen / (steps - steps // 2), residual.index)


def _distance(
    content: dict[str, Any], finding: dict[str, Any], r: np.ndarray, place: np.ndarray, member: np.ndarray
) -> float:
    """Return by how much a membership misses the published numbers, in units of their rounding."""
    total, target = 0.0, content["target"]
    for side, mask in (("members", member), ("nonmembers", ~member)):
        size = np.abs(r[mask])
        error = size.std() / np.sqrt(len(size))
        root = np.sqrt((size**2).mean())
        total += _beyond(target[f"mae_{side}"], size.mean(), error)
        of_root = (size**2).std() / np.sqrt(len(size)) / (2 * root)
        total += _beyond(target[f"rmse_{side}"], root, of_root)
        for k, band in enumerate(content["residuals"]["bands"]):
            values = np.sort(r[mask & (place == k)])
            for name, share in SHARES.items():
                if band[side][name] is not None:
                    low, value, high = (_at(values, share + step) for step in (-0.07, 0.0, 0.07))
                    total += _beyond(band[side][name], value, (high - low) / 2)
    inside, outside = np.sort(np.abs(r[member])), np.sort(np.abs(r[~member]))
    auc = 1 - np.searchsorted(outside, inside).mean() / len(outside)
    total += _beyond(finding["auc"]["value"], auc, (finding["auc"]["high"] - finding["auc"]["low"]) / 3.92)
    for fpr, tpr in zip(finding["roc"]["fpr"][:-1], finding["roc"]["tpr"][:-1], strict=True):
        found = np.searchsorted(inside, outside[int(fpr * len(outside) + 1e-9)]) / len(inside)
        total += _beyond(tpr, found, 0.06)
    return total


def _at(ordered: np.ndarray, share: float) -> float:
    """Return a quantile as numpy does, but faster: each of thousands of steps asks for dozens."""
    place = share * (len(ordered) - 1)
    below = int(place)
    after = ordered[min(below + 1, len(ordered) - 1)]
    return float(ordered[below] + (place - below) * (after - ordered[below]))


def _beyond(published: float, exact: float, error: float) -> float:
    """Return how far a number is from what its rounding allows: half a step, which is at most its error."""
    return max(0.0, abs(published - exact) / max(error, 1e-9) - 0.5)
