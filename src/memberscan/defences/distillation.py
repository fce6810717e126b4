"""Release a student, which learns from other people's scans what a teacher answers that saw the members."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from memberscan.defences.defence import TrainingSize
    from memberscan.target_variable import TargetVariable


@configuration
class Distillation(Defence):
    """Trains a teacher on the members, and releases a student that learns the teacher's predictions.

    The student is trained on the scans of the people with the role validation, who are neither members nor
    non-members. It gets the teacher's prediction of each scan in place of the label. Of classes, the teacher
    predicts the likeliest. Teacher and student are trained in the same way from different initial weights:
    with equal ones, a student inherits more than the answers say.

    Source: Shejwalkar and Houmansadr, "Membership Privacy for Machine Learning Models Through Knowledge
    Transfer" (2021), here without their choice of the scans, and with predictions in place of probabilities.
    """

    name: ClassVar[str] = "distillation"

    def require_training(self, rounds: int | None, *, encrypted: bool = False) -> None:  # noqa: ARG002
        """Refuse federations."""
        if rounds is not None:
            raise BadInputError(
                f"the defence {self.name!r} releases another model than the one that is trained on the "
                "members, and in a federation all parties have seen that one; use it with memberscan train"
            )

    def teaching(self) -> Distillation:
        """Return this defence."""
        return self

    def teacher_count(self) -> int:
        """Return the number of teachers, each trained on people of its own."""
        return 1

    def taught(
        self,
        answers: Float[np.ndarray, "teachers scans"],
        target: TargetVariable,  # noqa: ARG002
        size: TrainingSize,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Float[np.ndarray, " scans"]:
        """Return the labels that the student is trained with.

        Parameters
        ----------
        answers
            Prediction of each teacher of each scan of the student: in the unit of the target, or the position
            of a class. NaN for a teacher without people.
        target
            What is predicted.
        size
            Of the whole training.
        rng
            Random numbers of the defence, secret as those of steps are; the same for a whole training.

        Returns
        -------
        ndarray
            In the same form.
        """
        first: Float[np.ndarray, " scans"] = answers[0]
        return first
