"""One small audit of predictions, made once, from which the others are made up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memberscan.dossier import DossierContent
from memberscan.dossier.declaration import Declaration
from memberscan.dossier.deriving import derive
from memberscan.dossier.sources import Sources, read_inputs
from memberscan.report import AuditContent

from ..report.examples import of_predictions
from ..report.exposed import with_references
from .made_up import renamed, written

Read = Callable[..., Sources]
Derive = Callable[..., DossierContent]


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> AuditContent:
    """An audit of predictions that shows no leak."""
    return of_predictions(tmp_path_factory.mktemp("quiet"), "no_leak_shown")


@pytest.fixture(scope="session")
def exposed(quiet: AuditContent) -> AuditContent:
    """The same with reference models, and an attack that compares with them."""
    return renamed(with_references(quiet, 16), "error", "lira")


def declaration(context: str, **changes: Any) -> Declaration:
    """Return what a person declares."""
    given = {"name": None, "note": None, "date": "2026-01-01", "exports": [], **changes}
    return Declaration.model_validate({"schema": "memberscan.declaration/1", "context": context, **given})


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that writes contents to files and reads them as the inputs of a dossier."""

    numbers = itertools.count()

    def read(*contents: Any) -> Sources:
        folders = [written(tmp_path, f"{next(numbers):02d}", content) for content in contents]
        kinds = ("audit", "consortium", "inspection", "frontier")
        return read_inputs([(folder, kinds) for folder in folders])

    return read


@pytest.fixture
def derived(read: Read) -> Derive:
    """Return a function that derives a dossier from contents."""

    def derive_from(context: str, *contents: Any, **changes: Any) -> DossierContent:
        return derive(read(*contents), declaration(context, **changes))

    return derive_from
