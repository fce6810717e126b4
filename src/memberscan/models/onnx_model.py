"""A model in an ONNX file, by its outputs: nothing in the file is code, and ONNX Runtime computes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.errors import BadInputError, MissingExtraError, ModelError
from memberscan.models.weights import WEIGHTS_LIMIT
from memberscan.received import read_limited

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

ONNX = "onnx"
"""Name of this model, and of its file's bytes among its weights."""
_TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}
_ELSEWHERE = b"\x0a\x08location\x12"
"""How a tensor begins to say that its values lie in another file (``external_data`` in onnx.proto)."""


def read_onnx(path: Path) -> dict[str, UInt8[Tensor, " bytes"]]:
    """Return an ONNX file as the weights of an :class:`OnnxModel`.

    Raises
    ------
    ModelError
        If the file is missing or too large, or keeps weights in another file.
    """
    try:
        data = read_limited(path, WEIGHTS_LIMIT)
    except FileNotFoundError as error:
        raise ModelError(f"the ONNX file {path} does not exist; check the path") from error
    except (OSError, BadInputError) as error:
        raise ModelError(f"{path} cannot be read ({error}); give an ONNX file") from error
    _require_whole(data, str(path))
    return {ONNX: torch.from_numpy(np.frombuffer(data, np.uint8).copy())}


class OnnxModel(nn.Module):
    """Predicts by ONNX Runtime, on the processor. Its only weight is the file itself, as bytes.

    It has no parameters that attacks could read, so that attacks on weights are listed as not run: no
    maintained package converts ONNX to torch without torchvision. With a file that was exported from
    torch, import the network that it was exported from instead, and its weights.
    """

    landmarks: ClassVar[Mapping[str, str]] = {}
    onnx: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(ONNX, torch.zeros(0, dtype=torch.uint8))
        self._session: Any = None

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take another file; :class:`ModelError` if ONNX Runtime cannot read it."""
        self.onnx = torch.empty_like(state_dict[ONNX]) if ONNX in state_dict else self.onnx
        loaded = super().load_state_dict(state_dict, strict, assign)
        self._session = None
        self.session  # noqa: B018 - a damaged file is refused now, and not when it first predicts
        return loaded

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the session, which cannot be copied or sent to another process."""
        return {**self.__dict__, "_session": None}

    @property
    def session(self) -> Any:
        """The ``onnxruntime.InferenceSession``."""
        if self._session is None:
            self._session = _opened(self.onnx.cpu().numpy().tobytes())
        return self._session

    def forward(self, *arguments: Float[Tensor, "n ..."]) -> Tensor | dict[str, Tensor]:
        """Return the output, or all outputs by name if there are several."""
        taken = self.session.get_inputs()
        if len(taken) != len(arguments):
            raise ModelError(
                f"the ONNX file takes {len(taken)} inputs ({', '.join(each.name for each in taken)}), but "
                f"gets {len(arguments)}; name them in this order, such as --inputs image,sex"
            )
        given = {each.name: _laid_out(a, each) for each, a in zip(taken, arguments, strict=True)}
        names = [each.name for each in self.session.get_outputs()]
        parts: list[list[np.ndarray]] = []
        for batch, kept in _batches(given, _fixed(taken)):
            try:
                found = self.session.run(None, batch)
            except Exception as error:  # ONNX Runtime raises its own kinds, and bare RuntimeError
                raise ModelError(f"ONNX Runtime cannot compute the model ({str(error)[:300]})") from error
            parts.append([np.asarray(each)[:kept] for each in found])
        place = arguments[0].device
        outputs = [torch.from_numpy(np.concatenate(each)).to(place) for each in zip(*parts, strict=True)]
        return outputs[0] if len(outputs) == 1 else dict(zip(names, outputs, strict=True))


def _require_whole(data: bytes, source: str) -> None:
    if _ELSEWHERE in data:
        raise ModelError(
            f"{source} keeps its weights in another file (external data), so that it is not the whole model; "
            "save it with all of them in one file"
        )


def _opened(data: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("an ONNX model needs ONNX Runtime: pip install 'memberscan[onnx]'") from error
    _require_whole(data, "the ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait for work would otherwise spin, and keep a shared machine busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own kinds, and bare RuntimeError
        raise ModelError(
            f"the file is not an ONNX model that ONNX Runtime {onnxruntime.__version__} can read "
            f"({str(error)[:300]}); export it again"
        ) from error


def _laid_out(values: Float[Tensor, "n ..."], taken: Any) -> np.ndarray:
    """Return inputs as an array of the declared type, with the channels where the model has them.

    Keras puts channels last, and other models have no axis for a single channel.
    """
    if taken.type not in _TYPES:
        raise ModelError(
            f"the ONNX file takes {taken.type} as {taken.name!r}, but scans are floating-point numbers; "
            "convert them within the model, or give a function that predicts (--predictor)"
        )
    array = values.detach().cpu().numpy().astype(_TYPES[taken.type])
    layouts = [array]
    if array.ndim > 2:
        layouts.append(np.moveaxis(array, 1, -1))
        layouts += [array[:, 0]] if array.shape[1] == 1 else []
    elif array.shape[1] == 1:
        layouts.append(array[:, 0])
    for layout in layouts:
        if _fits(layout.shape[1:], taken.shape[1:]):
            return np.ascontiguousarray(layout)
    declared, entering = (
        ", ".join(["n", *(str(size) for size in shape[1:])]) for shape in (taken.shape, array.shape)
    )
    raise ModelError(
        f"the ONNX file takes ({declared}) as {taken.name!r}, but scans of this cohort enter as "
        f"({entering}); build the cohort from the images that the model was trained on"
    )


def _fits(shape: tuple[int, ...], declared: list[Any]) -> bool:
    # Axes of any length are declared by a name, or by nothing.
    return len(shape) == len(declared) and all(
        not isinstance(size, int) or size == length for length, size in zip(shape, declared, strict=True)
    )


def _fixed(taken: list[Any]) -> int | None:
    """Return the number of scans that the model takes at once, if it takes no other number."""
    return next((each.shape[0] for each in taken if each.shape and isinstance(each.shape[0], int)), None)


def _batches(
    given: Mapping[str, np.ndarray], fixed: int | None
) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Yield batches of a fixed size, or one of all, and how many scans of each are not padding."""
    count = len(next(iter(given.values())))
    size = fixed or count
    for start in range(0, count, size):
        places = np.arange(start, start + size).clip(max=count - 1)
        yield {name: values[places] for name, values in given.items()}, min(size, count - start)
