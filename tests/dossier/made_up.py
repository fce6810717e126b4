"""Audits, an inspection and a frontier that are made up from one small audit, without any training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memberscan.inspection.content import InspectionContent
from memberscan.report import AuditContent, check
from memberscan.report.content.federation_json import Federation

WEIGHTS = "a" * 32
RELEASED = {"access": "weights"}


def changed(audit: AuditContent, **parts: dict[str, Any]) -> AuditContent:
    """Return an audit with other values in some parts."""
    content = audit.dump()
    for name, values in parts.items():
        content[name] = {**content[name], **values}
    return check(content)


def leaking(audit: AuditContent, *shown: str) -> AuditContent:
    """Return an audit that shows a leak by some of its attacks; by default the strongest."""
    assert audit.verdict.basis is not None
    basis = audit.verdict.basis
    by = shown or basis.ranking[:1]
    ranking = [*by, *(name for name in basis.ranking if name not in by)]
    found = changed(
        audit,
        verdict={
            "label": "leaks",
            "sentence": "This model leaks.",
            "basis": {**basis.dump(), "attack": by[0], "ranking": ranking, "shown": list(by)},
        },
    ).dump()
    for finding in found["findings"]:
        finding["p_value"] = 0.007 if finding["attack"] in by else 0.7
    return check(found)


def labelled(audit: AuditContent, label: str) -> AuditContent:
    """Return an audit with another verdict."""
    return changed(audit, verdict={"label": label, "sentence": f"This audit is {label}."})


def renamed(audit: AuditContent, attack: str, name: str) -> AuditContent:
    """Return an audit in which one attack is another one."""
    found = audit.dump()
    for finding in found["findings"]:
        if finding["attack"] == attack:
            finding["attack"] = name
    basis = found["verdict"]["basis"]
    for key in ("ranking", "shown"):
        basis[key] = [name if each == attack else each for each in basis[key]]
    basis["attack"] = name if basis["attack"] == attack else basis["attack"]
    return check(found)


def of_weights(audit: AuditContent, *attacks: str) -> AuditContent:
    """Return an audit of a model, in which some attacks read weights."""
    found = changed(audit, threat=RELEASED, provenance={"weights": WEIGHTS}, target={"kind": "run"}).dump()
    for finding in found["findings"]:
        if finding["attack"] in attacks:
            finding["access"] = "weights"
    return check(found)


def of_party(audit: AuditContent, attacker: str, *, visible: bool = True) -> AuditContent:
    """Return the audit of a party of a federation; it has no findings where all is encrypted."""
    learners = [{"name": f"learner-{k}", "members": 30, "age_mean": 62.0, "age_sd": 8.0} for k in (1, 2)]
    federation = {
        "attacker": attacker, "environment": "uniform-iid", "secure": "none" if visible else "ckks",
        "visible_to_server": visible, "simulated": attacker == "active-server", "rounds": 3,
        "local_epochs": 1, "transcript": "d" * 32, "known_nonmembers": 10, "learners": learners,
        "left_out": [], "pairs": [], "victims": [], "by_round": [], "coverage": [], "sources": None,
    }  # fmt: skip
    found = changed(audit, threat={"attacker": attacker, "access": "updates", "known_members": None}).dump()
    found["federation"] = Federation.model_validate(federation).dump()
    if not visible:
        found["findings"], found["verdict"]["label"] = [], "inconclusive"
        nothing = {"rule": "none", "attack": None, "bound": None, "p_value": None, "ranking": [], "shown": []}
        found["verdict"]["basis"] = nothing
        found["checks"]["null"] = {**found["checks"]["null"], "p_values": {}, "mean_auc": None}
        found["exposure"] = {"attack": None, "groups": []}
    return check(found)


def inspection(verdict: str, *, unread: bool = False) -> InspectionContent:
    """Return an inspection of two files."""
    proof = {"people": 12, "of": 20, "members": 10, "members_of": 10, "exact": "to the last bit"}
    rows = {
        "kind": "training rows", "grade": "leaks", "file": "model.pkl", "place": "_fit_X", "people": 12,
        "what": "The rows that it was fitted on.", "mend": "Leave them out.", "proof": proof,
    }  # fmt: skip
    other = {**rows, "kind": "user names", "grade": "look", "people": None}
    del other["proof"]
    files = [
        {"file": name, "format": "pickle", "size": 9, "sha256": "5" * 64, "unread": why}
        for name, why in (("model.pkl", ""), ("notes.xyz", "unknown format" if unread else ""))
    ]
    return InspectionContent.model_validate(
        {
            "schema": "memberscan.inspection/1", "memberscan": "0.1.0", "created": "2026-01-01",
            "release": ["release"], "verdict": verdict, "files": files,
            "findings": {"leaks": [rows, other], "look": [other], "nothing found": []}[verdict],
            "cohort": None, "searched_ids": 20,
        }
    )  # fmt: skip


def written(folder: Path, name: str, content: Any) -> Path:
    """Write content to a directory of its own, as its command does, and return the directory."""
    kind = content.dump()["schema"].removeprefix("memberscan.").partition("/")[0]
    (folder / name).mkdir()
    (folder / name / f"{kind}.json").write_text(json.dumps(content.dump(), indent=2) + "\n", "utf-8")
    return folder / name
