from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from memberscan.cohort import Cohort
from memberscan.errors import DiskFullError, ModelError, NonFiniteError, NotARegressorError, StaleError
from memberscan.models.gradients import capture_slowly, parameter_layers
from memberscan.models.inputs import as_inputs
from memberscan.runs import Role, Roles, Run
from memberscan.signals import extract as module
from memberscan.signals.extract import Wanted, extract, landmark_paths
from memberscan.signals.signals import ACTIVATION, GRADIENT_NORMS, PREDICTION, gradient
from memberscan.training import import_run

PATHS = {"conv1": "encoder.blocks.0.conv", "conv6": "encoder.conv6", "output": "output"}
ALL = Wanted(PATHS, norms=True, activation="output")


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(path.iterdir())}


def test_signals_are_those_of_the_slow_route_in_the_order_asked_for(
    run: Run, volumes: Cohort, tmp_path: Path
) -> None:
    ids = volumes.scans.index.tolist()[::-1][:11]
    signals = extract(run, volumes, ids, ALL, tmp_path / "s")
    model = run.load()
    ages = torch.tensor(volumes.scans.loc[ids, "age"].to_numpy(np.float32))
    every = parameter_layers(model)
    slow = capture_slowly(model, as_inputs(volumes, ids), ages, layers=every, entering=["output"])
    assert signals.scans.index.tolist() == ids
    np.testing.assert_allclose(signals.arrays[PREDICTION], slow.predictions, rtol=1e-6)
    np.testing.assert_allclose(signals.residual, ages - slow.predictions, atol=1e-4)
    np.testing.assert_allclose(signals.arrays[ACTIVATION], slow.entered["output"], rtol=1e-4, atol=1e-6)
    for name, path in PATHS.items():
        expected = slow.gradients[path].numpy()
        np.testing.assert_allclose(
            signals.arrays[gradient(name)], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )
    norms = np.stack([slow.gradients[path].norm(dim=1).numpy() for path in every], axis=1)
    np.testing.assert_allclose(signals.arrays[GRADIENT_NORMS], norms, rtol=1e-3, atol=1e-4 * norms.max())


def test_wide_signals_are_memory_mapped_and_outputs_alone_have_nothing_else(
    run: Run, volumes: Cohort, tmp_path: Path
) -> None:
    ids = volumes.scans.index[:5].tolist()
    signals = extract(run, volumes, ids, ALL, tmp_path / "all")
    assert all(isinstance(values, np.memmap) for values in signals.arrays.values())
    outputs = extract(run, volumes, ids, Wanted(), tmp_path / "outputs")
    assert list(outputs.arrays) == [PREDICTION]
    np.testing.assert_allclose(outputs.arrays[PREDICTION], signals.arrays[PREDICTION], rtol=1e-6)


class Killed(BaseException):
    """What a test raises in place of a kill."""


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_interrupted_work_goes_on_and_ends_in_the_same_bytes(
    run: Run, volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    ids = volumes.scans.index.tolist()
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_COUNTS", -1)
    extract(run, volumes, ids, ALL, tmp_path / "whole")
    real, seen = module.batches, []

    def interrupted(*arguments: Any) -> Iterator[Any]:
        for number, part in enumerate(real(*arguments)):
            if number == batch:
                raise Killed
            yield part

    def counted(*arguments: Any) -> Iterator[Any]:
        for part in real(*arguments):
            seen.append(len(part[1]))
            yield part

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "batches", interrupted)
        extract(run, volumes, ids, ALL, tmp_path / "part")
    monkeypatch.setattr(module, "batches", counted)
    extract(run, volumes, ids, ALL, tmp_path / "part")
    assert sum(seen) == len(ids) - 8 * batch
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
    seen.clear()
    extract(run, volumes, ids, ALL, tmp_path / "part")
    assert not sum(seen)


