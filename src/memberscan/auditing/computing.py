"""What an audit computes with: the device, and as many threads as suit the inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from memberscan import threads
from memberscan.targets import Target


@contextlib.contextmanager
def computing(target: Target, device: str) -> Iterator[None]:
    """Compute on a device within; an audit of predictions runs no model, and loads no torch.

    Raises
    ------
    BadInputError
        If there is no such device.
    """
    if target.predictions is not None:
        yield
        return
    from memberscan.models.inputs import on_device
    from memberscan.targets.trained_model import TrainedModel

    assert isinstance(target, TrainedModel)
    with on_device(device), threads.suited(target.cohort.shape):
        yield
