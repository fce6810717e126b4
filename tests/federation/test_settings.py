from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import BadInputError
from memberscan.federation.settings import Settings
from memberscan.training import TrainingConfig


@given(
    st.sampled_from(["cnn3d", "mlp"]),
    st.fixed_dictionaries({}, optional={"width": st.integers(1, 9), "dropout": st.floats(0, 1)}),
    st.integers(1, 99),
    st.floats(0.001, 1e6),
    st.sampled_from(["none", "ckks"]),
    st.integers(0, 2**31),
)
def test_settings_survive_the_way_to_a_learner(
    model: str, options: dict[str, Any], rounds: int, timeout: float, secure: str, seed: int
) -> None:
    sent = Settings(model, options, TrainingConfig(epochs=3, seed=seed), rounds, 2, timeout, secure)
    assert Settings.from_json(sent.to_json()) == sent
    assert json.loads(sent.to_json()) == asdict(sent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, "rounds is 0"),
        ({"min_learners": 0}, "min_learners is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"secure": "secagg"}, "choose none or ckks"),
        ({"training": TrainingConfig(keep="best")}, "leave keep and patience out"),
        ({"training": TrainingConfig(patience=3)}, "leave keep and patience out"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Settings("mlp", **changes)
