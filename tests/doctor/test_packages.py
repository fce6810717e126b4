"""Packages are compared with what pyproject.toml declares, and what is missing is named."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from memberscan import doctor
from memberscan.doctor import packages
from memberscan.doctor.packages import PURPOSES, find_extras, find_packages

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
FOR_DEVELOPERS = {"docs", "bench", "dev", "all"}
DECLARED = [
    "numpy>=1.26",
    "torch<2.14,>=2.6",
    "absent>=1",
    'tomli>=1; python_version < "3.9"',
    'opacus>=1.6; extra == "dp"',
    'tenseal<0.4,>=0.3.16; extra == "he"',
]
INSTALLED = {"numpy": "1.24.0", "torch": "2.7.0.dev20250101+cu126", "opacus": "1.6.0"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let memberscan declare other packages, of which some are installed."""

    def version(name: str) -> str:
        if name not in INSTALLED:
            raise metadata.PackageNotFoundError(name)
        return INSTALLED[name]

    monkeypatch.setattr(packages.metadata, "requires", lambda _: DECLARED)
    monkeypatch.setattr(packages.metadata, "version", version)


def test_every_extra_for_users_has_a_purpose():
    assert set(PURPOSES) == set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS


def test_the_packages_of_this_installation_are_those_declared():
    found = {package.name for package in find_packages()}
    declared = {name.partition(">")[0].partition("<")[0] for name in PROJECT["dependencies"]}
    # An environment that was made before a package was added does not know it yet.
    assert found <= declared and "torch" in found
    assert {extra.name for extra in find_extras()} == set(PURPOSES)


@pytest.mark.usefixtures("installed")
def test_versions_outside_of_the_bounds_do_not_fit():
    found = {package.name: package for package in find_packages()}
    assert set(found) == {"numpy", "torch", "absent"}
    assert (found["numpy"].installed, found["numpy"].fits) == ("1.24.0", False)
    assert (found["torch"].needed, found["torch"].fits) == (">=2.6,<2.14", True)
    assert (found["absent"].installed, found["absent"].fits) == (None, False)


@pytest.mark.usefixtures("installed")
def test_an_extra_is_installed_if_all_its_packages_are():
    found = {extra.name: extra for extra in find_extras()}
    assert found["dp"].installed and not found["he"].installed
    assert [package.name for package in found["he"].packages] == ["tenseal"]
    # Nothing is declared for it here, so it cannot be called installed.
    assert not found["onnx"].installed


@pytest.mark.usefixtures("installed")
def test_problems_say_what_to_install(tmp_path: Path):
    found = doctor.examine(tmp_path / "nowhere")
    assert "numpy 1.24.0 is installed and >=1.26 is needed; run pip install 'numpy>=1.26'" in found.problems
    assert "absent is not installed; run pip install 'absent>=1'" in found.problems
    assert any(str(tmp_path / "nowhere") in problem for problem in found.problems)
    assert not any("torch" in problem or "tenseal" in problem for problem in found.problems)


def test_a_source_tree_that_was_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", requires)
    found = doctor.examine(tmp_path)
    assert found.packages == () and "not installed as a package" in found.problems[0]
