"""Parts of the reference that are read from the code they describe, so that they cannot fall behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import typer

from memberscan.cli import app as command_line
from memberscan.cli.bids_app import app as bids_app
from memberscan.schemas import published

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill the places marked in the sources."""
    app.connect("source-read", _fill)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=600)
    return {"parallel_read_safe": True}


def _fill(_: Sphinx, docname: str, source: list[str]) -> None:
    if docname in _PARTS:
        marker, write = _PARTS[docname]
        source[0] = source[0].replace(marker, write())


def _before_napoleon(
    _: Sphinx, what: str, name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Let errors be found from any module, and |r| be a size and no substitution."""
    lines[:] = [re.sub(r"(?<!`)\|(\w+)\|", r"\\|\1\\|", line) for line in lines]
    lines[:] = [re.sub(r":class:`(\w+Error)`", r":class:`.\1`", line) for line in lines]
    if what in _NO_FIELDS:
        _kept[name] = list(lines)


def _after_napoleon(
    _: Sphinx, what: str, name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Undo what napoleon does to a property, whose first words before a colon it takes for a type."""
    if what in _NO_FIELDS:
        lines[:] = _kept.pop(name)


def commands() -> str:
    """Return a section for each command: what it does, its arguments and its options."""
    both = (command_line, "memberscan"), (bids_app, "memberscan-bids")
    found = [each for app, name in both for each in walk(typer.main.get_command(app), name)]
    return "\n".join(_command(path, command) for path, command in found)


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands that are no groups, with the words that call them."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, child in inner.items():
        yield from walk(child, f"{path} {name}")


def _command(path: str, command: click.Command) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([path, *(str(a.metavar or a.name).upper() for a in arguments)])
    about, _, example = (command.help or "").partition("Example:")
    lines = [f"## {path}", "", about.strip(), "", "```text", f"{usage} [OPTIONS]", "```", ""]
    helps = [(str(a.metavar or a.name).upper(), getattr(a, "help", None)) for a in arguments]
    lines += [f"`{name}`\n: {text}\n" for name, text in helps if text]
    lines += ["| Option | Default | Meaning |", "|---|---|---|"]
    lines += [f"| `{', '.join(o.opts)}` | {_default(o)} | {getattr(o, 'help', '')} |" for o in options]
    return "\n".join([*lines, "", "```console", f"$ {example.strip().strip('`')}", "```", ""])


def _default(option: click.Parameter) -> str:
    if option.required:
        return "required"
    if getattr(option, "is_flag", False):
        return "off"
    empty = option.default is None or option.default == "" or callable(option.default)
    return "" if empty else f"`{option.default}`"


def schema(rules: dict[str, Any]) -> str:
    """Return a section for the top level of a file, and one for each part."""
    parts = {"Top level": rules, **rules["$defs"]}
    return "\n".join(_part(name, rule, rules["$defs"]) for name, rule in parts.items())


def _part(name: str, rule: dict[str, Any], shared: dict[str, Any]) -> str:
    rows = [
        f"| `{key}` | {_kind(inner)} | {_meaning(inner, shared)} |"
        for key, inner in rule["properties"].items()
    ]
    return "\n".join(
        [f"## {name}", "", rule["description"], "", "| Key | Type | Meaning |", "|---|---|---|", *rows, ""]
    )


def _meaning(rule: dict[str, Any], shared: dict[str, Any]) -> str:
    referred = shared.get(rule.get("$ref", "").rpartition("/")[2], {})
    return str(rule.get("description") or referred.get("description", ""))


def _kind(rule: dict[str, Any]) -> str:
    if "$ref" in rule:
        name = rule["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in rule:
        return " or ".join(_kind(inner) for inner in rule["anyOf"])
    if "enum" in rule or "const" in rule:
        return " or ".join(f'`"{value}"`' for value in rule.get("enum", [rule.get("const")]))
    inner = rule.get("items") or rule.get("additionalProperties")
    return f"{rule['type']} of {_kind(inner)}" if isinstance(inner, dict) else str(rule["type"])


_NO_FIELDS = ("property", "attribute", "data")
_kept: dict[str, list[str]] = {}
_PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "reference/command-line": ("<!-- commands -->", commands),
    "reference/audit-json": ("<!-- schema -->", lambda: schema(published("memberscan.audit/1"))),
    "reference/inspection-json": ("<!-- schema -->", lambda: schema(published("memberscan.inspection/1"))),
    "reference/dossier-json": ("<!-- schema -->", lambda: schema(published("memberscan.dossier/1"))),
    "reference/comparison-json": ("<!-- schema -->", lambda: schema(published("memberscan.comparison/1"))),
}
