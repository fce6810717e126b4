"""An app as a consortium writes it with Flower alone: its own network with batch norm, its own data."""

from __future__ import annotations

from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import nn

from memberscan.cohort import Cohort
from memberscan.models.inputs import as_inputs
from memberscan.runs import Roles


def network() -> nn.Module:
    """Return the consortium's network."""
    return nn.Sequential(
        nn.Conv3d(1, 3, 3), nn.BatchNorm3d(3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), Years(3)
    )


class Years(nn.Linear):
    """A linear layer that predicts ages in years."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 1)
        nn.init.constant_(self.bias, 60.0)


def client_app(cohort: Cohort, roles: Roles, **changes: Any) -> ClientApp:
    """Return the learners' app; the line with SITE is one of the three that recording adds."""
    app, learners = ClientApp(), roles.learners
    named, unnamed = changes.get("named", True), changes.get("unnamed", False)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        place = int(context.node_config["partition-id"])
        config = message.content.config_records["config"]
        if changes.get("failing") == (place, int(config["server-round"])):
            raise ValueError("the disk of this site is full")
        model = network()
        keys = list(model.state_dict())
        arrays = message.content.array_records["arrays"].to_torch_state_dict()
        model.load_state_dict(dict(zip(keys, arrays.values(), strict=True)))
        inside = cohort.scans["subject_id"].isin(roles.members_of(learners[place]))
        ids = cohort.scans.index[inside].tolist()
        ages = torch.tensor(cohort.scans.loc[ids, "age"].to_numpy())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            loss = (model(as_inputs(cohort, ids)).flatten() - ages).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        state = model.state_dict()
        sent = ArrayRecord([v.numpy() for v in state.values()]) if unnamed else ArrayRecord(state)
        metrics = MetricRecord({"num-examples": len(ids), "loss": float(loss.detach())})
        content = RecordDict({"arrays": sent, "metrics": metrics})
        if named:
            content["site"] = ConfigRecord({"name": changes.get("called", learners[place])})
        elif changes.get("partition"):
            metrics["partition-id"] = place
        return Message(content, reply_to=message)

    return app
