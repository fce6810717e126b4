"""Render an audit as one offline HTML file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from memberscan.report import figures, intervals, tables, words
from memberscan.report.schema import check

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
    if any(band["members"] or band["nonmembers"] for band in audit["residuals"]["bands"]):
        shown["residuals"] = figures.residuals(audit)
    page = _ENVIRONMENT.get_template("audit.html.j2")
    return page.render(audit=audit, strongest=strongest, shown=shown, tables=tables, words=words)
