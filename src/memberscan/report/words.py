"""Numbers and sentences as the report says them, in one place so that the page and the terminal agree."""

from __future__ import annotations

import re
from typing import Any

LABELS = {
    "leaks": "Leaks",
    "no leak shown": "No leak shown",
    "inconclusive": "Inconclusive",
    "confounded": "Confounded",
}
SEES = {"outputs": "outputs", "weights": "weights", "rounds": "rounds", "updates": "updates"}


def fraction(value: float) -> str:
    """Return an AUC or the like with two decimals, more where those would hide its side of 0.5 or 1."""
    for decimals in (2, 3, 4):
        text = f"{value:.{decimals}f}"
        if (float(text) == 0.5) == (value == 0.5) and (float(text) == 1) == (value == 1):
            break
    return text.replace("-", "−")


def rough(value: float) -> str:
    """Return a fraction with two decimals, where no verdict hangs on which side of 0.5 it is."""
    return f"{value:.2f}".replace("-", "−")


def percent(value: float) -> str:
    """Return a percentage: whole above 10%, two significant digits below, never rounded to 0% or 100%."""
    if value in (0, 1):
        return f"{value:.0%}"
    if value < 0.0995:
        return f"{100 * value:.2g}%"
    return f"{value:.0%}" if value < 0.995 else f"{min(100 * value, 99.9):.1f}%"


def years(value: float) -> str:
    """Return years with one decimal and a true minus sign."""
    text = f"{value:.1f}".replace("-", "−")
    return "0.0" if text == "−0.0" else text


def ages(low: float | None, high: float | None, joint: str) -> str:
    """Return "45 to 55", or "under 45", "75 and over", "all ages" where an end is open."""
    if low is None:
        return "all ages" if high is None else f"under {high:g}"
    return f"{low:g} and over" if high is None else f"{low:g}{joint}{high:g}"


def p_value(value: float | None) -> str:
    """Return a p-value, never as zero."""
    if value is None:
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.01 else f"{value:.2f}"


def few(audit: dict[str, Any]) -> int:
    """Return how many people a group needs on each side to be reported."""
    return int(audit.get("disclosure", {}).get("smallest_cell", 5))


def count(value: int | None) -> str:
    """Return a count with thousands separated."""
    return "unknown" if value is None else f"{value:,}"


def people(value: int, what: str) -> str:
    """Return "1 member", "1,200 members"."""
    return f"{value:,} {what}" if value == 1 else f"{value:,} {what}s"


def span(estimate: dict[str, Any], form: Any = fraction) -> str:
    """Return the interval of an estimate, "0.58 to 0.70"."""
    return f"{form(estimate['low'])} to {form(estimate['high'])}"


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key by which "learner-2" comes before "learner-10"."""
    # In pieces of at most 18 digits, since Python refuses to read numbers of thousands of digits.
    return tuple((int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d{1,18})", name))


def listed(items: list[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def in_hundred(auc: float) -> str:
    """Return how often an attacker with this AUC picks the member out of a pair, as a natural frequency."""
    times = round(100 * auc)
    if times == 100 and auc < 1:
        return "more than 99 times in 100"
    return f"{times} times in 100"


def differ(audit: dict[str, Any]) -> bool:
    """Tell whether the blind check found that the sides differ, and that this is no chance."""
    blind = audit["checks"]["blind"]
    return bool(blind["tripped"] and blind["gates"])


def judged_within_strata(audit: dict[str, Any]) -> bool:
    """Tell whether attacks are judged within strata, since the sides differ."""
    return differ(audit) and any(finding["within_strata"] for finding in audit["findings"])


def judged_auc(audit: dict[str, Any], finding: dict[str, Any]) -> dict[str, Any]:
    """Return the AUC that the verdict rests on: within strata where the sides differ without the model."""
    strata = finding["within_strata"]
    auc: dict[str, Any] = strata["auc"] if strata and judged_within_strata(audit) else finding["auc"]
    return auc


def ranked(audit: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings by the simultaneous lower bound that the verdict rests on, highest first."""

    def rank(finding: dict[str, Any]) -> tuple[float, float, bool]:
        auc = judged_auc(audit, finding)
        # Rounded numbers may be equal; then the attack of the exposure comes first, which is the strongest.
        return auc["simultaneous"]["low"], auc["value"], finding["attack"] == audit["exposure"]["attack"]

    return sorted(audit["findings"], key=rank, reverse=True)


def strongest(audit: dict[str, Any]) -> dict[str, Any] | None:
    """Return the finding whose simultaneous lower bound is highest, or None if no attack ran."""
    return next(iter(ranked(audit)), None)


def runner_up(audit: dict[str, Any]) -> dict[str, Any] | None:
    """Return the best finding with the other access than the strongest one, or None."""
    first = strongest(audit)
    return next((f for f in ranked(audit) if first and f["access"] != first["access"]), None)


def exceeds_chance(auc: dict[str, Any]) -> bool:
    """Tell whether the simultaneous lower bound is above chance."""
    return bool(auc["simultaneous"]["low"] > 0.5)


def attacker(threat: dict[str, Any]) -> list[str]:
    """Return what an attacker from outside is assumed to see and know, one sentence each."""
    sees = {
        "outputs": "It sees the model’s predictions only, as anyone can who may query the model.",
        "weights": "It holds the model itself, as anyone does once the weights are published: "
        "predictions, activations and gradients.",
    }[threat["access"]]
    sentences = [sees, "It has the scan and the true age of the person it asks about."]
    known = threat["known_per_side"]
    if known == 0:
        return [*sentences, "It knows of nobody beforehand whether they were in the training set."]
    draws = f"; the mean over {threat['repeats']} draws of them is reported" if threat["repeats"] > 1 else ""
    return [
        *sentences,
        f"It already knows {people(known, 'member')} and {people(known, 'non-member')}, learns from them, "
        f"and is judged on everybody else{draws}.",
    ]


def unseen(audit: dict[str, Any]) -> list[str]:
    """Return what this audit could not see, one sentence each."""
    auc = fraction(audit["verdict"]["smallest_detectable_auc"])
    missed = (
        f"A leak with an AUC below {auc}: with this many people, it is missed more than one time in five."
    )
    sentences = [missed if audit["findings"] else "Any leak: no attack could be run."]
    if audit["not_run"]:
        which = "One attack" if len(audit["not_run"]) == 1 else f"{len(audit['not_run'])} attacks"
        sentences.append(f"{which} that could not be run; the reasons are below.")
    sentences.append(
        "What training again would change: intervals cover other people like these, given this trained model."
    )
    sentences.append("Attackers who see, know or can do more than the one assumed here.")
    return sentences


def unused_columns(audit: dict[str, Any]) -> str:
    """Return the columns that were not used as covariates, each with the reason if there is one, or ""."""
    blind = audit["checks"]["blind"]
    reasons = blind.get("reasons", {})
    named = [f"{name} ({reasons[name]})" if name in reasons else name for name in blind["ignored"]]
    return listed(named) if named else ""
