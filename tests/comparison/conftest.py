"""Two audits with scores of people, made up from one small audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.files import write_table
from memberscan.report import AuditContent

from ..dossier.made_up import changed, written
from ..report.examples import of_predictions

Audited = Callable[..., Path]
PEOPLE = 200


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> AuditContent:
    """An audit of predictions that shows no leak."""
    return of_predictions(tmp_path_factory.mktemp("compared"), "no_leak_shown")


@pytest.fixture
def audited(quiet: AuditContent, tmp_path: Path) -> Audited:
    """Return a function that writes an audit's directory, with scores of members that are shifted."""

    def write(
        name: str,
        content: AuditContent | None = None,
        *,
        shift: float = 0.0,
        first: int = 0,
        named: bool = True,
    ) -> Path:
        folder = written(tmp_path, name, content or quiet)
        # People have something of their own, which makes their scores alike in all audits.
        own = np.random.default_rng(0).normal(size=10 * PEOPLE)[first : first + PEOPLE]
        rng = np.random.default_rng(len(name) + first)
        member = np.arange(PEOPLE) % 2 == 0
        table: dict[str, Any] = {"pseudonym": [f"{name}{k:03d}" for k in range(PEOPLE)]} if named else {}
        table["member"] = member.astype(int)
        for attack in (finding.attack for finding in (content or quiet).findings):
            table[attack] = own + 0.3 * rng.normal(size=PEOPLE) + shift * member
        write_table(folder / "scores.tsv", pd.DataFrame(table))
        if named:
            subjects = [f"sub-{first + k:04d}" for k in range(PEOPLE)]
            key = pd.DataFrame({"subject": subjects, "pseudonym": table["pseudonym"]})
            write_table(folder / "pseudonyms.tsv", key.sample(frac=1, random_state=0))
        return folder

    return write


def with_auc(audit: AuditContent, value: float) -> AuditContent:
    """Return an audit with another AUC of all its attacks."""
    found = audit.dump()
    for finding in found["findings"]:
        finding["auc"] |= {"value": value, "low": value - 0.05, "high": value + 0.05}
    return changed(audit.model_validate(found))
