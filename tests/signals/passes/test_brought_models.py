"""Signals of models that users bring: which route they take, and what is refused."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from memberscan.cohort import Cohort
from memberscan.errors import ModelError, NonFiniteError, NotARegressorError, StaleError
from memberscan.models.gradients import capture_slowly
from memberscan.models.inputs import as_inputs
from memberscan.runs import Role, Roles, Run
from memberscan.signals import Signal
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.layer_gradients import GRADIENT_NORMS, gradient
from memberscan.training import import_run

from .test_final_model import ALL, extract


@pytest.fixture
def bring(volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports a user's model, given as the body of its forward pass."""

    def make(forward: str, outputs: int = 1) -> Run:
        (tmp_path / "brought.py").write_text(
            "import torch\nfrom torch import nn\n"
            "class Net(nn.Module):\n"
            "    landmarks = {'output': 'last'}\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            f"        self.conv, self.last = nn.Conv3d(1, 4, 3), nn.Linear(4, {outputs})\n"
            "    def forward(self, x):\n"
            f"        {forward}\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "brought", raising=False)
        torch.manual_seed(0)
        save_file(
            {
                **nn.Conv3d(1, 4, 3).state_dict(prefix="conv."),
                **nn.Linear(4, outputs).state_dict(prefix="last."),
            },
            tmp_path / "w.safetensors",
        )
        roles = Roles({s: list(Role)[n % 2] for n, s in enumerate(volumes.subjects)})
        return import_run(
            tmp_path / "imported",
            cohort=volumes,
            model="brought:Net",
            weights=tmp_path / "w.safetensors",
            roles=roles,
        )

    return make


def test_a_model_that_folds_its_batch_awkwardly_takes_the_slow_route(
    bring: Any, volumes: Cohort, tmp_path: Path
) -> None:
    run = bring(
        "return self.last(self.conv(torch.cat([x, -x])).tanh().mean((2, 3, 4))).view(2, len(x)).mean(0)"
    )
    ids = volumes.scans.index[:10].tolist()
    signals = extract(run, volumes, ids, [gradient("conv"), GRADIENT_NORMS, ACTIVATION], tmp_path / "s")
    assert '"one at a time"' in (tmp_path / "s" / "signals.json").read_text()
    ages = torch.tensor(volumes.scans.loc[ids, "age"].to_numpy(np.float32))
    slow = capture_slowly(run.load(), as_inputs(volumes, ids), ages, layers=["conv"], entering=["last"])
    expected = slow.gradients["conv"].numpy()
    np.testing.assert_allclose(
        signals[gradient("conv")], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max()
    )
    np.testing.assert_allclose(signals[ACTIVATION], slow.entered["last"], rtol=1e-5)


def test_signals_are_read_in_full_precision(
    run: Run, volumes: Cohort, tmp_path: Path, precise: list[bool]
) -> None:
    extract(run, volumes, volumes.scans.index[:3].tolist(), ALL, tmp_path / "s")
    assert precise and all(precise)


def test_an_ordinary_model_takes_the_fast_route(bring: Any, volumes: Cohort, tmp_path: Path) -> None:
    run = bring("return self.last(self.conv(x).relu_().mean((2, 3, 4)))")
    extract(run, volumes, volumes.scans.index[:3].tolist(), [gradient("conv")], tmp_path / "s")
    assert '"batched"' in (tmp_path / "s" / "signals.json").read_text()


def test_a_classifier_is_refused_where_it_is_brought(bring: Any) -> None:
    with pytest.raises(NotARegressorError, match="one number per scan") as caught:
        bring("return self.last(self.conv(x).mean((2, 3, 4))).softmax(1)", outputs=2)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("wanted", [(), (gradient("conv"), GRADIENT_NORMS)])
def test_nan_predictions_are_refused_also_the_second_time(
    bring: Any, volumes: Cohort, tmp_path: Path, wanted: Sequence[Signal]
) -> None:
    run = bring("return self.last(self.conv(x).mean((2, 3, 4))).flatten() / (x.mean((1, 2, 3, 4)) > 0)  * 0")
    for _ in range(2):
        with pytest.raises(NonFiniteError, match=f"of {len(volumes)} predictions are NaN"):
            extract(run, volumes, volumes.scans.index.tolist(), wanted, tmp_path / "s")


def test_a_model_for_another_grid_is_refused_on_import(bring: Any) -> None:
    with pytest.raises(ModelError, match=r"does not run on inputs of shape \(9, 10, 11\)"):
        bring("return self.last(self.conv(x).flatten(1))")


def test_a_run_whose_weights_were_changed_gives_no_signals(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    with (tmp_path / "run" / "weights.safetensors").open("r+b") as stream:
        stream.seek(-2, os.SEEK_END)
        stream.write(b"\x7f\x00")
    with pytest.raises(StaleError):
        extract(Run.open(tmp_path / "run"), volumes, volumes.scans.index[:2].tolist(), (), tmp_path / "s")
