"""The check of the package finds what is missing, and what should not be there."""

from __future__ import annotations

import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FILES = {"README.md", "src/memberscan/__init__.py", "src/memberscan/py.typed", "tests/test_a.py"}
ABOUT = ["METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_package", ROOT / "tools" / "check_package.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path / "a-1.whl", "w") as file:
        for name in names:
            file.writestr(name, "")
    return path / "a-1.whl"


def archive(path: Path, names: list[str]) -> Path:
    with tarfile.open(path / "a-1.tar.gz", "w:gz") as file:
        for name in names:
            file.addfile(tarfile.TarInfo(f"a-1/{name}"), io.BytesIO())
    return path / "a-1.tar.gz"


def test_what_is_complete_passes(tool: ModuleType, tmp_path: Path) -> None:
    names = ["memberscan/__init__.py", "memberscan/py.typed", *(f"a-1.dist-info/{name}" for name in ABOUT)]
    assert tool.check_wheel(wheel(tmp_path, names), FILES) == []
    assert tool.check_archive(archive(tmp_path, [*FILES, "PKG-INFO"]), FILES) == []


def test_what_is_missing_or_too_much_is_named(tool: ModuleType, tmp_path: Path) -> None:
    names = ["memberscan/__init__.py", "tests/test_a.py", *(f"a-1.dist-info/{name}" for name in ABOUT[1:])]
    assert tool.check_wheel(wheel(tmp_path, names), FILES) == [
        "a-1.whl: memberscan/py.typed is missing",
        "a-1.whl: tests/test_a.py should not be there",
        "a-1.whl, metadata: METADATA is missing",
    ]
    assert tool.check_archive(archive(tmp_path, [*FILES - {"README.md"}, ".env"]), FILES) == [
        "a-1.tar.gz: README.md is missing",
        "a-1.tar.gz: .env should not be there",
    ]


def test_the_committed_files_are_found(tool: ModuleType) -> None:
    found = tool.files_in_git(ROOT)
    assert {"pyproject.toml", "src/memberscan/py.typed"} <= found
    assert not any(name.startswith((".venv", "dist/")) for name in found)


def test_the_environment_of_the_trial_knows_no_source_tree(tool: ModuleType, tmp_path: Path) -> None:
    given = {"PYTHONPATH": "src", "VIRTUAL_ENV": "x", "HOME": "/home/me", "PATH": "/bin"}
    assert tool.outside(given, tmp_path) == {"HOME": str(tmp_path), "PATH": "/bin"}
