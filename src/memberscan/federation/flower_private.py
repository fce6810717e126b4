"""Every private name of Flower that memberscan needs, in one place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flwr.common.constant import ErrorCode
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

CLIENT_FAILED = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
"""Code of the error with which an engine answers for a learner whose app failed."""

__all__ = ["CLIENT_FAILED", "Run", "task_identity"]


@contextlib.contextmanager
def task_identity(run_id: int, node_id: int) -> Iterator[None]:
    """Let this process create messages as a node of a run: Flower asks for an identity to create one."""
    before = TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run_id, node_id, 0
    try:
        yield
    finally:
        TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id = before
