"""Import models and federations that were trained elsewhere, as runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError
from memberscan.files import TABLE_LIMIT, fingerprint
from memberscan.models import MODELS, ModelSpec, build, load_weights, read_weights
from memberscan.models.heads import head_of
from memberscan.models.inputs import as_inputs
from memberscan.models.monai_bundle import WEIGHTS as BUNDLED
from memberscan.models.monai_bundle import read_bundle
from memberscan.models.network_inputs import IMAGE, NetworkInputs
from memberscan.models.onnx_model import ONNX, read_onnx
from memberscan.models.own_network import is_wrapped
from memberscan.models.target_head import class_head, for_target, require_fits
from memberscan.models.trial import require_predicts
from memberscan.models.weights import WEIGHTS_LIMIT
from memberscan.output_directory import claim
from memberscan.received import read_limited
from memberscan.runs import Roles, Run
from memberscan.runs.run import DONE, ROLES
from memberscan.training.central import chosen_roles, write_weights
from memberscan.training.import_transcript import Imported, checked, open_transcript
from memberscan.training.reproduction import require_reproduces
from memberscan.training.transcript_checks import LeftOut

if TYPE_CHECKING:
    from torch import Tensor, nn


def import_run(
    path: Path | str,
    *,
    cohort: Cohort | Path | str,
    model: str = "",
    predictor: str = "",
    roles: Roles | Path | str,
    weights: Path | str | None = None,
    transcript: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    output: str = "",
    inputs: Sequence[str] = (IMAGE,),
    codes: Mapping[str, Mapping[str, float]] | None = None,
    predictions: Path | str | None = None,
    training_error: float | None = None,
    head: str = "",
) -> Run:
    """Import a model, or a whole federation, that was trained elsewhere, as a run.

    Parameters
    ----------
    path
        Directory of the run to write.
    cohort
        The cohort with the members and the non-members.
    model
        ``package.module:factory`` of a function that returns the network, the name of a built-in model,
        "onnx", whose weights are an ONNX file, or the folder of a MONAI bundle. A network maps a batch
        (n, 1, i, j, k), or (n, features) for tables, to n predictions in the unit of the cohort's target, or,
        for classes, to (n, classes) logits.
    predictor
        In place of a model: ``package.module:function`` of a function that maps such a batch, as a float32
        numpy array, to n predictions, or to (n, k) for a head, whatever computes them. Attacks on weights
        cannot be run then.
    roles
        Who was in the training set and, for a federation, at which learner.
    weights
        safetensors, a torch file of a state dict, or an ONNX file; by default the last global model of a
        federation, or ``models/model.pt`` of a bundle.
    transcript
        For a federation: a memberscan transcript, or a folder with one sub-folder per round that holds the
        state dicts of the global model and of the learners at the end of that round.
    options
        Keyword arguments of a built-in model, such as ``width``; by default those that a memberscan
        transcript records.
    output
        Part of the network's output that is the prediction, or that its head reads, if it returns several: a
        key, an attribute, or a number counted from 0.
    inputs
        The arguments of the network's ``forward`` in their order: "image", and covariates of the cohort that
        it takes beside it. A covariate enters as (n, 1), float32.
    codes
        For covariates of text, the number that the network gets for each level.
    predictions
        The makers' own predictions of some or all scans: a table with the columns scan_id or subject_id, and
        prediction, or the probability of each class. They show whether the model gets the images that it was
        trained on.
    training_error
        The mean absolute error on the training set that the makers state: an audit that finds a much
        larger one says that the model probably gets other images.
    head
        What the network returns, if it is more than the prediction, in the unit of the target:
        "gaussian:second=log-variance" for a mean and a log variance ("variance" or "sd"),
        "quantiles:levels=0.05/0.5/0.95" for quantiles at these levels, or "bins:first=42,width=1" for logits
        or log-probabilities of bins, of which the first begins at 42 ("sd" is that of the soft label, by
        default the width); for a target of classes, a logit for each, or one of the second of two, by
        default. Of a built-in model, a name in :data:`~memberscan.models.heads.HEADS`.

    Raises
    ------
    ModelError
        If the network cannot be built, its weights do not fit, it does not run on this cohort's inputs, its
        predictions are not repeatable, or it does not give those of ``predictions``.
    PredictionsError
        If the file of predictions cannot be read or has other ids than the cohort.
    NotARegressorError
        If its output is not one number per scan, as for a classifier, and not what its head reads.
    TranscriptError
        If the transcript is incomplete or damaged, holds several different models, has other learners than
        the roles, or has implausible global models.
    """
    _require_sense(model, predictor, weights, transcript, needless=bool(options or output))
    _require_error(training_error)
    taken = NetworkInputs(tuple(inputs), codes or {})
    cohort = taken.of(cohort if isinstance(cohort, Cohort) else Cohort.open(cohort))
    path = Path(path)
    assigned = chosen_roles(cohort, roles, 0.0, 0)
    federation = None if transcript is None else open_transcript(Path(transcript), assigned)
    spec = _spec(model, predictor, cohort, federation, options, output, head)
    if not predictor and Path(model).is_dir():
        weights = weights or Path(model) / BUNDLED
    spec, network, state = _built(replace(spec, inputs=taken), weights, federation)
    code = spec.name
    require_fits(head_of(network), cohort.target)
    request: dict[str, Any] = {
        "command": "import",
        "cohort": cohort.fingerprint,
        "model": spec.to_dict(),
        "roles": assigned.fingerprint,
    }
    left_out: LeftOut = {}
    example, called = as_inputs(cohort, cohort.scans.index[:2].tolist()), f"the model {code!r}"
    if federation is not None:
        # Before the check, which runs the network with every model and would fail with less clear errors.
        require_predicts(network, example, called, apart=taken.apart)
        federation, left_out = checked(federation, network, cohort)
        request["transcript"] = federation.fingerprint
    if weights is not None and state is not None:
        load_weights(network, state, source=str(weights))
        request["weights"] = fingerprint(read_limited(Path(weights), WEIGHTS_LIMIT))
    require_predicts(network, example, called, apart=taken.apart)
    reproduced = None
    if predictions is not None:
        reproduced = require_reproduces(network, cohort, Path(predictions), called)
        request["predictions"] = fingerprint(read_limited(Path(predictions), TABLE_LIMIT))
    if training_error is not None:
        request["training_error"] = training_error
    with claim(path, request, done=DONE) as finished:
        if finished:
            return Run.open(path, model=code)
        assigned.write(path / ROLES)
        facts = None if federation is None else federation.write(path, network, cohort, left_out)
        write_weights(path, network)
        return Run(
            path,
            spec,
            assigned,
            randomised=False,
            cohort_path=cohort.path,
            cohort_fingerprint=cohort.fingerprint,
            training={},
            federation=facts,
            reproduced=reproduced,
            training_error=training_error,
            code=code,
            target=cohort.target,
        ).finish()


def _require_sense(
    model: str, predictor: str, weights: Path | str | None, transcript: Path | str | None, *, needless: bool
) -> None:
    """Refuse what contradicts itself; ``needless`` says that something is given that only models take."""
    if bool(model) == bool(predictor):
        raise BadInputError("give a model (--model) or a function that predicts (--predictor), one of them")
    if predictor and (weights or transcript or needless):
        raise BadInputError(
            f"the predictor {predictor!r} only gives predictions: leave out weights, transcript, output and "
            "the options of models"
        )
    if model and weights is None and transcript is None and not Path(model).is_dir():
        raise BadInputError("give the weights of a model (--weights), or a federation's --transcript")


def _require_error(stated: float | None) -> None:
    if stated is not None and not 0 <= stated < math.inf:
        raise BadInputError(f"--training-error is {stated}; give a mean absolute error")


def _spec(
    model: str,
    predictor: str,
    cohort: Cohort,
    federation: Imported | None,
    options: Mapping[str, Any] | None,
    output: str,
    head: str,
) -> ModelSpec:
    """Return how to build the network; the parameters are those of :func:`import_run`."""
    if model in MODELS:
        known = {} if federation is None else federation.options_of(model)
        asked = {**known, **(options or {}), **({"head": head} if head else {})}
        return ModelSpec(model, cohort.shape, for_target(asked, cohort.target), output)
    head = head or class_head(cohort.target)
    if predictor:
        return ModelSpec(predictor, cohort.shape, predictor=True, head=head)
    if Path(model).is_dir():
        return replace(_of_bundle(Path(model), cohort, options, output), head=head)
    if ":" in model and options:
        raise ModelError(
            f"{model!r} is called without arguments, so {', '.join(options)} cannot be passed to it; set "
            "them in your own function"
        )
    return ModelSpec(model, cohort.shape, dict(options or {}), output, head=head)


def _built(
    spec: ModelSpec, weights: Path | str | None, federation: Imported | None
) -> tuple[ModelSpec, nn.Module, dict[str, Tensor] | None]:
    """Build the network that the weights are of; return how it was built, the network, and the weights."""
    # First, because a factory that cannot be imported is the clearer error.
    network = build(spec, code=spec.name).eval()
    state = None if weights is None else _weights(spec, Path(weights))
    if is_wrapped(federation.names if state is None and federation is not None else state or (), network):
        # memberscan trained it: its output is a standardised label, and the scale is among its weights.
        spec = replace(spec, trained_here=True)
        network = build(spec, code=spec.name).eval()
    return spec, network, state


def _weights(spec: ModelSpec, path: Path) -> dict[str, Tensor]:
    return read_onnx(path) if spec.name == ONNX else read_weights(path)


def _of_bundle(folder: Path, cohort: Cohort, options: Mapping[str, Any] | None, output: str) -> ModelSpec:
    if options:
        raise ModelError(f"the bundle {folder} says how its network is built: leave out {', '.join(options)}")
    name, arguments = read_bundle(folder)
    return ModelSpec(name, cohort.shape, arguments, output)
