"""The command ``memberscan``: reads arguments, calls the library, prints; no logic of its own."""

from __future__ import annotations

import sys

import typer

from memberscan.cli import audits, cohorts, demonstration, runs, studies
from memberscan.errors import MemberscanError

app = typer.Typer(
    name="memberscan",
    help="Can someone tell from a neuroimaging model who was in its training set?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cohorts.app, name="cohort")
for commands in (demonstration, runs, audits, studies):
    commands.register(app)


def main() -> None:
    """Run the command line: 0 done, 2 bad input, 3 refused; errors go to standard error."""
    try:
        app()
    except MemberscanError as error:
        typer.secho(f"memberscan: {error}", err=True, fg="red" if sys.stderr.isatty() else None)
        sys.exit(error.exit_code)
