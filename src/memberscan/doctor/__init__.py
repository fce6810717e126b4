"""What is installed here and what this machine offers: to see before long work, and for reports of errors."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memberscan.doctor.cuda import Cuda, find_cuda
from memberscan.doctor.machine import Memory, Place, Threads, find_memory, find_places, find_threads
from memberscan.doctor.packages import Extra, Package, find_extras, find_packages
from memberscan.version import __version__


@dataclass(frozen=True)
class Examination:
    """What :func:`examine` finds.

    Parameters
    ----------
    memberscan, python
        Versions.
    executable
        The Python that runs.
    system
        Operating system and processor family.
    packages
        The packages that memberscan needs.
    extras
        The optional parts of memberscan.
    threads, memory, cuda, places
        What this machine offers to this process.
    problems
        What would make commands fail, in words; empty if nothing was found. An empty list is not a proof
        that every command works: nothing is computed here.
    """

    memberscan: str
    python: str
    executable: str
    system: str
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    threads: Threads
    memory: Memory
    cuda: Cuda
    places: tuple[Place, ...]
    problems: tuple[str, ...]

    def dump(self) -> dict[str, Any]:
        """Return the same as JSON values; sizes are in bytes."""
        return asdict(self)


def examine(directory: Path) -> Examination:
    """Look at the installation and the machine; nothing that computes is imported, and nothing stays written.

    Parameters
    ----------
    directory
        Where commands would write their results.
    """
    packages, extras = find_packages(), find_extras()
    places = find_places(directory)
    return Examination(
        memberscan=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        packages=packages,
        extras=extras,
        threads=find_threads(),
        memory=find_memory(),
        cuda=find_cuda(),
        places=places,
        problems=_problems(packages, places),
    )


def _problems(packages: tuple[Package, ...], places: tuple[Place, ...]) -> tuple[str, ...]:
    found = []
    if not packages:
        found.append(
            "memberscan is not installed as a package, so what it needs is not known; run pip install ."
        )
    for package in packages:
        if package.installed is None:
            found.append(f"{package.name} is not installed; run pip install '{package.name}{package.needed}'")
        elif not package.fits:
            found.append(
                f"{package.name} {package.installed} is installed and {package.needed} is needed; run "
                f"pip install '{package.name}{package.needed}'"
            )
    found += [
        f"{place.path} ({place.use}) cannot be written; {place.remedy}"
        for place in places
        if not place.writable and place.needed
    ]
    return tuple(found)
