"""Feed scans to a network and read its outputs: batches that are read ahead, the device, precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from memberscan import threads
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, NotARegressorError
from memberscan.models.heads import given_head, head_of
from memberscan.models.output_part import described
from memberscan.models.regressor import AgeRegressor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


READ_AHEAD = 1 << 20
"""Bytes of a batch from which on a thread reads the next: of less, threads wait longer than reading takes."""


def as_inputs(cohort: Cohort, scan_ids: Sequence[str]) -> Float[Tensor, "n ..."]:
    """Read scans in the form of network inputs: volumes get a channel axis, unless they have channels."""
    values = torch.from_numpy(cohort.read(scan_ids))
    return values.unsqueeze(1) if len(cohort.shape) == 3 else values


def batches(
    cohort: Cohort, scan_ids: Sequence[str], size: int, *, order: np.ndarray | None = None
) -> Iterator[tuple[Float[Tensor, "n ..."], Float[Tensor, " n"]]]:
    """Yield batches of inputs and labels; the next batch is read in the background."""
    parts = parts_of(len(scan_ids), size, order)
    labels = torch.from_numpy(cohort.labels[list(scan_ids)].to_numpy(np.float32, copy=True))
    for part, inputs in zip(parts, chosen_inputs(cohort, scan_ids, parts), strict=True):
        yield inputs, labels[part]


def parts_of(
    count: int, size: int, order: Int[np.ndarray, " n"] | None = None
) -> list[Int[np.ndarray, " k"]]:
    """Return the places of ``count`` scans in parts of at most ``size``, in their order or in another."""
    places = np.arange(count) if order is None else order
    return [places[start : start + size] for start in range(0, count, size)]


def chosen_inputs(
    cohort: Cohort, scan_ids: Sequence[str], parts: Sequence[Int[np.ndarray, " k"]]
) -> Iterator[Float[Tensor, "n ..."]]:
    """Yield the inputs of the scans at some places; the next batch is read in the background.

    Batches of fewer than ``READ_AHEAD`` bytes are read where they are used.
    """
    ids = np.asarray(scan_ids, dtype=object)

    def read(part: Int[np.ndarray, " k"]) -> Float[Tensor, "k ..."]:
        return as_inputs(cohort, ids[part].tolist())

    largest = 4 * int(np.prod(cohort.shape)) * max(map(len, parts), default=0)
    yield from map(read, parts) if largest < READ_AHEAD else _ahead(read, parts)


def _ahead(
    read: Callable[[Int[np.ndarray, " k"]], Tensor], parts: Sequence[Int[np.ndarray, " k"]]
) -> Iterator[Tensor]:
    """Yield what is read of each part, while a thread reads the next."""
    with ThreadPoolExecutor(1) as reader:
        ahead = None
        for number, part in enumerate(parts):
            values = read(part) if ahead is None else ahead.result()
            if number + 1 < len(parts):
                ahead = reader.submit(read, parts[number + 1])
            yield values


_PREFERRED: ContextVar[str] = ContextVar("device", default="auto")


@contextlib.contextmanager
def on_device(name: str) -> Iterator[None]:
    """Let "auto" mean this device within the context.

    Raises
    ------
    BadInputError
        If there is no such device.
    """
    resolve_device(name)
    before = _PREFERRED.set(name)
    try:
        yield
    finally:
        _PREFERRED.reset(before)


def trainings_at_a_time(device: str) -> int:
    """Return how many trainings run at a time by default: one per core, or one on a CUDA card."""
    return 1 if resolve_device(device).type == "cuda" else threads.available()


def resolve_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the device of :func:`on_device`, or CUDA if available."""
    name = _PREFERRED.get() if name == "auto" else name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise BadInputError(f"device {name!r} is unknown; choose auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInputError(f"device {name!r} is asked for, but torch sees no CUDA device; choose cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadInputError(
            f"device {name!r} is asked for, but torch sees {torch.cuda.device_count()} CUDA "
            "device(s), numbered from 0; choose one of them"
        )
    return device


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Let cuDNN compute in single precision, with deterministic algorithms.

    By default, it rounds the factors of float32 convolutions to ten bits (TF32), and may sum in a different
    order each time; per-sample gradients are then wrong in the second digit. CPUs are not affected.
    """
    cudnn = torch.backends.cudnn
    wanted: list[tuple[object, str, object]] = [(cudnn, "deterministic", True), (cudnn, "benchmark", False)]
    # Since torch 2.9, each kind of operation has its own precision setting, and the old switch must not be
    # read once these are set.
    if hasattr(cudnn, "conv"):
        wanted += [(kind, "fp32_precision", "ieee") for kind in (cudnn.conv, cudnn.rnn)]
    else:
        wanted.append((cudnn, "allow_tf32", False))
    before = [(place, name, getattr(place, name)) for place, name, _ in wanted]
    try:
        for place, name, value in wanted:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def predict(model: nn.Module, inputs: Tensor) -> Float[Tensor, " n"]:
    """Run a model and check that it gives one number per scan, or what its head reads.

    Raises
    ------
    NotARegressorError
        If the output is not one tensor with one value per scan, as that of a classifier without a head.
    """
    if (head := given_head(model)) is not None:
        return head.prediction(outputs_of(model, inputs))
    # A copy: a model that changes its input in place would otherwise see another scan the next time.
    output = model(inputs.clone())
    if not isinstance(output, Tensor):
        raise NotARegressorError(
            f"the model returns {described(output)}, but memberscan reads one tensor, the predictions; name "
            "the part that holds them when it is imported, such as --output 0 or --output age"
        )
    if output.numel() != len(inputs) or output.is_complex():
        raise NotARegressorError(
            f"the model gives an output of shape {tuple(output.shape)} for {len(inputs)} scans; memberscan "
            "reads one number per scan, unless it is told what several mean: name the column of a "
            "classifier's classes with --target, or a variance, quantiles or bins with --head"
        )
    return output.flatten() if output.is_floating_point() else output.flatten().float()


@torch.no_grad()
@full_precision()
def predict_scans(
    model: nn.Module,
    cohort: Cohort,
    scan_ids: Sequence[str],
    *,
    device: str = "auto",
    versions: Callable[[Tensor], Iterable[Tensor]] = lambda inputs: [inputs],
) -> Float[np.ndarray, "scans versions"]:
    """Return a network's answers on scans, in evaluation mode: see :meth:`.Head.answer`.

    Parameters
    ----------
    model
        The network; it is left on the device.
    cohort, scan_ids
        The scans, in the order asked for.
    device
        Where they are predicted.
    versions
        What is made of each batch of inputs; each version has a column of predictions.
    """
    place = resolve_device(device)
    model.eval().to(place)
    rows = [
        torch.stack(
            [answers_of(model, version, labels.to(place)) for version in versions(inputs.to(place))], dim=1
        )
        for inputs, labels in batches(cohort, scan_ids, 8)
    ]
    return np.asarray(torch.cat(rows).double().cpu().numpy())


def answers_of(model: nn.Module, inputs: Tensor, labels: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return what a model says of each scan: see :meth:`.Head.answer`."""
    return head_of(model).answer(outputs_of(model, inputs), labels)


def outputs_of(model: nn.Module, inputs: Tensor) -> Float[Tensor, "n k"]:
    """Run a model and return its head's outputs in the target's unit; without a head, its predictions."""
    if given_head(model) is not None:
        outputs: Tensor = model(inputs.clone())
        return outputs
    if isinstance(model, AgeRegressor):
        return model.outputs(inputs.clone())
    return predict(model, inputs)[:, None]
