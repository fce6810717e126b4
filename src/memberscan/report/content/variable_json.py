"""What audit.json says of the target variable: name, unit or classes, and how finely it is rounded."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from memberscan.evidence.rounding import YEARS
from memberscan.report.content.parts import Many, Part, Text


class Variable(Part):
    """What the model predicts."""

    name: Text
    """Name of the column, such as "age"."""
    unit: Text
    """Unit of a number; empty for classes."""
    classes: Many[Text]
    """Names of the classes; empty for a number."""
    step: Annotated[float, Field(gt=0)]
    """The finest step of values and errors."""

    @property
    def is_age(self) -> bool:
        """Whether it is the age at the scan."""
        return (self.name, self.unit) == ("age", "years")


AGE = Variable(name="age", unit="years", classes=(), step=YEARS)
"""The target of audits that name none."""
