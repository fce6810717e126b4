"""The cost of encryption per round, in seconds and bytes, measured once on a finished federation's model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from memberscan.federation.averaging import federated_average
from memberscan.federation.ckks import PUBLIC, SECRET, decrypt, encrypt, read_key, weighted_sum
from memberscan.runs import Run


def encryption_cost(run: Run) -> dict[str, float | int]:
    """Return seconds and bytes per round, for an encrypted federation and for one in the clear.

    Seconds are the sum for one learner that encrypts, the server that adds and one learner that decrypts, as
    if all learners worked in parallel; in the clear, the time for the average only. Neither includes training
    and the network. Bytes are what one learner sends and receives. This is a single measurement, on this
    machine.

    Parameters
    ----------
    run
        An encrypted federation that was simulated here, with its keys.
    """
    secret, public = read_key(run.path / SECRET), read_key(run.path / PUBLIC)
    transcript = run.transcript
    model = transcript.global_model(len(transcript.rounds))
    count = len(transcript.learners)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.items()}
    update, encrypting = _timed(lambda: encrypt(model, secret))
    total, adding = _timed(lambda: weighted_sum([update] * count, [1 / count] * count, public))
    _, decrypting = _timed(lambda: decrypt(total, shapes, secret))
    _, averaging = _timed(lambda: federated_average([model] * count, [1] * count))
    return {
        "seconds_a_round": round(encrypting + adding + decrypting, 4),
        "seconds_in_the_clear": round(averaging, 4),
        "bytes_a_round": sum(map(len, update)) + sum(map(len, total)),
        "bytes_in_the_clear": 2 * sum(t.numel() * t.element_size() for t in model.values()),
    }


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start
