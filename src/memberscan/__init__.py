"""memberscan: can someone tell from a neuroimaging model who was in its training set?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from memberscan import threads
from memberscan.version import __version__ as __version__

# Set before any library that computes is loaded, because OpenMP reads the setting only once.
threads.wait_passively()

if TYPE_CHECKING:
    from memberscan.attacks import REGISTRY, Attack, gradient_attack
    from memberscan.auditing import AuditResult, audit
    from memberscan.auditing.making_references import collect_references, plan_references, train_references
    from memberscan.cohort import Cohort
    from memberscan.errors import MemberscanError
    from memberscan.federation.settings import Settings
    from memberscan.federation.simulated_run import federate
    from memberscan.models import MODELS, ModelSpec
    from memberscan.references.ensemble import Ensemble
    from memberscan.runs import Role, Roles, Run
    from memberscan.threat import Access, Attacker, ThreatModel
    from memberscan.training.central import train
    from memberscan.training.config import TrainingConfig
    from memberscan.training.imports import import_run

# Heavy modules are imported when a name is first used, so that `import memberscan` is fast.
_HOME = {
    "REGISTRY": "attacks",
    "Attack": "attacks",
    "gradient_attack": "attacks",
    "AuditResult": "auditing",
    "audit": "auditing",
    "collect_references": "auditing.making_references",
    "plan_references": "auditing.making_references",
    "train_references": "auditing.making_references",
    "Ensemble": "references.ensemble",
    "Cohort": "cohort",
    "MemberscanError": "errors",
    "federate": "federation.simulated_run",
    "Settings": "federation.settings",
    "MODELS": "models",
    "ModelSpec": "models",
    "Role": "runs",
    "Roles": "runs",
    "Run": "runs",
    "Access": "threat",
    "Attacker": "threat",
    "ThreatModel": "threat",
    "TrainingConfig": "training",
    "import_run": "training",
    "train": "training",
}

__all__ = [
    "MODELS",
    "REGISTRY",
    "Access",
    "Attack",
    "Attacker",
    "AuditResult",
    "Cohort",
    "Ensemble",
    "MemberscanError",
    "ModelSpec",
    "Role",
    "Roles",
    "Run",
    "Settings",
    "ThreatModel",
    "TrainingConfig",
    "audit",
    "collect_references",
    "federate",
    "gradient_attack",
    "import_run",
    "plan_references",
    "train",
    "train_references",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memberscan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"memberscan.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
