"""What the server does: FedProx over two sites."""

import torch
from flwr.app import ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedProx

from memberscan.federation import recorded  # added to record

from .task import network

app = ServerApp()


@app.main()
def main(grid, context):
    """Coordinate the rounds."""
    torch.manual_seed(0)
    strategy = FedProx(proximal_mu=0.1, fraction_evaluate=0.0, min_train_nodes=2, min_available_nodes=2)
    strategy = recorded(strategy, context.run_config["transcript"])  # added to record
    rounds = int(context.run_config["rounds"])
    strategy.start(grid, ArrayRecord(network().state_dict()), num_rounds=rounds)
