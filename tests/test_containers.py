"""Container recipes name what exists: no engine runs here, so files, commands and versions are compared."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from memberscan.cli import bids_app
from memberscan.cli.root import each_value_named
from memberscan.doctor.packages import PURPOSES
from memberscan.version import __version__

from .test_docs import blocks, parse

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DOCKER = (ROOT / "containers" / "Dockerfile").read_text("utf-8")
APPTAINER = (ROOT / "containers" / "memberscan.def").read_text("utf-8")
BOTH = pytest.mark.parametrize("recipe", [DOCKER, APPTAINER], ids=["docker", "apptainer"])


def section(name: str) -> list[str]:
    """Return the lines of a section of the Apptainer recipe."""
    body = re.search(rf"^%{name}\n((?:    .*\n|\n)*)", APPTAINER, re.MULTILINE)
    assert body is not None, name
    return [line.strip() for line in body[1].splitlines() if line.strip()]


def copied() -> list[tuple[str, str]]:
    """Return what the recipes copy into the image, with the recipe's name."""
    lines = [line.split()[1:-1] for line in DOCKER.splitlines() if line.startswith("COPY ")]
    docker = [("Dockerfile", name) for names in lines for name in names]
    return docker + [("memberscan.def", line.split()[0]) for line in section("files")]


def test_every_file_that_is_copied_exists_and_suffices_to_build():
    for recipe, name in copied():
        assert (ROOT / name).exists(), f"{recipe}: {name}"
    needed = {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"]}
    for recipe in ("Dockerfile", "memberscan.def"):
        assert {name for which, name in copied() if which == recipe} == needed
    lines = (ROOT / "containers" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines and {line[1:] for line in lines if line.startswith("!")} == needed


@BOTH
def test_the_version_is_that_of_the_package(recipe: str):
    stated = re.findall(r"image\.version[= ]\"?([\d.]+)", recipe)
    tags = re.findall(r"memberscan:([\d.]+\d)", recipe)
    assert stated == [__version__] and set(tags) <= {__version__}


@BOTH
def test_python_torch_and_extras_are_those_of_pyproject(recipe: str):
    (version,) = re.findall(r"^F(?:rom:|ROM) python:(\d+\.\d+)-", recipe, re.MULTILINE)
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    (torch,) = re.findall(r'"(torch[^"]+)"', recipe)
    assert torch in PROJECT["dependencies"]
    (extras,) = re.findall(r'"[^"\n]*\[([\w,]+)\]"', recipe)
    assert extras.split(",") == list(PURPOSES)


def test_every_command_that_is_called_is_installed():
    (entry,) = re.findall(r'^ENTRYPOINT \["([^"]+)"\]', DOCKER, re.MULTILINE)
    run, app = section("runscript"), section("apprun bids")
    for line in (entry, *run, *app, *section("test")):
        assert line.removeprefix("exec ").split()[0] in PROJECT["scripts"], line
    for line in section("test"):
        name, *words = shlex.split(line)
        if name == "memberscan" and words != ["--version"]:
            parse([name, *words])


def test_commands_of_the_how_to_parse():
    page = ROOT / "docs" / "howto" / "run-in-a-container.md"
    text = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    apps = [*re.findall(r"--entrypoint memberscan-bids \S+ (.*)", text)]
    apps += re.findall(r"--app bids .*?memberscan\.sif (.*)", text)
    plain = [line for line in text.splitlines() if "memberscan-bids" not in line and "--app bids" not in line]
    calls = re.findall(r" run .*?memberscan(?::[\d.]+|\.sif) (.*)", "\n".join(plain))
    assert len(apps) == 2 and len(calls) == 3
    for words in calls:
        parse(["memberscan", *shlex.split(words)])
    command = typer.main.get_command(bids_app.app)
    for words in apps:
        command.make_context("memberscan-bids", each_value_named(shlex.split(words), bids_app.LABELS))
    assert set(re.findall(r"memberscan:([\d.]+\d)", text)) == {__version__}
    for name in re.findall(r"containers/\S+", text):
        assert (ROOT / name).is_file()


def test_the_recipes_say_that_they_are_untested():
    page = (ROOT / "docs" / "howto" / "run-in-a-container.md").read_text("utf-8")
    assert all("ntested" in text for text in (DOCKER, APPTAINER, page))
