"""What the content of all files is made of: checked values, estimates, and the base of every part."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator

from memberscan.evidence.rounding import Measured

LONGEST_TEXT = 100_000
"""Longest text of an audit, in characters, since all texts are drawn in pages and figures."""

LONGEST_NAME, LONGEST_NOTE = 100, 1000
"""Characters of the name and of the note that an auditor may give."""

T = TypeVar("T")


def _with_its_error(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    # Checking gives a plain number, without the error by which it is still to be rounded.
    checked = check(value)
    return value if isinstance(value, Measured) else checked


_KeepsError = WrapValidator(_with_its_error)

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
AuditName = Annotated[str, Field(max_length=LONGEST_NAME)]
AuditNote = Annotated[str, Field(max_length=LONGEST_NOTE)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1), _KeepsError]
Size = Annotated[float, Field(ge=0), _KeepsError]
Measurement = Annotated[float, _KeepsError]
# JSON has lists only, which a strict tuple would refuse; the items of the list are checked strictly.
Many = Annotated[tuple[T, ...], Field(strict=False)]

Access = Literal["outputs", "weights", "rounds", "updates"]
Attacker = Literal["outsider", "learner", "server", "active-server", "aggregate"]
Environment = Literal["uniform-iid", "uniform-noniid", "skewed-iid", "skewed-noniid", "by-site"]
Secure = Literal["none", "ckks"]
Label = Literal["leaks", "no leak shown", "inconclusive", "confounded"]


class Part(BaseModel):
    """A part of a file: frozen, checked without conversion, and open to keys that later versions add."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="allow",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        # What this version writes has no other keys; what it reads may.
        json_schema_extra={"additionalProperties": False},
    )

    def dump(self) -> dict[str, Any]:
        """Return JSON values, of the keys that were given."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Estimate(Part):
    """An estimate with its 95% interval over subjects, given this trained model."""

    value: float
    """The estimate."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end of the 95% interval."""
    level: Fraction | None = None
    """Level of the interval, where it is said; 0.95."""


class Bound(Part):
    """One-sided lower bound that holds for all attacks of this audit together."""

    level: Fraction
    """Joint confidence level."""
    low: Fraction
    """The bound."""


class Auc(Estimate):
    """Area under the ROC curve: the chance that a random member scores above a random non-member."""

    value: Fraction
    """The estimate, at subject level."""
    low: Fraction
    """Lower end of the attack's own 95% interval."""
    high: Fraction
    """Upper end of the attack's own 95% interval."""
    simultaneous: Bound
    """One-sided lower bound that holds for all attacks of this audit together."""


class NotRun(Part):
    """An attack that was not run."""

    attack: Text
    """Its name."""
    reason: Text
    """Why it was not run."""
