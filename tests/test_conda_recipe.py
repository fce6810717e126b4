"""The conda recipe needs what pyproject.toml declares, under conda-forge's names."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from memberscan.doctor.packages import PURPOSES
from memberscan.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RECIPE = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text("utf-8"))
NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "ray": "ray-core"}
"""Names of packages on conda-forge that differ from those on PyPI."""
WITHOUT_PACKAGE = {"flwr", "tenseal"}


def filled(text: str) -> str:
    """Return a text of the recipe with the values of its context."""
    return re.sub(r"\$\{\{ (\w+) \}\}", lambda found: RECIPE["context"].get(found[1], found[0]), text)


def wanted(requirements: list[str]) -> dict[str, set[str]]:
    """Return the bounds of each package, by its name on conda-forge."""
    parsed = map(Requirement, requirements)
    return {
        NAMES.get(each.name, each.name): {str(bound).removeprefix("==") for bound in each.specifier}
        for each in parsed
    }


def stated(lines: list[str]) -> dict[str, set[str]]:
    pairs = (filled(line).partition(" ") for line in lines)
    return {name: set(filter(None, bounds.split(","))) for name, _, bounds in pairs}


def test_versions_are_those_of_the_package():
    assert RECIPE["context"]["version"] == __version__
    assert f">={RECIPE['context']['python_min']}" == PROJECT["project"]["requires-python"]


def test_what_is_needed_is_what_is_declared():
    found = stated(RECIPE["requirements"]["run"])
    assert found.pop("__unix") == set()
    assert found.pop("python") == {PROJECT["project"]["requires-python"]}
    assert found == wanted(PROJECT["project"]["dependencies"])


def test_optional_packages_have_the_bounds_of_the_extras():
    optional = PROJECT["project"]["optional-dependencies"]
    every = wanted([each for name in PURPOSES for each in optional[name]])
    found = stated(RECIPE["requirements"]["run_constraints"])
    assert found == {name: bounds for name, bounds in every.items() if name not in WITHOUT_PACKAGE}


def test_it_is_built_as_pyproject_says():
    backend = set(stated(RECIPE["requirements"]["host"])) - {"python", "pip"}
    assert backend == set(wanted(PROJECT["build-system"]["requires"]))
    scripts = [f"{name} = {place}" for name, place in PROJECT["project"]["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == scripts
    assert (ROOT / RECIPE["about"]["license_file"]).is_file()
    assert RECIPE["about"]["license"] == PROJECT["project"]["license"]
    assert RECIPE["about"]["summary"] == PROJECT["project"]["description"]


def test_its_own_tests_call_what_is_installed():
    called = [shlex.split(line)[0] for part in RECIPE["tests"] for line in part.get("script", ())]
    assert set(called) == set(PROJECT["project"]["scripts"])
