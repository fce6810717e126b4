"""Read and write files of weights without executing code in them."""

from __future__ import annotations

import io
import logging
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from memberscan.errors import BadInputError, ModelError, UnsafeWeightsError
from memberscan.models.rehearsal import rehearse
from memberscan.received import check_zip, parse_safetensors, read_entry, read_limited

_LOG = logging.getLogger("memberscan.weights")
WEIGHTS_LIMIT = 8 << 30
"""Largest weights file that is read, in bytes."""
_READABLE = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
}
_QUANTISED = (torch.int8, torch.uint8, torch.bool)
SLACK = 1 << 20
"""Bytes that a file or its tensors may have beyond the expected size, for names and headers."""
_PICKLE = "data.pkl"
_AVERAGED = "n_averaged"
_SAVE = "save the weights alone with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
_OTHER_KINDS = {
    b"\x89HDF\r\n": "an HDF5 file, as Keras writes",
    b"\x93NUMPY": "a numpy array",
    b"\x1f\x8b": "compressed with gzip",
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors, or from a torch file that holds only tensors.

    The content decides the type of a file, whatever its name. The sizes that it declares are compared with
    its real size before it is loaded.

    Raises
    ------
    UnsafeWeightsError
        If the file is a pickle that would run code.
    ModelError
        If the file is missing, too large or damaged, or is not a state dict.
    """
    try:
        data = read_limited(path, WEIGHTS_LIMIT)
        if is_safetensors(data, len(data)) or (path.suffix == ".safetensors" and not _is_zip(data)):
            return _readable_safetensors(data, path)
        pickles, first = 5, data
        if _is_zip(data):
            data, first = _rewritten(data, path)
            pickles = 1
    except FileNotFoundError as error:
        raise ModelError(f"the weights file {path} does not exist; check the path") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error}); give a file of weights") from error
    except BadInputError as error:
        raise error if isinstance(error, ModelError) else ModelError(str(error)) from error
    for start, kind in _OTHER_KINDS.items():
        if data.startswith(start):
            raise ModelError(f"{path} is {kind}, not a file of torch or safetensors; {_SAVE}")
    try:
        rehearse(first, pickles, len(data))
    except ValueError as error:
        raise UnsafeWeightsError(
            f"{path} is a pickle that would execute code when loaded, holds something other than tensors, or "
            f"is damaged ({str(error)[:100]}); {_SAVE}"
        ) from error
    return _state_dict(_load_torch(data, path), len(data), path)


def _is_zip(data: bytes) -> bool:
    return data.startswith(b"PK\x03\x04")


def is_safetensors(start: bytes, size: int) -> bool:
    """Return whether a file of this size begins like safetensors: with a length, then a JSON object."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def _readable_safetensors(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return parse_safetensors(data, str(path))
    except BadInputError as error:
        raise ModelError(f"{path} is not a readable safetensors file ({error})") from error


def _rewritten(data: bytes, path: Path) -> tuple[bytes, bytes]:
    """Return a rewritten copy of torch's zip file, and the pickle in it; refuse one that torch did not write.

    torch has its own zip reader. A file can be made so that Python's and torch's readers find different
    contents, and torch would expand content that was never checked. Both read the same from the copy.
    """
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(stream, "w") as copy:
            # torch stores tensors without compression, so no content can be larger than the file itself.
            check_zip(archive, str(path), len(data))
            names = archive.namelist()
            _check_kind(names, path)
            for entry in archive.infolist():
                copy.writestr(entry.filename, read_entry(archive, entry))
            pickled = archive.read(next(name for name in names if name.endswith(_PICKLE)))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path} is not a readable weights file ({error}); restore it") from error
    return stream.getvalue(), pickled


def _check_kind(names: Sequence[str], path: Path) -> None:
    # For torch, names that differ only by case are the same.
    lower = [name.lower() for name in names]
    if any(name.endswith("constants.pkl") for name in lower):
        raise ModelError(f"{path} is a TorchScript archive, which holds code; {_SAVE}")
    if not any(name.endswith(_PICKLE) for name in names):
        kind = "a numpy archive" if any(name.endswith(".npy") for name in names) else "a zip file"
        raise ModelError(f"{path} is {kind}, not a file that torch.save wrote; {_SAVE}")
    if sum(name.endswith(_PICKLE) for name in lower) > 1 or len(set(lower)) < len(lower):
        raise ModelError(f"{path} holds several files of one name, as torch.save writes none; restore it")


