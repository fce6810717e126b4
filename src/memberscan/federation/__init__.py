"""Federations on Flower: environments, the parties' apps, and engines that run them; writes a transcript."""

import os

# Flower and Ray read these when they are imported; nothing that memberscan starts calls home.
for _variable, _value in {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(_variable, _value)
