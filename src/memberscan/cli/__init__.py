"""The command ``memberscan``: reads arguments, calls the library, prints; no logic of its own."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import NoReturn

import click
import typer
from typer.rich_utils import rich_format_error

from memberscan.cli import (
    audits,
    cohorts,
    comparisons,
    demonstration,
    diagnosis,
    dossiers,
    federate,
    federation,
    frontiers,
    inspections,
    references,
    reproductions,
    root,
    runs,
    studies,
)
from memberscan.cli.options import answer
from memberscan.errors import MemberscanError
from memberscan.shown import plain

_LINES = "\n\t"
"""Control characters that messages with several lines may contain."""
_ERRORS = logging.getLogger("memberscan.errors")
# Without a handler, logging would print an error a second time that comes before there is a log.
_ERRORS.addHandler(logging.NullHandler())

app = typer.Typer(
    name="memberscan",
    help="Can someone tell from a neuroimaging model who was in its training set?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    callback=root.options,
)
app.add_typer(cohorts.app, name="cohort")
app.add_typer(federation.app, name="federation")
app.add_typer(references.app, name="references")
for module in (
    demonstration,
    runs,
    federate,
    audits,
    inspections,
    frontiers,
    reproductions,
    dossiers,
    comparisons,
    studies,
    diagnosis,
):
    module.register(app)


def main() -> None:
    """Run the command line ``memberscan``."""
    run(app, root.prepared(sys.argv[1:]))


def run(commands: typer.Typer, arguments: list[str]) -> NoReturn:
    """Run commands, and exit.

    The exit code is 0 on success, 2 for bad input, 3 if the command refuses to continue, and 4 if the verdict
    is one that ``--fail-on`` names. Errors go to standard error as text and, with ``--json``, also to
    standard output as a JSON object.
    """
    as_json = "--json" in arguments
    with contextlib.ExitStack() as stack:
        try:
            command = typer.main.get_command(commands)
            root.complete_everywhere(command)
            code = command(arguments, standalone_mode=False, obj=stack)
        except click.ClickException as error:
            rich_format_error(error)
            _end(error.format_message(), "UsageError", error.exit_code, as_json=as_json)
        except click.Abort:
            _fail("stopped", "Stopped", 1, as_json=as_json)
        except MemberscanError as error:
            _fail(str(error), type(error).__name__, error.exit_code, as_json=as_json)
        except OSError as error:
            # A path that cannot be read or written; a full disk has its own error type.
            message = f"{error}; check the path and its permissions"
            _fail(message, type(error).__name__, MemberscanError.exit_code, as_json=as_json)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, kind: str, code: int, *, as_json: bool) -> NoReturn:
    shown = plain(message, keep=_LINES)
    typer.secho(f"memberscan: {shown}", err=True, fg="red" if sys.stderr.isatty() else None)
    _end(message, kind, code, as_json=as_json)


def _end(message: str, kind: str, code: int, *, as_json: bool) -> NoReturn:
    """Exit with a code; with ``--json``, write one JSON document to standard output also after an error."""
    _ERRORS.error("%s (exit code %d)", plain(message, keep=_LINES), code)
    if as_json and code:
        answer({"error": {"type": kind, "message": message, "exit_code": code}}, as_json=True)
    sys.exit(code)
