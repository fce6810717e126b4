"""A user's own network, trained here as the built-in ones are: on standardised labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from memberscan.errors import MemberscanError, ModelError
from memberscan.models.given_head import head_from
from memberscan.models.heads import Classes
from memberscan.models.inputs import predict
from memberscan.models.landmarks import landmarks_of
from memberscan.models.regressor import AgeRegressor

if TYPE_CHECKING:
    from jaxtyping import Float


def is_wrapped(state: Iterable[str], network: nn.Module) -> bool:
    """Return whether a state dict of these names is of this network as :class:`OwnNetwork` holds it."""
    scale = ("age_mean", "age_spread")
    return {*state} == {*scale, *(f"network.{name}" for name in network.state_dict())}


class OwnNetwork(AgeRegressor):
    """Reads the one output of any network as a standardised label, or its outputs as logits of classes.

    A network that was trained elsewhere is not wrapped so: it is imported, and its output is in the target's
    unit.

    Parameters
    ----------
    network
        The network.
    name
        What it is called in errors.
    head
        For a target of classes, the head that reads its logits: see :func:`.head_from`; else "".

    Raises
    ------
    ModelError
        If the head is another one: numbers are trained by squared error.
    """

    def __init__(self, network: nn.Module, name: str, head: str = "") -> None:
        given = head_from(head) if head else None
        if given is not None and not isinstance(given.head, Classes):
            raise ModelError(f"{name!r} was trained here by squared error: leave out --head {head}")
        super().__init__(*(("classes", given.head.outputs) if given is not None else ()))
        self._given = given
        self.network = network
        self._name = name
        # On the instance: only built-in networks know theirs from their class.
        found = {landmark: f"network.{path}" for landmark, path in landmarks_of(network).items()}
        self.landmarks = found  # type: ignore[misc]

    def fixed_buffers(self) -> list[str]:
        """See :class:`.AgeRegressor`; the network's own may be running statistics, which training changes."""
        return [name for name, _ in self.named_buffers(recurse=False)]

    def standard_outputs(self, inputs: Tensor) -> Float[Tensor, "n k"]:
        """See :class:`.AgeRegressor`; :class:`.ModelError` if the network fails on these inputs."""
        try:
            if self._given is not None:
                return self._given.read(self.network(inputs), len(inputs))
            return predict(self.network, inputs)[:, None]
        except MemberscanError:
            raise
        except Exception as error:  # a user's layers may fail in any way
            batch = ", ".join(map(str, inputs.shape))
            mode = "while it is trained" if self.training else "in evaluation mode"
            raise ModelError(
                f"the network of {self._name!r} fails {mode} on a batch of shape ({batch}) "
                f"({type(error).__name__}: {error}); it gets (n, 1, i, j, k), or (n, features), and "
                "gives one number for each scan, or a logit for each class; another --batch-size may help a "
                "batch norm left with one scan"
            ) from error