def test_a_kill_within_a_batch_loses_that_batch_only(
    run: Run, volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = volumes.scans.index.tolist()
    extract(run, volumes, ids, ALL, tmp_path / "whole")
    real = module.RowFile.write
    writes = 0

    def write(self: Any, start: int, values: np.ndarray) -> None:
        nonlocal writes
        writes += 1
        if writes == 8:
            real(self, start, values[:2])
            raise Killed
        real(self, start, values)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module.RowFile, "write", write)
        extract(run, volumes, ids, ALL, tmp_path / "part")
    extract(run, volumes, ids, ALL, tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


@pytest.mark.parametrize("counts", [1, 2, 3])
def test_a_power_cut_leaves_no_rows_of_zeros_that_are_counted(
    run: Run, volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: int
) -> None:
    """A power cut just after the ledger was written: what was not put on the disk before it is lost."""
    ids = volumes.scans.index.tolist()
    extract(run, volumes, ids, ALL, tmp_path / "whole")
    on_disk: dict[int, np.ndarray] = {}
    ledgers = 0

    def write_json(path: Path, *arguments: Any, **options: Any) -> None:
        nonlocal ledgers
        real(path, *arguments, **options)
        ledgers += 1
        if ledgers == counts:
            raise Killed

    def synced(call: Callable[[int], None]) -> Callable[[int], None]:
        def sync(descriptor: int) -> None:
            call(descriptor)
            for array in (tmp_path / "part").glob("*.npy"):
                if array.stat().st_ino == os.fstat(descriptor).st_ino:
                    on_disk[array.stat().st_ino] = np.load(array)

        return sync

    real = module.write_json
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "_SECONDS_BETWEEN_COUNTS", -1)
        patch.setattr(module, "write_json", write_json)
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, synced(getattr(os, name)))
        extract(run, volumes, ids, ALL, tmp_path / "part")
    for array in (tmp_path / "part").glob("*.npy"):
        np.load(array, mmap_mode="r+")[:] = on_disk.get(array.stat().st_ino, 0)
    extract(run, volumes, ids, ALL, tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


@pytest.mark.parametrize("spoil", ["delete", "truncate"])
def test_a_lost_array_is_made_again_and_never_read_as_zeros(
    run: Run, volumes: Cohort, tmp_path: Path, spoil: str
) -> None:
    ids = volumes.scans.index[:9].tolist()
    extract(run, volumes, ids, ALL, tmp_path / "s")
    whole = contents(tmp_path / "s")
    lost = tmp_path / "s" / "prediction.npy"
    if spoil == "delete":
        lost.unlink()
    else:
        os.truncate(lost, 150)
    extract(run, volumes, ids, ALL, tmp_path / "s")
    assert contents(tmp_path / "s") == whole


@pytest.mark.parametrize("rows", [None, -5, 7, 1e300, "x", [], True, "gone"])
def test_a_count_of_rows_that_cannot_be_is_refused(
    run: Run, volumes: Cohort, tmp_path: Path, rows: object
) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, Wanted(), tmp_path / "s")
    ledger = json.loads((tmp_path / "s" / "signals.json").read_text())
    stated = {"request": ledger["request"]} if rows == "gone" else {**ledger, "rows": rows}
    (tmp_path / "s" / "signals.json").write_text(json.dumps(stated))
    before = contents(tmp_path / "s")
    with pytest.raises(StaleError, match=r"signals\.json is damaged; delete"):
        extract(run, volumes, ids, Wanted(), tmp_path / "s")
    assert contents(tmp_path / "s") == before


def test_signals_of_other_scans_or_layers_are_refused(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, Wanted({"output": "output"}), tmp_path / "s")
    before = contents(tmp_path / "s")
    for other_ids, wanted in ((ids[::-1], Wanted({"output": "output"})), (ids, ALL), (ids[:5], Wanted())):
        with pytest.raises(StaleError, match=r"holds signals of another audit \(.*; delete|is another one"):
            extract(run, volumes, other_ids, wanted, tmp_path / "s")
    assert contents(tmp_path / "s") == before


@pytest.fixture
def two_threads() -> Iterator[Callable[[], None]]:
    """Return a function that has torch compute with two threads from then on."""
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(1)


def test_signals_are_read_under_another_thread_count_and_not_computed_again(
    run: Run, volumes: Cohort, tmp_path: Path, two_threads: Callable[[], None]
) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, Wanted({"output": "output"}), tmp_path / "s")
    before = contents(tmp_path / "s")
    two_threads()
    extract(run, volumes, ids, Wanted({"output": "output"}), tmp_path / "s")
    assert {n: b for n, b in contents(tmp_path / "s").items() if n != "signals.json"} == {
        n: b for n, b in before.items() if n != "signals.json"
    }


def test_interrupted_work_goes_on_under_another_thread_count_and_says_which_rows_had_which(
    run: Run,
    volumes: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    two_threads: Callable[[], None],
) -> None:
    ids = volumes.scans.index.tolist()
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_COUNTS", -1)
    whole = extract(run, volumes, ids, ALL, tmp_path / "whole")
    real = module.batches

    def interrupted(*arguments: Any) -> Iterator[Any]:
        yield next(real(*arguments))
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "batches", interrupted)
        extract(run, volumes, ids, ALL, tmp_path / "part")
    first = np.load(tmp_path / "part" / "gradient-conv1.npy")[:8]
    two_threads()
    signals = extract(run, volumes, ids, ALL, tmp_path / "part")
    np.testing.assert_array_equal(signals.arrays[gradient("conv1")][:8], first)
    np.testing.assert_allclose(
        signals.arrays[gradient("conv1")], whole.arrays[gradient("conv1")], rtol=1e-3, atol=1e-3
    )
    ledger = json.loads((tmp_path / "part" / "signals.json").read_text())
    assert ledger["computed"] == [
        {"from": 0, "threads": 1, "batch": 8},
        {"from": 8, "threads": 2, "batch": 8},
    ]
    assert not {"threads", "batch"} & ledger["request"].keys()


