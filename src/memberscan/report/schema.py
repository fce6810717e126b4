"""Refuse what is not an audit.json or consortium.json of this version, so that rendering never fails."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, ParamSpec, TypeVar

from memberscan.errors import AuditFileError, MemberscanError
from memberscan.shown import plain_values

SCHEMA = "memberscan.audit/1"
CONSORTIUM_SCHEMA = "memberscan.consortium/1"

LONGEST_TEXT = 100_000
"""Longest text of an audit, in characters: each is laid out in pages and figures."""
_FILES = {SCHEMA: "audit-1.schema.json", CONSORTIUM_SCHEMA: "consortium-1.schema.json"}

P = ParamSpec("P")
T = TypeVar("T")

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


@functools.cache
def published(name: str = SCHEMA) -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of that name."""
    text = resources.files("memberscan.report").joinpath(_FILES[name]).read_text("utf-8")
    return dict(json.loads(text))


def check(audit: Any) -> dict[str, Any]:
    """Return an audit, its texts safe to show, if it is complete and of the schema this version knows.

    The structure is compared with the published JSON Schema. Unknown keys are let through, so that a file
    written by a later release of the same schema can still be shown. This says nothing about whether the
    numbers are right.

    Parameters
    ----------
    audit
        The content of an audit.json, as parsed.

    Raises
    ------
    AuditFileError
        If it is of a newer schema, of no known schema, or incomplete; the message says where first.
    """
    name = audit.get("schema") if isinstance(audit, dict) else None
    if not isinstance(audit, dict) or not isinstance(name, str):
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
    rule = published()
    for problem in _problems(audit, rule, "audit.json", rule["$defs"]):
        raise AuditFileError(f"{problem}; the file is incomplete or was edited: run the audit again")
    return dict(plain_values(audit))


def check_consortium(content: Any) -> dict[str, Any]:
    """Return a consortium.json, its texts safe to show, if it is complete and of the known schema.

    Raises
    ------
    AuditFileError
        If it is not.
    """
    name = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(content, dict) or name != CONSORTIUM_SCHEMA:
        raise AuditFileError(
            f"this is no consortium.json of the schema {CONSORTIUM_SCHEMA}; merge the audits again"
        )
    rule = published(CONSORTIUM_SCHEMA)
    for problem in _problems(content, rule, "consortium.json", rule["$defs"]):
        raise AuditFileError(f"{problem}; the file is incomplete or was edited: merge the audits again")
    return dict(plain_values(content))


def agreeing(show: Callable[P, T]) -> Callable[P, T]:
    """Make a function that shows audits raise :class:`AuditFileError` where values contradict each other.

    The schema checks single values, not whether they fit together, such as an estimate without a value that
    has an interval. Any failure on such content becomes this error instead of a traceback.
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


def _problems(value: Any, rule: dict[str, Any], path: str, shapes: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with ``value``, by the few keywords that the published schemas use."""
    if "$ref" in rule:
        rule = shapes[rule["$ref"].rpartition("/")[2]]
    if "anyOf" in rule:
        if value is not None:
            yield from _problems(value, rule["anyOf"][0], path, shapes)
        return
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{path} is {_shown(value)}, and must be of type {' or '.join(kinds)}"
        return
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path} is {_shown(value)}, and must be one of {', '.join(map(repr, rule['enum']))}"
    if isinstance(value, dict):
        yield from _problems_inside(value, rule, path, shapes)
    elif isinstance(value, str) and len(value) > LONGEST_TEXT:
        yield f"{path} has {len(value):,} characters, and may have {LONGEST_TEXT:,}"
    elif isinstance(value, list):
        if len(value) > rule.get("maxItems", math.inf):
            yield f"{path} has {len(value):,} entries, and may have {rule['maxItems']:,}"
        for index, item in enumerate(value):
            yield from _problems(item, rule["items"], f"{path}[{index}]", shapes)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = rule.get("minimum", -math.inf), rule.get("maximum", math.inf)
        if not (low <= value <= high and math.isfinite(value)):
            yield f"{path} is {_shown(value)}, and must be a number from {low} to {high}"


def _problems_inside(
    value: dict[str, Any], rule: dict[str, Any], path: str, shapes: dict[str, Any]
) -> Iterator[str]:
    for key in rule.get("required", []):
        if key not in value:
            yield f"{path} has no {key!r}"
    known = rule.get("properties", {})
    others = rule.get("additionalProperties")
    for key, item in value.items():
        inner = known.get(key, others)
        if isinstance(inner, dict):
            yield from _problems(item, inner, f"{path}.{key}", shapes)


def _is(value: Any, kind: str) -> bool:
    """Tell whether a value is of a JSON type; a Python bool is no number."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
