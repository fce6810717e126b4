"""Check audit.json and consortium.json before they are used or shown."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from memberscan.errors import AuditFileError, MemberscanError
from memberscan.report.content.audit_json import SCHEMA, AuditContent
from memberscan.report.content.consortium_json import CONSORTIUM_SCHEMA, ConsortiumContent
from memberscan.shown import plain_values

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=BaseModel)


def check(audit: AuditContent | Mapping[str, Any]) -> AuditContent:
    """Return an audit, its texts safe to show, if it is complete and of the schema this version knows.

    Unknown keys are let through, so that a file written by a later release of the same schema can still be
    shown. This says nothing about whether the numbers are right.

    Parameters
    ----------
    audit
        The content of an audit.json, as parsed; content that was checked before is returned as it is.

    Raises
    ------
    AuditFileError
        If it is of a newer schema, of no known schema, or incomplete; the message says where first.
    """
    if isinstance(audit, AuditContent):
        return audit
    name = audit.get("schema") if isinstance(audit, dict) else None
    if not isinstance(name, str):
        raise AuditFileError(
            'this is not an audit.json of memberscan (it names no "schema"); give the directory or file that '
            "`memberscan audit` wrote"
        )
    if name != SCHEMA:
        version = re.fullmatch(r"memberscan\.audit/(\d+)", name)
        if version and int(version[1]) > int(SCHEMA.rpartition("/")[2]):
            raise AuditFileError(
                f"this audit was written in the newer schema {name}; this memberscan reads {SCHEMA}: "
                "upgrade memberscan (pip install --upgrade memberscan) and run the same command again"
            )
        raise AuditFileError(
            f"the schema {name!r} is unknown; this version of memberscan reads {SCHEMA}: run the audit again"
        )
    return _complete(AuditContent, audit, "audit.json", "run the audit again")


def check_consortium(content: ConsortiumContent | Mapping[str, Any]) -> ConsortiumContent:
    """Return a consortium.json, its texts safe to show, if it is complete and of the known schema.

    Raises
    ------
    AuditFileError
        If it is not.
    """
    if isinstance(content, ConsortiumContent):
        return content
    if not isinstance(content, dict) or content.get("schema") != CONSORTIUM_SCHEMA:
        raise AuditFileError(
            f"this is no consortium.json of the schema {CONSORTIUM_SCHEMA}; merge the audits again"
        )
    return _complete(ConsortiumContent, content, "consortium.json", "merge the audits again")


def _complete(kind: type[C], content: Mapping[str, Any], file: str, advice: str) -> C:
    """Return content as its type, texts safe to show; ``advice`` says what to do if it is incomplete."""
    try:
        return kind.model_validate(plain_values(content))
    except ValidationError as error:
        raise AuditFileError(
            f"{_problem(file, error)}; the file is incomplete or was edited: {advice}"
        ) from error


def _problem(file: str, error: ValidationError) -> str:
    """Return the first problem with its place, as in "audit.json.findings[0].auc has no 'low'"."""
    first = error.errors(include_url=False)[0]
    *within, last = first["loc"]
    if first["type"] == "missing":
        return f"{_place(file, within)} has no {last!r}"
    shown = repr(first["input"])
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return f"{_place(file, first['loc'])} is {shown}: {first['msg']}"


def _place(file: str, path: tuple[int | str, ...] | list[int | str]) -> str:
    return file + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def agreeing(show: Callable[P, T]) -> Callable[P, T]:
    """Make a function that shows audits raise :class:`AuditFileError` where values contradict each other.

    The types check single values, not whether they are consistent, such as an interval without an
    estimate. Any failure on such content becomes this error instead of a traceback.
    """

    @functools.wraps(show)
    def shown(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return show(*arguments, **options)
        except MemberscanError:
            raise
        except Exception as error:
            raise AuditFileError(
                "the audit cannot be shown, since its values do not agree "
                f"({type(error).__name__}: {error}); the file was edited: run the audit again"
            ) from error

    return shown
