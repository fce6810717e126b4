"""Build the source archive and the wheel, and check that both hold what they should and that the wheel runs.

``make package`` runs this. The wheel is built from the unpacked source archive, so that what is missing there
is noticed, and installed into an environment of its own. That environment sees the packages of the present
one, so nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHIN = "src/"
COMMANDS = (
    ("memberscan", "--version"),
    ("memberscan", "demo", "--help"),
    ("memberscan", "audit", "--help"),
    ("memberscan-bids", "--version"),
)
"""Commands that must end with 0 in the new environment."""


def main() -> None:
    """Build, check, keep both in ``dist``, and print the digests that a recipe needs."""
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        archive = build(ROOT, "sdist", scratch / "archive")
        with tarfile.open(archive) as file:
            # Python 3.11 before 3.11.4 knows no filters; the archive was made here.
            file.extraction_filter = getattr(tarfile, "data_filter", None)
            file.extractall(scratch)
        wheel = build(scratch / archive.name.removesuffix(".tar.gz"), "wheel", scratch / "wheel")
        committed = files_in_git(ROOT)
        problems = [*check_archive(archive, committed), *check_wheel(wheel, committed)]
        if problems:
            sys.exit("\n".join(problems))
        python = install(wheel, scratch / "environment")
        run_commands(python.parent, scratch)
        for path in (archive, wheel):
            print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  dist/{path.name}")
            shutil.copy(path, dist)


def build(source: Path, target: str, folder: Path) -> Path:
    """Build a source archive or a wheel of a source tree into a new folder, and return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def files_in_git(root: Path) -> set[str]:
    """Return the files of a checkout that are committed."""
    # A checkout may belong to another user than the one that checks it, as in some runners.
    command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z"]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return {name for name in done.stdout.split("\0") if name}


def check_archive(archive: Path, committed: Iterable[str]) -> list[str]:
    """Return what a source archive lacks of the committed files, and what it has besides them."""
    with tarfile.open(archive) as file:
        names = {member.name.partition("/")[2] for member in file.getmembers() if member.isfile()}
    return compared(archive.name, names - {"PKG-INFO"}, set(committed))


def check_wheel(wheel: Path, committed: Iterable[str]) -> list[str]:
    """Return what a wheel lacks of the committed files of the package, and what it has besides them."""
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    own = {name for name in names if ".dist-info/" not in name}
    wanted = {name.removeprefix(WITHIN) for name in committed if name.startswith(WITHIN)}
    about = {name.partition(".dist-info/")[2] for name in names - own}
    licence = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    return [*compared(wheel.name, own, wanted), *compared(f"{wheel.name}, metadata", about, licence)]


def compared(what: str, found: set[str], wanted: set[str]) -> list[str]:
    """Return a line for each file that is missing, or that should not be there."""
    missing = [f"{what}: {name} is missing" for name in sorted(wanted - found)]
    return missing + [f"{what}: {name} should not be there" for name in sorted(found - wanted)]


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel alone into a new environment that sees the present packages; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    alone = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *alone, str(wheel)]
    subprocess.run(pip, check=True)
    # A path in a .pth file comes after the environment's own packages, and .pth files in it are not read,
    # such as that of an editable installation of the source tree.
    folder = next(environment.glob("lib/python*/site-packages"))
    (folder / "present.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return python


def run_commands(binaries: Path, scratch: Path) -> None:
    """Run the installed commands away from the source tree; exit if one fails or is not the installed one."""
    environment = outside(os.environ, scratch)
    where = [str(binaries / "python"), "-c", "import memberscan; print(memberscan.__file__)"]
    for command in (where, *([str(binaries / name), *rest] for name, *rest in COMMANDS)):
        done = subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        if command is where and not done.stdout.startswith(str(binaries.parent)):
            sys.exit(f"memberscan is {done.stdout.strip()} and not the installed one")


def outside(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return an environment without what points at a source tree, and with another home."""
    kept = {key: value for key, value in environment.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "HOME": str(home)}


if __name__ == "__main__":
    main()
