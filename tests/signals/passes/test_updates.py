"""What a server works out of updates, against plain autograd and forward mode, one scan at a time."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.models.gradients import parameter_layers
from memberscan.models.inputs import as_inputs, predict
from memberscan.runs import Run
from memberscan.signals import View
from memberscan.signals.learner_updates import (
    JACOBIAN_NORMS,
    JACOBIAN_SKETCHES,
    LOCAL_PREDICTIONS,
    LOSS_DERIVATIVES,
    START_PREDICTIONS,
    TOOK_PART,
    UPDATE_NORMS,
    UPDATE_PRODUCTS,
    UPDATE_SKETCHES,
)
from memberscan.signals.passes import updates as module
from memberscan.signals.passes.updates import SKETCH, observe_updates
from memberscan.signals.view import ByRound

from ...models.awkward import Attention, Mixing, OwnParameter, TiedWeights
from ...recorded import LEARNERS
from ..conftest import Federate

AWKWARD = [f"{c.__module__}:{c.__name__}" for c in (OwnParameter, Attention, TiedWeights, Mixing)]
MODELS = ["cnn3d", "slice-mean", "mlp", *AWKWARD]


@pytest.fixture
def cohort_for(volumes: Cohort, vectors: Cohort):
    return lambda model: volumes if model in ("cnn3d", "slice-mean") else vectors


def observe(run: Run, cohort: Cohort, ids: list[str], rounds: tuple[int, ...], directory: Path, **options):
    """Return what the pass gives of these scans, as attacks see it."""
    seen = observe_updates(run, run.transcript, cohort, ids, rounds, directory, **options)
    return View(
        cohort.scans.loc[ids, ["subject_id"]].assign(label=cohort.labels[ids]),
        seen.values,
        seen.learners,
        seen.rounds,
    )


def own_parameters(model: nn.Module, layer: str) -> list[torch.Tensor]:
    return list(model.get_submodule(layer).parameters(recurse=False))


def jacobian(model: nn.Module, x: torch.Tensor, layer: str) -> np.ndarray:
    """Return the gradient of one scan's prediction, by plain autograd."""
    prediction = predict(model, x).sum()
    parts = torch.autograd.grad(prediction, own_parameters(model, layer), materialize_grads=True)
    return torch.cat([p.flatten() for p in parts]).double().numpy()


def descent(before: nn.Module, after: nn.Module, layer: str) -> np.ndarray:
    pairs = zip(own_parameters(before, layer), own_parameters(after, layer), strict=True)
    return torch.cat([(p - q).detach().flatten() for p, q in pairs]).double().numpy()


@pytest.mark.parametrize("model", MODELS)
def test_everything_is_what_autograd_gives_one_scan_at_a_time(
    model: str, cohort_for, federation: Federate, tmp_path: Path
):
    cohort = cohort_for(model)
    run = federation(cohort, model)
    transcript = run.transcript
    ids = cohort.scans.index[[4, 0, 9]].tolist()
    seen = observe(run, cohort, ids, (2, 3), tmp_path / "out")
    assert seen.learners == LEARNERS and seen.rounds == (2, 3)
    assert list(seen.scans.index) == ids
    np.testing.assert_array_equal(seen.scans["label"], cohort.scans.loc[ids, "age"])
    np.testing.assert_array_equal(seen[TOOK_PART], [[True, False, True], [True, True, True]])
    for t, number in enumerate(seen.rounds):
        before = run.model_with(transcript.global_model(number - 1))
        layers = parameter_layers(before)
        for n, scan in enumerate(ids):
            x = as_inputs(cohort, [scan])
            rows = [jacobian(before, x, layer) for layer in layers]
            assert seen[START_PREDICTIONS][t, n] == pytest.approx(predict(before, x).item(), rel=1e-5)
            norms = [np.linalg.norm(row) for row in rows]
            np.testing.assert_allclose(seen[JACOBIAN_NORMS][t, n], norms, rtol=1e-4, atol=1e-5 * max(norms))
            for c in np.flatnonzero(seen[TOOK_PART][t]):
                after = run.model_with(transcript.learner_model(number, LEARNERS[c]))
                steps = [descent(before, after, layer) for layer in layers]
                products = [row @ step for row, step in zip(rows, steps, strict=True)]
                size = max(a * np.linalg.norm(b) for a, b in zip(norms, steps, strict=True))
                np.testing.assert_allclose(seen[UPDATE_PRODUCTS][t, n, c], products, atol=1e-5 * size)
                np.testing.assert_allclose(
                    seen[UPDATE_NORMS][t, c], [np.linalg.norm(s) for s in steps], rtol=1e-5
                )
                assert seen[LOCAL_PREDICTIONS][t, n, c] == pytest.approx(predict(after, x).item(), rel=1e-5)


