"""The tables of the report, as plain rows of text: every figure's values, and what no figure shows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from memberscan.report import words


class Cell(NamedTuple):
    """What a cell says, what stands under it in smaller letters, and the number of a note below the table."""

    text: str
    note: str = ""
    mark: int = 0


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row; its notes are numbered from 1."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    notes: tuple[str, ...] = ()


NONE = Cell("n/a")


def estimate(value: dict[str, Any] | None, form: Any = words.fraction) -> Cell:
    """Return an estimate with its interval below, or n/a."""
    return Cell(form(value["value"]), words.span(value, form)) if value else NONE


def attacks(audit: dict[str, Any]) -> Table:
    """Return all attacks with their AUC, its bounds, accuracy and p-value."""
    strata = words.judged_within_strata(audit)
    level = _level(audit)
    rows = []
    for finding in words.ranked(audit):
        row = [
            Cell(finding["attack"], finding["title"]),
            Cell(words.SEES[finding["access"]]),
            estimate(finding["auc"]),
        ]
        if strata:
            row.append(estimate(finding["within_strata"] and finding["within_strata"]["auc"]))
        bound = words.judged_auc(audit, finding)["simultaneous"]["low"]
        scored = finding["scored"]
        row += [
            Cell(words.fraction(bound)),
            estimate(finding["accuracy"], words.percent),
            Cell(words.p_value(finding["p_value"])),
            Cell(f"{counted(scored['members'])}\u00a0+\u00a0{scored['nonmembers']:,}"),
        ]
        rows.append(row)
    caption = (
        "Every attack that was run, strongest first. Under each estimate stands its own 95% interval; “at "
        f"least” is the lower bound that holds for all attacks together with {level} confidence. Accuracy is "
        "balanced: a coin gets 50%. "
        "Scored: members + non-members judged in one draw."
    )
    if strata:
        caption += " Only “AUC within strata” and “at least” allow for the difference between the sides."
    within = ("AUC within strata",) if strata else ()
    columns = ("Attack", "Sees", "AUC", *within, f"At least ({level})", "Accuracy", "p\u2011value", "Scored")
    return Table(caption, columns, rows)


def counted(people: int | None) -> str:
    """Return a number of people, or "hidden" where it is not published."""
    return "hidden" if people is None else words.count(people)


def _level(audit: dict[str, Any]) -> str:
    finding = words.strongest(audit)
    return words.percent(finding["auc"]["simultaneous"]["level"]) if finding else "99%"


def gains(audit: dict[str, Any]) -> Table:
    """Return what one attack gains over another."""
    rows = []
    for gain in audit["gains"]:
        difference = gain["difference"]
        signed = {key: f"{difference[key]:+.2f}".replace("-", "−") for key in ("value", "low", "high")}
        rows.append(
            [
                Cell(gain["attack"]),
                Cell(gain["over"]),
                Cell(signed["value"]),
                Cell(f"{signed['low']} to {signed['high']}"),
            ]
        )
    caption = "Differences in AUC on the same people. An interval that contains 0 shows no gain."
    return Table(caption, ("Attack", "Compared with", "Difference in AUC", "95% interval"), rows)


def not_run(audit: dict[str, Any]) -> Table:
    """Return the attacks that were not run."""
    rows = [[Cell(entry["attack"]), Cell(entry["reason"])] for entry in audit["not_run"]]
    return Table("Nothing is known about what these attacks would have shown.", ("Attack", "Reason"), rows)


def low_false_alarms(audit: dict[str, Any]) -> Table:
    """Return the share of members found at each low false-positive rate."""
    entries = [entry for finding in words.ranked(audit) for entry in finding["tpr"]]
    rates = sorted({entry["fpr"] for entry in entries}, reverse=True)
    notes = tuple(dict.fromkeys(entry["reason"] for entry in entries if entry["value"] is None))
    rows = []
    for finding in words.ranked(audit):
        by_rate = {entry["fpr"]: entry for entry in finding["tpr"]}
        rows.append([Cell(finding["attack"]), *(_rate(by_rate.get(rate), notes) for rate in rates)])
    caption = (
        "Share of members found (true-positive rate) when only so many non-members may be named by mistake "
        "(false-positive rate), with 95% intervals. An attack no better than chance finds as many members as "
        "it wrongly names non-members."
    )
    columns = ("Attack", *(f"{words.percent(rate)} false alarms" for rate in rates))
    return Table(caption, columns, rows, tuple(note or "not available" for note in notes))


def _rate(entry: dict[str, Any] | None, notes: tuple[str | None, ...]) -> Cell:
    if entry is None:
        return NONE
    if entry["value"] is None:
        return Cell("n/a", mark=1 + notes.index(entry["reason"]))
    return estimate(entry, words.percent)


def named_correctly(audit: dict[str, Any], findings: list[dict[str, Any]]) -> Table:
    """Return, of those named as members, the share who are, by prior; only for resolved rates."""
    resolved = [(f, entry) for f in findings for entry in f["tpr"] if entry["value"] is not None]
    priors = sorted({p["prior"] for f in audit["findings"] for e in f["tpr"] for p in e["ppv"]}, reverse=True)
    rows = []
    for finding, entry in resolved:
        worth = {p["prior"]: p for p in entry["ppv"]}
        cells = [estimate(worth.get(prior), words.percent) for prior in priors]
        rows.append([Cell(finding["attack"]), Cell(words.percent(entry["fpr"])), *cells])
    caption = (
        "Of the people named as members, how many are (positive predictive value), by how common members are "
        "among the people the attacker asks about."
    )
    columns = ("Attack", "False alarms", *(f"{words.percent(p)} members" for p in priors))
    return Table(caption, columns, rows)


ROC_RATES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


def roc(audit: dict[str, Any]) -> Table:
    """Return points of the ROC curves that the scored non-members can resolve."""
    rows = []
    for finding in words.ranked(audit):
        curve = finding["roc"]
        # Curves of early versions have every step, and begin below the rate of a single non-member.
        floor = max(1 / max(1, finding["scored"]["nonmembers"]), curve["fpr"][0])
        cells = [
            Cell(words.percent(true_positive_rate(curve, rate))) if rate >= floor else NONE
            for rate in ROC_RATES
        ]
        rows.append([Cell(finding["attack"]), *cells])
    caption = "Share of members found, by the share of non-members wrongly named. n/a: too few non-members."
    return Table(caption, ("Attack", *map(words.percent, ROC_RATES)), rows)


def true_positive_rate(curve: dict[str, Any], rate: float) -> float:
    """Return the highest true-positive rate at false-positive rates up to ``rate``; never interpolated."""
    reached = bisect_right(curve["fpr"], rate + 1e-12)
    return float(curve["tpr"][reached - 1]) if reached else 0.0


def exposure(audit: dict[str, Any]) -> Table:
    """Return the strongest attack by group of people."""
    rows = []
    for group in audit["exposure"]["groups"]:
        auc = estimate(group["auc"]) if group["auc"] else Cell("n/a", group["reason"] or "")
        rows.append(
            [
                Cell(group_name(group)),
                Cell(counted(group["members"])),
                Cell(counted(group["nonmembers"])),
                auc,
                estimate(group["accuracy"], words.percent),
            ]
        )
    caption = f"The attack “{audit['exposure']['attack']}” by group, with 95% intervals for each group alone."
    return Table(caption, ("Group", "Members", "Non-members", "AUC", "Accuracy"), rows)


def sides(row: dict[str, Any]) -> Cell:
    """Return members + non-members, or "hidden" where they are few."""
    if row["members"] is None or row["nonmembers"] is None:
        return Cell("hidden")
    return Cell(f"{row['members']:,}\u00a0+\u00a0{row['nonmembers']:,}")


def group_name(group: dict[str, Any]) -> str:
    """Return "45 to 55 years" or "sex: F"."""
    if group["by"] == "age":
        name = group["group"].replace("-", " to ").replace("–", " to ")
        return f"{name} years" if " to " in name or name.startswith("under") else name
    return f"sex: {group['group']}"


QUANTILES = ("q10", "q25", "q50", "q75", "q90")


def residuals(audit: dict[str, Any]) -> Table:
    """Return the quantiles of age minus prediction by age band and side."""
    rows = list(_residual_rows(audit["residuals"]["bands"], words.few(audit)))
    caption = (
        "Age minus prediction, in years: quantiles by age band. Groups of fewer than "
        f"{words.few(audit)} people per side are joined or not shown."
    )
    return Table(caption, ("Age", "Side", "People", "10%", "25%", "Median", "75%", "90%"), rows)


def _residual_rows(bands: list[dict[str, Any]], few: int) -> Iterator[list[Cell]]:
    for band in bands:
        for key, side in (("members", "members"), ("nonmembers", "non-members")):
            group = band[key]
            values = (
                [NONE if group[q] is None else Cell(words.years(group[q])) for q in QUANTILES]
                if group
                else [NONE] * len(QUANTILES)
            )
            people = Cell(words.count(group["n"])) if group else Cell(f"under {few}")
            yield [Cell(words.ages(band["low"], band["high"], " to ")), Cell(side), people, *values]


def covariates(audit: dict[str, Any]) -> Table:
    """Return how well each covariate alone tells the sides apart."""
    rows = [
        [
            Cell(entry["name"]),
            NONE if entry["auc"] is None else Cell(words.rough(entry["auc"])),
            Cell(words.p_value(entry["p_value"])),
        ]
        for entry in audit["checks"]["blind"]["covariates"]
    ]
    caption = (
        "How well each covariate alone, without the model, tells members from non-members (cross-validated)."
    )
    return Table(caption, ("Covariate", "AUC", "Permutation p-value"), rows)


def null(audit: dict[str, Any]) -> Table:
    """Return what the attacks reach when membership is shuffled."""
    check = audit["checks"]["null"]
    means = check["mean_auc"] or {}
    rows = [
        [
            Cell(name),
            Cell(words.rough(means[name])) if name in means else NONE,
            Cell(words.p_value(p)),
        ]
        for name, p in check["p_values"].items()
    ]
    caption = "With membership shuffled: mean AUC (0.50 if the audit is sound); p-value of the real AUC."
    return Table(caption, ("Attack", "Mean AUC, shuffled", "p-value"), rows)


def errors(audit: dict[str, Any]) -> Table:
    """Return the errors of the model on both sides."""
    target = audit["target"]
    rows = [
        [
            Cell(name),
            Cell(words.years(target[f"{key}_members"])),
            Cell(words.years(target[f"{key}_nonmembers"])),
        ]
        for name, key in (("Mean absolute error", "mae"), ("Root mean squared error", "rmse"))
    ]
    return Table("Errors of the model, in years.", ("Error", "Members", "Non-members"), rows)


def provenance(audit: dict[str, Any]) -> Table:
    """Return what is needed to obtain the same result again."""
    origin = audit["provenance"]
    entries = {
        "Source": origin["source"],
        "memberscan": origin["memberscan"],
        "Seed": str(origin["seed"]),
        "Threads": "not recorded" if origin["threads"] is None else str(origin["threads"]),
        "Fingerprint of the cohort": origin["cohort"] or "none",
        "Fingerprint of the roles": origin["roles"] or "none",
        "Fingerprint of the weights": origin["weights"] or "none",
        "Fingerprint of the predictions": origin["predictions"] or "none",
        "Libraries": ", ".join(f"{name} {version}" for name, version in sorted(origin["versions"].items())),
        "Schema": audit["schema"],
    }
    rows = [[Cell(name), Cell(value)] for name, value in entries.items()]
    return Table("What is needed to obtain the same result again.", ("What", "Value"), rows)
