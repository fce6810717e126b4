"""What a site does: a few steps on its own images, near the global model."""

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from .task import network

app = ClientApp()


@app.train()
def train(message, context):
    """Train on this site's images."""
    data = np.load(context.node_config["data"])
    images, ages = (torch.from_numpy(data[name]).float() for name in ("images", "ages"))
    model = network()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    start = [value.detach().clone() for value in model.parameters()]
    mu = message.content["config"]["proximal-mu"]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(5):
        loss = (model(images)[:, 0] - ages).square().mean()
        near = sum((p - q).square().sum() for p, q in zip(model.parameters(), start, strict=True))
        optimizer.zero_grad()
        (loss + mu / 2 * near).backward()
        optimizer.step()
    content = RecordDict(
        {
            "arrays": ArrayRecord(model.state_dict()),
            "metrics": MetricRecord({"num-examples": len(ages), "loss": loss.item()}),
            "site": ConfigRecord({"name": context.node_config["site"]}),  # added to record
        }
    )
    return Message(content, reply_to=message)
