from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity

import memberscan
from memberscan.federation import flower_private

SOURCE = Path(memberscan.__file__).parent
PUBLIC = {"flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.serverapp.strategy", "flwr.simulation"}


def imports_of(path: Path) -> list[tuple[str, str]]:
    """Return the modules of Flower that a file imports from, and the names that it takes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] == "flwr"]


def test_private_names_of_flower_are_in_one_module() -> None:
    private = {}
    for path in SOURCE.rglob("*.py"):
        its = {(m, n) for m, n in imports_of(path) if m not in PUBLIC or n.startswith("_")}
        if its:
            private[path.relative_to(SOURCE).as_posix()] = its
    assert list(private) == ["federation/flower_private.py"]
    assert private["federation/flower_private.py"] == {
        ("flwr.common.constant", "ErrorCode"),
        ("flwr.supercore.run", "Run"),
        ("flwr.supercore.task_identity", "TaskIdentity"),
    }


def test_the_private_names_are_there_and_mean_what_they_did() -> None:
    assert flower_private.CLIENT_FAILED == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    for name in ("_run_id", "_node_id", "_task_id"):
        assert hasattr(TaskIdentity, name)


def test_messages_are_made_by_the_node_that_is_named_and_nobody_after_it() -> None:
    before = TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id
    with flower_private.task_identity(1, 7):
        message = Message(RecordDict(), 9, "train")
        with flower_private.task_identity(1, 9):
            reply = Message(RecordDict(), reply_to=message)
        assert TaskIdentity._node_id == 7
    assert (message.metadata.src_node_id, message.metadata.dst_node_id) == (7, 9)
    assert (reply.metadata.src_node_id, reply.metadata.dst_node_id) == (9, 7)
    assert (TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id) == before


def test_the_identity_is_given_back_after_an_error_too() -> None:
    before = TaskIdentity._node_id
    with pytest.raises(ZeroDivisionError), flower_private.task_identity(1, 7):
        raise ZeroDivisionError
    assert TaskIdentity._node_id == before


CALLS = """
import urllib.request
{first}
import memberscan.federation.engines
from flwr.supercore import telemetry
opened = []
def sent(*given, **named):
    opened.append(given)
    raise urllib.error.URLError("there is no network here")
urllib.request.urlopen = sent
telemetry.create_event(telemetry.EventType.PING, None)
print(len(opened))
"""


@pytest.mark.parametrize(
    ("first", "wanted", "events"),
    [
        ("import flwr.simulation, flwr.supercore.telemetry", None, 0),
        # It is the user's to turn on.
        ("", "1", 1),
    ],
)
def test_nothing_is_reported_whatever_was_imported_first(
    first: str, wanted: str | None, events: int, tmp_path: Path
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLWR_")}
    asked = {} if wanted is None else {"FLWR_TELEMETRY_ENABLED": wanted}
    done = subprocess.run(
        [sys.executable, "-c", CALLS.format(first=first)],
        env={**kept, **asked, "FLWR_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.splitlines()[-1]) == events, done.stderr
