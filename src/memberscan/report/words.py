"""How the report writes numbers and sentences, in one place so that the page and the terminal agree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from memberscan.evidence.rounding import two_decimals, two_decimals_up

if TYPE_CHECKING:
    from memberscan.report.content.audit_json import Blind, Verdict
    from memberscan.report.content.bounds_json import Overlap
    from memberscan.report.content.parts import Estimate
    from memberscan.report.content.variable_json import Variable

LABELS = {
    "leaks": "Leaks",
    "no leak shown": "No leak shown",
    "inconclusive": "Inconclusive",
    "confounded": "Confounded",
}


def fraction(value: float) -> str:
    """Return an AUC or the like with two decimals, more where those would hide its side of 0.5 or 1."""
    return two_decimals(value).replace("-", "−")


def at_least(value: float) -> str:
    """Return a lower bound, rounded down to two decimals, more where those would hide its side of 0.5."""
    return two_decimals(value, down=True)


def detectable(auc: float) -> str:
    """Return the smallest detectable AUC, rounded up to two decimals as in the verdict's sentence."""
    return two_decimals_up(auc)


def rough(value: float) -> str:
    """Return a fraction with two decimals, where the verdict does not depend on its side of 0.5."""
    return f"{value:.2f}".replace("-", "−")


def signed(value: float) -> str:
    """Return a difference of two fractions, with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def ratio(value: float) -> str:
    """Return a ratio of errors: two decimals below 10, whole numbers from there."""
    return rough(value) if abs(value) < 10 else f"{value:,.0f}"


def percent(value: float) -> str:
    """Return a percentage: whole above 10%, two significant digits below, never rounded to 0% or 100%."""
    if value in (0, 1):
        return f"{value:.0%}"
    if value < 0.0995:
        return f"{100 * value:.2g}%"
    return f"{value:.0%}" if value < 0.995 else f"{min(100 * value, 99.9):.1f}%"


def amount(value: float, variable: Variable) -> str:
    """Return a value or an error of the target without its unit, with the decimals of its finest step."""
    decimals = max(0, -math.floor(math.log10(variable.step) + 1e-9))
    text = f"{value:,.{decimals}f}".replace("-", "−")
    return text.removeprefix("−") if float(value) == 0 or not text.strip("−0.,") else text


def error_of_model(value: float, variable: Variable) -> str:
    """Return how large an error is: "3.4 years"; of classes, "0.31" as a deviance residual."""
    unit = f" {variable.unit}" if variable.unit else " (deviance residual)"
    return amount(value, variable) + unit


def band(low: float | None, high: float | None, joint: str) -> str:
    """Return "45 to 55", or "under 45", "75 and over", "all" where an end is open."""
    if low is None:
        return "all" if high is None else f"under {high:.6g}"
    return f"{low:.6g} and over" if high is None else f"{low:.6g}{joint}{high:.6g}"


def group_of(by: str, group: str, variable: Variable) -> str:
    """Return "45 to 55 years", "mmse 24 to 27 points", "diagnosis: AD" or "sex: F"."""
    if by not in ("age", "target"):
        return f"{by}: {group}"
    if by == "target" and variable.classes:
        return f"{variable.name}: {group}"
    name = group.replace("–", " to ")
    if by == "age":
        # Early versions joined ends by a hyphen, and wrote "all ages".
        name = name.replace("-", " to ").removesuffix(" ages")
        if name == "all":
            return "all ages"
        return f"{name} years" if " to " in name or name.startswith("under") else name
    if name == "all":
        return f"all values of {variable.name}"
    value, joint, rest = name.partition(" and over")
    return f"{variable.name} {value} {variable.unit}{joint}{rest}"


def true_value(variable: Variable) -> str:
    """Return what an attacker knows of the person it asks about: "age", "mmse" or "class (diagnosis)"."""
    return f"class ({variable.name})" if variable.classes else variable.name


PREDICTION_DIFFERENCES = {
    "level": "the mean error of members is farther from zero",
    "slope": "the slope of members’ predictions over the true values is farther from one",
    "spread": "members’ predictions vary more around their mean at a true value",
    "shift": "the levels of the two sides differ by more than half a standard deviation",
}
"""How the predictions of two sides may differ if they were made in different ways."""
OTHER_IMAGES = {
    "no better than the median": "about as much as always answering the same would, or more",
    "worse than stated": "more than was stated of its training",
}
"""How much a model errs on members that probably gets other images than it was trained on."""


def p_value(value: float | None) -> str:
    """Return a p-value, never as zero."""
    if value is None:
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.01 else f"{value:.2f}"


def p_is(value: float | None) -> str:
    """Return what follows the letter p: "= 0.02", "< 0.001"."""
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def count(value: int | None) -> str:
    """Return a count with thousands separated."""
    return "unknown" if value is None else f"{value:,}"


def people(value: int, one: str, several: str | None = None) -> str:
    """Return "1 member", "1,200 members", with a plural of its own if given."""
    return f"{value:,} {one}" if value == 1 else f"{value:,} {several or one + 's'}"


def span(estimate: Estimate, form: Callable[[float], str] = fraction) -> str:
    """Return the interval of an estimate, "0.58 to 0.70"."""
    return f"{form(estimate.low)} to {form(estimate.high)}"


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key by which "learner-2" comes before "learner-10"."""
    # In pieces of at most 18 digits, since Python refuses to read numbers of thousands of digits.
    return tuple((int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d{1,18})", name))


def listed(items: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def in_hundred(auc: float) -> str:
    """Return how often an attacker with this AUC picks the member out of a pair, as a natural frequency."""
    if round(100 * auc) == 100 and auc < 1:
        return "more than 99 times in 100"
    # The digits of the AUC as it is written elsewhere: 0.64, or 0.503.
    whole, _, digits = fraction(auc).partition(".")
    return f"{int(whole + digits):,} times in {10 ** len(digits):,}"


def unused_columns(blind: Blind) -> str:
    """Return the columns that were not used as covariates, each with the reason if there is one, or ""."""
    named = [f"{name} ({blind.reasons[name]})" if name in blind.reasons else name for name in blind.ignored]
    return listed(named) if named else ""


EXTENTS = {
    "good": "so the answer holds for most members.",
    "partial": "so the answer holds for a part of the members only.",
    "failed": "which is too few for an answer about the members: the two sides do not overlap enough.",
}


def overlap(found: Overlap) -> str:
    """Return how far the sides overlap, and what that means for the answer."""
    return (
        f"{percent(found.members)} of the members, and {percent(found.nonmembers)} of the non-members, have "
        "people alike on the other side. A person counts less if few people of the other side are like them. "
        f"The whole comparison has the weight of {percent(found.effective_members)} of the members, "
        f"{EXTENTS[found.extent]}"
    )


def hidden_difference(verdict: Verdict) -> str:
    """Return how large a hidden difference would have to be to explain a finding, or ""."""
    found = verdict.hidden_difference
    if found is None:
        return ""
    return (
        "A hidden difference, which no covariate records, could explain this finding without a leak only if "
        "it is large. If it has two kinds, such as two scanners, the shares of one kind among members and "
        f"non-members must differ by at least {_points(found.two_kinds)} percentage points, and the attack "
        "must rank people by it alone. If it has many kinds, such as many sites, the two sides must differ "
        f"by at least {_points(found.any_kinds)} percentage points (total variation distance)."
    )


def _points(difference: float) -> str:
    """Return a difference of shares in percentage points, rounded down."""
    points = 100 * difference + 1e-9
    return f"{int(points)}" if points >= 10 else f"{int(10 * points) / 10:g}"
