"""What a network gets for each scan: the image, and perhaps covariates of the person beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from memberscan.cohort.beside import with_covariates
from memberscan.errors import ModelError

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort import Cohort

IMAGE = "image"


@dataclass(frozen=True)
class NetworkInputs:
    """The arguments of a network's ``forward``: plain data, kept in ``run.json``.

    Parameters
    ----------
    names
        The arguments in their order: "image" for a scan's image (or its row of features), and names of
        covariates of the cohort.
    codes
        For each covariate of text, the number that the network gets for each level.
    """

    names: tuple[str, ...] = (IMAGE,)
    codes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the names make sense."""
        if self.names.count(IMAGE) != 1 or len({*self.names}) != len(self.names) or "" in self.names:
            raise ModelError(
                f"--inputs {','.join(self.names)}: name the image once, and each covariate once, in the "
                "order of the network's forward(), such as --inputs image,sex"
            )
        if stray := sorted(set(self.codes) - set(self.covariates)):
            raise ModelError(f"--codes {stray[0]}: the network does not take it; add it to --inputs")

    @property
    def covariates(self) -> tuple[str, ...]:
        """The names without the image."""
        return tuple(name for name in self.names if name != IMAGE)

    def of(self, cohort: Cohort) -> Cohort:
        """Return the cohort with inputs that hold all that the network gets.

        Raises
        ------
        BadInputError
            If a covariate is not in the cohort, or a level of it has no number.
        ModelError
            If one is the target.
        """
        if cohort.target.name in self.names:
            raise ModelError(
                f"--inputs names the {cohort.target.name}, which is what the network predicts; leave it out"
            )
        return with_covariates(cohort, self.covariates, self.codes) if self.covariates else cohort

    def give(self, network: nn.Module) -> nn.Module:
        """Let a network that gets one packed input take its arguments apart.

        Names and weights of the network do not change, since this is a hook and not a wrapper.
        """
        if self.covariates:
            network.register_forward_pre_hook(lambda module, inputs: self.apart(*inputs))  # noqa: ARG005
        return network

    def apart(self, packed: Float[Tensor, "n parts ..."]) -> tuple[Tensor, ...]:
        """Return the image, (n, c, i, j, k) or (n, features), and covariates, (n, 1) each, in order."""
        if not self.covariates:
            return (packed,)
        first = packed.shape[1] - len(self.covariates)
        image, channels = packed[:, :first], packed[:, first:]
        # All voxels of a covariate's channel hold one value.
        numbers = channels.flatten(2)[:, :, 0] if channels.ndim > 2 else channels
        values = dict(zip(self.covariates, torch.split(numbers, 1, dim=1), strict=True))
        return tuple(image if name == IMAGE else values[name] for name in self.names)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"names": list(self.names), "codes": {name: dict(c) for name, c in self.codes.items()}}


def parse_codes(texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read codes as they are written on the command line, such as "sex:F=0,M=1".

    Raises
    ------
    ModelError
        If one is not of this form.
    """
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        name, _, pairs = text.partition(":")
        codes: dict[str, float] = {}
        for pair in pairs.split(","):
            level, _, number = pair.rpartition("=")
            try:
                if not name or not level or level in codes or name in found:
                    raise ValueError
                codes[level] = float(number)
            except ValueError as error:
                raise ModelError(
                    f"--codes {text!r} is not of the form sex:F=0,M=1, once for each covariate and level"
                ) from error
        found[name] = codes
    return found
