"""Tiny cohorts and a tiny run, made once for all tests; nobody may write into them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

# Equal bytes ask for an equal thread count, and tests share few cores. It counts only before torch is loaded.
os.environ["OMP_NUM_THREADS"] = "1"
# Audits of two directories have equal bytes if they were started on the same day.
os.environ["SOURCE_DATE_EPOCH"] = "1767225600"

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits
from torch.nn.modules.module import register_module_forward_pre_hook

from memberscan import files, threads
from memberscan.auditing import failures
from memberscan.cohort import Cohort, manifest
from memberscan.runs import Run
from memberscan.task_pool import within_a_task
from memberscan.training import TrainingConfig, loop, reference_tasks, train

from .figures import drawing, only_words_of_figures
from .recorded import write_vectors

# How long an example takes says more of the machine's load than of the code. `make test` tries the same
# examples every time, so that a failure is about the change; `make coverage` tries others, and twice as many.
settings.register_profile("memberscan", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None)
settings.load_profile("memberscan")

Interrupted = Callable[[int], AbstractContextManager[None]]
GRID = (9, 10, 11)
SUBJECTS = 26
_cuda_is_available = torch.cuda.is_available
_visible = os.environ.get("CUDA_VISIBLE_DEVICES")
if _cuda_is_available():
    # Torch reads once which cards are visible, and how many: before they are hidden from other processes.
    torch.cuda.init()
    torch.cuda.device_count()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument, not by what they hold.

    Compressed files hold the second of their making, and all processes must collect tests of equal names.
    """
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that share costly audits first.

    Processes take over tests from the end of each other's list, and would have to make the audits again.
    """
    items.sort(key=lambda item: not {"report", "auditing"} & {*item.path.parts})


def pytest_collection_finish() -> None:
    """Let no collection of garbage look at the modules and tests again: there are millions of objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def on_the_processor() -> Iterator[None]:
    """Let no test find a card, nor any process that it starts, except where it takes :func:`cuda`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def only_words() -> Iterator[None]:
    """Write only the words of the figures of pages, except where a test takes :func:`drawn`."""
    with only_words_of_figures():
        yield


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Take what is written for stored: no test cuts the power, and a killed process loses nothing by this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test find the card; skip it where there is none."""
    if not _cuda_is_available():
        pytest.skip("there is no CUDA here")
    monkeypatch.setattr(torch.cuda, "is_available", _cuda_is_available)
    if _visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", _visible)


def make_volumes(path: Path, ages: Sequence[float], subjects: Sequence[str], seed: int = 0) -> Cohort:
    """Write a cohort of small noisy volumes whose brightness gradient follows age, one scan for each age."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True)
    volumes = rng.normal(size=(len(ages), *GRID))
    volumes += np.linspace(-1, 1, GRID[1])[:, None] * (np.asarray(ages)[:, None, None, None] - 60) / 10
    np.save(path / manifest.VOLUMES, volumes.astype(np.float16))
    scans = pd.DataFrame(
        {
            "scan_id": [f"{subject}/scan {row}" for row, subject in enumerate(subjects)],
            "row": np.arange(len(ages)),
            "subject_id": list(subjects),
            "session": "",
            "age": np.asarray(ages, dtype=float),
            "age_note": "",
            "sex": rng.choice(["F", "M"], len(ages)),
        }
    )
    facts = manifest.Facts(
        kind="volumes",
        shape=GRID,
        dtype="float16",
        source="test",
        covariates=("sex",),
        ignored=(),
        spacing=20.0,
        synthetic=True,
    )
    content = files.fingerprint((path / manifest.VOLUMES).read_bytes())
    manifest.finish(path, scans, [("lost", "sub lost", "unreadable")], facts, content=content, inputs="")
    return Cohort.open(path)


@pytest.fixture(scope="session")
def cohort_maker() -> Callable[..., Cohort]:
    """Return :func:`make_volumes`, for tests that need a cohort of their own."""
    return make_volumes


@pytest.fixture
def drawn() -> Iterator[None]:
    """Let matplotlib draw, for tests that look at figures or compare them with those of another process."""
    with drawing():
        yield


@pytest.fixture
def precise() -> Iterator[list[bool]]:
    """Say of every layer that is called whether it is in full precision."""
    seen: list[bool] = []
    hook = register_module_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.deterministic))
    yield seen
    hook.remove()


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Volumes on an odd grid; every fourth subject has two scans; ids with spaces, slashes and Greek."""
    subjects = [f"sub-{n:02d} é/α" for n in range(SUBJECTS)]
    subjects += subjects[::4]
    ages = np.random.default_rng(1).uniform(45, 80, len(subjects)).round(1)
    return make_volumes(tmp_path_factory.mktemp("volumes") / "cohort", ages.tolist(), subjects)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Phantoms at 12 mm."""
    return Cohort.phantom(tmp_path_factory.mktemp("phantoms") / "cohort", subjects=22, spacing=12, workers=1)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A table of seven measures, one of them constant, of 40 subjects."""
    rng = np.random.default_rng(2)
    ages = rng.uniform(45, 80, 40).round(1)
    measures = pd.DataFrame(rng.normal(size=(40, 7)), columns=[f"thickness {n}" for n in range(7)])
    measures["thickness 0"] += ages / 10
    measures["thickness 6"] = 2.5
    people = pd.DataFrame(
        {"id": [f"p {n}" for n in range(40)], "age": ages, "sex": rng.choice(["F", "M"], 40)}
    )
    folder = tmp_path_factory.mktemp("table")
    people.join(measures).to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(
        folder / "table.csv", folder / "cohort", subject="id", age="age", covariates=["sex"]
    )


@pytest.fixture(scope="session")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A table of six measures of sixty people, two scans each."""
    return write_vectors(tmp_path_factory.mktemp("sixty"), subjects=60)


@pytest.fixture
def interrupted_in_epoch(monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    """Return a context in which a training is interrupted in an epoch, after a checkpoint of the last one."""

    @contextmanager
    def context(epoch: int) -> Iterator[None]:
        real = loop.train_epoch

        def train_epoch(*arguments: Any, **named: Any) -> float:
            if arguments[-1] == epoch:
                raise KeyboardInterrupt
            return real(*arguments, **named)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
            patch.setattr(loop, "train_epoch", train_epoch)
            yield

    return context


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry out tasks in this process, for tests that are not about processes, which take long to start."""

    def carry_out(
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        *,
        go_on: Callable[[], bool] = lambda: True,
        **_: Any,
    ) -> Iterator[tuple[Any, Any]]:
        for task in tasks:
            if not go_on():
                return
            yield task, within_a_task(function, task)

    for module in (reference_tasks, failures):
        monkeypatch.setattr(module, "carry_out", carry_out)


@pytest.fixture
def restored_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the count of threads, and what states it, as they were."""
    monkeypatch.setattr(threads, "_asked", None)
    monkeypatch.setenv(threads.COUNT, "1")
    yield
    torch.set_num_threads(1)
    threadpool_limits(1)


@pytest.fixture(scope="session")
def run(volumes: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A narrow 3D-CNN, trained on half of ``volumes`` for three epochs."""
    path = tmp_path_factory.mktemp("run") / "run"
    config = TrainingConfig(epochs=3, device="cpu")
    return train(volumes, path, model="cnn3d", options={"width": 4}, config=config, seed=0)
