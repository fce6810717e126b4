"""Render an audit, or several joined, as one offline HTML file: the list of its sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from memberscan.report import sections, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.consortium_json import ConsortiumContent
from memberscan.report.page_section import Section
from memberscan.report.validation import agreeing, check, check_consortium

C = TypeVar("C")


def _breakable(name: str) -> Markup:
    """Return the name of an attack so that a line may break after each "+"."""
    return escape(name).replace("+", Markup("+<wbr>"))


def environment(*packages: str) -> Environment:
    """Return what renders the report's templates, and those of other packages with pages of their own."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in ("memberscan.report", *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = _breakable
    made.globals["words"] = words
    return made


class Link(NamedTuple):
    """A section of a page: the name of its template and anchor, and its title in the list of contents."""

    anchor: str
    link: str


def page_of(
    made: Environment,
    shown: object,
    header: str,
    contents: Sequence[Link],
    *,
    title: str,
    version: str,
    tone: str = "",
    styles: Sequence[str] = (),
) -> str:
    """Return a page of another package: its templates, each given all that is shown, below each other.

    Parameters
    ----------
    made
        From :func:`environment`, with the package's templates.
    shown
        What the templates read as ``section``.
    header
        Name of the first template, which is not in the list of contents.
    contents
        The sections.
    title, version
        Of the page, and of memberscan.
    tone
        The verdict whose colour the page has; by default that of no verdict.
    styles
        Style sheets of the package, after that of all pages.
    """
    summary, *sections = (
        Markup(made.get_template(f"templates/{name}.html.j2").render(section=shown))
        for name in (header, *(link.anchor for link in contents))
    )
    return made.get_template("templates/page.html.j2").render(
        title=title,
        tone=tone,
        version=version,
        styles=["templates/style.css", *styles],
        summary=summary,
        sections=sections,
        contents=contents,
    )


_ENVIRONMENT = environment()


@agreeing
def render_html(audit: AuditContent | Mapping[str, Any]) -> str:
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
    title = f"Membership audit of {audit.target.model}: {words.LABELS[audit.verdict.label]}"
    tone = audit.verdict.label.replace(" ", "-")
    return _page(audit, sections.AUDIT, title, tone, audit.provenance.memberscan)


@agreeing
def render_consortium(content: ConsortiumContent | Mapping[str, Any]) -> str:
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
    verdicts = {audit.verdict for audit in content.audits}
    order = ("leaks", "confounded", "inconclusive", "no leak shown")
    worst = next(label for label in order if label in verdicts)
    title = "What each party of the federation can learn"
    return _page(content, sections.CONSORTIUM, title, worst.replace(" ", "-"), content.memberscan)


def _page(content: C, every: Sequence[Section[C]], title: str, tone: str, version: str) -> str:
    """Render the sections that apply, and put them below each other."""
    shown = [(section, data) for section in every if (data := section.data(content)) is not None]
    own = (path for section, _ in shown for path in section.styles)
    styles = dict.fromkeys(("templates/style.css", *own))
    rendered = [
        Markup(_ENVIRONMENT.get_template(section.template).render(section=data)) for section, data in shown
    ]
    return _ENVIRONMENT.get_template("templates/page.html.j2").render(
        title=title,
        tone=tone,
        version=version,
        styles=list(styles),
        summary=rendered[0],
        sections=rendered[1:],
        contents=[section for section, _ in shown[1:]],
    )