@pytest.mark.parametrize("model", ["cnn3d", "slice-mean", "mlp"])
def test_inner_products_are_forward_mode_derivatives(
    model: str, cohort_for, federation: Federate, tmp_path: Path
):
    cohort = cohort_for(model)
    run = federation(cohort, model)
    transcript = run.transcript
    ids = cohort.scans.index[:3].tolist()
    seen = observe(run, cohort, ids, (1,), tmp_path / "out")
    before = run.model_with(transcript.global_model(0))
    here = dict(before.named_parameters())
    inputs = as_inputs(cohort, ids)
    for c, name in enumerate(LEARNERS):
        after = dict(run.model_with(transcript.learner_model(1, name)).named_parameters())
        direction = {k: (p - after[k]).detach() for k, p in here.items()}
        _, expected = torch.func.jvp(
            lambda p: torch.func.functional_call(before, p, inputs).flatten(),
            ({k: p.detach() for k, p in here.items()},),
            (direction,),
        )
        scale = (
            np.linalg.norm(seen[UPDATE_NORMS][0, c]) * np.linalg.norm(seen[JACOBIAN_NORMS][0], axis=1).max()
        )
        np.testing.assert_allclose(
            seen[UPDATE_PRODUCTS][0, :, c].sum(axis=1), expected.numpy(), atol=2e-5 * scale
        )


def test_updates_are_observed_in_full_precision(
    vectors: Cohort, federation: Federate, tmp_path: Path, precise: list[bool]
):
    run = federation(vectors, "mlp")
    precise.clear()
    observe(run, vectors, vectors.scans.index[:3].tolist(), (1,), tmp_path / "out")
    assert precise and all(precise)


def test_who_was_left_out_of_a_round_shows_nothing_of_it(vectors: Cohort, federation: Federate, tmp_path):
    run = federation(vectors, "mlp")
    seen = observe(run, vectors, vectors.scans.index.tolist(), (1, 2, 3), tmp_path / "out")
    np.testing.assert_array_equal(np.argwhere(~seen[TOOK_PART]), [[1, 1]])
    np.testing.assert_array_equal(np.isnan(seen[LOCAL_PREDICTIONS]).any(axis=1), ~seen[TOOK_PART])
    assert np.isnan(seen[LOCAL_PREDICTIONS][1, :, 1]).all()
    for values in (seen[UPDATE_PRODUCTS][1, :, 1], seen[UPDATE_NORMS][1, 1], seen[UPDATE_SKETCHES][1, 1]):
        assert not values.any()


def test_a_sum_shows_one_learner_and_its_global_models(vectors: Cohort, federation: Federate, tmp_path):
    run = federation(vectors, "mlp")
    transcript = run.transcript
    ids = vectors.scans.index.tolist()
    total = observe(run, vectors, ids, (1, 2), tmp_path / "sum", aggregate=True)
    each = observe(run, vectors, ids, (1, 2), tmp_path / "each")
    assert total.learners == ("all",) and total[TOOK_PART].all()
    present = each[TOOK_PART] / each[TOOK_PART].sum(axis=1, keepdims=True)
    for one, all_of_them in (
        (total[UPDATE_PRODUCTS][:, :, 0], np.einsum("tc,tncl->tnl", present, each[UPDATE_PRODUCTS])),
        (total[UPDATE_SKETCHES][:, 0], np.einsum("tc,tcs->ts", present, each[UPDATE_SKETCHES])),
    ):
        np.testing.assert_allclose(one, all_of_them, atol=1e-5 * np.abs(all_of_them).max())
    ends = [predict(run.model_with(transcript.global_model(n)), as_inputs(vectors, ids)) for n in (1, 2)]
    np.testing.assert_allclose(total[LOCAL_PREDICTIONS][:, :, 0], torch.stack(ends).detach(), rtol=1e-6)


def test_a_model_smaller_than_the_sketch_is_kept_whole(vectors: Cohort, federation: Federate, tmp_path):
    run = federation(vectors, "mlp")
    transcript = run.transcript
    seen = observe(run, vectors, vectors.scans.index.tolist(), (1, 3), tmp_path / "out")
    parameters = sum(p.numel() for p in run.model_with(transcript.global_model(0)).parameters())
    assert seen[UPDATE_SKETCHES].shape[2] == parameters < SKETCH
    for t in range(2):
        products = seen[JACOBIAN_SKETCHES][t].astype(float) @ seen[UPDATE_SKETCHES][t].T.astype(float)
        np.testing.assert_allclose(
            products, seen[UPDATE_PRODUCTS][t].sum(axis=2), atol=1e-4 * np.abs(products).max()
        )


