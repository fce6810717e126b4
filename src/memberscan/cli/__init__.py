"""The command ``memberscan``: reads arguments, calls the library, prints; no logic of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from memberscan.cli import audits, cohorts, demonstration, federate, federation, runs, studies
from memberscan.errors import MemberscanError
from memberscan.shown import plain

_LINES = "\n\t"
"""Control characters that messages of several lines are made of."""

app = typer.Typer(
    name="memberscan",
    help="Can someone tell from a neuroimaging model who was in its training set?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cohorts.app, name="cohort")
app.add_typer(federation.app, name="federation")
for commands in (demonstration, runs, federate, audits, studies):
    commands.register(app)


def main() -> None:
    """Run the command line: 0 done, 2 bad input, 3 refused; errors go to standard error."""
    try:
        app(several_values(several_values(sys.argv[1:], "--attacks"), "--merge"))
    except MemberscanError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        # A path that may not be read or written; a full disk has a type of its own.
        _fail(f"{error}; check the path and its permissions", MemberscanError.exit_code)


def several_values(arguments: Sequence[str], option: str) -> list[str]:
    """Return the arguments with an option repeated before each of its values, up to the next option."""
    expanded: list[str] = []
    taking = first = False
    for argument in arguments:
        if argument == option or argument.startswith("-"):
            taking = first = argument == option
        elif taking and not first:
            expanded.append(option)
        else:
            first = False
        expanded.append(argument)
    return expanded


def _fail(message: str, code: int) -> NoReturn:
    typer.secho(
        f"memberscan: {plain(message, keep=_LINES)}", err=True, fg="red" if sys.stderr.isatty() else None
    )
    sys.exit(code)
