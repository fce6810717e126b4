"""``memberscan doctor``: what is installed here, and what this machine offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memberscan.cli.options import Json, NoSeed, answer, console, say

if TYPE_CHECKING:
    from memberscan.doctor import Examination
    from memberscan.doctor.packages import Extra

PROBLEM = 2
"""Exit code if something was found that would make commands fail."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)


def doctor(
    directory: Annotated[
        Path, typer.Option("--out", help="Directory that results would be written to.")
    ] = Path(),
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Show versions, extras, devices, threads, memory and disk, and what would make commands fail.

    Example: `memberscan doctor --json`
    """
    del seed
    from memberscan.doctor import examine

    found = examine(directory)
    if json:
        answer(found.dump(), as_json=True)
    else:
        _print(found)
    for problem in found.problems:
        typer.echo(f"memberscan: {problem}", err=True)
    if found.problems:
        raise typer.Exit(PROBLEM)


def _print(found: Examination) -> None:
    from rich.markup import escape
    from rich.table import Table

    answer(_machine(found), as_json=False)
    packages = Table("package", "needed", "installed", title="Packages", title_justify="left")
    for package in found.packages:
        packages.add_row(*map(escape, (package.name, package.needed, package.installed or "missing")))
    extras = Table("extra", "for", "installed", title="Extras", title_justify="left")
    for extra in found.extras:
        extras.add_row(*map(escape, (extra.name, extra.purpose, _state(extra))))
    console().print(packages, extras)
    say("no problem found" if not found.problems else f"problems: {len(found.problems)}")


def _state(extra: Extra) -> str:
    """Return in words whether an extra is installed, and what it lacks."""
    if not extra.packages:
        return "not known: install memberscan again"
    lacking = ", ".join(f"{each.name}{each.needed}" for each in extra.packages if not each.fits)
    return f"no: {lacking}" if lacking else "yes"


def _machine(found: Examination) -> dict[str, str]:
    """Return the machine in words, one line for each part."""
    threads, memory = found.threads, found.memory
    environment = {"OMP_NUM_THREADS": threads.count, "OMP_WAIT_POLICY": threads.waiting}
    cards = ", ".join(f"{card.name} ({_size(card.memory_bytes)})" for card in found.cuda.cards)
    limit = "" if memory.limit_bytes is None else f", at most {_size(memory.limit_bytes)} in this container"
    facts = {
        "memberscan": found.memberscan,
        "Python": f"{found.python}, {found.executable}",
        "system": found.system,
        "cores": f"{threads.usable} of {threads.cores}",
        "threads": ", ".join(f"{name}={value}" for name, value in environment.items() if value)
        or "as torch chooses",
        "memory": f"{_size(memory.available_bytes)} free of {_size(memory.total_bytes)}{limit}",
        "CUDA": cards or f"none: {found.cuda.reason}",
    }
    for place in found.places:
        state = "writable" if place.writable else "NOT writable"
        facts[place.use] = f"{place.path}, {state}, {_size(place.free_bytes)} free"
    return facts


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"
