"""Federations on Flower: environments, the parties' apps, and engines that run them; writes a transcript."""

import os
import sys

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
