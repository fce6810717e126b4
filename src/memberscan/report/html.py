"""Render an audit, or several joined, as one offline HTML file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from memberscan.report import figures, intervals, matrix, pair_tables, parties, rounds, tables, words
from memberscan.report.schema import agreeing, check, check_consortium

_ENVIRONMENT = Environment(
    loader=PackageLoader("memberscan.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _breakable(name: str) -> Markup:
    """Return the name of an attack so that a line may break after each "+"."""
    return escape(name).replace("+", Markup("+<wbr>"))


_ENVIRONMENT.filters["breakable"] = _breakable


@agreeing
def render_html(audit: dict[str, Any]) -> str:
    """Return the report as one self-contained HTML page.

    The same audit gives the same bytes. The page needs no network and no JavaScript, and holds nothing about
    single subjects, since the audit holds nothing about them. It shows what the audit found; it adds no
    judgement of its own.

    Parameters
    ----------
    audit
        The content of audit.json.

    Raises
    ------
    AuditFileError
        If that content is incomplete, or of a schema this version does not know.
    """
    audit = check(audit)
    strongest = words.strongest(audit)
    shown: dict[str, Any] = {}
    if strongest:
        auc = words.judged_auc(audit, strongest)
        shown = {
            "auc": auc,
            "pairs": intervals.pairs(auc["value"]),
            "attacks": intervals.attacks(audit),
            "roc": figures.roc(audit),
        }
    if audit["exposure"]["groups"]:
        shown["exposure"] = intervals.exposure(audit)
    sides = [band[side] for band in audit["residuals"]["bands"] for side in ("members", "nonmembers")]
    if any(side and side["q50"] is not None for side in sides):
        shown["residuals"] = figures.residuals(audit)
    if audit["federation"]:
        shown |= _federated(audit)
    page = _ENVIRONMENT.get_template("audit.html.j2")
    return page.render(audit=audit, strongest=strongest, shown=shown, **_VOCABULARY)


@agreeing
def render_consortium(content: dict[str, Any]) -> str:
    """Return the consortium's page as one self-contained HTML page, under the same rules as an audit's.

    Parameters
    ----------
    content
        The content of consortium.json, from :func:`memberscan.report.consortium`.

    Raises
    ------
    AuditFileError
        If that content is incomplete, or of a schema this version does not know.
    """
    content = check_consortium(content)
    grids = [
        (entry, matrix.build(entry["pairs"], name)) for entry in content["entries"] if (name := _main(entry))
    ]
    shown: dict[str, Any] = {"grids": grids}
    lines = [line for entry in content["entries"] if (line := _main_line(entry))]
    if lines:
        shown["rounds"] = rounds.by_round(lines, band=len(lines) == 1)
    page = _ENVIRONMENT.get_template("consortium.html.j2")
    return page.render(content=content, shown=shown, **_VOCABULARY)


_VOCABULARY = {"tables": tables, "pair_tables": pair_tables, "parties": parties, "words": words}


def _federated(audit: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one audit of a federation."""
    federation = audit["federation"]
    shown: dict[str, Any] = {}
    ranked = [finding["attack"] for finding in words.ranked(audit)]
    attack = parties.main_attack(ranked, federation["pairs"])
    if attack:
        shown["grid"] = matrix.build(federation["pairs"], attack)
    by_round = rounds.lines(federation["by_round"], "round", "accuracy")
    if by_round:
        by_round.sort(key=lambda line: ranked.index(line.label) if line.label in ranked else len(ranked))
        shown["rounds"] = rounds.by_round(by_round, band=True)
    coverage = rounds.lines(federation["coverage"], "coverage", "auc")
    if coverage:
        shown["coverage"] = rounds.coverage(coverage)
    return shown


def _main(entry: dict[str, Any]) -> str | None:
    return parties.main_attack([finding["attack"] for finding in entry["findings"]], entry["pairs"])


def _main_line(entry: dict[str, Any]) -> rounds.Line | None:
    """Return the accuracy by round of the strongest attack of an entry that was made after each round."""
    lines = {line.label: line for line in rounds.lines(entry["by_round"], "round", "accuracy")}
    order = (*(finding["attack"] for finding in entry["findings"]), *lines)
    line = next((lines[attack] for attack in order if attack in lines), None)
    return line and rounds.Line(f"{entry['name']}", line.x, line.estimates)