def _load_torch(data: bytes, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeWeightsError(
            f"{path} is a pickle that would execute code when loaded, or is damaged; {_SAVE}"
        ) from error
    except Exception as error:
        raise ModelError(f"{path} is not a readable weights file ({error})") from error


def _state_dict(loaded: Any, size: int, path: Path) -> dict[str, Tensor]:
    """Return what was loaded, if it is a state dict whose tensors need no more memory than the file."""
    if not _holds_tensors(loaded):
        inner = [k for k, v in loaded.items() if _holds_tensors(v)] if isinstance(loaded, dict) else []
        if len(inner) != 1:
            keys = ", ".join(map(repr, inner))
            where = f" (there are tensors under {keys}: save one alone)" if inner else ""
            raise ModelError(f"{path} does not hold a state dict of tensors; save model.state_dict(){where}")
        # A checkpoint of Lightning, or of a training loop, has the optimizer's state and more beside it.
        _LOG.warning("%s is a checkpoint; its weights are those under %r", path, inner[0])
        loaded = loaded[inner[0]]
    state: dict[str, Tensor] = dict(loaded)
    for name, value in state.items():
        if value.dtype not in _READABLE or value.layout != torch.strided or value.device.type != "cpu":
            raise ModelError(
                f"{path}: {name} is a {value.layout} tensor of {value.dtype} on {value.device}, which is not "
                "read; save it as a dense tensor of float32"
            )
    if sum(value.numel() * value.element_size() for value in state.values()) > 4 * size + SLACK:
        raise ModelError(f"{path} declares far larger tensors than it has numbers for; {_SAVE}")
    return state


def _holds_tensors(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def writable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict in the form for safetensors: on the CPU, contiguous, without shared memory.

    Tied weights share memory. They are written once for each name, because safetensors does not support
    shared tensors; the network ties them again when it is built.
    """
    tensors: dict[str, Tensor] = {}
    places = set()
    for name, value in state.items():
        dense = value.detach().cpu().contiguous()
        place = dense.untyped_storage().data_ptr()
        tensors[name] = dense.clone() if place in places else dense
        places.add(place)
    return tensors


def fitted(state: Mapping[str, Tensor], template: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with a network's names and shapes, if it only differs in these conventions.

    A prefix of all names is removed, as added by ``nn.DataParallel`` ("module."), ``torch.compile``
    ("_orig_mod.") or a wrapper ("model."). What a wrapper keeps beside the network, such as the weights of a
    loss in a Lightning module, is left out, and named in the log. A number in an array of one element becomes
    a scalar; other frameworks store batch norm's counters so. The number of averaged models
    (``torch.optim.swa_utils``) is removed. Entries with other differences are returned unchanged.
    """
    if _AVERAGED in state and _AVERAGED not in template:
        state = {name: value for name, value in state.items() if name != _AVERAGED}
    named = _without_prefix(state, template)
    shapes = {name: value.shape for name, value in template.items() if isinstance(value, Tensor)}
    return {
        name: value.reshape(shapes[name])
        if name in shapes and value.numel() == shapes[name].numel() == 1
        else value
        for name, value in named.items()
    }


def _without_prefix(state: Mapping[str, Tensor], template: Mapping[str, Any]) -> Mapping[str, Tensor]:
    if state.keys() == template.keys() or not state or not template:
        return state
    prefixes = _prefixes(state, template)
    if len(prefixes) > 1:
        raise ModelError(
            f"the weights hold this network more than once, under {', '.join(map(repr, prefixes))}, as where "
            "averaged weights are kept beside it; save the one that is given away alone"
        )
    for prefix in prefixes:
        beside = sorted(name for name in state if not name.startswith(prefix))
        if len(state) - len(beside) == len(template):
            if beside:
                names = ", ".join(beside)
                _LOG.warning("left out of the weights, since the network has none of it: %s", names)
            return {name: state[prefix + name] for name in template}
    for prefix in _prefixes(template, state):
        if len(state) == len(template):
            return {prefix + name: value for name, value in state.items()}
    return state


def _prefixes(longer: Mapping[str, Any], shorter: Mapping[str, Any]) -> list[str]:
    """Return the prefixes, ending in a dot, under which ``longer`` has all names of ``shorter``."""
    first = min(shorter)
    prefixes = (name.removesuffix(first) for name in longer if name.endswith(f".{first}"))
    return [prefix for prefix in prefixes if all(prefix + name in longer for name in shorter)]


def load_weights(model: nn.Module, state: dict[str, Tensor], *, source: str) -> None:
    """Load a state dict into a model; errors say what does not fit, and call the weights ``source``."""
    template = model.state_dict()
    if odd := [name for name, value in template.items() if not isinstance(value, Tensor)]:
        raise ModelError(
            f"the network has something other than a tensor in its state ({odd[0]}), which no weights file "
            "can hold; keep only tensors in its state"
        )
    state = fitted(state, template)
    for name, value in state.items():
        if name in template and value.dtype in _QUANTISED and template[name].is_floating_point():
            raise ModelError(
                f"the weights of {source} have {name} as {value.dtype}, as in a quantised model, but the "
                f"network has {template[name].dtype}; save the weights before quantising"
            )
    try:
        model.load_state_dict(state)
    except Exception as error:  # a user's network may take its state in any way
        raise ModelError(f"the weights of {source} do not fit the model: {error}") from error
