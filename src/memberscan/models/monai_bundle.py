"""The network of a MONAI bundle: its config is read as data, and nothing that it names is executed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from memberscan.errors import BadInputError, MissingExtraError, ModelError, UntrustedCodeError
from memberscan.received import load_json

PREFIX = "monai:"
"""What the name of such a model begins with; the rest is a class of ``monai.networks.nets``."""
WEIGHTS = Path("models") / "model.pt"
_CONFIGS = ("inference.json", "evaluate.json", "train.json")
_NETWORKS = ("network_def", "network", "net", "model")
_CLASS = re.compile(r"(?:monai\.networks\.nets\.(?:[a-z0-9_]+\.)?)?([A-Za-z][A-Za-z0-9_]*)")
_REFERENCE = re.compile(r"@([A-Za-z_][\w:#]*)")
_MOST_REFERENCES = 100
_INSTEAD = (
    "look at it, and if you trust it, build the network in a function of your own (--model package.module:f)"
)


def read_bundle(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of a bundle's network, as a model of memberscan.

    The network is the first of ``network_def``, ``network``, ``net`` and ``model`` in
    ``configs/inference.json`` (or evaluate.json, or train.json) that has a ``_target_``. References to other
    entries, such as ``@spatial_dims``, are resolved.

    Raises
    ------
    ModelError
        If the folder is no bundle, or its network cannot be found in it.
    UntrustedCodeError
        If the network is not a class of ``monai.networks.nets`` with plain values, so that building it would
        execute code of the bundle.
    """
    paths = [folder / "configs" / name for name in _CONFIGS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ModelError(
            f"{folder} is not a MONAI bundle that can be read: it has none of "
            f"configs/{', '.join(_CONFIGS)}; if its config is YAML, save it as JSON"
        )
    try:
        config = load_json(path)
    except BadInputError as error:
        raise ModelError(str(error)) from error
    stated = config if isinstance(config, dict) else {}
    found = next((stated[key] for key in _NETWORKS if isinstance(stated.get(key), dict)), None)
    if found is None or "_target_" not in found:
        raise ModelError(f"{path} defines no network: give {_NETWORKS[0]} with a _target_")
    if not (named := _CLASS.fullmatch(str(found["_target_"]))):
        raise UntrustedCodeError(
            f"{path} builds its network by {str(found['_target_'])[:80]!r}, which is not of "
            f"monai.networks.nets, so that its code would be executed; {_INSTEAD}"
        )
    values = _Values(stated, path)
    given = {
        name: values.plain(value, name) for name, value in found.items() if name not in ("_target_", "_desc_")
    }
    return PREFIX + named[1], given


class _Values:
    """Resolves values of a config to plain data."""

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        self._config = config
        self._path = path
        self._followed = 0

    def plain(self, value: Any, place: str) -> Any:
        """Return a value without references; ``place`` names it in errors."""
        if isinstance(value, list):
            return [self.plain(inner, place) for inner in value]
        if isinstance(value, dict):
            if special := next((key for key in value if key.startswith("_")), None):
                raise UntrustedCodeError(
                    f"{self._path}: {place} of the network has {special!r}, which makes an object; {_INSTEAD}"
                )
            return {key: self.plain(inner, place) for key, inner in value.items()}
        if isinstance(value, str) and value.startswith(("$", "%")):
            raise UntrustedCodeError(
                f"{self._path}: {place} of the network is {value[:80]!r}, which would be executed; {_INSTEAD}"
            )
        if isinstance(value, str) and value.startswith("@"):
            return self.plain(self._entry(value, place), place)
        return value

    def _entry(self, reference: str, place: str) -> Any:
        # References may form a circle, or a tree that doubles at each step.
        self._followed += 1
        found: Any = self._config
        named = _REFERENCE.fullmatch(reference)
        try:
            if named is None or self._followed > _MOST_REFERENCES:
                raise LookupError
            for key in re.split("::|#", named[1]):
                found = found[int(key)] if isinstance(found, list) else found[key]
        except (LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self._path}: {place} of the network refers to {reference[:80]!r}, which cannot be "
                "resolved; write the value itself"
            ) from error
        return found


def monai_network(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network of MONAI by its name, as :func:`read_bundle` returns it.

    Raises
    ------
    MissingExtraError
        If MONAI is not installed.
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    try:
        from monai.networks import nets
    except ImportError as error:
        raise MissingExtraError("a MONAI bundle needs MONAI: pip install monai") from error
    kind = getattr(nets, name.removeprefix(PREFIX), None)
    if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
        raise ModelError(
            f"monai.networks.nets has no network {name.removeprefix(PREFIX)!r} in this version of MONAI"
        )
    # Weights that MONAI would download are replaced by those of the bundle anyway.
    given = {key: False if key == "pretrained" else value for key, value in options.items()}
    try:
        return kind(**given)
    except Exception as error:  # networks check their arguments in any way
        raise ModelError(
            f"MONAI cannot build {name.removeprefix(PREFIX)} ({type(error).__name__}: {error}); check the "
            "bundle"
        ) from error
