"""What a server works out of updates, against plain autograd and forward mode, one scan at a time."""

from __future__ import annotations

import dataclasses
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
from memberscan.signals import observe_updates as module
from memberscan.signals.observe_updates import SKETCH, Sketch, observe_updates
from memberscan.signals.updates import Updates

from ..models.awkward import Attention, Mixing, OwnParameter, TiedWeights
from .conftest import LEARNERS, Federate

AWKWARD = [f"{c.__module__}:{c.__name__}" for c in (OwnParameter, Attention, TiedWeights, Mixing)]
MODELS = ["cnn3d", "slice-mean", "mlp", *AWKWARD]


@pytest.fixture
def cohort_for(volumes: Cohort, vectors: Cohort):
    return lambda model: volumes if model in ("cnn3d", "slice-mean") else vectors


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
    run, transcript = federation(cohort, model)
    ids = cohort.scans.index[[4, 0, 9]].tolist()
    seen = observe_updates(run, transcript, cohort, ids, (2, 3), tmp_path / "out")
    assert seen.learners == LEARNERS and seen.rounds == (2, 3)
    assert list(seen.scans.index) == ids
    np.testing.assert_array_equal(seen.scans["age"], cohort.scans.loc[ids, "age"])
    np.testing.assert_array_equal(seen.took_part, [[True, False, True], [True, True, True]])
    for t, number in enumerate(seen.rounds):
        before = run.model_with(transcript.global_model(number - 1))
        layers = parameter_layers(before)
        for n, scan in enumerate(ids):
            x = as_inputs(cohort, [scan])
            rows = [jacobian(before, x, layer) for layer in layers]
            assert seen.before[t, n] == pytest.approx(predict(before, x).item(), rel=1e-5)
            norms = [np.linalg.norm(row) for row in rows]
            np.testing.assert_allclose(seen.norms[t, n], norms, rtol=1e-4, atol=1e-5 * max(norms))
            for c in np.flatnonzero(seen.took_part[t]):
                after = run.model_with(transcript.learner_model(number, LEARNERS[c]))
                steps = [descent(before, after, layer) for layer in layers]
                products = [row @ step for row, step in zip(rows, steps, strict=True)]
                size = max(a * np.linalg.norm(b) for a, b in zip(norms, steps, strict=True))
                np.testing.assert_allclose(seen.products[t, n, c], products, atol=1e-5 * size)
                np.testing.assert_allclose(
                    seen.descent_norms[t, c], [np.linalg.norm(s) for s in steps], rtol=1e-5
                )
                assert seen.local[t, n, c] == pytest.approx(predict(after, x).item(), rel=1e-5)


@pytest.mark.parametrize("model", ["cnn3d", "slice-mean", "mlp"])
def test_inner_products_are_forward_mode_derivatives(
    model: str, cohort_for, federation: Federate, tmp_path: Path
):
    cohort = cohort_for(model)
    run, transcript = federation(cohort, model)
    ids = cohort.scans.index[:3].tolist()
    seen = observe_updates(run, transcript, cohort, ids, (1,), tmp_path / "out")
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
        scale = np.linalg.norm(seen.descent_norms[0, c]) * np.linalg.norm(seen.norms[0], axis=1).max()
        np.testing.assert_allclose(seen.products[0, :, c].sum(axis=1), expected.numpy(), atol=2e-5 * scale)


def test_updates_are_observed_in_full_precision(
    vectors: Cohort, federation: Federate, tmp_path: Path, precise: list[bool]
):
    run, transcript = federation(vectors, "mlp")
    precise.clear()
    observe_updates(run, transcript, vectors, vectors.scans.index[:3].tolist(), (1,), tmp_path / "out")
    assert precise and all(precise)


def test_who_was_left_out_of_a_round_shows_nothing_of_it(vectors: Cohort, federation: Federate, tmp_path):
    run, transcript = federation(vectors, "mlp")
    seen = observe_updates(run, transcript, vectors, vectors.scans.index, (1, 2, 3), tmp_path / "out")
    np.testing.assert_array_equal(np.argwhere(~seen.took_part), [[1, 1]])
    np.testing.assert_array_equal(np.isnan(seen.local).any(axis=1), ~seen.took_part)
    assert np.isnan(seen.local[1, :, 1]).all()
    for values in (seen.products[1, :, 1], seen.descent_norms[1, 1], seen.descent_sketches[1, 1]):
        assert not values.any()


def test_a_sum_shows_one_learner_and_its_global_models(vectors: Cohort, federation: Federate, tmp_path):
    run, transcript = federation(vectors, "mlp")
    ids = vectors.scans.index.tolist()
    total = observe_updates(run, transcript, vectors, ids, (1, 2), tmp_path / "sum", aggregate=True)
    each = observe_updates(run, transcript, vectors, ids, (1, 2), tmp_path / "each")
    assert total.learners == ("all",) and total.took_part.all()
    present = each.took_part / each.took_part.sum(axis=1, keepdims=True)
    for one, all_of_them in (
        (total.products[:, :, 0], np.einsum("tc,tncl->tnl", present, each.products)),
        (total.descent_sketches[:, 0], np.einsum("tc,tcs->ts", present, each.descent_sketches)),
    ):
        np.testing.assert_allclose(one, all_of_them, atol=1e-5 * np.abs(all_of_them).max())
    ends = [predict(run.model_with(transcript.global_model(n)), as_inputs(vectors, ids)) for n in (1, 2)]
    np.testing.assert_allclose(total.local[:, :, 0], torch.stack(ends).detach(), rtol=1e-6)