def test_a_ledger_of_an_earlier_version_that_names_its_threads_goes_on(
    run: Run, volumes: Cohort, tmp_path: Path
) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, Wanted(), tmp_path / "s")
    ledger = json.loads((tmp_path / "s" / "signals.json").read_text())
    earlier = {"request": {**ledger["request"], "threads": 64, "batch": 8}, "rows": ledger["rows"]}
    (tmp_path / "s" / "signals.json").write_text(json.dumps(earlier))
    assert len(extract(run, volumes, ids, Wanted(), tmp_path / "s").arrays[PREDICTION]) == 6


def test_signals_of_another_device_are_refused_by_its_name(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, Wanted(), tmp_path / "s")
    ledger = json.loads((tmp_path / "s" / "signals.json").read_text())
    ledger["request"]["device"] = "cuda"
    (tmp_path / "s" / "signals.json").write_text(json.dumps(ledger))
    with pytest.raises(StaleError, match="device was cuda and is now cpu"):
        extract(run, volumes, ids, Wanted(), tmp_path / "s")


def test_a_full_disk_is_an_error_and_the_same_call_goes_on(
    run: Run, volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = volumes.scans.index.tolist()
    extract(run, volumes, ids, ALL, tmp_path / "whole")
    real, left = os.pwrite, 17

    def filling(*arguments: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(DiskFullError, match="run the same command again"):
        patch.setattr(os, "pwrite", filling)
        extract(run, volumes, ids, ALL, tmp_path / "part")
    extract(run, volumes, ids, ALL, tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_the_batch_follows_the_memory_limit(
    run: Run, volumes: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, example = run.load(), as_inputs(volumes, volumes.scans.index[:1].tolist())
    assert module.batch_size(model, example, backward=True) == 8
    activations = module.footprint(model, example).activation_bytes
    monkeypatch.setattr(module, "MEMORY_LIMIT", int(3.5 * 2.5 * activations))
    assert module.batch_size(model, example, backward=True) == 3
    monkeypatch.setattr(module, "MEMORY_LIMIT", 1)
    assert module.batch_size(model, example, backward=False) == 1


def test_on_cuda_the_batch_grows_with_the_memory_of_the_card_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module._limits(torch.device("cpu")) == (2 << 30, 8)
    for memory in (8 << 30, 80 << 30):
        card = SimpleNamespace(total_memory=memory)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, card=card: card)
        assert module._limits(torch.device("cuda", 0)) == (memory / 4, 64)


def test_layers_go_by_landmark_or_path_and_those_without_parameters_are_not_there(run: Run) -> None:
    model = run.load()
    names = ["conv1", "conv6", "output", "encoder.blocks.1.conv", "encoder.relu", "encoder", "absent"]
    assert landmark_paths(model, names) == PATHS | {"encoder.blocks.1.conv": "encoder.blocks.1.conv"}
    assert landmark_paths(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), ["conv1", "1"]) == {"1": "1"}


@pytest.fixture
def bring(volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports a user's model, given as the body of its forward pass."""

    def make(forward: str, outputs: int = 1) -> Run:
        (tmp_path / "brought.py").write_text(
            "import torch\nfrom torch import nn\n"
            "class Net(nn.Module):\n"
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
    signals = extract(
        run, volumes, ids, Wanted({"conv": "conv"}, norms=True, activation="last"), tmp_path / "s"
    )
    assert '"one at a time"' in (tmp_path / "s" / "signals.json").read_text()
    ages = torch.tensor(volumes.scans.loc[ids, "age"].to_numpy(np.float32))
    slow = capture_slowly(run.load(), as_inputs(volumes, ids), ages, layers=["conv"], entering=["last"])
    expected = slow.gradients["conv"].numpy()
    np.testing.assert_allclose(
        signals.arrays[gradient("conv")], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max()
    )
    np.testing.assert_allclose(signals.arrays[ACTIVATION], slow.entered["last"], rtol=1e-5)


def test_signals_are_read_in_full_precision(
    run: Run, volumes: Cohort, tmp_path: Path, precise: list[bool]
) -> None:
    extract(run, volumes, volumes.scans.index[:3].tolist(), ALL, tmp_path / "s")
    assert precise and all(precise)


def test_an_ordinary_model_takes_the_fast_route(bring: Any, volumes: Cohort, tmp_path: Path) -> None:
    run = bring("return self.last(self.conv(x).relu_().mean((2, 3, 4)))")
    extract(run, volumes, volumes.scans.index[:3].tolist(), Wanted({"conv": "conv"}), tmp_path / "s")
    assert '"batched"' in (tmp_path / "s" / "signals.json").read_text()


def test_a_classifier_is_refused_where_it_is_brought(bring: Any) -> None:
    with pytest.raises(NotARegressorError, match="one number per scan") as caught:
        bring("return self.last(self.conv(x).mean((2, 3, 4))).softmax(1)", outputs=2)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("wanted", [Wanted(), Wanted({"conv": "conv"}, norms=True)])
def test_nan_predictions_are_refused_also_the_second_time(
    bring: Any, volumes: Cohort, tmp_path: Path, wanted: Wanted
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
        extract(
            Run.open(tmp_path / "run"), volumes, volumes.scans.index[:2].tolist(), Wanted(), tmp_path / "s"
        )
