"""The device of an audit, and the number of threads for the size of its inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from memberscan import threads
from memberscan.targets import Target


@contextlib.contextmanager
def computing(target: Target, device: str) -> Iterator[None]:
    """Use a device inside the context; an audit of predictions runs no model, and does not load torch.

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
