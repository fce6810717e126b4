"""Settings and records: JSON, JSON lines, YAML, TOML and INI; what cannot be parsed is read as text."""

from __future__ import annotations

import configparser
import json
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Final

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.decoding import encoding_of, is_text, lines, whole
from memberscan.inspection.readers.excel import plain
from memberscan.inspection.readers.text import read_text
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Columns, Instance

_LARGEST_JSON: Final = 64 << 20
"""Parsed, it takes about 15 times as much memory."""
_LARGEST_YAML: Final = 4 << 20
_RECORDS: Final = 10_000
"""JSON lines that are made into a table at a time."""
_NOT_PARSED: Final = (ValueError, RecursionError, TooLargeError, configparser.Error)


def parsed(text: str) -> Any:
    """Return the value of JSON text; of a key that is there twice, a list of both values.

    Raises
    ------
    ValueError
        If it is not JSON.
    RecursionError
        If it is nested too deeply.
    """
    return tabulated(json.loads(text, object_pairs_hook=_all_pairs))


def _all_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    merged = dict(pairs)
    if len(merged) < len(pairs):
        merged = {key: [value for other, value in pairs if other == key] for key in merged}
    return merged


def tabulated(value: Any) -> Any:
    """Return a value in which lists of records with equal keys are tables, and dates are text."""
    if isinstance(value, dict):
        return {key: tabulated(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return table_of([tabulated(inner) for inner in value])
    return plain(value)


def table_of(records: list[Any]) -> Any:
    """Return a list of at least two dictionaries with equal keys as a table, any other list unchanged."""
    if len(records) < 2 or not isinstance(records[0], dict) or not records[0]:
        return records
    keys = records[0].keys()
    if not all(isinstance(record, dict) and record.keys() == keys for record in records):
        return records
    return Columns({str(key): [record[key] for record in records] for key in keys})


class Json:
    """JSON, or one JSON value on each line."""

    name = "JSON"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is named as JSON, or begins as an object or a list does."""
        if not is_text(head):
            return False
        start = head.decode(encoding_of(head), "replace").lstrip("\ufeff \t\r\n")
        if source.suffix in (".json", ".jsonl", ".ndjson", ".geojson"):
            return True
        return start[:1] in ("{", "[") and start[1:].lstrip()[:1] in ('"', "{", "[", "}", "]", *"-0123456789")

    def read(self, source: Source) -> Iterator[Item]:
        """Yield its value; of JSON lines, tables of many lines each where all have the same keys."""
        values = _line_by_line if source.suffix in (".jsonl", ".ndjson") else _at_once
        try:
            yield from (Item("", value) for value in values(source))
        except _NOT_PARSED:
            yield from read_text(source)


def _at_once(source: Source) -> Iterator[Any]:
    try:
        value = parsed(whole(source, _LARGEST_JSON))
    except (json.JSONDecodeError, TooLargeError):
        # Perhaps every line is a value of its own.
        yield from _line_by_line(source)
    else:
        yield value


def _line_by_line(source: Source) -> Iterator[Any]:
    records = []
    for line in lines(source):
        if line.strip():
            records.append(parsed(line))
        if len(records) == _RECORDS:
            yield table_of(records)
            records = []
    yield table_of(records)


class Yaml:
    """YAML. Tags of Python objects and of programs become records, and nothing is made of them.

    Aliases are shared values, and merged keys stay keys, so that a small file stays small.
    """

    name = "YAML"
    needs = "yaml"

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is named as YAML, or begins with a line of YAML's directives or dashes."""
        return is_text(head) and (source.suffix in (".yaml", ".yml") or head.startswith((b"%YAML", b"---\n")))

    def read(self, source: Source) -> Iterator[Item]:
        """Yield its documents."""
        import yaml

        try:
            documents = list(yaml.load_all(whole(source, _LARGEST_YAML), _loader()))
        except (*_NOT_PARSED, yaml.YAMLError, TypeError):
            yield from read_text(source)
        else:
            # Tables are not made here: values may be within themselves.
            yield from (Item("", document) for document in documents)


def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """Constructs plain values only."""

        def flatten_mapping(self, node: Any) -> None:
            """Leave merged keys as they are: merging copies, perhaps exponentially often."""

    Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
    Loader.add_constructor("tag:yaml.org,2002:merge", _as_text)
    Loader.add_constructor(None, _record)
    return Loader


def _as_text(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _record(loader: Any, node: Any) -> Iterator[Instance]:
    # The record is given before its state is constructed, since the state may hold the record.
    made = Instance(node.tag.removeprefix("tag:yaml.org,2002:"))
    yield made
    if node.id == "mapping":
        made.state.update({str(k): v for k, v in loader.construct_mapping(node, deep=True).items()})
    elif node.id == "sequence":
        made.state["items"] = loader.construct_sequence(node, deep=True)
    else:
        made.state["value"] = loader.construct_scalar(node)


class _Settings(ABC):
    """A format of settings that is known by its name."""

    name = ""
    needs = ""
    _suffixes: tuple[str, ...] = ()

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether its name ends as such a file's does."""
        return source.suffix in self._suffixes and is_text(head)

    def read(self, source: Source) -> Iterator[Item]:
        """Yield its values by section and key."""
        try:
            value = self._parse()(whole(source, _LARGEST_YAML))
        except _NOT_PARSED:
            yield from read_text(source)
        else:
            yield Item("", value)

    @abstractmethod
    def _parse(self) -> Callable[[str], Any]:
        """Return the function that makes values of the text."""


class Toml(_Settings):
    """TOML."""

    name = "TOML"
    _suffixes = (".toml",)

    def _parse(self) -> Callable[[str], Any]:
        return lambda text: tabulated(tomllib.loads(text))


class Ini(_Settings):
    """INI files of sections and keys."""

    name = "INI"
    _suffixes = (".ini", ".cfg")

    def _parse(self) -> Callable[[str], Any]:
        def parse(text: str) -> dict[str, dict[str, str | None]]:
            parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
            parser.read_string(text)
            return {section: dict(values) for section, values in parser.items()}

        return parse