def test_a_narrow_sketch_is_used_where_the_model_is_larger(
    vectors: Cohort, federation: Federate, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(module, "SKETCH", 16)
    run = federation(vectors, "mlp")
    seen = observe(run, vectors, vectors.scans.index.tolist(), (1,), tmp_path / "out")
    assert seen[JACOBIAN_SKETCHES][0].shape == (24, 16)
    lengths = np.linalg.norm(seen[JACOBIAN_SKETCHES][0], axis=1) / np.linalg.norm(
        seen[JACOBIAN_NORMS][0], axis=1
    )
    assert 0.5 < np.median(lengths) < 2


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


class Killed(BaseException):
    """What no handler of ours may swallow."""


@pytest.mark.parametrize("calls", [4, 9, 14])
def test_an_interrupted_reading_goes_on_and_ends_in_the_same_bytes(
    calls: int, vectors: Cohort, federation: Federate, tmp_path: Path, monkeypatch
):
    run = federation(vectors, "mlp")
    arguments = run, vectors, vectors.scans.index.tolist(), (1, 2, 3)
    observe(*arguments, tmp_path / "whole")
    read, count = Cohort.read, 0

    def killed(self, scan_ids):
        nonlocal count
        count += 1
        if count > calls:
            raise Killed
        return read(self, scan_ids)

    with monkeypatch.context() as patched:
        patched.setattr(Cohort, "read", killed)
        with pytest.raises(Killed):
            observe(*arguments, tmp_path / "killed")
    observe(*arguments, tmp_path / "killed")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_what_was_made_of_something_else_is_refused(vectors: Cohort, federation: Federate, tmp_path: Path):
    run = federation(vectors, "mlp")
    ids = vectors.scans.index.tolist()
    observe(run, vectors, ids, (1,), tmp_path / "out")
    other_run = federation(vectors, "mlp", seed=1)
    for arguments in ((run, vectors, ids[::-1]), (other_run, vectors, ids)):
        with pytest.raises(StaleError, match="delete it and audit again"):
            observe(*arguments, (1,), tmp_path / "out")
    with pytest.raises(StaleError):
        observe(run, vectors, ids, (1,), tmp_path / "out", aggregate=True)


def test_memory_holds_one_round_at_a_time(vectors: Cohort, federation: Federate, tmp_path, monkeypatch):
    run = federation(vectors, "mlp", rounds=5)
    alive: list[weakref.ref[nn.Module]] = []
    build, most = Run.model_with, 0

    def counted(self, weights):
        nonlocal most
        gc.collect()
        model = build(self, weights)
        alive.append(weakref.ref(model))
        most = max(most, sum(ref() is not None for ref in alive))
        return model

    monkeypatch.setattr(Run, "model_with", counted)
    # What there was before holds no model of this run, and would be looked at in every collection.
    gc.freeze()
    seen = observe(run, vectors, vectors.scans.index.tolist(), (1, 2, 3, 4, 5), tmp_path / "out")
    assert most == 1 + len(LEARNERS)
    assert all(isinstance(sketch, np.memmap) for sketch in seen[JACOBIAN_SKETCHES])


def test_part_of_the_scans_is_what_was_seen_of_them(vectors: Cohort, federation: Federate, tmp_path: Path):
    run = federation(vectors, "mlp")
    seen = observe(run, vectors, vectors.scans.index.tolist(), (1, 2), tmp_path / "out")
    chosen = np.arange(24) % 3 > 0
    part = seen.of(chosen).of(np.arange(16) % 2 == 0)
    kept = np.flatnonzero(chosen)[::2]
    assert list(part.scans.index) == vectors.scans.index[kept].tolist()
    for signal, values in seen.values.items():
        if signal is JACOBIAN_SKETCHES:
            continue
        expected = values[:, kept] if "scan" in signal.dimensions else values
        np.testing.assert_array_equal(part[signal], expected)
    for t in range(2):
        np.testing.assert_array_equal(part[JACOBIAN_SKETCHES][t], seen[JACOBIAN_SKETCHES][t][kept])
    # The sketches stay on the disk until one is looked at.
    assert isinstance(part[JACOBIAN_SKETCHES], ByRound)
    assert part[JACOBIAN_SKETCHES].paths == seen[JACOBIAN_SKETCHES].paths


def test_the_derivative_of_the_loss_is_that_of_the_squared_error(
    vectors: Cohort, federation: Federate, tmp_path: Path
):
    seen = observe(
        federation(vectors, "mlp"), vectors, vectors.scans.index.tolist(), (1, 2), tmp_path / "out"
    )
    predictions = torch.tensor(seen[START_PREDICTIONS], requires_grad=True)
    ((torch.tensor(seen.label) - predictions) ** 2).sum().backward()
    np.testing.assert_allclose(seen[LOSS_DERIVATIVES], predictions.grad, rtol=1e-12)