def test_a_model_smaller_than_the_sketch_is_kept_whole(vectors: Cohort, federation: Federate, tmp_path):
    run, transcript = federation(vectors, "mlp")
    seen = observe_updates(run, transcript, vectors, vectors.scans.index, (1, 3), tmp_path / "out")
    parameters = sum(p.numel() for p in run.model_with(transcript.global_model(0)).parameters())
    assert seen.descent_sketches.shape[2] == parameters < SKETCH
    for t in range(2):
        products = seen.sketch(t).astype(float) @ seen.descent_sketches[t].T.astype(float)
        np.testing.assert_allclose(products, seen.products[t].sum(axis=2), atol=1e-4 * np.abs(products).max())


def test_a_narrow_sketch_is_used_where_the_model_is_larger(
    vectors: Cohort, federation: Federate, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(module, "SKETCH", 16)
    run, transcript = federation(vectors, "mlp")
    seen = observe_updates(run, transcript, vectors, vectors.scans.index, (1,), tmp_path / "out")
    assert seen.sketch(0).shape == (24, 16)
    lengths = np.linalg.norm(seen.sketch(0), axis=1) / np.linalg.norm(seen.norms[0], axis=1)
    assert 0.5 < np.median(lengths) < 2


def test_a_sketch_keeps_inner_products_on_average_over_projections():
    rng = np.random.default_rng(0)
    a, b = (1 + rng.normal(size=(2, 300))).astype(np.float32)  # of a sign, which the signs must undo
    b += a / 2
    # Another number of parameters is another projection; the coordinates added are zero.
    off = []
    for more in range(1, 301):
        sketch = Sketch(64, {"one": 200, "two": 100, "more": more})
        rows = torch.from_numpy(np.stack([a, b]))
        first, second = sketch(
            {"one": rows[:, :200], "two": rows[:, 200:], "more": torch.zeros(2, more)}
        ).numpy()
        off.append(first @ second - a @ b)
    spread = np.sqrt((a @ a * (b @ b) + (a @ b) ** 2) / 64)
    assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(len(off))
    assert 0.8 < np.std(off) / spread < 1.2


def test_a_sketch_is_linear_and_does_not_change_from_call_to_call():
    sizes = {"one": 50, "two": 70}
    rows = torch.randn(4, 120, generator=torch.Generator().manual_seed(0))
    parts = {"one": rows[:, :50], "two": rows[:, 50:]}
    one, other = Sketch(32, sizes)(parts), Sketch(32, sizes)(parts)
    assert torch.equal(one, other)
    summed = Sketch(32, sizes)({k: v.sum(0, keepdim=True) for k, v in parts.items()})
    torch.testing.assert_close(summed[0], one.sum(0), rtol=1e-4, atol=1e-4)


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


class Killed(BaseException):
    """What no handler of ours may swallow."""


@pytest.mark.parametrize("calls", [4, 9, 14])
def test_an_interrupted_reading_goes_on_and_ends_in_the_same_bytes(
    calls: int, vectors: Cohort, federation: Federate, tmp_path: Path, monkeypatch
):
    run, transcript = federation(vectors, "mlp")
    arguments = run, transcript, vectors, vectors.scans.index.tolist(), (1, 2, 3)
    observe_updates(*arguments, tmp_path / "whole")
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
            observe_updates(*arguments, tmp_path / "killed")
    observe_updates(*arguments, tmp_path / "killed")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_what_was_made_of_something_else_is_refused(vectors: Cohort, federation: Federate, tmp_path: Path):
    run, transcript = federation(vectors, "mlp")
    ids = vectors.scans.index.tolist()
    observe_updates(run, transcript, vectors, ids, (1,), tmp_path / "out")
    other_run, other = federation(vectors, "mlp", seed=1)
    for arguments in ((run, transcript, vectors, ids[::-1]), (other_run, other, vectors, ids)):
        with pytest.raises(StaleError, match="delete it and audit again"):
            observe_updates(*arguments, (1,), tmp_path / "out")
    with pytest.raises(StaleError):
        observe_updates(run, transcript, vectors, ids, (1,), tmp_path / "out", aggregate=True)


def test_memory_holds_one_round_at_a_time(vectors: Cohort, federation: Federate, tmp_path, monkeypatch):
    run, transcript = federation(vectors, "mlp", rounds=5)
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
    seen = observe_updates(run, transcript, vectors, vectors.scans.index, (1, 2, 3, 4, 5), tmp_path / "out")
    assert most == 1 + len(LEARNERS)
    assert all(isinstance(sketch, np.memmap) for sketch in seen.sketches)


def test_part_of_the_scans_is_what_was_seen_of_them(vectors: Cohort, federation: Federate, tmp_path: Path):
    run, transcript = federation(vectors, "mlp")
    seen = observe_updates(run, transcript, vectors, vectors.scans.index, (1, 2), tmp_path / "out")
    chosen = np.arange(24) % 3 > 0
    part = seen.of(chosen).of(np.arange(16) % 2 == 0)
    kept = np.flatnonzero(chosen)[::2]
    assert list(part.scans.index) == vectors.scans.index[kept].tolist()
    for field in dataclasses.fields(Updates):
        if field.name in ("before", "local", "products", "norms"):
            np.testing.assert_array_equal(getattr(part, field.name), getattr(seen, field.name)[:, kept])
    for t in range(2):
        np.testing.assert_array_equal(part.sketch(t), seen.sketch(t)[kept])
    assert all(isinstance(sketch, np.memmap) for sketch in part.sketches)
