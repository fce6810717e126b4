"""One pass over the scans: what it writes, how it goes on, and what it refuses."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import DiskFullError, StaleError
from memberscan.models.gradients import capture_slowly, parameter_layers
from memberscan.models.inputs import as_inputs
from memberscan.runs import Run
from memberscan.signals import PREDICTION, Signal, View, see
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.layer_gradients import GRADIENT_NORMS, gradient
from memberscan.signals.passes import stored_rows as module
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Access, ThreatModel

PATHS = {"conv1": "encoder.blocks.0.conv", "conv6": "encoder.conv6", "output": "output"}
ALL = (ACTIVATION, GRADIENT_NORMS, *map(gradient, PATHS))


def extract(
    run: Run, cohort: Cohort, scan_ids: list[str], signals: Sequence[Signal], directory: Path
) -> View:
    """Return what an attacker sees of some scans who is shown these signals."""
    target = TrainedModel.open(run.path, ThreatModel(Access.WEIGHTS), cohort=cohort.path, model=run.code)
    scans = cohort.scans.loc[scan_ids, ["subject_id", "age"]].rename(columns={"age": "label"})
    part = dataclasses.replace(target, scans=scans, is_member=target.is_member[scans["subject_id"].unique()])
    return see(part, signals, directory)


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
    np.testing.assert_allclose(signals[PREDICTION], slow.predictions, rtol=1e-6)
    np.testing.assert_allclose(signals.residual, ages - slow.predictions, atol=1e-4)
    np.testing.assert_allclose(signals[ACTIVATION], slow.entered["output"], rtol=1e-4, atol=1e-6)
    for name, path in PATHS.items():
        expected = slow.gradients[path].numpy()
        np.testing.assert_allclose(
            signals[gradient(name)], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )
    norms = np.stack([slow.gradients[path].norm(dim=1).numpy() for path in every], axis=1)
    np.testing.assert_allclose(signals[GRADIENT_NORMS], norms, rtol=1e-3, atol=1e-4 * norms.max())


def test_wide_signals_are_memory_mapped_and_outputs_alone_have_nothing_else(
    run: Run, volumes: Cohort, tmp_path: Path
) -> None:
    ids = volumes.scans.index[:5].tolist()
    signals = extract(run, volumes, ids, ALL, tmp_path / "all")
    assert all(isinstance(values, np.memmap) for values in signals.values.values())
    outputs = extract(run, volumes, ids, (), tmp_path / "outputs")
    assert list(outputs.values) == [PREDICTION]
    np.testing.assert_allclose(outputs[PREDICTION], signals[PREDICTION], rtol=1e-6)


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
    extract(run, volumes, ids, (), tmp_path / "s")
    ledger = json.loads((tmp_path / "s" / "signals.json").read_text())
    stated = {"request": ledger["request"]} if rows == "gone" else {**ledger, "rows": rows}
    (tmp_path / "s" / "signals.json").write_text(json.dumps(stated))
    before = contents(tmp_path / "s")
    with pytest.raises(StaleError, match=r"signals\.json is damaged; delete"):
        extract(run, volumes, ids, (), tmp_path / "s")
    assert contents(tmp_path / "s") == before


def test_signals_of_other_scans_or_layers_are_refused(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, [gradient("output")], tmp_path / "s")
    before = contents(tmp_path / "s")
    for other_ids, wanted in ((ids[::-1], [gradient("output")]), (ids, ALL), (ids[:5], ())):
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
    extract(run, volumes, ids, [gradient("output")], tmp_path / "s")
    before = contents(tmp_path / "s")
    two_threads()
    extract(run, volumes, ids, [gradient("output")], tmp_path / "s")
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
    first = np.load(tmp_path / "part" / "gradient%3Aconv1.npy")[:8]
    two_threads()
    signals = extract(run, volumes, ids, ALL, tmp_path / "part")
    np.testing.assert_array_equal(signals[gradient("conv1")][:8], first)
    np.testing.assert_allclose(signals[gradient("conv1")], whole[gradient("conv1")], rtol=1e-3, atol=1e-3)
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
    extract(run, volumes, ids, (), tmp_path / "s")
    ledger = json.loads((tmp_path / "s" / "signals.json").read_text())
    earlier = {"request": {**ledger["request"], "threads": 64, "batch": 8}, "rows": ledger["rows"]}
    (tmp_path / "s" / "signals.json").write_text(json.dumps(earlier))
    assert len(extract(run, volumes, ids, (), tmp_path / "s")[PREDICTION]) == 6


def test_signals_of_another_device_are_refused_by_its_name(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    ids = volumes.scans.index[:6].tolist()
    extract(run, volumes, ids, (), tmp_path / "s")
    ledger = json.loads((tmp_path / "s" / "signals.json").read_text())
    ledger["request"]["device"] = "cuda"
    (tmp_path / "s" / "signals.json").write_text(json.dumps(ledger))
    with pytest.raises(StaleError, match="device was cuda and is now cpu"):
        extract(run, volumes, ids, (), tmp_path / "s")


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
