"""Federations on Flower: environments, the parties' apps, and engines that run them; writes a transcript."""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memberscan.federation.recording import recorded

__all__ = ["recorded"]

# Turn off the telemetry of everything that memberscan starts. Flower and Ray read these on import.
for _variable, _value in {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(_variable, _value)

# If Flower was imported earlier, it has already read the variable, and keeps that value.
for _name in ("flwr.supercore.telemetry", "flwr.common.telemetry"):
    if _module := sys.modules.get(_name):
        vars(_module)["FLWR_TELEMETRY_ENABLED"] = os.environ["FLWR_TELEMETRY_ENABLED"]


def __getattr__(name: str) -> Any:
    """Import Flower only for those who record one of its strategies."""
    if name == "recorded":
        from memberscan.federation import recording

        return recording.recorded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
