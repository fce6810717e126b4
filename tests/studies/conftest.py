"""Studies run in the test's own process, where tests make them small; other processes would not know."""

from __future__ import annotations

import pytest

from memberscan import threads


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let studies find one core."""
    monkeypatch.setattr(threads, "available", lambda: 1)
