"""What an audit computes with: the device, and as many threads as suit the inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from memberscan import threads
from memberscan.auditing.source import RunSource, Source


@contextlib.contextmanager
def computing(target: Source, device: str) -> Iterator[None]:
    """Compute on a device within; an audit of predictions runs no model, and loads no torch.

    Raises
    ------
    BadInputError
        If there is no such device.
    """
    if not isinstance(target, RunSource):
        yield
        return
    from memberscan.models.inputs import on_device

    with on_device(device), threads.suited(target.cohort.shape):
        yield
